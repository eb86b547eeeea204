"""A file of this machine that is open for reading, without a blocking call on the event loop, and never left open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class OpenedFile:
    """Reads parts of one open file, in threads."""

    def __init__(self, descriptor: int) -> None:
        """Own an open file descriptor. Blocks, briefly."""
        self.status = os.fstat(descriptor)
        """As it was when it was opened."""
        self._descriptor = descriptor
        self._reading: asyncio.Future[bytes] | None = None

    async def read(self, start: int, length: int) -> bytes:
        """Give up to `length` bytes from `start` on; none where the file was written since it was opened.

        Raises: OSError.
        """
        self._reading = asyncio.get_running_loop().run_in_executor(None, self._read, start, length)
        return await asyncio.shield(self._reading)

    def close(self) -> None:
        """Close it, once a thread that a cancelled reader left behind is done with it."""
        if self._reading is not None and not self._reading.done():
            self._reading.add_done_callback(self._close_late)
        else:
            os.close(self._descriptor)

    def _read(self, start: int, length: int) -> bytes:
        got = os.pread(self._descriptor, length, start)
        now = os.fstat(self._descriptor)
        # A file that was only replaced or deleted is still whole here.
        same = (now.st_size, now.st_mtime_ns) == (self.status.st_size, self.status.st_mtime_ns)
        return got if same else b""

    def _close_late(self, reading: asyncio.Future[bytes]) -> None:
        if not reading.cancelled():
            reading.exception()
        os.close(self._descriptor)


@asynccontextmanager
async def opened(open_it: Callable[[], int]) -> AsyncIterator[OpenedFile]:
    """Open a file by `open_it`, called in a thread, and close it, also if cancelled while it is being opened.

    Raises: what `open_it` raises.
    """
    opening = asyncio.get_running_loop().run_in_executor(None, lambda: OpenedFile(open_it()))
    try:
        file = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unused)
        raise
    try:
        yield file
    finally:
        file.close()


def _close_unused(opening: asyncio.Future[OpenedFile]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
