"""How old a remembered answer may be, and what to do with it then."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

SET_BACK = 5.0
"""Seconds that an answer may seem to come from the future: further, the clock was wrong then, or is now."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Up to which age, in seconds from the fetch, an answer counts as what."""

    fresh: float
    stale: float
    rescue: float
    absent: float
    """The same for the answer "does not have it"."""

    def for_listing(self) -> Windows:
        """Give the windows of a listed source, which has no stale one: what is listed may be `fresh` old."""
        return Windows(self.fresh, self.fresh, self.rescue, self.absent)


class Verdict(Enum):
    """What a remembered answer is good for."""

    FRESH = auto()
    """Serve it without asking."""
    STALE = auto()
    """Serve it at once, and ask behind."""
    RESCUE = auto()
    """Ask first; serve it, marked, when the source cannot be asked."""
    DEAD = auto()
    """Ask first; it is of no use any more."""


def judge(age: float, windows: Windows) -> Verdict:
    """Judge a remembered page that is `age` seconds old.

    Source: RFC 9111 §4.2 (freshness), RFC 5861 §3 and §4 (stale-while-revalidate, stale-if-error).
    """
    if age < -SET_BACK:
        return Verdict.RESCUE
    if age < windows.fresh:
        return Verdict.FRESH
    if age < windows.stale:
        return Verdict.STALE
    if age < windows.rescue:
        return Verdict.RESCUE
    return Verdict.DEAD


def judge_absence(age: float, windows: Windows) -> Verdict:
    """Judge a remembered "does not have it": fresh for `absent`, and never a reason to rescue by."""
    return Verdict.FRESH if -SET_BACK <= age < windows.absent else Verdict.DEAD
