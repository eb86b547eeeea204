"""Bytes that are still arriving, and those who read them meanwhile.

    0 ─────────── flushed ─────────── arrived ······· size
      in the file           in memory          to come

What has arrived is readable at once, from memory until it is in the file, and from the file (its
pages still in the kernel's cache) afterwards; a chunk that just came is handed to all readers at
the tip as the one object it is. So memory is bounded by what waits to be written, whoever reads.
The last byte is withheld until the digest has been found right.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress

from proxy.errors import SourceUnavailable, kept
from proxy.sources.base import Chunk
from proxy.store.artifacts import Artifacts
from proxy.store.partial import Partial

CHUNK = 1 << 20
"""The most bytes handed to a reader at once."""
WINDOW = 4 << 20
"""Bytes kept in memory for readers where the disk takes no more."""
_HAVE_NOWAIT = hasattr(os, "preadv") and hasattr(os, "RWF_NOWAIT")


class Growing:
    """The beginning of one file's bytes. All but `read` is for the one who fills it."""

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
        self._tail: deque[tuple[int, Chunk]] = deque()
        self._readers: dict[object, int] = {}
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

    def flushed(self, offset: int) -> None:
        """Note that the file holds everything before `offset`."""
        self._flushed = offset
        self._drop(offset)

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
        while True:
            self._taken.clear()
            if self._readers:
                self._drop(min(self._readers.values()))
            if not self._tail or self.arrived - self._tail[0][0] <= WINDOW:
                return True
            try:
                async with asyncio.timeout(patience):
                    await self._taken.wait()
            except TimeoutError:
                return False

    async def read(self, start: int, end: int | None) -> AsyncGenerator[Chunk, None]:
        """Give the bytes from `start` to before `end`, as they arrive.

        Raises: what `fail` was called with.
        """
        reader = object()
        position = self._readers[reader] = start
        try:
            while end is None or position < end:
                stop = await self._reach(position)
                if end is not None:
                    stop = min(stop, end)
                if stop <= position:
                    return
                chunk = await self._take(position, min(stop, position + CHUNK))
                position += len(chunk)
                self._readers[reader] = position
                self._taken.set()
                yield chunk
        finally:
            del self._readers[reader]
            self._let_go()
            self._taken.set()

    async def _reach(self, position: int) -> int:
        """Wait until there is something to read at `position`; give how far it goes."""
        while True:
            if self.error is not None:
                raise kept(self.error)
            if self.readable > position or self.verified:
                return self.readable
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


def _is_resident(fd: int, offset: int) -> bool:
    """Whether reading at `offset` needs no disk, as far as the kernel tells."""
    if not _HAVE_NOWAIT:
        return False
    with suppress(OSError):
        return os.preadv(fd, [bytearray(1)], offset, os.RWF_NOWAIT) == 1
    return False
