"""Which mood the upstream is in when, and what else happens to the server. Offsets are seconds since the load began."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

FAULTS = ("stall", "503", "cut", "wrong", "429", "slow", "500", "nonsense", "refused")
LINGER = 10.0
"""Seconds after a fault in which what clients see may still be its work: sources are left alone as they ask, attempts
are spaced out, and wrong bytes are not fetched again at once."""
_WARM_UP = 0.08
"""The part of the run before the first fault."""
_FAULT, _REST, _LONG_REST, _REFUSED = 12.0, 15.0, 45.0, 20.0
_RELOADS = 6


@dataclass(frozen=True, slots=True)
class Phase:
    """A mood, from when to when."""

    mood: str
    begin: float
    end: float


def phases(seconds: float) -> list[Phase]:
    """Give the phases of a run of so many seconds: every fault at least once, with rests between them."""
    cycle = [
        piece for fault in FAULTS for piece in ((fault, _REFUSED if fault == "refused" else _FAULT), ("calm", _REST))
    ] + [("calm", _LONG_REST)]
    begin = seconds * _WARM_UP
    whole = sum(length for _, length in cycle)
    # Where one cycle does not fit, all of it is shorter; nothing is cut off at the end.
    cycles = max(1, int((seconds - begin) / whole))
    scale = (seconds - begin) / (whole * cycles) if cycles == 1 else 1.0
    found = [Phase("calm", 0.0, begin)]
    for _ in range(cycles):
        for mood, length in cycle:
            found.append(Phase(mood, found[-1].end, found[-1].end + length * min(scale, 1.0)))
    if found[-1].end < seconds:
        found.append(Phase("calm", found[-1].end, seconds))
    return found


def reloads(seconds: float) -> list[float]:
    """Give when the server is told to read its configuration again: at the same places of the second and last third."""
    return [seconds * number / _RELOADS for number in range(1, _RELOADS)]


def kill(seconds: float) -> float:
    """Give when a worker is killed, where there are several."""
    return seconds * 0.25


@dataclass(slots=True)
class Faults:
    """The faults as they really were, in seconds of the clock that everybody measures with."""

    been: list[Phase] = field(default_factory=list)
    mood: str = "calm"
    since: float = 0.0

    def change(self, mood: str, now: float) -> None:
        """Take note of a new mood, or of a sudden event (which is over at once)."""
        if self.mood != "calm":
            self.been.append(Phase(self.mood, self.since, now))
        self.mood, self.since = mood, now

    def strike(self, name: str, now: float) -> None:
        """Take note of something sudden."""
        self.been.append(Phase(name, now, now))

    def during(self, begin: float, end: float, *, linger: float = LINGER) -> Sequence[str]:
        """Give the faults that may have to do with what happened from `begin` to `end`."""
        return sorted({phase.mood for phase in self._all() if phase.begin <= end and begin <= phase.end + linger})

    def _all(self) -> Iterator[Phase]:
        yield from self.been
        if self.mood != "calm":
            yield Phase(self.mood, self.since, float("inf"))
