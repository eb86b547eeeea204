"""The processes that share a cache folder: who of them asks for what, and that something has changed.

    <directory>/locks     empty; one lock on a byte of it for each key, taken by whoever asks a source for that
    <directory>/board     numbers, one for each key and the bell: whoever keeps something new tells it here

Both cost a system call or two, know nothing of what they are about, and are only there to save work: where they
fail, two processes ask for the same, and one learns later what another has. A lock dies with its holder, and the
board is read and written rather than mapped, since a full disk would end whoever maps it.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

import structlog

log = structlog.get_logger(__name__)

_SLOTS = 8192
"""How many numbers the board has; keys that share one look once too often."""
_WIDTH = 8
_QUICK, _SLOW = 0.001, 0.02
"""Seconds between two attempts at a lock that another process has."""
_LISTEN = 0.2
"""Seconds between two looks at the bell."""


class Neighbours:
    """What the processes of this machine tell each other."""

    def __init__(self, directory: Path | None) -> None:
        """Meet in `directory`; `None`: there are no others."""
        self._directory = directory
        self._locks = self._board = -1
        self._here: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._alone: dict[int, int] = {}
        self._seen = b""

    async def __aenter__(self) -> Self:
        """Open the files; where that is not possible, go without."""
        if self._directory is not None:
            try:
                await asyncio.to_thread(self._open, self._directory)
            except OSError as error:
                log.warning("processes cannot be told of each other", reason=str(error))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files, and with them give up all locks."""
        for fd in (self._locks, self._board):
            if fd >= 0:
                os.close(fd)
        self._locks = self._board = -1

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[None]:
        """Be the only one, in all processes, who is at `key`."""
        place = _place(key)
        lock = self._here.setdefault(place, asyncio.Lock())
        async with lock:
            await self._take(place)
            try:
                yield
            finally:
                self._give_up(place)

    def number(self, key: str) -> int:
        """Give the number that stands for what is kept under `key`: another one, something else is kept."""
        place = _place(key)
        if self._board < 0:
            return self._alone.get(place, 0)
        with suppress(OSError):
            return int.from_bytes(os.pread(self._board, _WIDTH, _offset(place)), "little")
        return 0

    def never_told(self, key: str) -> bool:
        """Say whether nobody ever told of `key`, in as far as this can be known without a look at what is kept."""
        return self.is_none(self.number(key))

    def is_none(self, number: int) -> bool:
        """Say whether a number that was just read means so."""
        return self._board >= 0 and number == 0

    def tell(self, key: str) -> int:
        """Tell that something new is kept under `key`, and give the number that stands for it."""
        place, number = _place(key), time.time_ns()
        if self._board < 0:
            self._alone[place] = number
            return number
        with suppress(OSError):
            os.pwrite(self._board, number.to_bytes(_WIDTH, "little"), _offset(place))
        return number

    def ring(self) -> None:
        """Let all processes, this one too, look again at what they have ready."""
        if self._board >= 0:
            with suppress(OSError):
                os.pwrite(self._board, time.time_ns().to_bytes(_WIDTH, "little"), 0)

    async def listen(self, heard: Iterable[Callable[[], None]]) -> None:
        """Call each of `heard` soon after each ring, for ever."""
        self._seen = self._bell()
        while True:
            await asyncio.sleep(_LISTEN)
            now = self._bell()
            if now != self._seen:
                self._seen = now
                for call in heard:
                    call()

    def _bell(self) -> bytes:
        if self._board >= 0:
            with suppress(OSError):
                return os.pread(self._board, _WIDTH, 0)
        return b""

    async def _take(self, place: int) -> None:
        pause = _QUICK
        while self._locks >= 0:
            try:
                # A byte that need not be there: no number of keys makes the file larger.
                fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except (BlockingIOError, PermissionError):
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _SLOW)
            except OSError as error:
                log.debug("no locks here", reason=str(error))
                return
            else:
                return

    def _give_up(self, place: int) -> None:
        if self._locks >= 0:
            with suppress(OSError):
                fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, place)

    def _open(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._locks = os.open(directory / "locks", flags, 0o600)
        self._board = os.open(directory / "board", flags, 0o600)


# Each key is asked for several times while a page is made.
@lru_cache(maxsize=512)
def _place(key: str) -> int:
    """Give a number below 2^62 for a key: as good as unique."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") >> 2


def _offset(place: int) -> int:
    return _WIDTH * (1 + place % _SLOTS)
