"""Holding files to what they were when they were first served, and raising the alarm where they are not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import msgspec
import structlog

from proxy.errors import Hidden
from proxy.mirror.base import Clock
from proxy.rules.merge import Merged
from proxy.rules.pins import Pin, judge_pin
from proxy.simple.model import File, NormalizedName
from proxy.store.neighbours import Neighbours
from proxy.store.pins import Pins

log = structlog.get_logger(__name__)

Begun = Mapping[str, asyncio.Future[list[Pin]]]
"""What was served of a project, by source, as it is being read."""

IN_MEMORY = 100_000
"""How many files are known, without a look, to be as they were."""


class Pinning:
    """The ledger at work. Sources whose files may be replaced are left out of it."""

    def __init__(
        self,
        pins: Pins,
        sources: frozenset[str],
        *,
        alarm: Callable[[str], None],
        clock: Clock,
        neighbours: Neighbours | None = None,
    ) -> None:
        """Hold the files of `sources` to `pins`; `alarm` counts those that changed, by source."""
        self._pins = pins
        self._sources = sources
        self._alarm = alarm
        self._clock = clock
        self._sure: set[tuple[str, str, str, str]] = set()
        self._version = 0
        self._neighbours = neighbours or Neighbours(None)
        self._pinned: set[tuple[str, str]] | None = None

    async def open(self) -> None:
        """Take note of how the ledger is now."""
        self._version = await self._pins.version()
        self._pinned = await self._pins.projects()

    def begin(self, project: NormalizedName, sources: Iterable[str]) -> Begun:
        """Begin to read what was served of a project, while its page is on its way."""
        wanted = (source for source in sources if source in self._sources and self._may_have(source, project))
        begun = {source: self._pins.of(source, project) for source in wanted}
        for reading in begun.values():
            # Where the project turns out not to be there, nobody asks what went wrong.
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        return begun

    async def of(self, merged: Merged, begun: Begun | None = None) -> dict[tuple[str, str], Pin]:
        """Give what was served of a project, by source and file name; raise the alarm where other bytes are listed."""
        begun = begun or {}
        pins: dict[tuple[str, str], Pin] = {}
        for source in {source for _, source in merged.files} & self._sources:
            if source not in begun and not self._may_have(source, merged.name):
                continue
            kept = await (begun[source] if source in begun else self._pins.of(source, merged.name))
            pins.update(((source, pin.filename), pin) for pin in kept)
        for file, source in merged.files if pins else ():
            pin = pins.get((source, file.filename))
            if pin is not None and file.sha256 is not None and file.sha256 != pin.sha256:
                pins[source, file.filename] = await self._raise(pin, file.sha256)
        return pins

    async def serve(self, source: str, project: NormalizedName, filename: str, sha256: str) -> None:
        """Take note that a file is served with this digest. Raises: Hidden where it once was served with another."""
        if source not in self._sources or (source, project, filename, sha256) in self._sure:
            return
        # Before it is there: whoever looks too early only looks in vain.
        self._neighbours.tell(_key(source, project))
        if self._pinned is not None:
            self._pinned.add((source, project))
        kept = await self._pins.put(Pin(source, project, filename, sha256, self._clock()))
        if kept.sha256 != sha256:
            await self._raise(kept, sha256)
            verdict = judge_pin(File(filename, "", hashes={"sha256": sha256}), kept)
            raise Hidden(filename, rule=verdict.rule, reason=verdict.reason, remedy=verdict.remedy)
        if len(self._sure) >= IN_MEMORY:
            self._sure.clear()
        self._sure.add((source, project, filename, sha256))

    async def differ(self, source: str, project: NormalizedName, filename: str, found: str) -> None:
        """Take note that a source sent other bytes for a file whose digest it does not list."""
        for pin in await self._pins.of(source, project):
            if pin.filename == filename:
                await self._raise(pin, found.removeprefix("sha256:"))

    async def changed(self) -> bool:
        """Say whether pins were changed since the last time: accepted or imported, by whatever process."""
        version, self._version = self._version, await self._pins.version()
        if version == self._version:
            return False
        self._sure.clear()
        self._pinned = None
        self._pinned = await self._pins.projects()
        return True

    def _may_have(self, source: str, project: NormalizedName) -> bool:
        """Say whether anything of a project may have been served from a source, here or in another process.

        Nothing was of most that are asked for the first time, and a look at the ledger costs a thread's turn.
        """
        pinned = self._pinned
        return pinned is None or (source, project) in pinned or not self._neighbours.never_told(_key(source, project))

    async def _raise(self, pin: Pin, found: str) -> Pin:
        raised = msgspec.structs.replace(pin, found=found, found_at=self._clock())
        if await self._pins.alarm(raised):
            self._alarm(pin.source)
            log.error(
                "bytes changed under a file's name: refused",
                source=pin.source,
                project=pin.project,
                filename=pin.filename,
                served=pin.sha256,
                found=found,
                remedy=f"find out who changed it; wheelgate pins accept {pin.project} {pin.filename} lets it through",
            )
        return raised


def _key(source: str, project: NormalizedName) -> str:
    return f"pins:{source}:{project}"
