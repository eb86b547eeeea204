"""Which versions a feed hides because they are known to be vulnerable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.version import Version

from proxy.rules.advisories import Advisories, Advisory, Known
from proxy.rules.severity import Level, floor_of
from proxy.rules.until import Until
from proxy.rules.verdict import Verdict, hidden
from proxy.simple.model import NormalizedName

_NOTHING = Known(())
_SHOWN = 3
_SUMMARY = 120


@dataclass(frozen=True)
class VulnerabilityRule:
    """The advisories, from which severity on they count, and which are ignored for a while."""

    advisories: Advisories | None
    """`None`: there is a database, but it could not be read, and so nothing can be said to be safe."""
    severity: Level | None = None
    """`None`: every advisory counts."""
    hides_unknown_severity: bool = True
    ignore: tuple[Until, ...] = ()
    trouble: str = ""
    """Why the database could not be read."""
    _known: dict[NormalizedName, Known] = field(default_factory=dict, compare=False, repr=False)

    def judge(
        self, project: NormalizedName, versions: Mapping[str, Version | None], *, now: float
    ) -> dict[str, Verdict]:
        """Judge versions of a project at `now`; those that no advisory is about are left out."""
        if self.advisories is None:
            reason = f"what is vulnerable is not known: {self.trouble or 'the database could not be read'}"
            return dict.fromkeys(versions, hidden("vulnerabilities", reason))
        known = self._known_of(self.advisories, project)
        if not known.advisories:
            return {}
        readable = {text: version for text, version in versions.items() if version is not None}
        verdicts: dict[str, Verdict] = {}
        if len(readable) < len(versions):
            reason = f"a version that cannot be read, of a project with {_named(known.advisories)}"
            verdicts = dict.fromkeys(versions.keys() - readable, _hidden(reason, known.advisories))
        for found, texts in known.affecting(readable):
            verdicts.update(self._weigh(project, texts, found, now))
        return verdicts

    def _weigh(
        self, project: NormalizedName, versions: list[str], found: list[Advisory], now: float
    ) -> dict[str, Verdict]:
        """Judge versions that just these advisories affect."""
        ignored = [(one, until) for one in found for until in self._ignoring(one, now)]
        names = {one.id for one, _ in ignored}
        left = [one for one in found if one.id not in names]
        if left:
            why = _reason(left)
            return {version: _hidden(f"{project} {version} is affected by {why}", left) for version in versions}
        ends_at = min(max(until.ends_at for one, until in ignored if one.id == name) for name in names)
        shown = "; ".join(f"{one.id} is ignored until {until.day}: {until.why}" for one, until in ignored)
        let_through = Verdict(
            served=True, rule="vulnerabilities", reason=shown, changes_at=ends_at, advisories=_ids(found)
        )
        return dict.fromkeys(versions, let_through)

    def _known_of(self, advisories: Advisories, project: NormalizedName) -> Known:
        """Give what counts of a project; worked out once, and only for those there is something about."""
        about = advisories.of(project)
        if not about:
            return _NOTHING
        known = self._known.get(project)
        if known is None:
            known = self._known[project] = Known([one for one in about if self._counts(one)])
        return known

    def _counts(self, advisory: Advisory) -> bool:
        if self.severity is None:
            return True
        if advisory.score is None:
            return self.hides_unknown_severity
        return advisory.score >= floor_of(self.severity)

    def _ignoring(self, advisory: Advisory, now: float) -> Iterator[Until]:
        return (until for until in self.ignore if until.what in advisory.names and until.holds(now))


def _hidden(reason: str, advisories: Sequence[Advisory]) -> Verdict:
    return Verdict(served=False, rule="vulnerabilities", reason=reason, advisories=_ids(advisories))


def _ids(advisories: Sequence[Advisory]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.id for one in advisories))


def _named(advisories: Sequence[Advisory]) -> str:
    ids = _ids(advisories)
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more


def _reason(advisories: list[Advisory]) -> str:
    # The gravest first: it is the one that a reader must see.
    gravest = sorted(advisories, key=lambda one: -(10.1 if one.score is None else one.score))
    first = gravest[0]
    level = first.level if first.score is None else f"{first.level}, {first.score:g}"
    known_as = next((name for name in first.aliases if name.startswith("CVE-")), "")
    summary = f": {' '.join(first.summary.split())[:_SUMMARY]}" if first.summary else ""
    fixed = f"; fixed in {', '.join(first.fixed_in[-_SHOWN:])}" if first.fixed_in else ""
    more = f"; also {_named(gravest[1:])}" if len(gravest) > 1 else ""
    alias = f", {known_as}" if known_as else ""
    return f"{first.id} ({level}{alias}){summary}{fixed}{more}"
