"""Where in a wheel its METADATA lies, told by reading as little of it as possible.

    | members …  METADATA  RECORD | central directory | end record, comment |
             `----------------- the tail, read first ---------------------'

The reader does no I/O: it says which bytes it needs next, and is sent them. One read of the tail is enough for most
wheels; a directory that begins before it, or a large RECORD behind METADATA, takes one or two more. A directory of
tens of thousands of members is read backwards, piece by piece: `.dist-info` comes last in it, as it does in the
archive. Whatever is wrong with a wheel, and whatever is in it, the one thing raised is `WheelUnreadable`.

Source: the binary distribution format specification, "File format" and "Recommended archiver features".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator, Iterable
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from typing import NamedTuple, TypeVar

from packaging.version import Version

from proxy.rules import archive
from proxy.rules.archive import Directory, Member, WheelUnreadable
from proxy.simple.filename import Distribution, normalize_version, parse
from proxy.simple.model import NormalizedName

__all__ = [
    "CoreMetadata",
    "WheelUnreadable",
    "fields_of",
    "find_metadata",
    "headers_of",
    "is_version",
    "read_by",
    "requires_python_of",
]

LARGEST_METADATA = 16 << 20
"""What METADATA may be unpacked, in bytes."""

_TAIL = 32 << 10
_LEAD = 16 << 10
"""What is read with a directory before it, in bytes: METADATA is mostly there, and so costs no read of its own."""
_WHOLE_DIRECTORY = 96 << 10
"""Up to how many bytes a directory is read at once."""
_PIECE = 64 << 10
_LARGEST_DIRECTORY = 8 << 20
_LONGEST_FOLDER = 512
_SLACK = 256
"""What METADATA's own header may be longer than the directory lets expect, in bytes, without a read more."""

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_LONGEST_HEADERS = 512 << 10
"""How much of METADATA is read for its fields, in bytes: a parser takes seconds for megabytes of them."""
_LONGEST_FIELD = 1000

_parser = BytesHeaderParser()

_QUICK = 64 << 10
"""Bytes up to which reading what is known of a wheel takes less than the way to a thread and back."""
_QUICKLY_UNPACKED = 256 << 10
"""The same of METADATA, in bytes as it is in the wheel and as it is when it is unpacked, together."""

R = TypeVar("R")
Reading = Generator[tuple[int, int], bytes, R]
"""Yields the start and the end of a range, is sent its bytes, and returns what was looked for."""


class _Asked(NamedTuple):
    """A range that is needed next, in bytes."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CoreMetadata:
    """What a distribution says of itself; `None` where it does not, or in more than one way."""

    name: str | None
    version: str | None
    requires_python: str | None


def find_metadata(size: int, filename: str) -> Reading[tuple[bytes, Member]]:
    """Find METADATA in a wheel of `size` bytes, and give it as it is in there, for `archive.unpack`.

    Raises: WheelUnreadable where it cannot be had, or where it is not certain which member it is.
    """
    wheel = parse(filename)
    if wheel is None or wheel.kind != "wheel":
        raise WheelUnreadable(f"{filename} is not the name of a wheel")
    tail = _Tail(size)
    directory = yield from _find_directory(tail)
    member = yield from _find_member(tail, directory, wheel)
    archive.check(member, limit=LARGEST_METADATA)
    content = yield from _read_content(tail, directory, member)
    return content, member


async def read_by(read: Callable[[int, int], Awaitable[bytes]], size: int, filename: str) -> bytes:
    """Give the METADATA of a wheel whose bytes from `start` to before `end` are had by `await read(start, end)`.

    Raises: WheelUnreadable, and what `read` raises.
    """
    search = find_metadata(size, filename)
    # The first step only says where to begin.
    found, known = _advance(search, None), 0
    while isinstance(found, _Asked):
        got = await read(found.start, found.end)
        known += len(got)
        found = _advance(search, got) if known <= _QUICK else await asyncio.to_thread(_advance, search, got)
    content, member = found
    # A few bytes may come of megabytes of empty blocks.
    if member.packed + member.unpacked <= _QUICKLY_UNPACKED:
        return archive.unpack(content, member)
    return await asyncio.to_thread(archive.unpack, content, member)


def headers_of(metadata: bytes) -> bytes:
    """Give what stands before the description, and of far too many headers the first."""
    headers = _BLANK_LINE.split(metadata[: _LONGEST_HEADERS + 1], maxsplit=1)[0]
    # The last one may be cut.
    return headers if len(headers) <= _LONGEST_HEADERS else headers[: headers.rfind(b"\n") + 1]


def fields_of(metadata: bytes) -> CoreMetadata:
    """Read the fields of METADATA, leniently: what is wrong with one does not keep the others from being read."""
    # Not `packaging.metadata`: it takes every field apart, and brings the list of all licenses along.
    message = _parser.parsebytes(headers_of(metadata) + b"\n\n")
    return CoreMetadata(*(_only(message, name) for name in ("Name", "Version", "Requires-Python")))


def requires_python_of(metadata: bytes) -> str | None:
    """Give the `Requires-Python` of METADATA, on one line, or `None` where it has none."""
    return fields_of(metadata).requires_python


class _Tail:
    """The last bytes of the archive: those that were read, with nothing missing between."""

    def __init__(self, size: int) -> None:
        self.start = size
        self.size = size
        self.bytes = b""

    def reach(self, start: int) -> Reading[None]:
        """Read what is missing from `start` on."""
        start = max(0, start)
        if start < self.start:
            self.bytes = (yield from _fetch(start, self.start)) + self.bytes
            self.start = start

    def part(self, start: int, end: int) -> bytes:
        """Give bytes that were reached."""
        return self.bytes[start - self.start : end - self.start]


def _fetch(start: int, end: int) -> Reading[bytes]:
    got = yield start, end
    if len(got) != end - start:
        raise WheelUnreadable(f"{len(got)} bytes came where {end - start} were asked for: the archive is cut")
    return got


def _find_directory(tail: _Tail) -> Reading[Directory]:
    if tail.size < archive.END_SIZE:
        raise WheelUnreadable("it is too short for a ZIP archive")
    yield from tail.reach(tail.size - _TAIL)
    at = archive.find_end(tail.bytes)
    if at is None:
        yield from tail.reach(tail.size - archive.LONGEST_END)
        at = archive.find_end(tail.bytes)
    if at is None:
        raise WheelUnreadable("it is no ZIP archive, or its end is missing")
    end = tail.start + at
    yield from tail.reach(end - archive.ZIP64_SIZE)
    return archive.locate_directory(tail.bytes, end - tail.start, tail.start)


def _find_member(tail: _Tail, directory: Directory, wheel: Distribution) -> Reading[Member]:
    if directory.end - directory.start > _LARGEST_DIRECTORY:
        raise WheelUnreadable(f"its central directory is larger than {_LARGEST_DIRECTORY} bytes")
    if directory.end - directory.start <= _WHOLE_DIRECTORY and directory.start < tail.start:
        yield from tail.reach(directory.start - _LEAD)
    piece = _PIECE
    while True:
        start = max(directory.start, tail.start)
        known = tail.part(start, directory.end)
        if start > directory.start:
            known = known[archive.resynchronise(known) :]
        found = _pick(archive.entries(known), wheel)
        if found is not None:
            return found
        if start == directory.start:
            raise WheelUnreadable(f"it has no METADATA of {wheel.project} {wheel.version}")
        yield from tail.reach(max(directory.start, start - piece))
        piece *= 2


def _pick(members: Iterable[Member], wheel: Distribution) -> Member | None:
    found = [member for member in members if _is_metadata(member.name, wheel)]
    if len(found) > 1:
        raise WheelUnreadable("it has METADATA more than once")
    return found[0] if found else None


def _is_metadata(member: bytes, wheel: Distribution) -> bool:
    """Whether a member is METADATA of this very project and version, in whatever spelling its folder has."""
    folder, slash, rest = member.partition(b"/")
    if not slash or rest != b"METADATA" or not folder.endswith(b".dist-info") or not folder.isascii():
        return False
    if len(folder) > _LONGEST_FOLDER:
        return False
    stem = folder.decode("ascii").removesuffix(".dist-info")
    # Old tools left dashes in the name, so that it is the name that says where it ends.
    end = _end_of_name(stem, wheel.project)
    return end >= 0 and is_version(stem[end + 1 :], wheel.version)


def _end_of_name(stem: str, project: NormalizedName) -> int:
    """Give where the dash behind a project's name is, in whatever spelling it begins `stem`; -1 where it does not.

    Letter by letter, once: a pattern would have to be compiled for each project.
    """
    at = 0
    for letter in project:
        if letter == "-":
            rest = stem[at:].lstrip("-_.")
            if len(rest) == len(stem) - at:
                return -1
            at = len(stem) - len(rest)
        elif stem[at : at + 1].lower() == letter:
            at += 1
        else:
            return -1
    return at if stem.startswith("-", at) else -1


def is_version(text: str, version: str) -> bool:
    """Whether a text is this version, maybe in another spelling, such as `1.0.0` for `1.0`."""
    normal = normalize_version(text)
    return normal == version or (normal != "" and Version(normal) == Version(version))


def _read_content(tail: _Tail, directory: Directory, member: Member) -> Reading[bytes]:
    start = member.offset + directory.shift
    likely = start + archive.LOCAL_SIZE + len(member.name) + _SLACK + member.packed
    end = min(likely, directory.start)
    if end - start < archive.LOCAL_SIZE:
        raise WheelUnreadable("METADATA is not where the central directory says")
    if end >= tail.start:
        yield from tail.reach(start)
        known = tail.part(start, directory.start)
    else:
        known = yield from _fetch(start, end)
    content = archive.locate_content(known, member)
    if start + content + member.packed > directory.start:
        raise WheelUnreadable("METADATA reaches into the central directory")
    missing = content + member.packed - len(known)
    if missing > 0:
        known += yield from _fetch(start + len(known), start + len(known) + missing)
    return known[content : content + member.packed]


def _advance(search: Reading[R], got: bytes | None) -> _Asked | R:
    """Go on until the next range is needed, or what was looked for is found.

    Fit for a thread, through which the end of a generator cannot be raised.
    """
    try:
        return _Asked(*(next(search) if got is None else search.send(got)))
    except StopIteration as end:
        found: R = end.value
        return found


def _only(message: Message, name: str) -> str | None:
    """Give a field on one line; `None` where it is there twice, or is not ASCII, as none of ours may be."""
    values: list[object] = list(message.get_all(name, []))
    value = values[0] if len(values) == 1 else None
    joined = " ".join(value.split()) if isinstance(value, str) else ""
    return joined if joined and len(joined) <= _LONGEST_FIELD and joined.isprintable() else None
