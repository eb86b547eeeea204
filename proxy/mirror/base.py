"""What every mirror promises to the feed, and the state of being cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

import structlog

from proxy.errors import SourceError, SourceUnavailable, kept
from proxy.rules.freshness import Windows
from proxy.simple.model import File, NormalizedName, Page
from proxy.sources.base import Body, Opener

log = structlog.get_logger(__name__)

T = TypeVar("T")
Clock = Callable[[], float]
"""Gives seconds since the epoch: what is remembered outlives the process, so the wall's clock it is."""

PATIENCE = 3.0
"""Seconds that a client waits for a source while a page that may be rescued is at hand."""
LONGEST_WAIT = 18.0
"""Seconds after which a client without such a page gets the error: below pip's own 15 s it would be
refused where waiting helps, above 20 s clients and front ends give up by themselves."""
QUIET = 2.0
"""Seconds for which a source that could not be asked is left alone, where it names no time itself."""
PROBE = 1.0
"""Seconds that a client then waits for the first answer after an outage, rather than get a page to the rescue."""

SOON = 1.0
"""Seconds after which a page that is being refreshed is looked at again."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How one source is mirrored."""

    windows: Windows
    max_age: float
    offline: bool
    place: str
    """What the source is, such as its URL: what was remembered of another place does not count."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a source says of a project, as far as this machine knows."""

    page: Page | None
    """`None`: the source answered that it does not have the project."""
    asked_at: float
    """When it said so, in seconds since the epoch."""
    good_until: float
    """Until when this may be served without coming back to the mirror."""
    rescued_from: SourceError | None = None
    """Why it is older than promised, where it is."""


class Mirror(Protocol):
    """One source as remembered on this machine."""

    name: str
    private: bool
    """Whether its files may be replaced and its pages must not be remembered by clients."""
    max_age: float
    """Seconds for which clients may remember its pages."""

    @property
    def opener(self) -> Opener:
        """How the bytes of its files are had."""

    async def get(self, project: NormalizedName) -> Known:
        """Give what the source says of `project`. Raises: SourceError where nobody knows."""

    async def recall(self, project: NormalizedName) -> Known | None:
        """Give what is remembered, of whatever age, asking nobody."""

    async def refresh(self, project: NormalizedName) -> None:
        """Ask the source for `project` now, however new what it said last is. Raises: SourceError."""

    def names(self) -> AsyncIterator[str]:
        """Give the names of all projects. Raises: SourceError."""

    async def learn(self, project: NormalizedName, file: File, *, sha256: str, size: int, path: Path) -> None:
        """Remember what receiving the bytes of `file`, now at `path`, has shown."""

    async def distrust(self, project: NormalizedName, file: File, reason: str) -> None:
        """Advertise the core metadata of `file` no longer."""

    async def forget(self, project: NormalizedName, file: File) -> None:
        """Forget what parts of `file` have shown: the whole turned out to be other bytes."""

    async def inspect(self, project: NormalizedName, file: File) -> None:
        """Find out now what is still missing of `file`, because somebody asks for it."""


class SwitchedOff:
    """Stands for a source that is switched off (`offline = true`): nothing is asked of it, whatever is asked here."""

    def __init__(self, source: str) -> None:
        """Stand for `source`."""
        self.name = source

    def open(self, file: File, *, start: int = 0, end: int | None = None) -> AbstractAsyncContextManager[Body]:  # noqa: ARG002 - of the interface
        """Give nothing. Raises: SourceUnavailable, when it is entered."""
        return _Refused(self.refusal(f"{file.filename} is not cached"))

    async def read_metadata(self, file: File) -> bytes | None:
        """Give nothing. Raises: SourceUnavailable."""
        raise self.refusal(f"the core metadata of {file.filename} is not cached")

    async def read_provenance(self, file: File) -> bytes | None:
        """Give nothing. Raises: SourceUnavailable."""
        raise self.refusal(f"the provenance of {file.filename} is not cached")

    def refusal(self, what: str) -> SourceUnavailable:
        """Give the error for `what` is missing here."""
        return SourceUnavailable(
            self.name,
            f"it is switched off (offline = true), and {what}",
            remedy=f"set offline = false on source {self.name} once, or bring it in another way",
            retry_after=60,
        )


class _Refused(AbstractAsyncContextManager[Body]):
    """Raises as soon as it is entered."""

    def __init__(self, error: SourceUnavailable) -> None:
        self._error = error

    async def __aenter__(self) -> Body:
        raise self._error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Never come here."""


class Outage:
    """Whether a source can be asked at the moment, as the last attempts showed."""

    def __init__(self, source: str, clock: Clock) -> None:
        """Begin with a source in good health."""
        self._source = source
        self._clock = clock
        self._quiet_until = 0.0
        self.error: SourceError | None = None

    @property
    def leave_alone(self) -> bool:
        """Whether it is too early to ask again without need."""
        return self._clock() < self._quiet_until

    def note(self, error: SourceError) -> SourceError:
        """Note a failed attempt; give its error as pages may keep it."""
        if self.error is None:
            log.warning("source cannot be asked", source=self._source, reason=error.reason, remedy=error.remedy)
        self.error = kept(error)
        if isinstance(error, SourceUnavailable):
            self._quiet_until = self._clock() + max(error.retry_after or 0.0, QUIET)
        return self.error

    def clear(self) -> None:
        """Note an answer."""
        if self.error is not None:
            log.info("source answers again", source=self._source)
        self.error = None
        self._quiet_until = 0.0


async def within(seconds: float, source: str, answer: Awaitable[T]) -> T:
    """Wait for an answer for so long. Raises: SourceUnavailable after that."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError as error:
        raise SourceUnavailable(
            source, f"no answer within {seconds:g} s", remedy="see whether the source is up and reachable from here"
        ) from error
