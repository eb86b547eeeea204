"""Bytes that are still arriving, and those who read them meanwhile.

    0 ─────────── flushed ─────────── arrived ······· size
      in the file           in memory          to come

What has arrived is readable at once, from memory until it is in the file, and from the file (its
pages still in the kernel's cache) afterwards; a chunk that just came is handed to all readers at
the tip as the one object it is. So memory is bounded by what waits to be written, whoever reads.
Who can send out of the file waits for what is being written: it costs less, and holds nothing.
The last byte is withheld until the digest has been found right.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from proxy.errors import SourceUnavailable, kept
from proxy.sources.base import Chunk
from proxy.store.artifacts import Artifacts
from proxy.store.partial import Partial

CHUNK = 1 << 20
"""The most bytes handed to a reader at once."""
STRETCH = 4 << 20
"""The most bytes of the file that a reader is told of at once: the kernel sends them in some 0.4 ms."""
WINDOW = 4 << 20
"""Bytes kept in memory for readers where the disk takes no more."""
_HAVE_NOWAIT = hasattr(os, "preadv") and hasattr(os, "RWF_NOWAIT")


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes that are in the file, and in the kernel's cache, from `start` to before `stop`."""

    file: Partial
    start: int
    stop: int


class Growing:
    """The beginning of one file's bytes. From `reader` on it is for readers, all before for the one who fills it."""

    def __init__(self, artifacts: Artifacts, partial: Partial | None, *, source: str, size: int | None) -> None:
        """Read what is already written from `partial`; `None`: nothing can be written."""
        self.size = size
        self.arrived = 0
        self.verified = False
        self.error: Exception | None = None
        self._artifacts = artifacts
        self._partial = partial
        self._source = source
        self._flushed = 0
        self._writing = 0
        self._tail: deque[tuple[int, Chunk]] = deque()
        self._readers: set[Reader] = set()
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    @property
    def readable(self) -> int:
        """The offset before which readers may read: without the last byte until all are known to be right."""
        if self.verified:
            return self.arrived
        if self.size is None:
            return max(0, self.arrived - 1)
        return max(0, min(self.arrived, self.size - 1))

    def add(self, chunk: Chunk) -> None:
        """Let readers have `chunk`, which has just arrived, from memory."""
        self._tail.append((self.arrived, chunk))
        self.arrived += len(chunk)
        self._wake()

    def writing(self, offset: int) -> None:
        """Note that the file will hold everything before `offset` in a moment."""
        self._writing = offset

    def flushed(self, offset: int) -> None:
        """Note that the file holds everything before `offset`."""
        self._flushed = offset
        self._drop(offset)
        if self._writing:
            self._wake()

    def grow(self, size: int) -> None:
        """Note that the file holds `size` bytes, whoever wrote them."""
        self._flushed = max(self._flushed, size)
        if size > self.arrived:
            self.arrived = size
            self._wake()

    def verify(self) -> None:
        """Let the last byte go: the digest is right."""
        self.size = self.arrived
        self.verified = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """End all readers with `error`."""
        if self.error is None and not self.verified:
            self.error = error
            self._let_go()
            self._wake()

    async def squeeze(self, patience: float) -> bool:
        """Wait until readers took enough to go on without the disk; `False`: none did for `patience` seconds."""
        self._writing = 0
        self._wake()
        while True:
            self._taken.clear()
            if self._readers:
                self._drop(min(reader.position for reader in self._readers))
            if not self._tail or self.arrived - self._tail[0][0] <= WINDOW:
                return True
            try:
                async with asyncio.timeout(patience):
                    await self._taken.wait()
            except TimeoutError:
                return False

    @contextmanager
    def reader(self, start: int, end: int | None) -> Iterator[Reader]:
        """Give a reader of the bytes from `start` to before `end`: what it has not taken yet is kept for it."""
        reader = Reader(self, start, end)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.remove(reader)
            self._let_go()
            self._taken.set()

    async def read(self, start: int, end: int | None) -> AsyncGenerator[Chunk, None]:
        """Give the bytes from `start` to before `end`, as they arrive.

        Raises: what `fail` was called with.
        """
        with self.reader(start, end) as reader:
            while (chunk := await reader.chunk()) is not None:
                reader.took(len(chunk))
                yield chunk

    async def find(self, start: int, end: int | None) -> Written | Chunk | None:
        """Wait for what is at `start`, in the file if it is about to be there; `None`: nothing comes any more.

        Raises: what `fail` was called with.
        """
        stop = await self._stop(start, end, flushed=True)
        if stop <= start:
            return None
        written = min(stop, self._flushed, start + STRETCH)
        if written > start and self._partial is not None and _is_resident(self._partial.fd, written - 1):
            return Written(self._partial, start, written)
        return await self._take(start, min(stop, start + CHUNK))

    async def take(self, start: int, end: int | None) -> Chunk | None:
        """Wait for what is at `start`, and give it as bytes; `None`: nothing comes any more.

        Raises: what `fail` was called with.
        """
        stop = await self._stop(start, end, flushed=False)
        return await self._take(start, min(stop, start + CHUNK)) if stop > start else None

    def taken(self, count: int) -> None:
        """Note that a reader got on by so many bytes. Raises: SourceUnavailable where there were none."""
        if not count:
            raise SourceUnavailable(self._source, "the file in the cache was cut short by somebody else")
        self._taken.set()

    async def _stop(self, position: int, end: int | None, *, flushed: bool) -> int:
        """Wait until there is something to read at `position`; give how far it goes, up to `end`."""
        if end is not None and position >= end:
            return position
        while True:
            if self.error is not None:
                raise kept(self.error)
            waits = flushed and self._flushed <= position < self._writing
            if self.verified or (self.readable > position and not waits):
                return self.readable if end is None else min(self.readable, end)
            await self._changed.wait()

    async def _take(self, start: int, stop: int) -> Chunk:
        if start < self._flushed:
            return await self._from_file(start, min(stop, self._flushed))
        for offset, chunk in self._tail:
            if offset <= start < offset + len(chunk):
                if offset == start and stop >= offset + len(chunk):
                    return chunk
                return chunk[start - offset : stop - offset]
        raise SourceUnavailable(self._source, "the disk is full, and what was not written is not in memory any more")

    async def _from_file(self, start: int, stop: int) -> bytes:
        partial = self._partial
        assert partial is not None, "only what a file holds is flushed"  # noqa: S101 - for the type checker
        if _is_resident(partial.fd, stop - 1):
            # Copied from the kernel's cache in some 0.1 ms, which a thread would cost as well. Nothing
            # else here waits, so the loop gets its turn by hand.
            await asyncio.sleep(0)
            chunk = os.pread(partial.fd, stop - start, start)
        else:
            chunk = await self._artifacts.run(os.pread, partial.fd, stop - start, start)
        if not chunk:
            raise SourceUnavailable(self._source, "the file in the cache was cut short by somebody else")
        return chunk

    def _drop(self, offset: int) -> None:
        """Forget the chunks in memory that end at or before `offset`."""
        while self._tail and self._tail[0][0] + len(self._tail[0][1]) <= offset:
            self._tail.popleft()

    def _let_go(self) -> None:
        """Hold the file no longer than anybody reads it, where nobody will any more: it may be gone from its folder."""
        if self.error is not None and not self._readers:
            self._partial = None

    def _wake(self) -> None:
        """Wake everybody who waits: one event for all, and a new one for the next time."""
        self._changed.set()
        self._changed = asyncio.Event()


class Reader:
    """One who reads a growing file, from `position` on."""

    def __init__(self, growing: Growing, start: int, end: int | None) -> None:
        """Read from `start` to before `end`."""
        self.position = start
        self._growing = growing
        self._end = end

    async def find(self) -> Written | Chunk | None:
        """Wait for what comes next, in the file if it is about to be there; `None`: that was all.

        Raises: ArtifactWrong, SourceError or FileGone.
        """
        return await self._growing.find(self.position, self._end)

    async def chunk(self) -> Chunk | None:
        """Wait for the bytes that come next; `None`: that was all.

        Raises: ArtifactWrong, SourceError or FileGone.
        """
        return await self._growing.take(self.position, self._end)

    def took(self, count: int) -> None:
        """Go on by so many bytes. Raises: SourceUnavailable where there were none."""
        self.position += count
        self._growing.taken(count)


def _is_resident(fd: int, offset: int) -> bool:
    """Whether reading at `offset` needs no disk, as far as the kernel tells."""
    if not _HAVE_NOWAIT:
        return False
    with suppress(OSError):
        return os.preadv(fd, [bytearray(1)], offset, os.RWF_NOWAIT) == 1
    return False
