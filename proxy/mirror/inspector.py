"""What only the bytes of a file can tell: its core metadata, its digest, its size.

Where a source publishes no core metadata, METADATA is read out of the wheel by byte ranges; where a
private source publishes no digest, it is computed. Both happen once for the same bytes, newest version
first: within a small budget before the first answer, the rest behind it. A page shows what is known,
never a guess, because to pip and uv an advertised sidecar that fails is a failed install.

Source: PEP 658 and PEP 714 (core metadata), PEP 700 (size).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from proxy.errors import FileGone, SourceError
from proxy.mirror.base import Clock
from proxy.mirror.facts import Facts, Seen, completed, fact_of, is_of, lacks_metadata
from proxy.mirror.lull import Lull
from proxy.mirror.notebook import Notebook
from proxy.mirror.precedence import first_of, newest_first, newest_versions
from proxy.mirror.reading import NoRanges, digest_of, read_metadata, told_by
from proxy.rules.wheel import WheelUnreadable
from proxy.simple.model import File, NormalizedName, Page
from proxy.sources.base import Opener
from proxy.store.index import Index
from proxy.store.neighbours import Neighbours
from proxy.tasks import Background, Flights

log = structlog.get_logger(__name__)

BUDGET = 0.5
"""Seconds that the first answer for a page waits for what its newest files tell."""
AT_ONCE, OF_ONE_PAGE = 48, 8
"""How many files of a source, and of one of its pages, are read at a time while somebody waits for them."""
BEHIND = 3
"""How many of a source are read at a time when nobody does."""
AGAIN, PATIENCE = 60.0, 5.0
"""Seconds after which a source that failed in the middle is read again; for which who asks for one file may wait."""
SAVE_EVERY = 2.0
"""Seconds between two saves while many files are read."""
PAGES_IN_MEMORY = 512
MOST = 500
"""How many files of one page are read: who installs an older version than that reads its wheel through us."""
MOST_BYTES = 64 << 20
"""How much METADATA of one page is kept: a wheel of some kilobytes can hold megabytes of it."""
MORE_BYTES = 86_400.0
"""Seconds after which more than that is read."""
NO_RANGES = 3
"""How many files in a row have to come whole, in answer to ranges, until their source is taken to know none."""
RANGES_AGAIN = 3600.0
"""Seconds after which such a source is asked for ranges again."""


Record = Callable[[File, str], Awaitable[object]]
"""Has a source keep the digest of one of its files. Raises: FileGone, SourceError."""


class Inspector:
    """Completes the pages of one source with what the bytes of its files tell."""

    def __init__(  # noqa: PLR0913 - each is a part it works with
        self,
        opener: Opener,
        *,
        place: str,
        digests: bool,
        offline: bool,
        find: Callable[[str], Path | None],
        index: Index,
        background: Background,
        clock: Clock,
        record: Record | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        """Inspect files through `opener`, or as `find` has them here; compute missing `digests`, and `record` them."""
        self._opener = opener
        self._digests = digests
        self._offline = offline
        self._find = find
        self._record = record
        self._clock = clock
        self.notes = Notebook(index, neighbours or Neighbours(None), background, source=opener.name, place=place)
        self._flights: Flights[NormalizedName, None] = Flights(background)
        self._urgent: Flights[NormalizedName, None] = Flights(background)
        self._asked: Flights[tuple[NormalizedName, str], None] = Flights(background)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._slots_behind = asyncio.Semaphore(BEHIND)
        self._lull = Lull()
        self._seen: OrderedDict[NormalizedName, Seen] = OrderedDict()
        self._stamps = 0
        self._not_before: dict[NormalizedName, float] = {}
        self._whole = 0
        self._no_ranges_until = 0.0

    def prepare(self, project: NormalizedName, raw: bytes | None) -> None:
        """Take what the index has of a project's files, before its page is here."""
        if project not in self._seen:
            self.notes.prepare(project, raw)

    async def complete(self, page: Page) -> tuple[Page, bool]:
        """Give the page with all that is known of its files, and whether nothing more is to come.

        The same object as long as nothing changed.
        """
        seen = self._seen.get(page.name)
        if seen is None or seen.given is not page:
            facts = seen.facts if seen is not None else await self.notes.read(page.name)
            seen = self._remember(page, facts)
            self._lull.disturb()
            missing = self._missing(seen)
            first = first_of(missing, page)
            if first and self._may_read(page.name):
                flight = self._urgent.launch(page.name, lambda: self._inspect(page.name, first, self._slots))
                await asyncio.wait([flight], timeout=BUDGET)
        if seen.stamp != self._stamps and not seen.complete:
            seen.stamp = self._stamps
            seen.page = completed(page, seen.facts, digests=self._digests)
            seen.complete = not self._missing(seen)
        if not seen.complete and self._may_read(page.name):
            self._flights.launch(page.name, lambda: self._inspect_rest(page.name))
            return seen.page, False
        return seen.page, True

    async def learn(
        self, project: NormalizedName, file: File, *, sha256: str, size: int, path: Path | None = None
    ) -> None:
        """Note what receiving a whole file has shown: its digest, and its METADATA where ranges were refused."""
        facts = await self._facts(project)
        fact = fact_of(facts, file)
        if fact.sha256 == sha256 and (fact.metadata or fact.unreadable):
            return
        fact.sha256, fact.size = sha256, size
        # What was read by ranges was covered by no digest, and may be that of other bytes than came now.
        if path is not None and (fact.metadata is not None or lacks_metadata(file, fact)):
            await self._read_metadata(file, fact, path)
        facts[file.filename] = fact
        self._changed(project)
        await self.notes.write(project, facts)
        await self._write_back(file, sha256)

    async def distrust(self, project: NormalizedName, file: File, reason: str) -> None:
        """Advertise the core metadata of `file` no longer, because what its source publishes is wrong."""
        facts = await self._facts(project)
        fact = fact_of(facts, file)
        fact.unreadable = reason
        facts[file.filename] = fact
        self._changed(project)
        await self.notes.write(project, facts)

    async def forget(self, project: NormalizedName, file: File) -> None:
        """Forget what parts of `file` have shown, because the whole turned out to be other bytes."""
        facts = await self._facts(project)
        if facts.pop(file.filename, None) is not None:
            self._changed(project)
            await self.notes.write(project, facts)

    async def inspect(self, project: NormalizedName, file: File) -> None:
        """Read now what is missing of `file`, or take over what another process has read; wait for it a while."""
        seen = self._seen.get(project)
        listed = next((each for each in seen.given.files if each.filename == file.filename), None) if seen else None
        if seen is None or listed is None or not self._lacks(listed, seen.facts.get(listed.filename)):
            return
        key = project, listed.filename
        flight = self._asked.launch(key, lambda: self._inspect(project, [listed], self._slots))
        await asyncio.wait([flight], timeout=PATIENCE)

    def _may_read(self, project: NormalizedName) -> bool:
        return self._clock() >= self._not_before.get(project, 0.0)

    def _remember(self, page: Page, facts: dict[str, Facts]) -> Seen:
        seen = Seen(page, facts)
        self._seen[page.name] = seen
        self._seen.move_to_end(page.name)
        while len(self._seen) > PAGES_IN_MEMORY:
            self._seen.popitem(last=False)
        return seen

    def _changed(self, project: NormalizedName) -> None:
        self._stamps += 1
        if (seen := self._seen.get(project)) is not None:
            seen.complete = False

    def _missing(self, seen: Seen) -> list[File]:
        """Give the files of which something could still be found out and is worth it, in the page's order.

        Where a source publishes metadata itself, what lacks it is left to those who install such an old version.
        """
        page = seen.given
        digests = self._digests
        lacking = [
            file
            for file in page.files
            if (file.core_metadata is False and file.is_wheel) or (digests and not file.hashes)
        ]
        if not lacking:
            return lacking
        publishes = any(file.core_metadata for file in page.files)
        worth = newest_versions(page) if publishes else None
        missing = []
        for file in lacking:
            if worth is not None and file.version not in worth:
                continue
            if self._lacks(file, seen.facts.get(file.filename)):
                missing.append(file)
        return missing

    def _lacks(self, file: File, fact: Facts | None) -> bool:
        if fact is not None and not is_of(fact, file):
            fact = None
        return self._lacks_digest(file, fact) or self._can_have_metadata(file, fact)

    def _lacks_digest(self, file: File, fact: Facts | None) -> bool:
        return self._digests and not self._offline and not file.hashes and (fact is None or fact.sha256 is None)

    def _can_have_metadata(self, file: File, fact: Facts | None) -> bool:
        if not lacks_metadata(file, fact):
            return False
        knows_ranges = self._clock() >= self._no_ranges_until
        return (knows_ranges and not self._offline) or self._local(file, fact) is not None

    def _local(self, file: File, fact: Facts | None) -> Path | None:
        digest = file.sha256 or (fact.sha256 if fact is not None else None)
        return self._find(digest) if digest else None

    async def _inspect_rest(self, project: NormalizedName) -> None:
        """Read all that is missing of a project, newest first, behind what somebody waits for."""
        seen = self._seen.get(project)
        if seen is None:
            return
        await self._lull.come()
        files = (await asyncio.to_thread(newest_first, self._missing(seen)))[:MOST]
        try:
            await self._inspect(project, files, self._slots_behind)
        except SourceError as error:
            log.info("files could not be inspected", source=self._opener.name, project=project, reason=str(error))
        if self._missing(seen):
            # What could not be found out now is tried again later, not at every request.
            self._wait(project, AGAIN)

    async def _inspect(self, project: NormalizedName, files: list[File], slots: asyncio.Semaphore) -> None:
        """Read files of a project, in this order. Raises: SourceError where several in a row cannot be read."""
        seen = self._seen.get(project)
        if seen is None:
            return
        left = deque(files)
        budget = MOST_BYTES
        try:
            while left and budget > 0:
                # One process at a time, each going on with what the others have found out.
                async with AsyncExitStack() as held:
                    await held.enter_async_context(self.notes.hold(project))
                    await self._catch_up(project, seen.facts)
                    budget -= await self._take_a_turn(project, seen.facts, left, slots, budget=budget, held=held)
            if left:
                self._wait(project, MORE_BYTES)
        finally:
            self._changed(project)

    def _wait(self, project: NormalizedName, seconds: float) -> None:
        """Read no file of a project for so long, or longer where that was said before."""
        self._not_before[project] = max(self._not_before.get(project, 0.0), self._clock() + seconds)

    async def _take_a_turn(
        self,
        project: NormalizedName,
        facts: dict[str, Facts],
        left: deque[File],
        slots: asyncio.Semaphore,
        *,
        budget: int,
        held: AsyncExitStack,
    ) -> int:
        """Read files, for a while, and save what they told; give how many bytes of METADATA are kept for it.

        What is `held` is let go once that is saved.

        Raises: SourceError where none of several can be read: what is wrong with one stands in no other's way.
        """
        until = self._clock() + SAVE_EVERY
        has_read = False
        kept = 0
        try:
            while left and kept < budget and self._clock() <= until:
                some = [left.popleft() for _ in range(min(OF_ONE_PAGE, len(left)))]
                lacking = [file for file in some if self._lacks(file, facts.get(file.filename))]
                has_read = has_read or bool(lacking)
                async with asyncio.TaskGroup() as group:
                    reading = [group.create_task(self._read(project, facts, file, slots)) for file in lacking]
                self._changed(project)
                results = [task.result() for task in reading]
                errors = [result for result in results if isinstance(result, SourceError)]
                if errors and len(errors) == len(results):
                    raise errors[0]
                kept += sum(result for result in results if isinstance(result, int))
        finally:
            if has_read:
                self.notes.write_behind(project, facts, held.pop_all())
        return kept

    async def _read(
        self, project: NormalizedName, facts: dict[str, Facts], file: File, slots: asyncio.Semaphore
    ) -> int | SourceError:
        """Find out what is missing of a file; give the bytes of METADATA that are kept, or why it cannot be read."""
        fact = fact_of(facts, file)
        kept = 0
        async with slots:
            try:
                if self._can_have_metadata(file, fact):
                    kept = await self._read_metadata(file, fact, self._local(file, fact))
                    facts[file.filename] = fact
                    self._changed(project)
                if self._lacks_digest(file, fact):
                    fact.sha256, fact.size = await digest_of(self._opener, file)
                    facts[file.filename] = fact
                    await self._write_back(file, fact.sha256)
            except FileGone:
                log.debug("file went while it was inspected", source=self._opener.name, filename=file.filename)
            except SourceError as error:
                return error
        return kept

    async def _read_metadata(self, file: File, fact: Facts, path: Path | None) -> int:
        """Read METADATA by ranges, from here where the file is here, and put it in the index; give its length."""
        try:
            metadata, size = await read_metadata(self._opener, file, path)
        except NoRanges:
            self._whole += 1
            if self._whole >= NO_RANGES:
                self._no_ranges_until = self._clock() + RANGES_AGAIN
            return 0
        except WheelUnreadable as error:
            fact.unreadable, fact.metadata = str(error), None
            log.info(
                "wheel has no readable metadata", source=self._opener.name, filename=file.filename, reason=str(error)
            )
            return 0
        if path is None:
            self._whole = 0
        fact.size = size
        fact.metadata, fact.requires_python = await told_by(metadata)
        await self.notes.keep(fact.metadata, metadata)
        return len(metadata)

    async def _write_back(self, file: File, sha256: str) -> None:
        if self._record is None or file.hashes:
            return
        try:
            await self._record(file, sha256)
        except FileGone:
            log.debug("file went before its digest was written", source=self._opener.name, filename=file.filename)
        except SourceError as error:
            log.warning("digest cannot be written back", source=error.source, reason=error.reason, remedy=error.remedy)

    async def _facts(self, project: NormalizedName) -> dict[str, Facts]:
        """Give what is known of a project's files, to be added to."""
        seen = self._seen.get(project)
        return await self.notes.read(project) if seen is None else seen.facts

    async def _catch_up(self, project: NormalizedName, facts: dict[str, Facts]) -> None:
        """Take over what other processes have found out since."""
        news = await self.notes.news(project)
        for filename, fact in news.items():
            mine = facts.get(filename)
            if mine is None or mine.identity != fact.identity or not (mine.metadata or mine.unreadable):
                facts[filename] = fact
        if news:
            self._changed(project)
