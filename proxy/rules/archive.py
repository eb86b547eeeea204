"""The ZIP format, as far as one member of a wheel needs it: pure functions over bytes at hand.

Offsets named `at` are into the bytes given, all others into the archive. Multi-byte values are little-endian.

Source: APPNOTE.TXT 6.3.10 §4.3 (the records), §4.5.3 (the zip64 extra field).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_END = struct.Struct("<4s4H2IH")
_END_SIGNATURE = b"PK\x05\x06"
_LOCATOR = struct.Struct("<4sIQI")
_LOCATOR_SIGNATURE = b"PK\x06\x07"
_END64 = struct.Struct("<4sQ2H2I4Q")
_END64_SIGNATURE = b"PK\x06\x06"
_ENTRY = struct.Struct("<4s6H3I5H2I")
_ENTRY_SIGNATURE = b"PK\x01\x02"
_LENGTHS = struct.Struct("<3H")
_LENGTHS_AT = 28
_LOCAL_LENGTHS = struct.Struct("<2H")
_LOCAL_LENGTHS_AT = 26
_LOCAL_SIGNATURE = b"PK\x03\x04"

END_SIZE = _END.size
LONGEST_END = _END.size + 0xFFFF
"""The end record with the longest comment, in bytes."""
ZIP64_SIZE = _END64.size + _LOCATOR.size
"""What stands before the end record of a zip64 archive, in bytes."""
LOCAL_SIZE = 30
"""The fixed part of a member's own header, in bytes."""

_ENCRYPTED = 0x1 | 0x40 | 0x2000
_STORED, _DEFLATED = 0, 8
_ZIP64_EXTRA = 1
_FULL = 0xFFFFFFFF


class WheelUnreadable(ValueError):
    """The bytes are no wheel whose METADATA can be had; the text says in words why."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory lies."""

    start: int
    end: int
    shift: int
    """What stands before the archive, in bytes: the offsets in the directory do not count it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in the archive, as its entry in the central directory describes it."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    """Its length in the archive, in bytes."""
    unpacked: int
    offset: int
    """Where its own header begins, not counting the shift."""


def find_end(tail: bytes) -> int | None:
    """Give where in the tail of an archive the end record begins, or `None` where there is none."""
    at = tail.rfind(_END_SIGNATURE)
    while at >= 0:
        # The archive comment may itself hold the signature, so the record is the last
        # one whose comment ends exactly where the archive does.
        if at + _END.size <= len(tail) and at + _END.size + _END.unpack_from(tail, at)[7] == len(tail):
            return at
        at = tail.rfind(_END_SIGNATURE, 0, at + 3)
    return None


def locate_directory(tail: bytes, at: int, start: int) -> Directory:
    """Read the end record at `at` in a tail that begins at `start`, and the zip64 one before it.

    Raises: WheelUnreadable.
    """
    _, disk, first_disk, _, _, length, offset, _ = _END.unpack_from(tail, at)
    end = start + at
    locator_at = at - _LOCATOR.size
    if locator_at >= 0 and tail.startswith(_LOCATOR_SIGNATURE, locator_at):
        at64 = locator_at - _END64.size
        if at64 < 0 or not tail.startswith(_END64_SIGNATURE, at64):
            raise WheelUnreadable("the zip64 end record is not where it belongs")
        _, _, _, _, disk, first_disk, _, _, length, offset = _END64.unpack_from(tail, at64)
        end = start + at64
    if disk or first_disk:
        raise WheelUnreadable("the archive is spread over several disks")
    begin = end - length
    if begin < offset:
        raise WheelUnreadable("the archive is cut, or its central directory is not where it says")
    return Directory(begin, end, begin - offset)


def entries(directory: bytes) -> Iterator[Member]:
    """Give the members that a central directory, or an end of it, lists. Raises: WheelUnreadable."""
    at = 0
    while at < len(directory):
        if at + _ENTRY.size > len(directory) or not directory.startswith(_ENTRY_SIGNATURE, at):
            raise WheelUnreadable("the central directory is damaged")
        following = _following(directory, at)
        if following > len(directory):
            raise WheelUnreadable("the central directory is damaged")
        yield _read_entry(directory, at)
        at = following


def resynchronise(directory: bytes) -> int:
    """Give where the first whole entry begins in the end of a central directory.

    Entries are found by their signature, which a name or a comment may hold too: one counts only if those that follow
    it end exactly where the directory does. The length, where there is none.
    """
    sound = {len(directory)}
    first = len(directory)
    at = directory.rfind(_ENTRY_SIGNATURE)
    while at >= 0:
        if at + _ENTRY.size <= len(directory) and _following(directory, at) in sound:
            sound.add(at)
            first = at
        at = directory.rfind(_ENTRY_SIGNATURE, 0, at + 3)
    return first


def check(member: Member, *, limit: int) -> None:
    """Refuse a member that cannot be unpacked, or to more than `limit` bytes. Raises: WheelUnreadable."""
    if member.flags & _ENCRYPTED:
        raise WheelUnreadable("METADATA is encrypted")
    if member.method not in {_STORED, _DEFLATED}:
        raise WheelUnreadable(f"METADATA is compressed by method {member.method}; wheels are stored or deflated")
    # What deflate makes longer, it makes longer by five bytes in each 16 kB.
    if member.unpacked > limit or member.packed > limit + limit // 1024 + 64:
        raise WheelUnreadable(f"METADATA is larger than {limit} bytes")


def locate_content(header: bytes, member: Member) -> int:
    """Give where the content begins in bytes that begin with the member's own header.

    The lengths of name and extra fields are the header's own: those of the directory's entry differ.

    Raises: WheelUnreadable.
    """
    if len(header) < LOCAL_SIZE or not header.startswith(_LOCAL_SIGNATURE):
        raise WheelUnreadable("METADATA is not where the central directory says")
    name, extra = _LOCAL_LENGTHS.unpack_from(header, _LOCAL_LENGTHS_AT)
    if header[LOCAL_SIZE : LOCAL_SIZE + name] != member.name:
        raise WheelUnreadable("METADATA has another name in its own header")
    return LOCAL_SIZE + int(name) + int(extra)


def unpack(content: bytes, member: Member) -> bytes:
    """Give what a member holds, having checked its length and its checksum. Raises: WheelUnreadable."""
    if member.method == _DEFLATED:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # One byte more than there should be is enough to know, however much there is.
            content = inflater.decompress(content, member.unpacked + 1)
        except zlib.error as error:
            raise WheelUnreadable("METADATA cannot be inflated") from error
    if len(content) != member.unpacked or zlib.crc32(content) != member.crc:
        raise WheelUnreadable("METADATA has another length or checksum than the archive says")
    return content


def _following(directory: bytes, at: int) -> int:
    """Give where the entry after the one at `at` begins."""
    return at + _ENTRY.size + int(sum(_LENGTHS.unpack_from(directory, at + _LENGTHS_AT)))


def _read_entry(directory: bytes, at: int) -> Member:
    fields = _ENTRY.unpack_from(directory, at)
    _, _, _, flags, method, _, _, crc, packed, unpacked, name, extra, _, _, _, _, offset = fields
    name_end = at + _ENTRY.size + name
    if _FULL in {packed, unpacked, offset}:
        sizes = _read_zip64(directory[name_end : name_end + extra], [unpacked, packed, offset])
        unpacked, packed, offset = sizes
    return Member(directory[at + _ENTRY.size : name_end], flags, method, crc, packed, unpacked, offset)


def _read_zip64(extra: bytes, values: list[int]) -> list[int]:
    """Replace the values that do not fit into 32 bits by those of the extra field, which come in the same order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        at += 4
        if kind == _ZIP64_EXTRA:
            wide = extra[at : at + length]
            missing = values.count(_FULL)
            if len(wide) < 8 * missing:
                raise WheelUnreadable("a zip64 extra field is too short")
            found = iter(struct.unpack_from(f"<{missing}Q", wide))
            return [next(found) if value == _FULL else value for value in values]
        at += length
    return values
