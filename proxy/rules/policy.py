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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Literal

from packaging.version import Version

from proxy.rules.licenses import License, LicenseRule
from proxy.rules.ownership import matches
from proxy.rules.patterns import Pattern, Patterns, parse_version
from proxy.rules.until import Until
from proxy.rules.verdict import SERVED, Verdict, parse_time, shown_span, shown_time
from proxy.rules.vulnerabilities import VulnerabilityRule
from proxy.simple.filename import kind_of
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
_TO_THE_SECOND = len("2026-01-31T10:20:30")


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

    def judge_version(self, project: NormalizedName, version: str, *, now: float = math.inf) -> Verdict:
        """Judge a version that has no files, and so no upload time."""
        if self.is_open:
            return SERVED
        verdict, is_final = self._of_version(project, now)(version)
        timed = self.as_of is not None or self._is_aged(project)
        if verdict.served and not is_final and timed and self.hides_unknown_age:
            rule = "as_of" if self.as_of is not None else "min_age"
            return Verdict(served=False, rule=rule, reason=f"version {version} has no files, so its age cannot be told")
        return verdict

    def judge_files(
        self, project: NormalizedName, files: Sequence[File], *, now: float, context: Context = _NOTHING
    ) -> list[Verdict]:
        """Judge files of one project, in their order, at `now` (seconds since the epoch)."""
        if self.is_open:
            return [SERVED] * len(files)
        of_version = self._of_version(project, now)
        of_file = self._of_file(project, now, context)
        by_version: dict[str, tuple[Verdict, bool]] = {}
        verdicts = []
        for number, file in enumerate(files):
            judged = by_version.get(file.version)
            if judged is None:
                judged = by_version[file.version] = of_version(file.version)
            verdict, is_final = judged
            if not is_final:
                for judge in of_file:
                    objection = judge(file, number)
                    if objection is not None:
                        verdict = objection
                        break
            verdicts.append(verdict)
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

    def _of_version(self, project: NormalizedName, now: float) -> Callable[[str], tuple[Verdict, bool]]:
        """Give what judges a version of `project`: its verdict, and whether its files need no look."""
        deny = self._deny.of(project)
        allow = None if self.allow is None else self._allow.of(project)
        exceptions = [one for one in self._exceptions.get(project, ()) if one.until.holds(now)]

        def judge(text: str) -> tuple[Verdict, bool]:
            version = parse_version(text)
            for one in exceptions:
                if version == one.version:
                    reason = f"an exception until {one.until.day}: {one.until.why}"
                    return Verdict(served=True, rule="exceptions", reason=reason, changes_at=one.until.ends_at), True
            objection = _object_to_version(text, version, allow, deny)
            if objection is not None:
                return objection, True
            if self.vulnerabilities is not None:
                verdict = self.vulnerabilities.judge(project, text, version, now)
                return verdict, not verdict.served
            return SERVED, False

        return judge

    def _of_file(
        self, project: NormalizedName, now: float, context: Context
    ) -> list[Callable[[File, int], Verdict | None]]:
        """Give what judges a single file, in order: only the rules that are set cost anything."""
        judges: list[Callable[[File, int], Verdict | None]] = []
        if self.kinds is not None or self.yanked == "hide" or self.requires_digest:
            judges.append(self._listed_objection)
        if self.licenses is not None:
            objection_to, known = cache(self.licenses.objection), context.licenses

            def license_objection(file: File, _: int) -> Verdict | None:
                objection = objection_to(known.get(file.filename))
                return None if objection is None else _hidden("licenses", f"{file.filename}: {objection}")

            judges.append(license_objection)
        if self.as_of is not None or self._is_aged(project):
            judges.append(self._age_judge(now, context.sources, self.min_age if self._is_aged(project) else 0.0))
        return judges

    def _listed_objection(self, file: File, _: int) -> Verdict | None:
        """Judge by what the page says of the file, in one go: there are thousands of files."""
        if self.kinds is not None and (kind := kind_of(file.filename)) not in self.kinds:
            shown = " and ".join(f"{one}s" for one in sorted(self.kinds)) or "nothing"
            return _hidden("kinds", f"{file.filename} is of kind {kind}; only {shown} are shown")
        if self.yanked == "hide" and file.yanked is not False:
            why = f": {file.yanked}" if isinstance(file.yanked, str) else ""
            return _hidden("yanked", f"{file.filename} was yanked{why}")
        if self.requires_digest and not file.hashes:
            return _hidden("requires_digest", f"no digest of {file.filename} is known")
        return None

    def _age_judge(self, now: float, sources: Sequence[str], min_age: float) -> Callable[[File, int], Verdict | None]:
        as_of = self.as_of
        until = "" if as_of is None else shown_time(as_of)
        young = f", less than {shown_span(min_age)} ago"
        # Nearly all files of a large page are far older, which the spelling of their time tells without reading it.
        surely_old = shown_time(max(0.0, min(now - min_age, now if as_of is None else as_of) - 1.0))[:_TO_THE_SECOND]

        def judge(file: File, number: int) -> Verdict | None:
            time = file.upload_time
            if time is not None and time[:_TO_THE_SECOND] < surely_old and time[-1] == "Z":
                return None
            who = f" (says {sources[number]})" if sources else ""
            if time is None:
                if not self.hides_unknown_age:
                    return None
                rule = "as_of" if as_of is not None else "min_age"
                return _hidden(rule, f"{file.filename} has no upload time{who}, so its age cannot be told")
            uploaded = parse_time(time)
            if as_of is not None and uploaded >= as_of:
                shown = f"{file.filename} was uploaded {time}{who}; nothing from {until} on is shown"
                return _hidden("as_of", shown)
            of_age = uploaded + min_age
            if not min_age or of_age <= now:
                return None
            # The moment at which it is shown is `changes_at`: to spell it here is dear on a page of 20,000 files.
            shown = f"{file.filename} was uploaded {time}{who}{young}"
            return Verdict(served=False, rule="min_age", reason=shown, changes_at=of_age)

        return judge


def _hidden(rule: str, reason: str) -> Verdict:
    return Verdict(served=False, rule=rule, reason=reason)


def _object_to_version(
    text: str, version: Version | None, allow: list[Pattern] | None, deny: list[Pattern]
) -> Verdict | None:
    shown = f"version {text}" if text else "a version that cannot be read"
    for pattern in deny:
        if pattern.covers(version):
            return _hidden("deny", f"{shown} is denied by {pattern.text!r}")
    if allow is not None and not any(pattern.surely_covers(version) for pattern in allow):
        wanted = ", ".join(repr(pattern.text) for pattern in allow) or "nothing"
        return _hidden("allow", f"{shown} is not allowed ({wanted} is)")
    return None
