"""What the rules of a feed would do to a list of requirements, without installing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

import msgspec
from packaging.version import Version

from proxy.errors import Hidden, LedgerUnreadable, ProjectAbsent, SourceError
from proxy.feed.feed import Entry, Feed
from proxy.requirements import Wanted
from proxy.rules.patterns import parse_version
from proxy.rules.verdict import Verdict, shown_time

AT_ONCE = 8
_OLDEST = Version("0.dev0")


class Hide(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file that is hidden, and why."""

    filename: str
    rule: str
    reason: str
    remedy: str = ""
    changes_at: str = ""


class Finding(msgspec.Struct, frozen=True):
    """What becomes of one requirement."""

    requirement: str
    where: str
    state: Literal["served", "partly", "hidden", "absent", "unknown"]
    """`partly`: some files are hidden, but one that will do is served; `unknown`: a source could not be asked."""
    said: str
    """In words."""
    hidden: tuple[Hide, ...] = ()


class Rehearsal(msgspec.Struct, frozen=True):
    """What becomes of all of them."""

    feed: str
    findings: tuple[Finding, ...]

    @property
    def is_good(self) -> bool:
        """Whether all of them can be installed."""
        return all(finding.state in {"served", "partly"} for finding in self.findings)

    def as_json(self) -> bytes:
        """Give it as the output of `wheelgate check-rules --json`."""
        return msgspec.json.encode({"good": self.is_good, "feed": self.feed, "requirements": self.findings})


async def rehearse(feed: Feed, wanted: Sequence[Wanted]) -> Rehearsal:
    """Ask the feed for each of them, several at a time. Raises nothing of the sources: it is part of the answer."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(asked: Wanted) -> Finding:
        async with slots:
            return await _judge(feed, asked)

    return Rehearsal(feed.name, tuple(await asyncio.gather(*(one(asked) for asked in wanted))))


async def _judge(feed: Feed, asked: Wanted) -> Finding:
    text = asked.text
    try:
        page = await feed.page(asked.project)
    except Hidden as error:
        hide = Hide(asked.project, error.rule, error.reason, error.remedy)
        return Finding(text, asked.where, "hidden", f"{error.rule}: {error.reason}", (hide,))
    except ProjectAbsent as error:
        return Finding(text, asked.where, "absent", str(error))
    except (SourceError, LedgerUnreadable) as error:
        return Finding(text, asked.where, "unknown", str(error))
    named = [entry for entry in page.entries.values() if _is_meant(entry, asked)]
    entries = [entry for entry in named if _may_be_locked(entry, asked)]
    served = [entry for entry in entries if entry.verdict.served]
    hidden = tuple(_hide(entry) for entry in entries if not entry.verdict.served)
    if not entries:
        return Finding(text, asked.where, "absent", f"{_lacking(asked, named)} is on the page of {asked.project}")
    if not served:
        first = hidden[0]
        until = f", until {first.changes_at}" if first.changes_at else ""
        return Finding(text, asked.where, "hidden", f"{first.rule}: {first.reason}{until}", hidden)
    newest = max(served, key=_order)
    if not hidden:
        return Finding(text, asked.where, "served", f"{newest.file.version} of {newest.source}")
    passed_over = [one for one in entries if not one.verdict.served and _order(one) > _order(newest)]
    shown = f"{newest.file.version} of {newest.source}; {len(hidden)} of {len(entries)} files are hidden"
    if passed_over:
        newer = max(passed_over, key=_order)
        shown += f", newer ones like {newer.file.version} by {newer.verdict.rule}"
    return Finding(text, asked.where, "partly", shown, hidden)


def _may_be_locked(entry: Entry, asked: Wanted) -> bool:
    """Say whether a file is one that a lock means; of one that was changed the rule has more to say."""
    if not asked.digests or entry.verdict.rule == "pins":
        return True
    return entry.file.sha256 is None or entry.file.sha256 in asked.digests


def _lacking(asked: Wanted, named: Sequence[Entry]) -> str:
    if named:
        return "no file with a digest that is locked"
    return "none of the files that are locked" if asked.filenames else "no such version"


def _is_meant(entry: Entry, asked: Wanted) -> bool:
    if asked.filenames:
        return entry.file.filename in asked.filenames
    if not asked.specifier:
        return True
    version = parse_version(entry.file.version)
    # Pre-releases are meant only where they are asked for, as pip has it.
    return version is not None and asked.specifier.contains(version)


def _order(entry: Entry) -> Version:
    return parse_version(entry.file.version) or _OLDEST


def _hide(entry: Entry) -> Hide:
    verdict: Verdict = entry.verdict
    changes_at = "" if verdict.changes_at is None else shown_time(verdict.changes_at)
    return Hide(entry.file.filename, verdict.rule, verdict.reason, verdict.remedy, changes_at)
