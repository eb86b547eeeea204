"""Wheels, sound and odd: what `zipfile` writes, and what it never would."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from proxy.rules.archive import unpack
from proxy.rules.wheel import find_metadata

METADATA = b"Metadata-Version: 2.4\nName: foo\nVersion: 1.0\nRequires-Python: >=3.9\n\nA description.\n"
WHEEL = "foo-1.0-py3-none-any.whl"
FOLDER = "foo-1.0.dist-info"


def wheel(
    metadata: bytes = METADATA,
    *,
    folder: str = FOLDER,
    before: Sequence[tuple[str, bytes]] = (("foo/__init__.py", b""),),
    after: Sequence[tuple[str, bytes]] = (("foo-1.0.dist-info/WHEEL", b"x"), ("foo-1.0.dist-info/RECORD", b"r" * 50)),
    method: int = zipfile.ZIP_DEFLATED,
    comment: bytes = b"",
) -> bytes:
    """Give a wheel as `zipfile` writes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in (*before, (f"{folder}/METADATA", metadata), *after):
            archive.writestr(name, content)
        archive.comment = comment
    return buffer.getvalue()


@dataclass
class Part:
    """One member, with what its two headers say of it."""

    name: str
    content: bytes = b""
    method: int = zipfile.ZIP_DEFLATED
    flags: int = 0
    zip64: bool = False
    """Whether the directory's entry keeps the numbers in its extra field."""
    local_extra: bytes = b""
    comment: bytes = b""
    descriptor: bool = False
    """Whether sizes and checksum follow the content instead of standing before it."""
    says: dict[str, int] = field(default_factory=dict)
    """Lies of the directory's entry: `crc`, `packed`, `unpacked`, `offset`."""
    local_name: str | None = None


def build(parts: Sequence[Part], *, comment: bytes = b"", zip64: bool = False, prefix: bytes = b"") -> bytes:
    """Give an archive, byte by byte."""
    out = bytearray()
    directory = bytearray()
    for part in parts:
        directory += _entry(part, len(out))
        out += _local(part)
    start = len(out)
    out += directory
    count, length = len(parts), len(directory)
    if zip64:
        end64 = len(out)
        out += struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length, start)
        out += struct.pack("<4sIQI", b"PK\x06\x07", 0, end64, 1)
        count, length, start = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
    out += struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, length, start, len(comment))
    return prefix + bytes(out) + comment


def _packed(part: Part) -> bytes:
    if part.method != zipfile.ZIP_DEFLATED:
        return part.content
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(part.content) + deflater.flush()


def _local(part: Part) -> bytes:
    packed, crc, name = _packed(part), zlib.crc32(part.content), (part.local_name or part.name).encode()
    numbers = (crc, len(packed), len(part.content))
    flags = part.flags | (8 if part.descriptor else 0)
    stated = (0, 0, 0) if part.descriptor else numbers
    lengths = (len(name), len(part.local_extra))
    head = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, flags, part.method, 0, 0, *stated, *lengths)
    tail = struct.pack("<4s3I", b"PK\x07\x08", *numbers) if part.descriptor else b""
    return head + name + part.local_extra + packed + tail


def _entry(part: Part, offset: int) -> bytes:
    name = part.name.encode()
    crc = part.says.get("crc", zlib.crc32(part.content))
    packed = part.says.get("packed", len(_packed(part)))
    unpacked = part.says.get("unpacked", len(part.content))
    offset = part.says.get("offset", offset)
    extra = b""
    if part.zip64:
        # Something else's field comes first.
        extra = struct.pack("<2H3s", 0x7075, 3, b"abc") + struct.pack("<2H3Q", 1, 24, unpacked, packed, offset)
        packed = unpacked = offset = 0xFFFFFFFF
    flags = part.flags | (8 if part.descriptor else 0)
    numbers = (flags, part.method, 0, 0, crc, packed, unpacked)
    lengths = (len(name), len(extra), len(part.comment))
    fixed = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 45, 45, *numbers, *lengths, 0, 0, 0, offset)
    return fixed + name + extra + part.comment


def find(archive: bytes, filename: str = WHEEL) -> tuple[bytes, list[tuple[int, int]]]:
    """Read METADATA as a source would let one; give it, and the ranges that were read."""
    return drive(len(archive), filename, lambda start, end: archive[start:end])


def drive(size: int, filename: str, read: Callable[[int, int], bytes]) -> tuple[bytes, list[tuple[int, int]]]:
    """Answer each range by `read`; give METADATA, and the ranges."""
    search = find_metadata(size, filename)
    ranges = []
    try:
        wanted = next(search)
        while True:
            start, end = wanted
            assert 0 <= start < end <= size
            ranges.append(wanted)
            wanted = search.send(read(start, end))
    except StopIteration as found:
        return unpack(*found.value), ranges
