"""A listed source as remembered on this machine: one listing, and looks at single projects."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import structlog

from proxy.errors import SourceError
from proxy.mirror.base import LONGEST_WAIT, PATIENCE, PROBE, SOON, Clock, Known, Outage, Setting, SwitchedOff, within
from proxy.mirror.inspector import Inspector
from proxy.rules.freshness import SET_BACK, Verdict, judge
from proxy.simple.model import File, NormalizedName, Page
from proxy.sources.base import ListedSource, Listing, Opener
from proxy.store.index import Index
from proxy.store.neighbours import Neighbours
from proxy.tasks import Background, Flights

log = structlog.get_logger(__name__)

RELIST = 30.0
"""Seconds after which looks at single projects no longer put off the next whole listing."""
LOOKS = 10_000
"""How many looks at single projects are remembered between two listings."""
CHEAP = 0.01
"""Seconds up to which a look that finds nothing new is not worth telling the other processes of this machine."""


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A listing as the index keeps it."""

    listed_at: float
    token: bytes
    projects: dict[NormalizedName, tuple[File, ...]]


class LookRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A look at one project as the index keeps it."""

    at: float
    files: tuple[File, ...]


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Record)
_look_decoder = msgspec.msgpack.Decoder(LookRecord)


@dataclass(frozen=True, slots=True)
class _Dated:
    listing: Listing
    at: float


@dataclass(frozen=True, slots=True)
class _Look:
    page: Page | None
    at: float


class ListedMirror:
    """Remembers a source's listing; keeps what is shown of each project no older than `refresh`."""

    private = True

    def __init__(  # noqa: PLR0913 - each is a part it works with
        self,
        source: ListedSource,
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
        self.windows = setting.windows.for_listing()
        self.offline = setting.offline
        self._source = source
        self._index = index
        self._inspector = inspector
        self._background = background
        self._clock = clock
        self._neighbours = neighbours or Neighbours(None)
        self._listings: Flights[str, _Dated] = Flights(background)
        self._looks: Flights[NormalizedName, _Look] = Flights(background)
        self._outage = Outage(source.name, clock)
        self._key = f"listing:{source.name}:{hashlib.sha256(setting.place.encode()).hexdigest()[:16]}"
        self._dated: _Dated | None = None
        self._recalled: int | None = None
        self._recalling = asyncio.Lock()
        self._looked: dict[NormalizedName, _Look] = {}
        self._heard: dict[NormalizedName, int] = {}
        self._pages: dict[NormalizedName, tuple[tuple[File, ...], Page]] = {}

    async def get(self, project: NormalizedName) -> Known:
        """Give what the source says of `project`. Raises: SourceError where nobody knows."""
        look = await self._last(project)
        age = None if look is None else self._clock() - look.at
        if look is not None and age is not None and (self.offline or judge(age, self.windows) is Verdict.FRESH):
            return await self._known(look, look.at + self.windows.fresh)
        if self.offline:
            raise self._off.refusal("no listing of it is remembered")
        if look is None or age is None or judge(age, self.windows) is Verdict.DEAD:
            found = await within(LONGEST_WAIT, self.name, self._looks.join(project, lambda: self._look(project)))
            return await self._known(found, found.at + self.windows.fresh)
        return await self._rescue(project, look)

    async def refresh(self, project: NormalizedName) -> None:
        """Ask the source for `project` now, however new what it said last is. Raises: SourceError."""
        await self._recall_listing()
        if not self.offline:
            await within(LONGEST_WAIT, self.name, self._looks.join(project, lambda: self._look(project)))

    async def recall(self, project: NormalizedName) -> Known | None:
        """Give what is remembered, of whatever age, asking nobody."""
        look = await self._last(project)
        return None if look is None else Known(look.page, look.at, self._clock())

    async def names(self) -> AsyncIterator[str]:
        """Give the names of all projects. Raises: SourceError."""
        for name in (await self._listing()).projects:
            yield name

    async def files(self) -> AsyncIterator[Page]:
        """Give the pages of all projects, for the flat page of links. Raises: SourceError."""
        for project, files in (await self._listing()).projects.items():
            page = self._page(project, files)
            if page is not None:
                yield (await self._inspector.complete(page))[0]

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

    async def _known(self, look: _Look, good_until: float) -> Known:
        if look.page is None:
            return Known(None, look.at, good_until)
        page, complete = await self._inspector.complete(look.page)
        return Known(page, look.at, good_until if complete else min(good_until, self._clock() + SOON))

    async def _rescue(self, project: NormalizedName, look: _Look) -> Known:
        """Ask first; give what is remembered where the source cannot be asked, or not soon enough."""
        error = self._outage.error
        if error is None or not self._outage.leave_alone:
            patience = PATIENCE if error is None else PROBE
            try:
                found = await within(patience, self.name, self._looks.join(project, lambda: self._look(project)))
            except SourceError as reason:
                error = self._outage.note(reason)
            else:
                return await self._known(found, found.at + self.windows.fresh)
        known = await self._known(look, self._clock() + SOON)
        return replace(known, rescued_from=error)

    async def _look(self, project: NormalizedName) -> _Look:
        """Ask the source for one project, one process for all: by a look where that is possible, else by a listing."""
        before = self._looked.get(project)
        async with self._neighbours.hold(f"{self._key}:{project}"):
            await self._hear(project)
            told = self._looked.get(project)
            if told is not None and told is not before:
                return told
            known = self._dated
            at = self._clock()
            try:
                files = await self._source.look(project, known.listing if known else None)
            except SourceError as error:
                self._outage.note(error)
                raise
            if files is None:
                dated = await self._listings.join("list", self._list)
                return _Look(self._page(project, dated.listing.projects.get(project, ())), dated.at)
            self._outage.clear()
            if known is None or at - known.at > max(RELIST, self.windows.fresh):
                self._listings.launch("list", self._list)
            last = await self._last(project)
            look = _Look(self._page(project, files), at)
            self._keep(project, look)
            is_new = last is None or last.page is not look.page
            if is_new or self._clock() - at > CHEAP:
                await self._tell(project, LookRecord(at, files))
            if is_new:
                self._neighbours.ring()
            return look

    def _keep(self, project: NormalizedName, look: _Look) -> None:
        if len(self._looked) >= LOOKS:
            self._looked.pop(next(iter(self._looked)))
        self._looked[project] = look

    async def _tell(self, project: NormalizedName, record: LookRecord) -> None:
        """Let the other processes know what a look has shown."""
        key = f"{self._key}:{project}"
        await self._index.put(key, _encode(record), expire=max(self.windows.fresh, 60.0))
        self._note_heard(project, self._neighbours.tell(key))

    def _note_heard(self, project: NormalizedName, number: int) -> None:
        # Clients choose the names, so the oldest go.
        if len(self._heard) >= LOOKS:
            self._heard.pop(next(iter(self._heard)))
        self._heard[project] = number

    async def _hear(self, project: NormalizedName) -> None:
        """Take over the look of another process, where there is one since the last time."""
        key = f"{self._key}:{project}"
        number = self._neighbours.number(key)
        if self._heard.get(project, 0) == number:
            return
        self._note_heard(project, number)
        raw = await self._index.get(key)
        if raw is None:
            return
        try:
            record = _look_decoder.decode(raw)
        except msgspec.DecodeError:
            return
        look = self._looked.get(project)
        if look is None or record.at > look.at:
            self._keep(project, _Look(self._page(project, record.files), record.at))

    async def _last(self, project: NormalizedName) -> _Look | None:
        """Give the newest that is remembered of a project."""
        await self._recall_listing()
        await self._hear(project)
        look = self._looked.get(project)
        dated = self._dated
        if dated is None or (look is not None and look.at >= dated.at):
            return look
        return _Look(self._page(project, dated.listing.projects.get(project, ())), dated.at)

    async def _listing(self) -> Listing:
        """Give the whole listing, no older than it may be, or the remembered one in an outage."""
        await self._recall_listing()
        dated = self._dated
        if dated is not None and (self.offline or judge(self._clock() - dated.at, self.windows) is Verdict.FRESH):
            return dated.listing
        if self.offline:
            raise self._off.refusal("no listing of it is remembered")
        may_rescue = dated is not None and judge(self._clock() - dated.at, self.windows) is not Verdict.DEAD
        try:
            flight = self._listings.join("list", self._list)
            return (await within(PATIENCE if may_rescue else LONGEST_WAIT, self.name, flight)).listing
        except SourceError:
            if dated is None or not may_rescue:
                raise
            return dated.listing

    async def _list(self) -> _Dated:
        """Ask the source for all its files, one process for all, and remember them."""
        known = self._dated
        async with self._neighbours.hold(self._key):
            await self._recall_listing()
            told = self._dated
            if told is not None and known is not None and told.at > known.at:
                return told
            if told is not None and known is None and judge(self._clock() - told.at, self.windows) is Verdict.FRESH:
                return told
            known = told
            at = self._clock()
            try:
                listing = await self._source.list(known.listing if known else None)
            except SourceError as error:
                self._outage.note(error)
                raise
            self._outage.clear()
            dated = _Dated(listing, at)
            self._dated = dated
            self._looked = {name: look for name, look in self._looked.items() if look.at > at}
            is_new = known is None or listing is not known.listing
            if known is None or is_new or at - known.at > self.windows.rescue / 100:
                self._pages = {
                    name: kept for name, kept in self._pages.items() if listing.projects.get(name) is kept[0]
                }
                raw = await asyncio.to_thread(_encode, Record(at, listing.token, dict(listing.projects)))
                await self._index.put(self._key, raw, expire=max(self.windows.rescue, 1.0))
                self._recalled = self._neighbours.tell(self._key)
            if is_new:
                self._neighbours.ring()
            return dated

    async def _recall_listing(self) -> None:
        """Take up the listing that is remembered: at first, and whenever another process has made one."""
        if self._dated is not None and self._dated.at > self._clock() + SET_BACK:
            # The clock was set back: what is newer would count as older until it has caught up.
            self._dated = replace(self._dated, at=self._clock() - self.windows.fresh)
        if self._recalled == self._neighbours.number(self._key):
            return
        async with self._recalling:
            number = self._neighbours.number(self._key)
            if self._recalled == number:
                return
            raw = await self._index.get(self._key)
            if raw is not None:
                try:
                    record = await asyncio.to_thread(_decoder.decode, raw)
                except msgspec.DecodeError:
                    log.info("a listing of another release is forgotten", source=self.name)
                else:
                    if self._dated is None or record.listed_at > self._dated.at:
                        self._dated = _Dated(Listing(record.projects, record.token), record.listed_at)
            self._recalled = number

    def _page(self, project: NormalizedName, files: tuple[File, ...]) -> Page | None:
        """Give a project's page: the same object as long as its files are the same."""
        if not files:
            return None
        kept = self._pages.get(project)
        if kept is not None and kept[0] == files:
            return kept[1]
        page = Page(project, files, tuple(_versions(files)))
        self._pages[project] = (files, page)
        return page


def _versions(files: tuple[File, ...]) -> Iterator[str]:
    return iter(dict.fromkeys(file.version for file in files if file.version))
