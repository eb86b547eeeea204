"""What of a project a feed may show: a pure decision that always has its reason.

One verdict holds for the page in both formats, the file, its core metadata and provenance, the
links page, the project list and `explain`: they all ask here, through the feed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from proxy.rules.ownership import matches
from proxy.simple.filename import kind_of
from proxy.simple.model import File, NormalizedName, ProjectStatus

_REQUIREMENT = re.compile(r"\s*(?P<name>[A-Za-z0-9*][A-Za-z0-9._*-]*)\s*(?P<specifier>.*?)\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether something is shown, by which rule and why, and when that may change."""

    served: bool
    rule: str = ""
    """The rule's key in the configuration; empty where no rule had a say."""
    reason: str = ""
    changes_at: float | None = None
    """Seconds since the epoch at which the verdict turns by itself."""


SERVED = Verdict(served=True)


@dataclass(frozen=True, slots=True)
class Pattern:
    """One entry of `allow` or `deny`: `numpy<3`, `acme-*`."""

    text: str
    name: str
    specifier: SpecifierSet

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read an entry. Raises: ValueError (also InvalidSpecifier) where it is none."""
        found = _REQUIREMENT.match(text)
        if found is None:
            raise ValueError(f"{text!r} is not a project name or pattern with an optional version specifier")
        return cls(text, found["name"], SpecifierSet(found["specifier"]))

    def covers(self, version: Version | None) -> bool:
        """Say whether the specifier includes a version; pre-releases and local versions count.

        A version that cannot be read is covered: what is not understood is not let through.
        """
        if not self.specifier:
            return True
        return version is None or self.specifier.contains(version, prereleases=True)

    def surely_covers(self, version: Version | None) -> bool:
        """Say the same for permission: a version that cannot be read is not covered."""
        return not self.specifier or (version is not None and self.specifier.contains(version, prereleases=True))


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one feed."""

    allow: tuple[Pattern, ...] | None = None
    deny: tuple[Pattern, ...] = ()
    min_age: float = 0.0
    """Seconds since the upload."""
    min_age_exempt: tuple[str, ...] = ()
    kinds: frozenset[str] | None = None

    def judge_project(self, project: NormalizedName) -> Verdict:
        """Judge a project as a whole, before any source is asked. Deny beats allow."""
        for pattern in self.deny:
            if not pattern.specifier and matches(pattern.name, project):
                return Verdict(served=False, rule="deny", reason=f"{project} is denied by {pattern.text!r}")
        if self.allow is not None and not any(matches(pattern.name, project) for pattern in self.allow):
            return Verdict(served=False, rule="allow", reason=f"{project} is not on the list of what is allowed")
        return SERVED

    def judge_version(self, project: NormalizedName, version: str) -> Verdict:
        """Judge a version that has no files."""
        deny = [pattern for pattern in self.deny if matches(pattern.name, project)]
        allow = None if self.allow is None else [one for one in self.allow if matches(one.name, project)]
        return _judge_version(version, allow, deny)

    def judge_files(self, project: NormalizedName, files: Sequence[File], *, now: float) -> list[Verdict]:
        """Judge files of one project, in their order, at `now` (seconds since the epoch)."""
        if self.allow is None and not self.deny and not self.min_age and self.kinds is None:
            return [SERVED] * len(files)
        deny = [pattern for pattern in self.deny if matches(pattern.name, project)]
        allow = None if self.allow is None else [one for one in self.allow if matches(one.name, project)]
        aged = self.min_age > 0 and not any(matches(pattern, project) for pattern in self.min_age_exempt)
        by_version: dict[str, Verdict] = {}
        verdicts = []
        for file in files:
            verdict = by_version.get(file.version)
            if verdict is None:
                verdict = by_version[file.version] = _judge_version(file.version, allow, deny)
            if verdict.served and self.kinds is not None:
                verdict = self._judge_kind(file)
            if verdict.served and aged:
                verdict = self._judge_age(file, now)
            verdicts.append(verdict)
        return verdicts

    def _judge_kind(self, file: File) -> Verdict:
        kind = kind_of(file.filename)
        if self.kinds is None or kind in self.kinds:
            return SERVED
        shown = " and ".join(f"{one}s" for one in sorted(self.kinds)) or "nothing"
        return Verdict(served=False, rule="kinds", reason=f"{file.filename} is of kind {kind}; only {shown} are shown")

    def _judge_age(self, file: File, now: float) -> Verdict:
        if file.upload_time is None:
            reason = f"{file.filename} has no upload time, so its age cannot be told"
            return Verdict(served=False, rule="min_age", reason=reason)
        of_age = parse_time(file.upload_time) + self.min_age
        if of_age <= now:
            return SERVED
        when = datetime.fromtimestamp(of_age, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        reason = f"{file.filename} was uploaded {file.upload_time}, it is shown from {when} on"
        return Verdict(served=False, rule="min_age", reason=reason, changes_at=of_age)


def judge_status(project: NormalizedName, status: ProjectStatus | None) -> Verdict:
    """Judge a project's status marker: of a quarantined one nothing may be offered. Source: PEP 792."""
    if status is None or status.status != "quarantined":
        return SERVED
    reason = f"{project} is quarantined" + (f": {status.reason}" if status.reason else "")
    return Verdict(served=False, rule="status", reason=reason)


def parse_time(upload_time: str) -> float:
    """Give a page's upload time (`2026-01-31T10:20:30.123456Z`) as seconds since the epoch."""
    return datetime.fromisoformat(upload_time).timestamp()


@lru_cache(maxsize=20_000)
def _parse_version(version: str) -> Version | None:
    try:
        return Version(version)
    except InvalidVersion:
        return None


def _judge_version(text: str, allow: list[Pattern] | None, deny: list[Pattern]) -> Verdict:
    version = _parse_version(text)
    shown = f"version {text}" if text else "a version that cannot be read"
    for pattern in deny:
        if pattern.covers(version):
            return Verdict(served=False, rule="deny", reason=f"{shown} is denied by {pattern.text!r}")
    if allow is not None and not any(pattern.surely_covers(version) for pattern in allow):
        wanted = ", ".join(repr(pattern.text) for pattern in allow) or "nothing"
        return Verdict(served=False, rule="allow", reason=f"{shown} is not allowed ({wanted} is)")
    return SERVED
