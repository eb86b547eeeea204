"""What every way to read a secret promises, and how often a refusal may read it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from proxy.secret import Secret

REREAD_EVERY = 10.0
"""Seconds between two readings that refusals ask for."""


class SecretReader(Protocol):
    """One secret, wherever it is kept."""

    async def read(self) -> Secret:
        """Give the secret as it is now.

        Raises: SourceRefused where it is missing, empty or not for us; SourceUnavailable where it cannot be asked for.
        """

    async def refused(self) -> bool:
        """Take note that the secret was refused, and re-read it; whether it is another one now.

        Raises: as `read`.
        """


class Rereading:
    """Decides when a refusal re-reads, and whether what was read is worth another try.

    Many requests are refused at once when a secret expires: the first one re-reads, and for as long as
    no other reading is due, the others learn what came of it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing re-read yet."""
        self._clock = clock
        self._lock = asyncio.Lock()
        self._at: float | None = None
        self._has_changed = False

    async def run(self, reread: Callable[[], Awaitable[bool]]) -> bool:
        """Await `reread`, which says whether something changed, unless that was done less than 10 seconds ago."""
        async with self._lock:
            now = self._clock()
            if self._at is not None and now - self._at < REREAD_EVERY:
                return self._has_changed
            # An attempt counts even when it fails: what is down is not asked by every refused request.
            self._at, self._has_changed = now, False
            self._has_changed = await reread()
            return self._has_changed
