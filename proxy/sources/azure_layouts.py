"""What the names of a container's blobs mean, in whatever layout they were put there.

- A wheelhouse: files side by side, or in folders of any name. Only the file's name tells its project.
  What Azure ML's `add_private_pip_wheel` writes (`Environment/azureml-private-packages/`) is one.
- The tree of a mirroring tool, at the top or in `web/`: pages under `simple/`, `json/` and `pypi/`, and
  files under `packages/`, in folders that are named by digests. Its pages say which files there are, and
  what no name tells: a file under `packages/` that the project's page leaves out is not shown.

Pure: no blob is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from proxy.simple.filename import normalize, parse
from proxy.simple.model import File, NormalizedName
from proxy.simple.tolerance import clean_requires_python, clean_sha256, clean_upload_time
from proxy.sources.azure_listing import Blob
from proxy.sources.listed import is_skipped

TREES = ("", "web/")
"""Where in a container the tree of a mirroring tool begins."""
AZURE_ML = "Environment/azureml-private-packages/"
"""Where Azure ML keeps private wheels, in the container that belongs to a workspace."""

_PAGES = (
    # The page that clients would see first: it is filtered as the mirror's owner wants it.
    (re.compile(r"simple/(?:[^/]/)?([^/]+)/index\.v1_json"), "index.v1_json"),
    (re.compile(r"json/([^/]+)"), "json"),
    (re.compile(r"pypi/([^/]+)/json"), "json"),
    (re.compile(r"simple/(?:[^/]/)?([^/]+)/index\.html"), "index.html"),
)
_MONTHS = {
    name: f"{number:02}"
    for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)  # noqa: SIM905
}
_HTTP_DATE = 29
# Shared: a dictionary for each of 100,000 files would be 6 MB of nothing.
_NO_HASHES: dict[str, str] = {}


class TreePage(msgspec.Struct, frozen=True, gc=False):
    """A page of one project in a mirroring tool's tree."""

    tree: str
    """The tree's folder, with that of the source."""
    project: NormalizedName
    blob: str
    etag: str
    rank: int
    """Of several pages of one project the lowest counts."""

    @property
    def is_html(self) -> bool:
        """Whether it is for browsers, and so knows neither sizes nor times."""
        return self.blob.endswith(".html")

    @property
    def is_legacy(self) -> bool:
        """Whether it is what the public index knows of a project, not a page."""
        return _PAGES[self.rank][1] == "json"

    @property
    def files_at(self) -> str:
        """The folder of the tree's files."""
        return f"{self.tree}packages/"


def as_folder(prefix: str) -> str:
    """Give a configured prefix as the beginning of the names of what is in that folder."""
    folder = prefix.strip("/")
    return f"{folder}/" if folder else ""


def read_file(blob: Blob) -> tuple[NormalizedName, File] | None:
    """Give a blob as a file and its project; `None` where it is no distribution, or an empty one.

    Names that a path could be escaped by (`..`, backslashes, control characters) are passed over, as are hidden ones.
    """
    name = blob.name
    if not blob.size or blob.is_folder:
        return None
    folder, slash, filename = name.rpartition("/")
    distribution = parse(filename)
    # Folders that are hidden, or are `..`, are nobody's business.
    if distribution is None or is_skipped(filename) or (slash and any(map(_is_odd, folder.split("/")))):
        return None
    said = blob.metadata
    sha256 = clean_sha256(said["sha256"]) if "sha256" in said else None
    uploaded = clean_upload_time(said["upload_time"]) if "upload_time" in said else None
    return distribution.project, File(
        filename if slash else name,
        name,
        distribution.version,
        {"sha256": sha256} if sha256 else _NO_HASHES,
        blob.size,
        uploaded or read_date(blob.modified),
        clean_requires_python(said["requires_python"]) if "requires_python" in said else None,
        False,
        False,
        None,
        blob.etag or None,
    )


def read_tree_page(blob: Blob, root: str) -> TreePage | None:
    """Give a blob as a page of a mirroring tool's tree; `root` is the source's folder."""
    for tree in TREES:
        if not blob.name.startswith(root + tree):
            continue
        rest = blob.name[len(root + tree) :]
        if not rest.startswith(("simple/", "json/", "pypi/")):
            continue
        for rank, (pattern, _) in enumerate(_PAGES):
            match = pattern.fullmatch(rest)
            project = normalize(match[1]) if match else None
            if project is not None and blob.size and not blob.is_folder:
                return TreePage(root + tree, project, blob.name, blob.etag, rank)
    return None


def best_pages(pages: Iterable[TreePage]) -> dict[tuple[str, NormalizedName], TreePage]:
    """Give the one page that counts for each project of each tree."""
    best: dict[tuple[str, NormalizedName], TreePage] = {}
    for page in pages:
        key = page.tree, page.project
        known = best.get(key)
        if known is None or (page.rank, page.blob) < (known.rank, known.blob):
            best[key] = page
    return best


def each_once(files: Iterable[File]) -> tuple[File, ...]:
    """Give each file name once: of several blobs the one that is the least deep, then the first in order.

    A page can show only one of them, and its digest, size and bytes are then all of that one.
    """
    chosen: dict[str, File] = {}
    for file in files:
        other = chosen.get(file.filename)
        if other is None or _depth(file) < _depth(other):
            chosen[file.filename] = file
    return tuple(sorted(chosen.values(), key=lambda file: file.filename))


@lru_cache(maxsize=4096)
def read_date(text: str) -> str | None:
    """Give an HTTP date as pages have times; `None` where it is none.

    Source: RFC 9110 §5.6.7 (IMF-fixdate). By position, and remembered: this is done 100,000 times,
    and what is put there at once has one time.
    """
    month = _MONTHS.get(text[8:11])
    if len(text) != _HTTP_DATE or month is None:
        return None
    return clean_upload_time(f"{text[12:16]}-{month}-{text[5:7]}T{text[17:25]}Z")


def _is_odd(segment: str) -> bool:
    return "\\" in segment or is_skipped(segment)


def _depth(file: File) -> tuple[int, str]:
    return file.url.count("/"), file.url
