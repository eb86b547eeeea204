"""A page of JSON read column by column: what is asked of all names, links and digests at once costs a fifth.

Of pages without one odd name, link or digest only, which nearly all are; the others are read entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import TypeVar

import msgspec

from proxy.simple.filename import are_safe, versions_of
from proxy.simple.model import File, NormalizedName
from proxy.simple.tolerance import (
    LARGEST,
    Resolver,
    are_sha256,
    are_utc,
    clean_hashes,
    clean_reason,
    clean_requires_python,
    clean_sha256,
    clean_size,
    clean_upload_time,
)

__all__ = ["Said", "files_of", "metadata_of", "yank_of"]

V = TypeVar("V")
W = TypeVar("W")


class Said(msgspec.Struct, rename="kebab", gc=False):
    """One file as an upstream lists it, as loosely typed as costs nothing."""

    filename: str | None = None
    url: str | None = None
    hashes: dict[str, str] | None = None
    size: int | float | str | None = None
    upload_time: str | None = None
    requires_python: str | None = None
    yanked: bool | str | None = None
    provenance: str | None = None
    core_metadata: bool | str | dict[str, str] | None = None
    dist_info_metadata: bool | str | dict[str, str] | None = None
    misnamed_metadata: bool | str | dict[str, str] | None = msgspec.field(name="data-dist-info-metadata", default=None)


def files_of(said: Sequence[Said], resolver: Resolver, project: NormalizedName) -> list[File] | None:
    """Give the files of a page; `None` where one of them has an odd name, link or digest."""
    names = [entry.filename for entry in said if entry.filename]
    links = [entry.url for entry in said if entry.url]
    tables = [entry.hashes for entry in said if entry.hashes and len(entry.hashes) == 1]
    if not len(said) == len(names) == len(links) == len(tables):
        return None
    digests = [table.get("sha256", "") for table in tables]
    metadata = [entry.core_metadata for entry in said]
    digests += [told.get("sha256", "") for told in metadata if type(told) is dict]
    urls = resolver.resolve_alike(links) if are_safe(names) and are_sha256(digests) else None
    if urls is None:
        return None
    return list(
        map(
            File,
            names,
            urls,
            versions_of(names, project),
            tables,
            _sizes(said),
            _upload_times(said),
            _each([entry.requires_python for entry in said], lambda value: clean_requires_python(value or "")),
            [
                (told["sha256"] if type(told) is dict else metadata_of(entry)) if name.endswith(".whl") else False
                for entry, name, told in zip(said, names, metadata, strict=True)
            ],
            _each([entry.yanked for entry in said], yank_of),
            _provenances(said, resolver),
            repeat(None),
        )
    )


def metadata_of(said: Said) -> bool | str:
    """Give what is said of core metadata: by the present name, or else the older ones. Source: PEP 714."""
    value = said.core_metadata
    if value is None:
        value = said.dist_info_metadata if said.dist_info_metadata is not None else said.misnamed_metadata
    if isinstance(value, dict):
        return clean_hashes(value).get("sha256") or bool(value)
    if isinstance(value, str):
        return clean_sha256(value.removeprefix("sha256=")) or value.strip().lower() not in {"", "false"}
    return bool(value)


def yank_of(said: bool | str | None) -> bool | str:
    """Give what is said of a yank, with its reason where there is one. Source: PEP 592."""
    return (clean_reason(said) or True) if isinstance(said, str) and said else bool(said)


def _sizes(said: Sequence[Said]) -> list[int | None]:
    sizes = [entry.size for entry in said]
    whole = [size for size in sizes if type(size) is int]
    if len(whole) == len(sizes) and min(whole, default=1) > 0 and max(whole, default=1) <= LARGEST:
        return [*whole]
    return [clean_size(size) for size in sizes]


def _upload_times(said: Sequence[Said]) -> list[str | None]:
    times = [entry.upload_time or None for entry in said]
    if are_utc([time for time in set(times) if time is not None]):
        return times
    return _each(times, lambda value: clean_upload_time(value) if value else None)


def _provenances(said: Sequence[Said], resolver: Resolver) -> list[str | None]:
    links = [entry.provenance for entry in said]
    return [resolver.resolve_provenance(link) if link else None for link in links] if any(links) else [None] * len(said)


def _each(values: Sequence[V], clean: Callable[[V], W]) -> list[W]:
    """Clean every value, and those that come again only once."""
    cleaned = {value: clean(value) for value in set(values)}
    return [cleaned[value] for value in values]
