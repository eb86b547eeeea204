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
from dataclasses import dataclass, field, replace

import structlog

from proxy.errors import FileAbsent, Hidden, ProjectAbsent, SourceError, SourceUnavailable
from proxy.mirror.base import Clock, Known, Mirror
from proxy.rules.merge import Merged, merge
from proxy.rules.ownership import Candidates, Ownership
from proxy.rules.policy import Policy, Verdict, judge_status
from proxy.simple.filename import normalize
from proxy.simple.model import File, NormalizedName, Page

log = structlog.get_logger(__name__)

FILES_IN_MEMORY = 30_000
"""How many files, over all judged pages of a feed, are kept ready."""
LIST_PATIENCE = 12.0
"""Seconds for which all sources together may keep a project list waiting: after that it goes without the rest."""
_TURN = 5_000
"""Names after which a long list lets other requests have their turn."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a project in a feed."""

    file: File
    source: str
    verdict: Verdict


@dataclass(slots=True)
class FeedPage:
    """A project as a feed's clients see it."""

    project: NormalizedName
    feed: str
    page: Page
    """With the served files only."""
    entries: Mapping[str, Entry]
    """All files by name, also the hidden ones."""
    owners: tuple[str, ...]
    why: str
    private: bool
    """Whether any of its files may be replaced."""
    max_age: float
    """Seconds for which clients may remember it, at the time it was made."""
    changes_at: float | None
    """When a rule changes its mind, in seconds since the epoch."""
    good_until: float
    """Until when it may be served without asking the feed again, in seconds since the epoch."""
    refused: Verdict | None = None
    """The rule that hides the project as a whole: `Feed.page` raises it, `explain` tells it."""
    rescued_from: tuple[SourceError, ...] = ()
    made_of: tuple[Page, ...] = field(default=(), repr=False)


class Feed:
    """Mirrors in order, under claims and rules."""

    def __init__(
        self, name: str, mirrors: Mapping[str, Mirror], ownership: Ownership, policy: Policy, *, clock: Clock
    ) -> None:
        """Serve `mirrors`, by source name, as `ownership` and `policy` say."""
        self.name = name
        self.mirrors = mirrors
        self.ownership = ownership
        self.policy = policy
        self.clock = clock
        self._ready: OrderedDict[NormalizedName, FeedPage] = OrderedDict()
        self._weight = 0

    @property
    def is_private(self) -> bool:
        """Whether any of its sources may change under its users' eyes."""
        return any(self.mirrors[source].private for source in self.ownership.order)

    async def page(self, project: NormalizedName) -> FeedPage:
        """Give the project's page; the same object as long as nothing on it changed.

        Raises: Hidden, ProjectAbsent, SourceError.
        """
        ready = self._ready.get(project)
        if ready is None or self.clock() >= ready.good_until:
            whole = self.policy.judge_project(project)
            if not whole.served:
                raise Hidden(project, rule=whole.rule, reason=whole.reason)
            ready = await self.survey(project)
        else:
            self._ready.move_to_end(project)
        if ready.refused is not None:
            raise Hidden(project, rule=ready.refused.rule, reason=ready.refused.reason)
        return ready

    async def survey(self, project: NormalizedName) -> FeedPage:
        """Give the project's page also where the rules hide all of it: for `explain` alone.

        Raises: ProjectAbsent, SourceError.
        """
        ready = self._ready.get(project)
        candidates = self.ownership.candidates(project)
        asked = await self._ask(project, candidates)
        answers = [(source, known) for source, known in asked if known.page is not None]
        if not answers:
            raise ProjectAbsent(project, self.name, candidates.sources)
        # An earlier source that does not have it may have it in a moment, and own it then.
        good_until = min(known.good_until for _, known in asked)
        made_of = tuple(known.page for _, known in answers if known.page is not None)
        now = self.clock()
        if ready is not None and _still_true(ready, made_of, now):
            ready.good_until = min(good_until, ready.changes_at or good_until)
            ready.rescued_from = _reasons(asked)
            return ready
        made = self._make(project, answers, candidates)
        made.good_until = min(good_until, made.changes_at or good_until)
        made.rescued_from = _reasons(asked)
        made.made_of = made_of
        self._keep(made)
        return made

    async def entry(self, project: NormalizedName, filename: str) -> Entry:
        """Give a file that clients may have. Raises: Hidden, FileAbsent, and what `page` raises."""
        page = await self.page(project)
        entry = page.entries.get(filename)
        if entry is None:
            marked = judge_status(project, page.page.status)
            if not marked.served:
                raise Hidden(filename, rule=marked.rule, reason=marked.reason)
            raise FileAbsent(project, filename, self.name)
        if not entry.verdict.served:
            raise Hidden(filename, rule=entry.verdict.rule, reason=entry.verdict.reason)
        return entry

    def good_until(self, project: NormalizedName) -> float:
        """Give until when what the page says holds, in seconds since the epoch; 0 where it is not ready."""
        ready = self._ready.get(project)
        return 0.0 if ready is None else ready.good_until

    def judge(self, project: NormalizedName, file: File, page: Page | None) -> Verdict:
        """Judge one file that may no longer be on the page; `page` is what its source says now, if anything."""
        whole = self.policy.judge_project(project)
        if not whole.served:
            return whole
        marked = judge_status(project, page.status if page is not None else None)
        return self.policy.judge_files(project, [file], now=self.clock())[0] if marked.served else marked

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
        return source in self.ownership.candidates(name).sources and self.policy.judge_project(name).served

    async def _ask(self, project: NormalizedName, candidates: Candidates) -> list[tuple[str, Known]]:
        """Ask the candidates in order, up to the first that has the project, or all where they are combined."""
        answers = []
        for source in candidates.sources:
            known = await self.mirrors[source].get(project)
            answers.append((source, known))
            if known.page is not None and not candidates.together:
                break
        return answers

    def _make(self, project: NormalizedName, answers: Sequence[tuple[str, Known]], candidates: Candidates) -> FeedPage:
        now = self.clock()
        merged = merge(project, [(source, known.page) for source, known in answers if known.page is not None])
        files = [file for file, _ in merged.files]
        verdicts = self.policy.judge_files(project, files, now=now)
        if merged.quarantined:
            verdicts = [
                judge_status(project, merged.quarantined[source]) if source in merged.quarantined else verdict
                for (_, source), verdict in zip(merged.files, verdicts, strict=True)
            ]
        entries = {
            file.filename: Entry(file, source, verdict)
            for (file, source), verdict in zip(merged.files, verdicts, strict=True)
        }
        served = tuple(entry.file for entry in entries.values() if entry.verdict.served)
        changes_at = min((verdict.changes_at for verdict in verdicts if verdict.changes_at is not None), default=None)
        max_age = min(self.mirrors[source].max_age for source, _ in answers)
        if changes_at is not None:
            max_age = max(0.0, min(max_age, changes_at - now))
        return FeedPage(
            project=project,
            feed=self.name,
            page=Page(project, served, self._versions(merged, entries), merged.status),
            entries=entries,
            owners=tuple(source for source, _ in answers),
            why=candidates.why,
            private=any(self.mirrors[source].private for source, _ in answers),
            max_age=max_age,
            changes_at=changes_at,
            good_until=now,
            refused=self._refusal(project, verdicts),
        )

    def _refusal(self, project: NormalizedName, verdicts: Sequence[Verdict]) -> Verdict | None:
        """Give the verdict that hides the project as a whole: it is refused, or all of its versions are."""
        whole = self.policy.judge_project(project)
        if not whole.served:
            return whole
        if not verdicts or any(verdict.rule not in {"deny", "allow"} for verdict in verdicts):
            return None
        return replace(verdicts[0], reason=f"every version is refused; {verdicts[0].reason}")

    def _versions(self, merged: Merged, entries: Mapping[str, Entry]) -> tuple[str, ...]:
        """Give the versions to show: those of served files, and those without files that no rule hides."""
        shown = {entry.file.version for entry in entries.values() if entry.verdict.served}
        with_files = {entry.file.version for entry in entries.values()}
        return tuple(
            version
            for version in merged.versions
            if version in shown
            or (version not in with_files and self.policy.judge_version(merged.name, version).served)
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
    if ready.changes_at is not None and now >= ready.changes_at:
        return False
    return len(made_of) == len(ready.made_of) and all(a is b for a, b in zip(made_of, ready.made_of, strict=True))


def _reasons(answers: Sequence[tuple[str, Known]]) -> tuple[SourceError, ...]:
    return tuple(known.rescued_from for _, known in answers if known.rescued_from is not None)
