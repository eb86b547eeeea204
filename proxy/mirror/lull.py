"""A time in which nobody waits: work that nobody asked for begins then, as it would take time from those who did."""

from __future__ import annotations

import asyncio

LULL, LONGEST = 0.2, 5.0
"""Seconds without a wait after which such work begins, and after which it does in any case."""


class Lull:
    """Knows when somebody waited last."""

    def __init__(self) -> None:
        """Begin with nobody waiting."""
        self._busy_at = float("-inf")

    def disturb(self) -> None:
        """Note that somebody waits."""
        self._busy_at = asyncio.get_running_loop().time()

    async def come(self) -> None:
        """Wait for a lull, but not for ever."""
        for _ in range(round(LONGEST / LULL)):
            if asyncio.get_running_loop().time() - self._busy_at > LULL:
                return
            await asyncio.sleep(LULL)
