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

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from proxy.errors import FileAbsent, Hidden, ProjectAbsent, SourceError
from proxy.mirror.base import Clock, Known, Mirror
from proxy.rules.merge import Merged, merge
from proxy.rules.ownership import Candidates, Ownership
from proxy.rules.policy import Policy, Verdict, judge_status
from proxy.simple.filename import normalize
from proxy.simple.model import File, NormalizedName, Page

log = structlog.get_logger(__name__)

FILES_IN_MEMORY = 30_000
"""How many files, over all judged pages of a feed, are kept ready."""


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
        now = self.clock()
        if ready is not None and now < ready.good_until:
            self._ready.move_to_end(project)
            return ready
        whole = self.policy.judge_project(project)
        if not whole.served:
            raise Hidden(project, rule=whole.rule, reason=whole.reason)
        candidates = self.ownership.candidates(project)
        answers = [(source, known) for source, known in await self._ask(project, candidates) if known.page is not None]
        if not answers:
            raise ProjectAbsent(project, self.name, candidates.sources)
        good_until = min(known.good_until for _, known in answers)
        made_of = tuple(known.page for _, known in answers if known.page is not None)
        now = self.clock()
        if ready is not None and _still_true(ready, made_of, now):
            ready.good_until = min(good_until, ready.changes_at or good_until)
            ready.rescued_from = _reasons(answers)
            return ready
        made = self._make(project, answers, candidates)
        made.good_until = min(good_until, made.changes_at or good_until)
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

    def judge(self, project: NormalizedName, file: File, page: Page | None) -> Verdict:
        """Judge one file that may no longer be on the page; `page` is what its source says now, if anything."""
        whole = self.policy.judge_project(project)
        if not whole.served:
            return whole
        marked = judge_status(project, page.status if page is not None else None)
        return self.policy.judge_files(project, [file], now=self.clock())[0] if marked.served else marked

    async def names(self) -> AsyncIterator[NormalizedName]:
        """Give the names of all projects that may have a page here, each once.

        A source that cannot list its projects is left out, with a log line. Raises: SourceError where all fail.
        """
        given: set[NormalizedName] = set()
        answered, error = False, None
        for source in self.ownership.order:
            try:
                async for spelled in self.mirrors[source].names():
                    name = normalize(spelled)
                    if name is not None and name not in given and self._lists(name, source):
                        given.add(name)
                        yield name
                answered = True
            except SourceError as reason:
                error = reason
                log.warning("source has no project list", source=source, feed=self.name, reason=reason.reason)
        if error is not None and not answered:
            raise error

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
        if files and not served and all(verdict.rule in {"deny", "allow"} for verdict in verdicts):
            raise Hidden(project, rule=verdicts[0].rule, reason=f"every version is refused; {verdicts[0].reason}")
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
            rescued_from=_reasons(answers),
        )

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
