"""What a measurement says: values beside each other, what must be reached, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.stage import Stage

OURS = "wheelgate"
LIMIT = "nginx-cache"


class Verdict(Enum):
    """How far a measurement got."""

    AIM = "aim reached"
    MUST = "reached"
    MISSED = "**missed**"
    FOR_INFORMATION = "for information"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Goal:
    """What must and should be reached."""

    must: float
    aim: float
    unit: str = ""

    @property
    def is_upwards(self) -> bool:
        """Whether more is better; where both are one, less is."""
        return self.must < self.aim

    def judge(self, reached: float) -> Verdict:
        """Judge what was reached; equal is enough."""
        sign = 1 if self.is_upwards else -1
        if sign * reached >= sign * self.aim:
            return Verdict.AIM
        return Verdict.MUST if sign * reached >= sign * self.must else Verdict.MISSED


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was measured."""

    what: str
    reached: float | None
    """What the goal speaks of, mostly a ratio; `None`: it could not be measured, and `note` says why."""
    goal: Goal | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    """The figures behind it, by whom they belong to."""
    unit: str = ""
    """Of `values`."""
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """How far it got."""
        if self.reached is None:
            return Verdict.NOT_MEASURED
        return Verdict.FOR_INFORMATION if self.goal is None else self.goal.judge(self.reached)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of what must be reached."""

    number: int
    title: str
    measure: Callable[[Stage], list[Finding]]


def interleaved(rounds: int, contenders: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Measure all `contenders` in turn, `rounds` times, and give each one's median.

    What disturbs the machine for a while so disturbs all of them.
    """
    seen: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            seen[name].append(measure())
    return {name: median(values) for name, values in seen.items()}


def ratio(values: Mapping[str, float], *, to: str = LIMIT, of: str = OURS) -> float | None:
    """Give how `of` relates to `to`; `None` where one of them was not there."""
    base = values.get(to)
    return values[of] / base if of in values and base else None
