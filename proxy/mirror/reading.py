"""METADATA out of a wheel: from this machine where the wheel is here, else by byte ranges at its source."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from proxy.errors import SourceUnavailable
from proxy.rules.wheel import WheelUnreadable, read_by, requires_python_of
from proxy.simple.model import File
from proxy.sources.base import Opener

_LARGE = 64 << 10
"""Bytes of METADATA from which on it is looked at in a thread."""


class NoRanges(WheelUnreadable):
    """The source ignores byte ranges, or does not tell a size: nothing is wrong with the wheel."""


async def read_metadata(opener: Opener, file: File, path: Path | None) -> tuple[bytes, int]:
    """Give METADATA exactly as it is in the wheel, and the wheel's size in bytes.

    A few reads and some tens of kB of a wheel of any size.

    Raises: WheelUnreadable, NoRanges, SourceError, FileGone.
    """
    if path is not None:
        size = (await asyncio.to_thread(path.stat)).st_size
        return await read_by(lambda start, end: asyncio.to_thread(_pread, path, start, end), size, file.filename), size
    size = file.size if file.size is not None else await _size(opener, file)
    return await read_by(lambda start, end: _range(opener, file, start, end), size, file.filename), size


async def told_by(metadata: bytes) -> tuple[str, str | None]:
    """Give the sha256 of METADATA, and the Python that it requires."""

    def tell() -> tuple[str, str | None]:
        return hashlib.sha256(metadata).hexdigest(), requires_python_of(metadata)

    return await asyncio.to_thread(tell) if len(metadata) > _LARGE else tell()


async def digest_of(opener: Opener, file: File) -> tuple[str, int]:
    """Read a whole file for its sha256 and its size in bytes. Raises: SourceError, FileGone."""
    digest, size = hashlib.sha256(), 0
    async with opener.open(file) as body:
        async for chunk in body.chunks:
            await asyncio.to_thread(digest.update, chunk)
            size += len(chunk)
        if body.size is not None and body.size != size:
            raise SourceUnavailable(opener.name, f"{file.filename} broke off at {size} of {body.size} bytes")
    return digest.hexdigest(), size


async def _size(opener: Opener, file: File) -> int:
    async with opener.open(file, start=0, end=1) as body:
        if body.size is None:
            raise NoRanges("the source does not tell its size")
        return body.size


async def _range(opener: Opener, file: File, start: int, end: int) -> bytes:
    async with opener.open(file, start=start, end=end) as body:
        if body.start != start:
            raise NoRanges("the source ignores byte ranges")
        parts = bytearray()
        async for chunk in body.chunks:
            parts += chunk
            if len(parts) >= end - start:
                break
        return bytes(parts[: end - start])


def _pread(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(start)
        return stream.read(end - start)
