"""What the pages of a mirroring tool's tree say of the files beside them."""

from __future__ import annotations

import hashlib
import posixpath
import urllib.parse
from collections.abc import Iterable, Sequence

import msgspec

from proxy.simple import as_html, as_json
from proxy.simple.filename import version_of
from proxy.simple.model import File, NormalizedName
from proxy.simple.tolerance import (
    PageUnreadable,
    clean_hashes,
    clean_reason,
    clean_requires_python,
    clean_size,
    clean_upload_time,
)
from proxy.sources.azure_layouts import TreePage

# Pages link relatively; the host is only what a URL needs to be one.
_NOWHERE = "http://tree.invalid/"


class _Release(msgspec.Struct, gc=False):
    filename: str = ""
    url: str = ""
    digests: dict[str, str] = {}
    size: int | None = None
    upload_time_iso_8601: str | None = None
    requires_python: str | None = None
    yanked: bool = False
    yanked_reason: str | None = None


class _Legacy(msgspec.Struct, gc=False):
    releases: dict[str, list[_Release]] = {}
    urls: list[_Release] = []


_decoder = msgspec.json.Decoder(_Legacy)


def read_tree_files(body: bytes, page: TreePage) -> list[File]:
    """Give the files that a page names, each with the blob's name that its link leads to as `url`.

    Links that lead out of the tree (to the index that was mirrored) have the name that the tool gives their files.

    Raises: PageUnreadable.
    """
    if page.is_legacy:
        files = _read_legacy(body, page.project)
    else:
        read = as_html.parse_page if page.is_html else as_json.parse_page
        base = _NOWHERE + urllib.parse.quote(page.blob)
        files = list(read(body, base_url=base, project=page.project).files)
    return [msgspec.structs.replace(file, url=_blob_of(file.url, page), provenance=None) for file in files]


def complete(files: Sequence[File], said: Iterable[File]) -> list[File]:
    """Give those of `files` (blobs under `packages/`) that the page names, with what it says of them.

    A name that several blobs share is told apart by its path, where the page's link leads to one of them.
    """
    by_blob: dict[str, File] = {}
    by_name: dict[str, File] = {}
    for named in said:
        by_blob.setdefault(named.url, named)
        by_name.setdefault(named.filename, named)
    there = {file.url for file in files}
    found = []
    for file in files:
        entry = by_blob.get(file.url) or by_name.get(file.filename)
        # Another blob of this name is the one that the page means.
        if entry is None or entry.filename != file.filename or (entry.url != file.url and entry.url in there):
            continue
        found.append(_with(file, entry))
    return found


def fingerprint(page: TreePage, files: Iterable[File]) -> bytes:
    """Give what changes whenever `complete` may come out differently."""
    digest = hashlib.blake2b(digest_size=12)
    digest.update(f"{page.blob}\0{page.etag}\0".encode())
    for file in files:
        digest.update(f"{file.url}\0{file.etag}\0".encode())
    return digest.digest()


def _with(file: File, entry: File) -> File:
    # A page that was written before the file was replaced knows no digest of the new bytes.
    is_of_these_bytes = entry.size is None or entry.size == file.size
    return msgspec.structs.replace(
        file,
        hashes=file.hashes or (entry.hashes if is_of_these_bytes else {}),
        upload_time=entry.upload_time or file.upload_time,
        requires_python=entry.requires_python or file.requires_python,
        yanked=entry.yanked,
    )


def _blob_of(url: str, page: TreePage) -> str:
    """Give the name of the blob that a link of the page leads to."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(url).path).lstrip("/")
    if url.startswith(_NOWHERE):
        return posixpath.normpath(path)
    _, found, rest = path.partition("packages/")
    return page.files_at + rest if found else path


def _read_legacy(body: bytes, project: NormalizedName) -> list[File]:
    """Read what the public index says of a project in its own JSON.

    Source: the index's JSON API, "GET /pypi/<project>/json".
    """
    try:
        said = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PageUnreadable("it is no JSON of a project") from error
    releases = [release for version in said.releases.values() for release in version] or said.urls
    return [
        File(
            filename=release.filename,
            url=release.url,
            version=version_of(release.filename, project),
            hashes=clean_hashes(release.digests),
            size=clean_size(release.size),
            upload_time=clean_upload_time(release.upload_time_iso_8601 or ""),
            requires_python=clean_requires_python(release.requires_python or ""),
            yanked=(clean_reason(release.yanked_reason or "") or True) if release.yanked else False,
        )
        for release in releases
        if release.filename
    ]
