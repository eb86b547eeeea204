"""Which bytes of a file a client asks for, and whether it already has them (HTTP ranges and conditions).

A range is a wish: what is not understood, or asks for several parts, is answered with the whole file.
Entity tags are given as they go over the wire, with their quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Numbers are cut where no file is that long and `int` still takes them; a longer one is no range.
_RANGE = re.compile(r"(?P<first>[0-9]{0,1000})-(?P<last>[0-9]{0,1000})", re.ASCII)
_LISTED_TAG = re.compile(r'[ \t]*(?:(?:W/)?(?P<opaque>"[^"]*")[ \t]*)?(?:,|\Z)')


@dataclass(frozen=True, slots=True)
class Range:
    """One part of a file: 206."""

    start: int
    end: int
    """The offset after the last byte."""
    size: int
    """That of the whole file, in bytes."""

    @property
    def length(self) -> int:
        """How many bytes it is."""
        return self.end - self.start

    @property
    def content_range(self) -> str:
        """Give the value of `Content-Range`."""
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


@dataclass(frozen=True, slots=True)
class Whole:
    """All of the file: 200."""


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """A part that the file does not have: 416."""

    size: int

    @property
    def content_range(self) -> str:
        """Give the value of `Content-Range`."""
        return f"bytes */{self.size}"


def parse(header: str | None, size: int, *, if_range: str | None, etag: str) -> Range | Whole | Unsatisfiable:
    """Decide what of a file of `size` bytes is sent, by the headers `Range` and `If-Range`.

    Source: RFC 9110 §14.1.2 (byte ranges), §14.2 (Range), §13.1.5 (If-Range).
    """
    if header is None or not _may_range(if_range, etag):
        return Whole()
    unit, _, listed = header.partition("=")
    parts = [part.strip(" \t") for part in listed.split(",")]
    wanted = [part for part in parts if part]
    # Several parts at once may be answered with the whole (§14.2); no client of an index asks for them.
    if unit.strip(" \t").lower() != "bytes" or len(wanted) != 1:
        return Whole()
    found = _RANGE.fullmatch(wanted[0])
    if found is None:
        return Whole()
    return _measure(found["first"], found["last"], size)


def if_none_match(header: str | None, etag: str) -> bool:
    """Say whether the client has this representation already (304), by the header `If-None-Match`.

    Source: RFC 9110 §13.1.2 and §8.8.3.2: by the weak comparison, in which `W/` does not count.
    """
    if header is None:
        return False
    if header.strip(" \t") == "*":
        return True
    opaque = etag.removeprefix("W/")
    at = 0
    while at < len(header):
        found = _LISTED_TAG.match(header, at)
        if found is None or found.end() == at:
            return False
        if found["opaque"] == opaque:
            return True
        at = found.end()
    return False


def _may_range(if_range: str | None, etag: str) -> bool:
    """Say whether parts of this representation fit what the client has: by a strong tag only.

    A date is never equal, since nothing is sent with a `Last-Modified` that could vouch for the bytes.
    """
    return if_range is None or (etag.startswith('"') and if_range.strip(" \t") == etag)


def _measure(first: str, last: str, size: int) -> Range | Whole | Unsatisfiable:
    if first:
        start = int(first)
        end = int(last) + 1 if last else max(size, start + 1)
        if end <= start:
            return Whole()
        return Range(start, min(end, size), size) if start < size else Unsatisfiable(size)
    if not last:
        return Whole()
    length = int(last)
    if length == 0:
        return Unsatisfiable(size)
    # The last bytes of nothing are satisfiable, but no Content-Range can say so.
    return Range(max(0, size - length), size, size) if size else Whole()
