"""*The* page of a project: merged from those of the mirrors that may own it, and ruled.

The order in which everything is decided:

1. A project that the rules hide as a whole is refused before any source is asked.
2. Claims and combinations say who may own it; nobody else is ever asked for that name.
3. The candidates are asked in order. The first that has the project owns it. One that could not be
   asked ends the search with its error: an outage never lets a later source answer.
4. Every file gets its verdict. The page shows the served ones; files, core metadata, provenance, links
   and `explain` look here, so the same verdict holds for all of them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol
from weakref import WeakValueDictionary

import structlog

from proxy.errors import FileAbsent, Hidden, ProjectAbsent, SourceError, SourceUnavailable
from proxy.feed.page import Beside, Entry, FeedPage, judge, judge_all
from proxy.feed.pinning import Begun
from proxy.mirror.base import Clock, Known, Mirror
from proxy.rules.merge import Merged, merge
from proxy.rules.ownership import Candidates, Ownership
from proxy.rules.policy import Policy
from proxy.rules.verdict import Verdict
from proxy.simple.filename import normalize
from proxy.simple.model import File, NormalizedName, Page

__all__ = ["Entry", "Feed", "FeedPage", "Knowledge"]

log = structlog.get_logger(__name__)

FILES_IN_MEMORY = 16_000
"""How many files, over all judged pages of a feed, are kept ready (some 100 bytes each beside the mirror's)."""
LIST_PATIENCE = 12.0
"""Seconds for which all sources together may keep a project list waiting: after that it goes without the rest."""
_TURN = 5_000
"""Names after which a long list lets other requests have their turn."""
_LARGE = 1_000
"""Files from which on judging goes to a thread."""


class Knowledge(Protocol):
    """What a feed's rules need to know beside what the sources list."""

    def begin(self, project: NormalizedName, sources: Sequence[str]) -> Begun:
        """Begin to read what does not depend on the project's page, while that is on its way."""

    async def of(self, feed: Feed, merged: Merged, begun: Begun | None = None) -> Beside:
        """Give what is known of a project's files; the same object as long as that is the same."""


class _Nothing:
    """For a feed whose rules need nothing more."""

    def begin(self, project: NormalizedName, sources: Sequence[str]) -> Begun:  # noqa: ARG002 - as all
        """Begin nothing."""
        return {}

    async def of(self, feed: Feed, merged: Merged, begun: Begun | None = None) -> Beside:  # noqa: ARG002 - as all
        """Give nothing."""
        return _NOTHING


_NOTHING = Beside()


class Feed:
    """Mirrors in order, under claims and rules."""

    def __init__(
        self,
        name: str,
        mirrors: Mapping[str, Mirror],
        ownership: Ownership,
        policy: Policy,
        *,
        clock: Clock,
        knowledge: Knowledge | None = None,
    ) -> None:
        """Serve `mirrors`, by source name, as `ownership` and `policy` say."""
        self.name = name
        self.mirrors = mirrors
        self.ownership = ownership
        self.policy = policy
        self.clock = clock
        self.generation = 0
        """Which rules hold: what was made by those of another generation counts no more."""
        self.trouble = ""
        """Why the rules that hold are not those that were last written; empty where they are."""
        self._knowledge = knowledge or _Nothing()
        self._ready: OrderedDict[NormalizedName, FeedPage] = OrderedDict()
        self._weight = 0
        self._doubts = 0
        self._making: WeakValueDictionary[NormalizedName, asyncio.Lock] = WeakValueDictionary()

    @property
    def is_private(self) -> bool:
        """Whether any of its sources may change under its users' eyes."""
        return any(self.mirrors[source].private for source in self.ownership.order)

    def adopt(self, policy: Policy) -> None:
        """Judge by other rules from now on: nothing that was made by the old ones is served any more."""
        self.policy = policy
        self.renew()

    def renew(self) -> None:
        """Judge everything anew, because what the rules know has changed."""
        self.generation += 1
        self._ready.clear()
        self._weight = 0

    def reconsider(self) -> None:
        """Let nothing that is ready be served before the mirrors were asked again: one of them has something new."""
        self._doubts += 1
        for ready in self._ready.values():
            ready.good_until = 0.0

    async def page(self, project: NormalizedName) -> FeedPage:
        """Give the project's page; the same object as long as nothing on it changed.

        Raises: Hidden, ProjectAbsent, SourceError.
        """
        ready = self._ready.get(project)
        if ready is None or self.clock() >= ready.good_until:
            whole = self.policy.judge_project(project, now=self.clock())
            if not whole.served:
                raise _hidden(project, whole)
            ready = await self.survey(project)
        else:
            self._ready.move_to_end(project)
        if ready.refused is not None:
            raise _hidden(project, ready.refused)
        return ready

    async def survey(self, project: NormalizedName) -> FeedPage:
        """Give the project's page also where the rules hide all of it: for `explain` alone.

        Raises: ProjectAbsent, SourceError.
        """
        doubts, generation = self._doubts, self.generation
        candidates = self.ownership.candidates(project)
        begun = self._knowledge.begin(project, candidates.sources) if project not in self._ready else None
        asked = await self._ask(project, candidates)
        answers = [(source, known) for source, known in asked if known.page is not None]
        if not answers:
            raise ProjectAbsent(project, self.name, candidates.sources)
        # An earlier source that does not have it may have it in a moment, and own it then.
        good_until = min(known.good_until for _, known in asked)
        merged_of = [(source, known.page) for source, known in answers if known.page is not None]
        made_of = tuple(page for _, page in merged_of)
        lock = self._making.setdefault(project, asyncio.Lock())
        async with lock:
            ready = self._ready.get(project)
            while ready is None or not _still_true(ready, made_of, self.clock()):
                merged = merge(project, merged_of)
                known = begun if generation == self.generation else None
                made = await self._make(merged, candidates, tuple(source for source, _ in answers), known)
                made.made_of = made_of
                # Where the rules were changed meanwhile, it is made once more.
                if made.generation == self.generation:
                    self._keep(made)
                    ready = made
                    break
            ready.good_until = min(good_until, ready.changes_at or good_until, ready.known_until)
            if doubts != self._doubts:
                ready.good_until = 0.0
            ready.rescued_from = _reasons(asked)
            return ready

    async def entry(self, project: NormalizedName, filename: str) -> Entry:
        """Give a file that clients may have. Raises: Hidden, FileAbsent, and what `page` raises."""
        page = await self.page(project)
        entry = page.entries.get(filename)
        if entry is None:
            marked = self.policy.judge_status(project, page.page.status)
            if not marked.served:
                raise _hidden(filename, marked)
            raise FileAbsent(project, filename, self.name)
        if not entry.verdict.served:
            raise _hidden(filename, entry.verdict)
        return entry

    def good_until(self, project: NormalizedName) -> float:
        """Give until when what the page says holds, in seconds since the epoch; 0 where it is not ready."""
        ready = self._ready.get(project)
        return 0.0 if ready is None else ready.good_until

    async def judge(self, project: NormalizedName, file: File, source: str, page: Page | None) -> Verdict:
        """Judge one file that is no longer on the page; `page` is what its source says now, if anything."""
        now = self.clock()
        whole = self.policy.judge_project(project, now=now)
        if not whole.served:
            return whole
        status = page.status if page is not None else None
        merged = Merged(project, ((file, source),), (), status, {} if status is None else {source: status})
        beside = await self._knowledge.of(self, merged)
        return judge(merged, self.policy, beside, now=now)[file.filename].verdict

    async def inspected(self, project: NormalizedName, entry: Entry) -> Entry:
        """Give a file again, after what is missing of it was found out as far as possible. Raises: as `entry`."""
        await self.mirrors[entry.source].inspect(project, entry.file)
        ready = self._ready.get(project)
        if ready is not None:
            ready.good_until = 0.0
        return await self.entry(project, entry.file.filename)

    async def doubt(self, project: NormalizedName, source: str) -> None:
        """Ask `source` anew, because what its page says has just turned out to be no longer so. Raises: SourceError."""
        await self.mirrors[source].refresh(project)
        ready = self._ready.get(project)
        if ready is not None:
            ready.good_until = 0.0

    async def names(self) -> list[NormalizedName]:
        """Give the names of all projects that may have a page here, each once.

        A source that cannot list its projects, or not soon enough, is left out, with a log line.

        Raises: SourceError where all fail.
        """
        given: dict[NormalizedName, None] = {}
        answered = False
        error: SourceError | None = None
        until = asyncio.get_running_loop().time() + LIST_PATIENCE
        for source in self.ownership.order:
            try:
                async with asyncio.timeout_at(until):
                    spelled = await self._spelled(source)
            except TimeoutError:
                error = SourceUnavailable(source, f"no project list within {LIST_PATIENCE:g} s")
            except SourceError as reason:
                error = reason
            else:
                answered = True
                await asyncio.to_thread(self._admit, spelled, source, given)
                continue
            log.warning("source has no project list", source=source, feed=self.name, reason=error.reason)
        if error is not None and not answered:
            raise error
        return list(given)

    async def _spelled(self, source: str) -> list[str]:
        spelled: list[str] = []
        async for name in self.mirrors[source].names():
            spelled.append(name)
            if len(spelled) % _TURN == 0:
                await asyncio.sleep(0)
        return spelled

    def _admit(self, spelled: Iterable[str], source: str, given: dict[NormalizedName, None]) -> None:
        """Add the names that the feed shows to `given`. For a thread: there may be a million of them."""
        for each in spelled:
            name = normalize(each)
            if name is not None and name not in given and self._lists(name, source):
                given[name] = None

    def _lists(self, name: NormalizedName, source: str) -> bool:
        if not (self.ownership.claims or self.ownership.combine) and self.policy.allow is None and not self.policy.deny:
            return True
        return (
            source in self.ownership.candidates(name).sources
            and self.policy.judge_project(name, now=self.clock()).served
        )

    async def _ask(self, project: NormalizedName, candidates: Candidates) -> list[tuple[str, Known]]:
        """Ask the candidates in order, up to the first that has the project, or all where they are combined."""
        answers = []
        for source in candidates.sources:
            known = await self.mirrors[source].get(project)
            answers.append((source, known))
            if known.page is not None and not candidates.together:
                break
        return answers

    async def _make(
        self, merged: Merged, candidates: Candidates, owners: tuple[str, ...], begun: Begun | None
    ) -> FeedPage:
        generation, policy = self.generation, self.policy
        beside = await self._knowledge.of(self, merged, begun)
        now = self.clock()
        if len(merged.files) > _LARGE and not policy.is_open:
            judged = await asyncio.to_thread(judge_all, merged, policy, beside, now=now)
        else:
            judged = judge_all(merged, policy, beside, now=now)
        changes_at = judged.changes_at
        max_age = min(self.mirrors[source].max_age for source in owners)
        if changes_at is not None:
            max_age = max(0.0, min(max_age, changes_at - now))
        return FeedPage(
            project=merged.name,
            feed=self.name,
            page=judged.page,
            entries=judged.entries,
            owners=owners,
            why=candidates.why,
            private=any(self.mirrors[source].private for source in owners),
            max_age=max_age,
            changes_at=changes_at,
            good_until=now,
            known_until=beside.good_until,
            generation=generation,
            refused=judged.refused,
        )

    def _keep(self, made: FeedPage) -> None:
        old = self._ready.pop(made.project, None)
        self._weight += len(made.entries) - (len(old.entries) if old else 0)
        self._ready[made.project] = made
        while self._weight > FILES_IN_MEMORY and len(self._ready) > 1:
            _, gone = self._ready.popitem(last=False)
            self._weight -= len(gone.entries)


def _still_true(ready: FeedPage, made_of: tuple[Page, ...], now: float) -> bool:
    """Say whether a page would come out the same: made of the same answers, and no rule changed its mind."""
    if now >= ready.known_until or (ready.changes_at is not None and now >= ready.changes_at):
        return False
    return len(made_of) == len(ready.made_of) and all(a is b for a, b in zip(made_of, ready.made_of, strict=True))


def _hidden(what: str, verdict: Verdict) -> Hidden:
    return Hidden(what, rule=verdict.rule, reason=verdict.reason, remedy=verdict.remedy)


def _reasons(answers: Sequence[tuple[str, Known]]) -> tuple[SourceError, ...]:
    return tuple(known.rescued_from for _, known in answers if known.rescued_from is not None)
