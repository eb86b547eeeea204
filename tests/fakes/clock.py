"""A clock that only moves when it is told to."""

from __future__ import annotations


class FakeClock:
    """Seconds since nothing in particular."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        """Start at `now`."""
        self.now = now

    def __call__(self) -> float:
        """Give the time."""
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds
