"""Pages and project lists as JSON: read with every tolerance, written with none.

What is written leaves out a key without a value. One `null` makes uv refuse the whole page, `dist-info-metadata` as a
table makes pip 22.3 to 23.0 crash, and more digests than the sha256 are a risk without a gain.

Source: the Simple repository API, "JSON-based Simple API"; PEP 691, 700, 714, 740, 792.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from proxy.simple.columns import Said, files_of, metadata_of, yank_of
from proxy.simple.filename import are_plain, is_safe, normalize, quote, version_of
from proxy.simple.links import Links
from proxy.simple.model import File, NormalizedName, Page, ProjectStatus
from proxy.simple.tolerance import (
    PageUnreadable,
    Resolver,
    best_hash,
    build_page,
    clean_hashes,
    clean_requires_python,
    clean_size,
    clean_status,
    clean_upload_time,
    hashes_in,
    refuse_other_major,
)

__all__ = ["PageUnreadable", "iter_names", "parse_names", "parse_page", "render_names", "render_page"]

API_VERSION = "1.4"
"""With project status markers (PEP 792). Namespaces (PEP 752, 1.5) must not be claimed without being supported."""

_WITHOUT_SIZES = "1.0"
"""Claimed where a file's size is not known: from 1.1 on, it is mandatory."""

_NAMES_AT_A_TIME = 2000


class _SaidPage(msgspec.Struct, rename="kebab"):
    files: list[Said] | None = None
    name: Any = None
    versions: Any = None
    meta: Any = None
    project_status: Any = None


class _Written(msgspec.Struct, rename="kebab", omit_defaults=True, gc=False):
    """One file as our pages list it."""

    filename: str
    url: str
    hashes: dict[str, str]
    requires_python: str | None = None
    size: int | None = None
    upload_time: str | None = None
    core_metadata: bool | dict[str, str] = False
    yanked: bool | str = False
    provenance: str | None = None


class _WrittenPage(msgspec.Struct, rename="kebab"):
    meta: dict[str, str]
    name: str
    files: list[_Written]
    versions: list[str]
    project_status: dict[str, str] | UnsetType = UNSET
    reason: str | UnsetType = msgspec.field(name="_reason", default=UNSET)


class _SaidName(msgspec.Struct, gc=False):
    name: str


class _SaidNames(msgspec.Struct):
    projects: list[_SaidName]
    meta: Any = None


_page_decoder = msgspec.json.Decoder(_SaidPage)
_names_decoder = msgspec.json.Decoder(_SaidNames)
_encoder = msgspec.json.Encoder()


def parse_page(body: bytes, *, base_url: str, project: NormalizedName) -> Page:
    """Read an upstream's page of `project`; links are relative to `base_url`, where it came from in the end.

    Unusable values, and entries without a usable name and link, are dropped.

    Raises: PageUnreadable where the body is no page, or another project's.
    """
    try:
        said = _page_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = _coerce_page(_load(body))
    if said.files is None:
        raise PageUnreadable("it has no list of files")
    name = normalize(said.name) if isinstance(said.name, str) else None
    if name not in {None, project}:
        raise PageUnreadable(f"it is the page of {name}")
    meta = said.meta if isinstance(said.meta, dict) else {}
    refuse_other_major(meta.get("api-version"))

    files = _Reader(base_url, project).read(said.files)
    versions = said.versions if isinstance(said.versions, list) else ()
    return build_page(project, files, versions=versions, status=_status(said.project_status, meta))


def render_page(page: Page, links: Links, *, reason: str | None = None) -> bytes:
    """Give a page as JSON; `reason` says to people why it is not what they may expect (files hidden, a stale page)."""
    files = page.files
    names = [file.filename for file in files]
    quoted = names if are_plain(names) else [quote(name) for name in names]
    sizes = [file.size for file in files]
    known = dict.fromkeys(page.versions)
    known.update(dict.fromkeys(file.version for file in files))
    known.pop("", None)
    files_at, sidecars_at = links.files, links.sidecars
    # By column: this is done for 20,000 files of a large page while somebody waits.
    written = list(
        map(
            _Written,
            names,
            [files_at + name for name in quoted],
            [file.hashes if len(file.hashes) <= 1 else best_hash(file.hashes) for file in files],
            [file.requires_python for file in files],
            sizes,
            [file.upload_time for file in files],
            [{"sha256": told} if type(told := file.core_metadata) is str else told for file in files],
            [file.yanked for file in files],
            [
                f"{sidecars_at}{name}.provenance" if file.provenance else None
                for file, name in zip(files, quoted, strict=True)
            ],
        )
    )
    return _encoder.encode(
        _WrittenPage(
            meta={"api-version": _WITHOUT_SIZES if None in sizes else API_VERSION},
            name=page.name,
            files=written,
            versions=list(known),
            project_status=_render_status(page.status),
            reason=reason or UNSET,
        )
    )


def parse_names(body: bytes) -> list[str]:
    """Read an upstream's project list, as it spells the names; what cannot be a project's name is dropped.

    Raises: PageUnreadable
    """
    try:
        said = _names_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        loaded = _load(body)
        projects = loaded.get("projects")
        if not isinstance(projects, list):
            raise PageUnreadable("it has no list of projects") from None
        names = [entry.get("name") for entry in projects if isinstance(entry, dict)]
        meta = loaded.get("meta")
    else:
        names = [entry.name for entry in said.projects]
        meta = said.meta
    refuse_other_major(meta.get("api-version") if isinstance(meta, dict) else None)
    return [name for name in names if isinstance(name, str) and normalize(name) is not None]


def render_names(names: Iterable[str]) -> bytes:
    """Give the project list as JSON."""
    return b"".join(iter_names(names))


def iter_names(names: Iterable[str]) -> Iterator[bytes]:
    """Give the project list as JSON, piece by piece: an index may have 700,000 projects."""
    remaining = iter(names)
    opening = b'{"meta":{"api-version":"%s"},"projects":[' % API_VERSION.encode()
    while some := list(islice(remaining, _NAMES_AT_A_TIME)):
        yield opening + _encoder.encode([_SaidName(name) for name in some])[1:-1]
        opening = b","
    yield (b"" if opening == b"," else opening) + b"]}"


class _Reader:
    """Turns what a page lists into files."""

    def __init__(self, base_url: str, project: NormalizedName) -> None:
        self._resolver = Resolver(base_url)
        self._project = project

    def read(self, said: list[Said]) -> list[File]:
        files = files_of(said, self._resolver, self._project)
        return files if files is not None else [file for entry in said if (file := self._read_one(entry)) is not None]

    def _read_one(self, said: Said) -> File | None:
        resolved = self._resolver.resolve(said.url) if said.url else None
        if resolved is None:
            return None
        url, fragment = resolved
        filename = said.filename or urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
        if not is_safe(filename):
            return None
        return File(
            filename,
            url,
            version_of(filename, self._project),
            (clean_hashes(said.hashes) if said.hashes else {}) or hashes_in(fragment),
            clean_size(said.size),
            clean_upload_time(said.upload_time) if said.upload_time else None,
            clean_requires_python(said.requires_python) if said.requires_python else None,
            metadata_of(said) if filename.endswith(".whl") else False,
            yank_of(said.yanked),
            self._resolver.resolve_provenance(said.provenance) if said.provenance else None,
        )


def _status(said: object, meta: Mapping[str, Any]) -> ProjectStatus | None:
    """Read a status marker, also where the standard's own slips put it: in `meta`, and as `state`."""
    if isinstance(said, dict):
        return clean_status(said.get("status", said.get("state")), said.get("reason"))
    if said is None:
        said = meta.get("project-status")
    return clean_status(said, meta.get("project-status-reason"))


def _render_status(status: ProjectStatus | None) -> dict[str, str] | UnsetType:
    if status is None:
        return UNSET
    return {"status": status.status} | ({"reason": status.reason} if status.reason else {})


def _load(body: bytes) -> dict[str, Any]:
    """Read what the strict reader refused: a byte-order mark, half letters, odd types."""
    try:
        loaded = json.loads(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        raise PageUnreadable("it is not valid JSON") from error
    if not isinstance(loaded, dict):
        raise PageUnreadable("it is JSON, but no object")
    return loaded


def _coerce_page(loaded: dict[str, Any]) -> _SaidPage:
    files = loaded.get("files")
    return _SaidPage(
        files=[_coerce(entry) for entry in files if isinstance(entry, dict)] if isinstance(files, list) else None,
        name=loaded.get("name"),
        versions=loaded.get("versions"),
        meta=loaded.get("meta"),
        project_status=loaded.get("project-status"),
    )


def _coerce(entry: dict[str, Any]) -> Said:
    """Keep of an entry's values those of a usable type; the others count as not said."""
    words = {key: value for key, value in entry.items() if isinstance(value, str)}
    yanked = entry.get("yanked")
    return Said(
        filename=words.get("filename"),
        url=words.get("url"),
        hashes=_words_of(entry.get("hashes")),
        size=clean_size(entry.get("size")),
        upload_time=words.get("upload-time"),
        requires_python=words.get("requires-python"),
        # What is neither word nor truth value still marks the file: a yank must not get lost.
        yanked=yanked if isinstance(yanked, str) else bool(yanked),
        provenance=words.get("provenance"),
        core_metadata=_coerce_metadata(entry.get("core-metadata")),
        dist_info_metadata=_coerce_metadata(entry.get("dist-info-metadata")),
        misnamed_metadata=_coerce_metadata(entry.get("data-dist-info-metadata")),
    )


def _coerce_metadata(value: object) -> bool | str | dict[str, str] | None:
    if value is None or isinstance(value, bool | str):
        return value
    return _words_of(value) or bool(value)


def _words_of(value: object) -> dict[str, str] | None:
    if not isinstance(value, dict):
        return None
    return {name: word for name, word in value.items() if isinstance(word, str)}
