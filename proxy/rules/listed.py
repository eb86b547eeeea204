"""What speaks against single files, by what is said of them: each rule is asked about all files of a page at once.

There may be 20,000 of them. So a rule looks at one thing of each, decides once for all that have it in common (a
license, an upload time), and writes a sentence for those alone that it hides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from proxy.rules.licenses import License, LicenseRule
from proxy.rules.verdict import Verdict, hidden, parse_time, shown_span, shown_time
from proxy.simple.filename import kind_of
from proxy.simple.model import File

Left = Mapping[int, File]
"""The files that nothing has spoken against yet, by their numbers on the page."""
Objections = dict[int, Verdict]
"""What speaks against some of them, by the same numbers."""

_USUAL = (("wheel", ".whl"), ("sdist", ".tar.gz"))
"""How nearly all files of a kind end."""
_MARGIN = 86_401.0
"""Seconds: a day, as no zone is further from UTC, and one more, as times are shown rounded up."""
_TO_THE_SECOND = len("2026-01-31T10:20:30")


def by_kind(left: Left, *, kinds: frozenset[str]) -> Objections:
    """Object to files of other kinds than these."""
    shown = " and ".join(f"{one}s" for one in sorted(kinds)) or "nothing"
    usual = tuple(ending for kind, ending in _USUAL if kind in kinds)
    return {
        number: hidden("kinds", f"{file.filename} is of kind {kind}; only {shown} are shown")
        for number, file in left.items()
        # To ask for the kind of each takes as long as all other rules about what is listed.
        if not file.filename.endswith(usual) and (kind := kind_of(file.filename)) not in kinds
    }


def by_yank(left: Left) -> Objections:
    """Object to files that were yanked."""
    return {
        number: hidden("yanked", f"{file.filename} was yanked{f': {why}' if isinstance(why, str) else ''}")
        for number, file in left.items()
        if (why := file.yanked) is not False
    }


def by_digest(left: Left) -> Objections:
    """Object to files without a digest."""
    return {
        number: hidden("requires_digest", f"no digest of {file.filename} is known")
        for number, file in left.items()
        if not file.hashes
    }


def by_license(left: Left, *, rule: LicenseRule, known: Mapping[str, License]) -> Objections:
    """Object to files whose license is not permitted; `known` has it by file name."""
    against = {one: objection for one in {None, *known.values()} if (objection := rule.objection(one)) is not None}
    return {
        number: hidden("licenses", f"{file.filename}: {against[one]}")
        for number, file in left.items()
        if (one := known.get(file.filename)) in against
    }


@dataclass(frozen=True)
class Ages:
    """How old a file has to be to be shown at a moment."""

    now: float
    """In seconds since the epoch."""
    min_age: float
    """Seconds since the upload; 0 where any will do."""
    as_of: float | None
    """Seconds since the epoch: what was uploaded then or later is not seen."""
    hides_unknown: bool
    """Whether a file without an upload time is hidden."""

    def objections(self, left: Left, *, sources: Sequence[str]) -> Objections:
        """Object to files that are too new; `sources`, if any, has those that say so, in the order of the page."""
        # Nearly all files of a large page are far older, which the spelling of their time tells without reading it:
        # what sorts before another time is earlier, but for the zone that it may have.
        latest = self.now if self.as_of is None else self.as_of
        surely_old = shown_time(max(0.0, min(self.now - self.min_age, latest) - _MARGIN))[:_TO_THE_SECOND]
        judge = cache(self._judge)
        found = {}
        for number, file in left.items():
            time = file.upload_time
            if time is not None and time < surely_old:
                continue
            objection = judge(time, sources[number] if sources else "")
            if objection is not None:
                rule, why, changes_at = objection
                reason = f"{file.filename} {why}"
                found[number] = Verdict(served=False, rule=rule, reason=reason, changes_at=changes_at)
        return found

    def _judge(self, time: str | None, source: str) -> tuple[str, str, float | None] | None:
        """Give what speaks against all files of a time: the rule, why, and up to when; `None` if nothing does."""
        who = f" (says {source})" if source else ""
        if time is None:
            if not self.hides_unknown:
                return None
            rule = "as_of" if self.as_of is not None else "min_age"
            return rule, f"has no upload time{who}, so its age cannot be told", None
        uploaded = parse_time(time)
        if self.as_of is not None and uploaded >= self.as_of:
            return "as_of", f"was uploaded {time}{who}; nothing from {self._end} on is shown", None
        of_age = uploaded + self.min_age
        if not self.min_age or of_age <= self.now:
            return None
        # The moment at which it is shown is `changes_at`.
        return "min_age", f"was uploaded {time}{who}, less than {self._span} ago", of_age

    @cached_property
    def _end(self) -> str:
        return "" if self.as_of is None else shown_time(self.as_of)

    @cached_property
    def _span(self) -> str:
        return shown_span(self.min_age)
