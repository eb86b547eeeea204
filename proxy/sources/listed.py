"""What all listed sources do alike: tell what an object is by its name, and gather objects into projects.

The file name alone decides the project: folders are for people. Whatever is no wheel and no sdist, or only on its way
to become one, is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxy.simple.filename import parse
from proxy.simple.model import File, NormalizedName

_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".filepart")

Listed = tuple[NormalizedName, File]


def is_skipped(segment: str) -> bool:
    """Whether a file or folder of this name is nobody's business: hidden, or an upload on its way."""
    return segment.startswith((".", "~")) or segment.endswith(_UNFINISHED) or not segment.isprintable()


def describe(
    path: str,
    *,
    size: int | None,
    upload_time: str | None,
    etag: str | None,
    hashes: Mapping[str, str] | None = None,
) -> Listed | None:
    """Give the project and the file that an object is, or `None` where it is neither wheel nor sdist.

    `path` is the source's own, with `/` between its segments; the last one is the file name. An empty object is an
    upload that has not begun.
    """
    filename = path.rpartition("/")[2]
    found = parse(filename) if size != 0 else None
    if found is None or any(map(is_skipped, path.split("/"))):
        return None
    file = File(
        filename=filename,
        url=path,
        version=found.version,
        hashes=dict(hashes or {}),
        size=size,
        upload_time=upload_time,
        etag=etag,
    )
    return found.project, file


def gather(
    found: Iterable[Listed], known: Mapping[NormalizedName, tuple[File, ...]] | None = None
) -> dict[NormalizedName, tuple[File, ...]]:
    """Gather files into projects, all in the order of their names.

    Of several objects with one file name, that in the fewest folders wins, then that whose path comes first. Where a
    project's files are those that are `known`, the very same tuple is given.
    """
    projects: dict[NormalizedName, dict[str, File]] = {}
    for project, file in found:
        files = projects.setdefault(project, {})
        rival = files.get(file.filename)
        if rival is None or _rank(file) < _rank(rival):
            files[file.filename] = file
    return {project: _settle(project, projects[project], known or {}) for project in sorted(projects)}


def _rank(file: File) -> tuple[int, str]:
    return file.url.count("/"), file.url


def _settle(
    project: NormalizedName, files: Mapping[str, File], known: Mapping[NormalizedName, tuple[File, ...]]
) -> tuple[File, ...]:
    ordered = tuple(files[filename] for filename in sorted(files))
    before = known.get(project)
    return before if before is not None and before == ordered else ordered
