"""What is found out about one source or workspace, while it is examined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.config import Config
from proxy.doctor.report import Row
from proxy.errors import SourceError, SourceRefused, WheelgateError
from proxy.places import Places
from proxy.sources.session import Session
from proxy.telemetry.logs import scrub


class Answers:
    """Takes note of who was answered: a source that refuses can be reached all the same."""

    def __init__(self) -> None:
        """Begin before anything was asked."""
        self._answered: dict[str, bool] = {}

    def __call__(self, source: str, outcome: int | str, seconds: float) -> None:  # noqa: ARG002 - the observer's
        """Take note of one request: its status, or the name of the error."""
        self._answered[source] = self._answered.get(source, False) or isinstance(outcome, int)

    def of(self, source: str) -> bool | None:
        """Say whether anything answered `source`; `None`: nothing was asked."""
        return self._answered.get(source)


def counted(number: int, what: str) -> str:
    """Give a number of things in words."""
    return f"{number} {what}{'s' * (number != 1)}"


@dataclass(frozen=True, slots=True)
class Means:
    """What an examination works with."""

    config: Config
    session: Session
    places: Places
    answers: Answers
    clock: Callable[[], float]
    """Seconds since the epoch."""


@dataclass(slots=True)
class Chart:
    """One row on its way; whatever ends the examination, what was found until then stays."""

    name: str
    kind: str
    reachable: bool | None = None
    authorised: bool | None = None
    formats: list[str] = field(default_factory=list)
    ranges: bool | None = None
    metadata: bool | None = None
    hashes: bool | None = None
    latency_ms: float | None = None
    problems: list[tuple[str, str]] = field(default_factory=list)
    """What is wrong, and what to change."""
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def find(self, problem: str, remedy: str = "") -> None:
        """Write down a problem, once."""
        if all(problem != known for known, _ in self.problems):
            self.problems.append((problem, remedy))

    def fail(self, error: WheelgateError, *, saying: str = "") -> None:
        """Write down an error as a problem; `saying` is what it keeps from working."""
        reason = error.reason if isinstance(error, SourceError) else str(error)
        if isinstance(error, SourceRefused):
            self.authorised = False
        self.find(f"{saying}: {reason}" if saying else reason, error.remedy)

    def warn(self, what: str) -> None:
        """Write down what works, but worse than it could."""
        self.warnings.append(what)

    def note(self, what: str) -> None:
        """Write down what is worth knowing."""
        self.notes.append(what)

    def row(self) -> Row:
        """Give it as a line of the report, without anything that could be a secret."""
        return Row(
            self.name,
            self.kind,
            self.reachable,
            self.authorised,
            tuple(self.formats),
            self.ranges,
            self.metadata,
            self.hashes,
            self.latency_ms,
            tuple(scrub(problem) for problem, _ in self.problems),
            tuple(scrub(remedy) for _, remedy in self.problems),
            tuple(map(scrub, self.warnings)),
            tuple(map(scrub, self.notes)),
        )
