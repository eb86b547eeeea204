"""Which workers are missing, and when each is started again: at once, and later and later where that does not help."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST = 0.5
"""Seconds before the second start within `WINDOW`; each one after that waits twice as long."""
LONGEST = 30.0
WINDOW = 60.0
"""Seconds after which an end is forgiven."""


class Vacancies:
    """The numbers of workers that have ended unasked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with all at work."""
        self._clock = clock
        self._ended: list[float] = []
        self._due: dict[int, float] = {}

    def add(self, number: int) -> float:
        """Note that worker `number` has ended; give the seconds until it is started again."""
        now = self._clock()
        self._ended = [at for at in self._ended if now - at < WINDOW]
        pause = 0.0 if not self._ended else min(LONGEST, FIRST * 2.0 ** (len(self._ended) - 1))
        self._ended.append(now)
        self._due[number] = now + pause
        return pause

    def due(self) -> list[int]:
        """Take the numbers whose time has come."""
        now = self._clock()
        found = [number for number, at in self._due.items() if at <= now]
        for number in found:
            del self._due[number]
        return found

    def moments(self) -> list[float]:
        """Give when the next ones are due."""
        return list(self._due.values())

    def clear(self) -> None:
        """Forget them all."""
        self._due.clear()
