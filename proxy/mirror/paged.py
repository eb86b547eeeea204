"""A paged source as remembered on this machine: fresh, stale, to the rescue, absent."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import msgspec
import structlog

from proxy.errors import SourceError, SourceUnavailable
from proxy.mirror.base import LONGEST_WAIT, PATIENCE, PROBE, SOON, Clock, Known, Outage, Setting, SwitchedOff, within
from proxy.mirror.inspector import Inspector
from proxy.rules.freshness import Verdict, judge, judge_absence
from proxy.simple.model import File, NormalizedName, Page
from proxy.sources.base import Opener, PagedSource, Unchanged
from proxy.store.index import Index
from proxy.store.neighbours import Neighbours
from proxy.tasks import Background, Flights

log = structlog.get_logger(__name__)

KEEP_AFTER = 0.02
"""Seconds after an answer at which its record is made, and goes to the disk with others: by then the client has it."""
LARGE = 2_000
"""Files of a page from which on a thread makes its record."""
FILES_IN_MEMORY = 16_000
"""How many files, over all remembered pages, are kept in memory beside the index (some 900 bytes each)."""


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A source's last answer for a project, as the index keeps it."""

    asked_at: float
    validator: str | None
    page: Page | None


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Record)


class PagedMirror:
    """Remembers what a paged source said of each project, and asks it when that is too old."""

    private = False

    def __init__(  # noqa: PLR0913 - each is a part it works with
        self,
        source: PagedSource,
        setting: Setting,
        *,
        index: Index,
        inspector: Inspector,
        background: Background,
        clock: Clock,
        neighbours: Neighbours | None = None,
    ) -> None:
        """Mirror `source`; opens nothing."""
        self.name = source.name
        self._off = SwitchedOff(source.name)
        self.opener: Opener = self._off if setting.offline else source
        self.max_age = setting.max_age
        self.windows = setting.windows
        self.offline = setting.offline
        self._source = source
        self._index = index
        self._inspector = inspector
        self._clock = clock
        self._background = background
        self._neighbours = neighbours or Neighbours(None)
        self._flights: Flights[NormalizedName, Record] = Flights(background)
        self._outage = Outage(source.name, clock)
        self._prefix = f"page:{source.name}:{hashlib.sha256(setting.place.encode()).hexdigest()[:16]}:"
        self._memory: OrderedDict[NormalizedName, Record] = OrderedDict()
        self._weight = 0

    async def get(self, project: NormalizedName) -> Known:
        """Give what the source says of `project`. Raises: SourceError where nobody knows."""
        number = self._neighbours.number(self._prefix + project)
        record = None if self._is_new(project, number) else await self._recall(project)
        if record is not None:
            match self._judge(record):
                case Verdict.FRESH:
                    return await self._known(record, self._good_until(record))
                case Verdict.STALE:
                    if not self._outage.leave_alone:
                        self._flights.launch(project, lambda: self._ask(project, record, number))
                    return await self._known(record, self._clock() + SOON)
                case Verdict.RESCUE:
                    return await self._rescue(project, record, number)
                case Verdict.DEAD:
                    pass
        if self.offline:
            raise self._off.refusal(f"nothing is remembered of {project}")
        flight = self._flights.join(project, lambda: self._ask(project, record, number))
        try:
            found = await within(LONGEST_WAIT, self.name, flight)
        except SourceError as error:
            return await self._in_need(project, record, error)
        return await self._known(found, self._good_until(found))

    async def refresh(self, project: NormalizedName) -> None:
        """Ask the source for `project` now, however new what it said last is. Raises: SourceError."""
        number = self._neighbours.number(self._prefix + project)
        record = await self._recall(project)
        if not self.offline:
            flight = self._flights.join(project, lambda: self._ask(project, record, number))
            await within(LONGEST_WAIT, self.name, flight)

    async def recall(self, project: NormalizedName) -> Known | None:
        """Give what is remembered, of whatever age, asking nobody."""
        record = await self._recall(project)
        return None if record is None else Known(record.page, record.asked_at, self._clock())

    async def names(self) -> AsyncIterator[str]:
        """Give the names of all projects, as the source spells them. Raises: SourceError."""
        if self.offline:
            raise self._off.refusal("its project list is not remembered")
        async for name in self._source.ask_names():
            yield name

    async def learn(self, project: NormalizedName, file: File, *, sha256: str, size: int, path: Path) -> None:
        """Remember what receiving the bytes of `file`, now at `path`, has shown."""
        await self._inspector.learn(project, file, sha256=sha256, size=size, path=path)

    async def distrust(self, project: NormalizedName, file: File, reason: str) -> None:
        """Advertise the core metadata of `file` no longer."""
        await self._inspector.distrust(project, file, reason)

    async def forget(self, project: NormalizedName, file: File) -> None:
        """Forget what parts of `file` have shown."""
        await self._inspector.forget(project, file)

    async def inspect(self, project: NormalizedName, file: File) -> None:
        """Find out now what is still missing of `file`."""
        await self._inspector.inspect(project, file)

    def _judge(self, record: Record) -> Verdict:
        if self.offline:
            return Verdict.DEAD if record.page is None else Verdict.FRESH
        age = self._clock() - record.asked_at
        return judge_absence(age, self.windows) if record.page is None else judge(age, self.windows)

    def _good_until(self, record: Record) -> float:
        return record.asked_at + (self.windows.absent if record.page is None else self.windows.fresh)

    async def _known(self, record: Record, good_until: float) -> Known:
        if record.page is None:
            return Known(None, record.asked_at, good_until)
        page, complete = await self._inspector.complete(record.page)
        return Known(page, record.asked_at, good_until if complete else min(good_until, self._clock() + SOON))

    async def _rescue(self, project: NormalizedName, record: Record, number: int) -> Known:
        """Ask first; give the remembered page where the source cannot be asked, or not soon enough."""
        error = self._outage.error
        if error is None or not self._outage.leave_alone:
            try:
                flight = self._flights.join(project, lambda: self._ask(project, record, number))
                answer = await within(PATIENCE if error is None else PROBE, self.name, flight)
            except SourceError as reason:
                error = self._outage.note(reason)
            else:
                return await self._known(answer, self._good_until(answer))
        known = await self._known(record, self._clock() + SOON)
        return replace(known, rescued_from=error)

    async def _in_need(self, project: NormalizedName, record: Record | None, error: SourceError) -> Known:
        """Give what the index has after all, although nobody told of it: the board does not outlive a disk's trouble.

        Raises: `error`, where that is nothing.
        """
        found = await self._newer(project, record)
        if found is None or self._judge(found) is Verdict.DEAD:
            raise error
        return replace(await self._known(found, self._clock() + SOON), rescued_from=error)

    def _is_new(self, project: NormalizedName, number: int) -> bool:
        """Say whether the index need not be looked at: nothing was ever remembered of a project, by whatever process.

        `number`: what the neighbours tell of it.

        A look costs a thread's turn, as much as all else that is done before the source is asked.
        """
        return project not in self._memory and not self.offline and self._neighbours.is_none(number)

    async def _ask(self, project: NormalizedName, record: Record | None, number: int) -> Record:
        """Ask the source, and remember what it says; one process of this machine does so for all.

        `number`: what the neighbours told before `record` was looked up.
        """
        newest = self._memory.get(project)
        if newest is not None and newest is not record and self._judge(newest) is Verdict.FRESH:
            # Another flight landed between the look that found `record` and the start of this one.
            return newest
        key = self._prefix + project
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._neighbours.hold(key))
            if self._neighbours.number(key) != number:
                told = await self._newer(project, record)
                if told is not None:
                    return told
            found = await self._ask_source(project, record)
            # Nobody here waits for the disk: what is lost with the process is asked again.
            self._background.start(self._store(key, found, held.pop_all()), name=f"keep {project}")
            return found

    async def _store(self, key: str, found: Record, held: AsyncExitStack) -> None:
        async with held:
            try:
                # It takes as much time as the answer itself, and would take it from that.
                await asyncio.sleep(KEEP_AFTER)
            finally:
                raw = await asyncio.to_thread(_encode, found) if _weight(found) > LARGE else _encode(found)
                lifetime = self.windows.absent if found.page is None else max(self.windows.rescue, self.windows.stale)
                await self._index.put(key, raw, expire=max(lifetime, 1.0), at_leisure=True)
                self._neighbours.tell(key)

    async def _ask_source(self, project: NormalizedName, record: Record | None) -> Record:
        validator = record.validator if record is not None and record.page is not None else None
        try:
            answer = await self._source.ask(project, validator)
        except SourceError as error:
            self._outage.note(error)
            raise
        self._outage.clear()
        now = self._clock()
        if answer is None:
            found = Record(now, None, None)
        elif isinstance(answer, Unchanged):
            if record is None:
                raise SourceUnavailable(self.name, f"it says that {project} is unchanged, but nothing is remembered")
            found = Record(now, record.validator, record.page)
        else:
            found = Record(now, answer.validator, answer.page)
        self._keep(project, found)
        return found

    async def _recall(self, project: NormalizedName) -> Record | None:
        """Give the newest record: the one in memory, or, where that one is not fresh, what the index has.

        Another process of this machine may have asked since.
        """
        record = self._memory.get(project)
        if record is not None and self._judge(record) is Verdict.FRESH:
            self._memory.move_to_end(project)
            return record
        return await self._newer(project, record) or record

    async def _newer(self, project: NormalizedName, record: Record | None) -> Record | None:
        """Give what the index has, where that is newer than `record`."""
        raw = await (self._index.get(self._prefix + project) if record is not None else self._first_look(project))
        if raw is None:
            return None
        try:
            stored = _decoder.decode(raw)
        except msgspec.DecodeError:
            return None
        if record is not None and stored.asked_at <= record.asked_at:
            return None
        self._keep(project, stored)
        return stored

    async def _first_look(self, project: NormalizedName) -> bytes | None:
        """Give the record of a project that this process knows nothing of, and have what its files told beside it."""
        key, beside = self._prefix + project, self._inspector.notes.begin(project)
        found = await self._index.get_many((key, beside))
        self._inspector.prepare(project, found.get(beside))
        return found.get(key)

    def _keep(self, project: NormalizedName, record: Record) -> None:
        """Keep a record in memory, and let go of those used longest ago."""
        old = self._memory.pop(project, None)
        self._weight += _weight(record) - (_weight(old) if old else 0)
        self._memory[project] = record
        while self._weight > FILES_IN_MEMORY and len(self._memory) > 1:
            _, gone = self._memory.popitem(last=False)
            self._weight -= _weight(gone)


def _weight(record: Record) -> int:
    return 2 if record.page is None else 2 + len(record.page.files)
