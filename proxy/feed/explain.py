"""Why a feed shows what it shows of one project."""

from __future__ import annotations

from msgspec import UNSET
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from proxy.errors import ProjectAbsent, SourceError
from proxy.explanation import COULD_NOT_BE_ASKED, Asked, Explained, Explanation, moment
from proxy.feed.feed import Entry, Feed, FeedPage
from proxy.rules.patterns import parse_version
from proxy.rules.verdict import shown_time
from proxy.simple.model import NormalizedName

_OLDEST = Version("0.dev0")


async def explain(feed: Feed, project: NormalizedName, wanted: SpecifierSet | None = None) -> Explanation:
    """Say who owns `project`, why, what every source said, and what becomes of each file.

    Where only some versions are wanted, only their files are listed. Raises nothing of the sources:
    what went wrong with them is part of the answer.
    """
    candidates = feed.ownership.candidates(project)
    page, trouble = None, None
    try:
        page = await feed.survey(project)
    except ProjectAbsent:
        pass
    except SourceError as error:
        trouble = error
    asked = [await _said(feed, source, project, page, trouble, candidates.sources) for source in feed.ownership.order]
    asked += [
        await _said(feed, source, project, page, trouble, candidates.sources)
        for source in candidates.sources
        if source not in feed.ownership.order
    ]
    if trouble is not None:
        why = f"{candidates.why}; {trouble}" + (f" ({trouble.remedy})" if trouble.remedy else "")
        return Explanation(project, feed.name, None, why, tuple(asked))
    if page is None:
        return Explanation(project, feed.name, None, "no source that may own it has it", tuple(asked))
    entries = [entry for entry in page.entries.values() if _covers(wanted, entry)]
    refused = f"; hidden as a whole by {page.refused.rule}: {page.refused.reason}" if page.refused else ""
    return Explanation(
        project,
        feed.name,
        ", ".join(page.owners),
        page.why + refused,
        tuple(asked),
        tuple(_explained(entry) for entry in entries),
        _answer(wanted, page, entries) if wanted else UNSET,
        (feed.trouble,) if feed.trouble else UNSET,
    )


async def _said(
    feed: Feed,
    source: str,
    project: NormalizedName,
    page: FeedPage | None,
    trouble: SourceError | None,
    candidates: tuple[str, ...],
) -> Asked:
    if source not in candidates:
        return Asked(source, "not asked: the project is claimed by, or combined of, other sources")
    known = await feed.mirrors[source].recall(project)
    if trouble is not None and trouble.source == source:
        return Asked(source, f"{COULD_NOT_BE_ASKED}: {trouble.reason}")
    if trouble is not None and candidates.index(source) > candidates.index(trouble.source):
        return Asked(source, f"not asked: {trouble.source} comes first, and could not be asked")
    if known is None or (page is not None and source not in page.owners and known.page is not None):
        return Asked(source, "not asked: an earlier source decided")
    age = round(feed.clock() - known.asked_at, 1)
    if known.page is None:
        return Asked(source, "does not have it", moment(known.asked_at), age)
    number = len(known.page.files)
    said = "has 1 file" if number == 1 else f"has {number} files"
    rescued = next((error for error in (page.rescued_from if page else ()) if error.source == source), None)
    if rescued is not None:
        said += f"; cannot be asked now ({rescued.reason}), so this is remembered"
    return Asked(source, said, moment(known.asked_at), age)


def _covers(wanted: SpecifierSet | None, entry: Entry) -> bool:
    if not wanted:
        return True
    version = parse_version(entry.file.version)
    return version is not None and wanted.contains(version, prereleases=True)


def _answer(specifier: SpecifierSet, page: FeedPage, entries: list[Entry]) -> str:
    """Say what would serve the versions that were asked for, or what hides them and which one is served instead."""
    wanted = f"{page.project}{specifier}"
    if page.refused is not None:
        return f"nothing serves {wanted}: {page.refused.rule}: {page.refused.reason}"
    served = [entry for entry in entries if entry.verdict.served]
    if served:
        newest = _newest(served)
        files = [entry for entry in served if entry.file.version == newest]
        by = " and ".join(dict.fromkeys(entry.source for entry in files))
        return f"{page.project} {newest} is what serves {wanted}: {len(files)} file{'s' * (len(files) != 1)} of {by}"
    others = _newest([entry for entry in page.entries.values() if entry.verdict.served])
    instead = f"; the newest version that is served is {others}" if others else "; no version is served"
    if not entries:
        return f"nothing serves {wanted}: {' and '.join(page.owners)} has no such version{instead}"
    verdict = max(entries, key=_version_of).verdict
    until = f", until {shown_time(verdict.changes_at)}" if verdict.changes_at is not None else ""
    return f"nothing serves {wanted}: {verdict.rule}: {verdict.reason}{until}{instead}"


def _version_of(entry: Entry) -> Version:
    return parse_version(entry.file.version) or _OLDEST


def _newest(entries: list[Entry]) -> str:
    """Give the newest version, a pre-release only where there is nothing else; empty where there is none."""
    versions = {_version_of(entry): entry.file.version for entry in entries}
    final = [version for version in versions if not version.is_prerelease]
    return versions[max(final or versions)] if versions else ""


def _explained(entry: Entry) -> Explained:
    verdict = entry.verdict
    return Explained(
        filename=entry.file.filename,
        version=entry.file.version,
        source=entry.source,
        served=verdict.served,
        rule=verdict.rule or None,
        reason=verdict.reason or None,
        changes_at=None if verdict.changes_at is None else shown_time(verdict.changes_at),
        remedy=verdict.remedy or UNSET,
        upload_time=UNSET if verdict.served or entry.file.upload_time is None else entry.file.upload_time,
        advisories=verdict.advisories or UNSET,
    )
