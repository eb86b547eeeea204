"""One page out of those of several places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

from proxy.simple.model import File, NormalizedName, Page, ProjectStatus


@dataclass(frozen=True, slots=True)
class Merged:
    """A project as a feed has it, before its rules."""

    name: NormalizedName
    files: tuple[tuple[File, str], ...]
    """Each with the name of the source whose bytes and digest it stands for."""
    versions: tuple[str, ...]
    status: ProjectStatus | None
    """That of the first source: it owns the project."""
    statuses: Mapping[str, ProjectStatus]
    """What each source says of the project: of one that quarantines it, no file may be offered."""


def merge(name: NormalizedName, pages: Sequence[tuple[str, Page]]) -> Merged:
    """Merge the pages of one project, given as (source, page) with the more important first.

    A file name that several have is the first one's alone: its digest and its bytes come from
    one source.

    Source: PEP 792 (quarantined: no files may be offered), PEP 700 (`versions` covers all files).
    """
    if len(pages) == 1:
        source, page = pages[0]
        names = {file.filename for file in page.files}
        if len(names) == len(page.files):
            known = dict.fromkeys(page.versions)
            known.update(dict.fromkeys([file.version for file in page.files if file.version]))
            statuses = {} if page.status is None else {source: page.status}
            return Merged(name, tuple(zip(page.files, repeat(source))), tuple(known), page.status, statuses)
    return _merge(name, pages)


def _merge(name: NormalizedName, pages: Sequence[tuple[str, Page]]) -> Merged:
    files: dict[str, tuple[File, str]] = {}
    versions: dict[str, None] = {}
    statuses: dict[str, ProjectStatus] = {}
    for source, page in pages:
        versions.update(dict.fromkeys(page.versions))
        if page.status is not None:
            statuses[source] = page.status
        for file in page.files:
            if file.filename not in files:
                files[file.filename] = (file, source)
                if file.version:
                    versions[file.version] = None
    status = pages[0][1].status if pages else None
    return Merged(name, tuple(files.values()), tuple(versions), status, statuses)
