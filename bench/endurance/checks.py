"""Whether what a client got is right."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import re
from functools import lru_cache

import zstandard

from bench.endurance.goods import count, file, number_of, uploaded
from bench.upstream.contents import BLOCK, TAIL, tail_of

_ANCHOR = re.compile(rb'<a [^>]*?href="([^"#]+)#sha256=([0-9a-f]{64})"')
_LATE = 25.0
"""Seconds after which a file that came of age must be on its page, when all is calm: the source's page is at most
15 s old, and refreshed behind."""


def decoded(body: bytes, coding: str) -> bytes:
    """Give the bytes before their coding."""
    if coding == "gzip":
        return gzip.decompress(body)
    return zstandard.ZstdDecompressor().decompressobj().decompress(body) if coding == "zstd" else body


def listed(body: bytes, media_type: str) -> dict[str, str]:
    """Give the digests on a page, by file name."""
    if "json" in media_type:
        return {each["filename"]: each["hashes"].get("sha256", "") for each in json.loads(body)["files"]}
    found = ((html.unescape(href.decode()), digest.decode()) for href, digest in _ANCHOR.findall(body))
    return {href.rsplit("/", 1)[1]: digest for href, digest in found}


def core_metadata(body: bytes, media_type: str) -> dict[str, str]:
    """Give the digests of core metadata on a page that is JSON, by file name."""
    if "json" not in media_type:
        return {}
    files = json.loads(body)["files"]
    return {each["filename"]: each["core-metadata"]["sha256"] for each in files if each.get("core-metadata")}


def wrong_page(project: str, found: dict[str, str], start: float, *, now: float) -> str | None:
    """Say what is wrong with the page of a project, if anything: it must be one that the upstream has had."""
    if project.startswith("shelf-"):
        wrong = [name for name, digest in found.items() if digest and file(project, number_of(name)).sha256 != digest]
        return f"{wrong[0]} has another digest" if wrong else None
    if len(found) > count(project, start, now):
        return f"{len(found)} files, and the upstream never had more than {count(project, start, now)}"
    # Of young projects, a rule may hide some.
    if len(found) < count(project, start, start) and not project.startswith("young-"):
        return f"{len(found)} files, and the upstream never had less than {count(project, start, start)}"
    return None if found == _known(project, len(found)) else "files that the upstream never had together"


def wrong_age(project: str, files: int, start: float, *, min_age: float, now: float, is_calm: bool) -> str | None:
    """Say what is wrong with the number of files that are old enough, if anything."""
    most = _of_age(project, start, now - min_age)
    if files > most:
        return f"{files} files, of which {files - most} are too young"
    least = _of_age(project, start, now - min_age - _LATE)
    return f"{files} files, and {least} have been old enough for long" if is_calm and files < least else None


def part(size: int, filename: str, start: int, end: int) -> bytes:
    """Give the bytes of a file that is made up, from `start` to before `end`."""
    body = bytearray()
    position = start
    while position < min(end, size - TAIL):
        offset = position % BLOCK
        piece = _noise()[offset : offset + min(end, size - TAIL) - position]
        body += piece
        position += len(piece)
    if end > size - TAIL:
        body += tail_of(filename)[max(0, start - (size - TAIL)) : end - (size - TAIL)]
    return bytes(body)


def _of_age(project: str, start: float, until: float) -> int:
    number = 0
    while uploaded(project, number, start) <= until:
        number += 1
    return number


@lru_cache(1)
def _noise() -> bytes:
    return hashlib.shake_128(b"bench").digest(BLOCK)


@lru_cache(256)
def _known(project: str, number: int) -> dict[str, str]:
    return {known.filename: known.sha256 for known in (file(project, each) for each in range(number))}
