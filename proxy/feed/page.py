"""Making *the* page of a project: what the sources say, merged, and judged file by file.

Pure: whatever has to be read for it was read before, and comes as `Known`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from proxy.errors import SourceError
from proxy.rules.licenses import License
from proxy.rules.merge import Merged
from proxy.rules.pins import Pin, judge_pin
from proxy.rules.policy import Context, Policy
from proxy.rules.verdict import SERVED, Verdict, shown_time
from proxy.simple.model import File, NormalizedName, Page


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One file of a project in a feed."""

    file: File
    source: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known of a project's files beside what the sources list."""

    pins: Mapping[tuple[str, str], Pin] = field(default_factory=dict)
    """What was served first, by source and file name."""
    licenses: Mapping[str, License] = field(default_factory=dict)
    """By file name."""
    good_until: float = float("inf")
    """Until when nothing more is known, in seconds since the epoch."""


@dataclass(slots=True, weakref_slot=True)
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
    known_until: float = float("inf")
    """Until when nothing more can be known of its files."""
    generation: int = 0
    """Which of the feed's rules it was made by."""
    refused: Verdict | None = None
    """The rule that hides the project as a whole: `Feed.page` raises it, `explain` tells it."""
    rescued_from: tuple[SourceError, ...] = ()
    made_of: tuple[Page, ...] = field(default=(), repr=False)

    @property
    def why_empty(self) -> str | None:
        """Why there is nothing on it, where there would be: each rule that hides something, with one reason."""
        if self.page.files or not self.entries:
            return None
        by_rule: dict[str, list[Verdict]] = {}
        for entry in self.entries.values():
            by_rule.setdefault(entry.verdict.rule, []).append(entry.verdict)
        told = "; ".join(f"{len(found)} by {rule} ({found[0].reason})" for rule, found in by_rule.items())
        until = f"; the first is shown from {shown_time(self.changes_at)} on" if self.changes_at is not None else ""
        return f"every file is hidden: {told}{until}"


class Judged(msgspec.Struct, frozen=True):
    """What a feed's rules make of a project."""

    entries: Mapping[str, Entry]
    page: Page
    """With the served files only."""
    changes_at: float | None
    """When the first of its verdicts turns by itself."""
    refused: Verdict | None
    """What hides it as a whole."""


def judge_all(merged: Merged, policy: Policy, beside: Beside, *, now: float) -> Judged:
    """Judge a project's files, and what of the project there is to show then."""
    name = merged.name
    if policy.is_open and not beside.pins and not merged.statuses:
        # The common case, where nobody could object to anything.
        files = tuple([file for file, _ in merged.files])
        shown = {file.filename: Entry(file, source, SERVED) for file, source in merged.files}
        return Judged(shown, Page(name, files, merged.versions, merged.status), None, None)
    entries = judge(merged, policy, beside, now=now)
    verdicts = [entry.verdict for entry in entries.values()]
    served = tuple(entry.file for entry in entries.values() if entry.verdict.served)
    versions = shown_versions(merged, policy, entries, now=now)
    page = Page(name, served, versions, merged.status)
    return Judged(entries, page, next_change(verdicts), refusal(name, policy, verdicts, now=now))


def judge(merged: Merged, policy: Policy, beside: Beside, *, now: float) -> dict[str, Entry]:
    """Give every file of a project with its verdict, by name."""
    files = [file for file, _ in merged.files]
    sources = [source for _, source in merged.files]
    verdicts = policy.judge_files(
        merged.name, files, now=now, context=Context(sources=sources, licenses=beside.licenses)
    )
    marked = {source: policy.judge_status(merged.name, status) for source, status in merged.statuses.items()}
    overruled = {source: verdict for source, verdict in marked.items() if not verdict.served}
    if overruled:
        verdicts = [overruled.get(source, verdict) for source, verdict in zip(sources, verdicts, strict=True)]
    entries = dict(zip([file.filename for file in files], map(Entry, files, sources, verdicts), strict=True))
    for (source, filename), pin in beside.pins.items():
        entry = entries.get(filename)
        if entry is None or entry.source != source or entry.verdict.rule == "status":
            continue
        verdict = judge_pin(entry.file, pin)
        if not verdict.served:
            entries[filename] = Entry(entry.file, source, verdict)
        elif entry.file.sha256 is None:
            # Where its source lists no digest, what was served before is what has to come.
            hashes = {**entry.file.hashes, "sha256": pin.sha256}
            known = msgspec.structs.replace(entry.file, hashes=hashes)
            entries[filename] = Entry(known, source, entry.verdict)
    return entries


def shown_versions(merged: Merged, policy: Policy, entries: Mapping[str, Entry], *, now: float) -> tuple[str, ...]:
    """Give the versions to show: those of served files, and those without files that no rule hides."""
    shown = {entry.file.version for entry in entries.values() if entry.verdict.served}
    with_files = {entry.file.version for entry in entries.values()}
    without_files = [version for version in merged.versions if version not in with_files]
    judged = policy.judge_versions(merged.name, without_files, now=now)
    shown.update(version for version, verdict in judged.items() if verdict.served)
    return tuple(version for version in merged.versions if version in shown)


def refusal(project: NormalizedName, policy: Policy, verdicts: Sequence[Verdict], *, now: float) -> Verdict | None:
    """Give the verdict that hides the project as a whole: it is refused, or all of its versions are."""
    whole = policy.judge_project(project, now=now)
    if not whole.served:
        return whole
    if not verdicts or any(verdict.served or verdict.rule not in {"deny", "allow"} for verdict in verdicts):
        return None
    return msgspec.structs.replace(verdicts[0], reason=f"every version is refused; {verdicts[0].reason}")


def next_change(verdicts: Sequence[Verdict]) -> float | None:
    """Give when the first of these verdicts turns by itself."""
    return min((verdict.changes_at for verdict in verdicts if verdict.changes_at is not None), default=None)
