"""What of a project a feed may show: a pure decision that always has its reason.

One verdict holds for the page in both formats, the file, its core metadata and provenance, the
links page, the project list and `explain`: they all ask here, through the feed.

The order in which a file is judged; the first that objects hides it:

1. `status`: a project that is quarantined is never offered, whatever else is said;
2. an exception that names the version lets it through, up to its day;
3. of the version: `deny`, `allow`, `vulnerabilities`;
4. of the file: `kinds`, `yanked`, `requires_digest`, `licenses`, `as_of`;
5. last, because it passes by itself: `min_age`.

A file whose bytes changed under its name (`pins`) is refused by the feed before any of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal

from packaging.version import Version

from proxy.rules.licenses import License, LicenseRule
from proxy.rules.listed import Ages, Left, Objections, by_digest, by_kind, by_license, by_yank
from proxy.rules.ownership import matches
from proxy.rules.patterns import Pattern, Patterns, parse_version
from proxy.rules.until import Until
from proxy.rules.verdict import SERVED, Verdict, hidden, parse_time
from proxy.rules.vulnerabilities import VulnerabilityRule
from proxy.simple.model import File, NormalizedName, ProjectStatus

__all__ = ["SERVED", "Context", "Exemption", "Pattern", "Policy", "Verdict", "parse_time"]


@dataclass(frozen=True, slots=True)
class Exemption:
    """A version that is let through up to a day, for a reason."""

    project: NormalizedName
    version: Version
    until: Until


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a page's files beside the files."""

    sources: Sequence[str] = ()
    """The source of each file, in their order: it is the one that says when it was uploaded."""
    licenses: Mapping[str, License] = field(default_factory=dict)
    """By file name, where it could be read."""


_NOTHING = Context()
_Left = Mapping[str, Version | None]
"""The versions that nothing has been decided of yet, by their text; `None` is one that cannot be read."""
_OfVersions = Callable[[_Left], dict[str, Verdict]]
"""A rule that gives a verdict of those versions that it is about."""
_OfFiles = Callable[[Left], Objections]


@dataclass(frozen=True)
class Policy:
    """The rules of one feed."""

    allow: tuple[Pattern, ...] | None = None
    deny: tuple[Pattern, ...] = ()
    min_age: float = 0.0
    """Seconds since the upload."""
    min_age_exempt: tuple[str, ...] = ()
    kinds: frozenset[str] | None = None
    as_of: float | None = None
    """Seconds since the epoch: what was uploaded then or later is not seen."""
    hides_unknown_age: bool = True
    """Whether `min_age` and `as_of` hide a file without an upload time."""
    yanked: Literal["keep", "hide"] = "keep"
    hidden_statuses: frozenset[str] = frozenset({"quarantined"})
    requires_digest: bool = False
    vulnerabilities: VulnerabilityRule | None = None
    licenses: LicenseRule | None = None
    exceptions: tuple[Exemption, ...] = ()

    @cached_property
    def is_open(self) -> bool:
        """Whether nothing but a project's status can hide anything."""
        return self == Policy(hidden_statuses=self.hidden_statuses, hides_unknown_age=self.hides_unknown_age)

    def judge_project(self, project: NormalizedName, *, now: float = math.inf) -> Verdict:
        """Judge a project as a whole, before any source is asked. Deny beats allow."""
        if not self.deny and self.allow is None:
            return SERVED
        if any(one.until.holds(now) for one in self._exceptions.get(project, ())):
            return SERVED
        for pattern in self._deny.of(project):
            if not pattern.specifier:
                return Verdict(served=False, rule="deny", reason=f"{project} is denied by {pattern.text!r}")
        if self.allow is not None and not self._allow.of(project):
            return Verdict(served=False, rule="allow", reason=f"{project} is not on the list of what is allowed")
        return SERVED

    def projects_change_at(self, now: float) -> float:
        """Give when a project that is shown as a whole may be so no longer, in seconds since the epoch."""
        ends = (one.until.ends_at for one in self.exceptions if one.until.holds(now))
        return min(ends, default=math.inf)

    def judge_status(self, project: NormalizedName, status: ProjectStatus | None) -> Verdict:
        """Judge a project's status marker: of a quarantined one nothing may be offered. Source: PEP 792."""
        if status is None or status.status not in self.hidden_statuses:
            return SERVED
        reason = f"{project} is {status.status}" + (f": {status.reason}" if status.reason else "")
        return Verdict(served=False, rule="status", reason=reason)

    def judge_versions(
        self, project: NormalizedName, versions: Iterable[str], *, now: float = math.inf
    ) -> dict[str, Verdict]:
        """Judge versions that have no files, and so no upload time."""
        if self.is_open:
            return dict.fromkeys(versions, SERVED)
        verdicts, left = self._of_versions(project, versions, now)
        if self.hides_unknown_age and (self.as_of is not None or self._is_aged(project)):
            rule = "as_of" if self.as_of is not None else "min_age"
            for text in left:
                verdicts[text] = hidden(rule, f"version {text} has no files, so its age cannot be told")
        return verdicts

    def judge_files(
        self, project: NormalizedName, files: Sequence[File], *, now: float, context: Context = _NOTHING
    ) -> list[Verdict]:
        """Judge files of one project, in their order, at `now` (seconds since the epoch)."""
        if self.is_open:
            return [SERVED] * len(files)
        versions = [file.version for file in files]
        of_version, open_versions = self._of_versions(project, versions, now)
        verdicts = [of_version[version] for version in versions]
        left = {number: file for number, file in enumerate(files) if file.version in open_versions}
        for objections in self._rules_of_files(project, now, context):
            for number, objection in objections(left).items():
                verdicts[number] = objection
                del left[number]
        return verdicts

    @cached_property
    def _deny(self) -> Patterns:
        return Patterns(self.deny)

    @cached_property
    def _allow(self) -> Patterns:
        return Patterns(self.allow or ())

    @cached_property
    def _exceptions(self) -> Mapping[NormalizedName, list[Exemption]]:
        found: dict[NormalizedName, list[Exemption]] = {}
        for one in self.exceptions:
            found.setdefault(one.project, []).append(one)
        return found

    def _is_aged(self, project: NormalizedName) -> bool:
        return self.min_age > 0 and not any(matches(pattern, project) for pattern in self.min_age_exempt)

    def _of_versions(
        self, project: NormalizedName, versions: Iterable[str], now: float
    ) -> tuple[dict[str, Verdict], dict[str, Version | None]]:
        """Give what becomes of each version, and those whose files have to be looked at."""
        left = {text: parse_version(text) for text in dict.fromkeys(versions)}
        verdicts = dict.fromkeys(left, SERVED)
        for judge in self._rules_of_versions(project, now):
            for text, verdict in judge(left).items():
                verdicts[text] = verdict
                # Where an advisory is ignored, the files may still be hidden for themselves.
                if not verdict.served or verdict.rule == "exceptions":
                    del left[text]
        return verdicts, left

    def _rules_of_versions(self, project: NormalizedName, now: float) -> Iterator[_OfVersions]:
        """Give those that are set, in order."""
        exceptions = [one for one in self._exceptions.get(project, ()) if one.until.holds(now)]
        if exceptions:
            yield partial(_excepted, exceptions=exceptions)
        for pattern in self._deny.of(project):
            yield partial(_denied, pattern=pattern)
        if self.allow is not None:
            yield partial(_not_allowed, allow=self._allow.of(project))
        if self.vulnerabilities is not None:
            yield partial(self.vulnerabilities.judge, project, now=now)

    def _rules_of_files(self, project: NormalizedName, now: float, context: Context) -> Iterator[_OfFiles]:
        """Give those that are set, in order: only these cost anything."""
        if self.kinds is not None:
            yield partial(by_kind, kinds=self.kinds)
        if self.yanked == "hide":
            yield by_yank
        if self.requires_digest:
            yield by_digest
        if self.licenses is not None:
            yield partial(by_license, rule=self.licenses, known=context.licenses)
        min_age = self.min_age if self._is_aged(project) else 0.0
        if self.as_of is not None or min_age:
            ages = Ages(now, min_age, self.as_of, self.hides_unknown_age)
            yield partial(ages.objections, sources=context.sources)


def _excepted(left: _Left, *, exceptions: list[Exemption]) -> dict[str, Verdict]:
    verdicts: dict[Version | None, Verdict] = {}
    for one in exceptions:
        reason = f"an exception until {one.until.day}: {one.until.why}"
        excepted = Verdict(served=True, rule="exceptions", reason=reason, changes_at=one.until.ends_at)
        verdicts.setdefault(one.version, excepted)
    return {text: verdicts[version] for text, version in left.items() if version in verdicts}


def _denied(left: _Left, *, pattern: Pattern) -> dict[str, Verdict]:
    # What cannot be read is denied, too: what is not understood is not let through.
    texts = [*pattern.covered(left), *(text for text, version in left.items() if version is None)]
    return {text: hidden("deny", f"{_shown(text)} is denied by {pattern.text!r}") for text in texts}


def _not_allowed(left: _Left, *, allow: list[Pattern]) -> dict[str, Verdict]:
    others = dict(left)
    for pattern in allow:
        for text in pattern.covered(others):
            del others[text]
    wanted = ", ".join(repr(pattern.text) for pattern in allow) or "nothing"
    return {text: hidden("allow", f"{_shown(text)} is not allowed ({wanted} is)") for text in others}


def _shown(version: str) -> str:
    return f"version {version}" if version else "a version that cannot be read"
