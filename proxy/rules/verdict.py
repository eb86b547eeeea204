"""What the rules say of something: shown or not, by which rule, why, until when, and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

_REMEDIES = {
    "deny": "choose another version or project",
    "allow": "choose what is on the list, or ask for it to be put there",
    "kinds": "install another kind of file of this version, or another version",
    "min_age": "choose an older version, or wait",
    "as_of": "choose an older version",
    "yanked": "choose another version: this one was taken back by those who published it",
    "status": "choose another project",
    "requires_digest": "choose another version, or install it from a source that publishes digests",
    "vulnerabilities": "choose a version that is not affected",
    "licenses": "choose a project or version under another license",
    "pins": "do not install it from anywhere until it is known who changed it and why",
}


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """Whether something is shown, by which rule and why, and when that may change.

    A struct, because a large page needs thousands of them at once.
    """

    served: bool
    rule: str = ""
    """The rule's key in the configuration; empty where no rule had a say."""
    reason: str = ""
    changes_at: float | None = None
    """Seconds since the epoch at which the verdict turns by itself."""
    advisories: tuple[str, ...] = ()
    """The advisories that hide it, or that are ignored for it."""

    @property
    def remedy(self) -> str:
        """What somebody who wants it can do; empty where it is shown."""
        if self.served:
            return ""
        own = _REMEDIES.get(self.rule, "choose another version")
        until = f" until {shown_time(self.changes_at)}" if self.rule == "min_age" and self.changes_at else ""
        asked = "and tell the people who run this index" if self.rule == "pins" else _ASK
        return f"{own}{until}, {asked}"


_UNITS = (("d", 86_400.0), ("h", 3600.0), ("min", 60.0))
_ASK = "or ask the people who run this index for an exception"
SERVED = Verdict(served=True)


def hidden(rule: str, reason: str) -> Verdict:
    """Give the verdict of a rule that hides something until what is said of it, or the rule, is another."""
    return Verdict(served=False, rule=rule, reason=reason)


def shown_time(seconds: float) -> str:
    """Give a moment as people and the interface have it: `2026-01-31T10:20:30Z`, rounded up to a whole second."""
    whole = int(seconds) + (seconds > int(seconds))
    return datetime.fromtimestamp(whole, UTC).isoformat().replace("+00:00", "Z")


def shown_span(seconds: float) -> str:
    """Give a span of time as the configuration has it: `3 d`."""
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size and seconds % size == 0), ("s", 1.0))
    return f"{seconds / size:g} {unit}"


def parse_time(upload_time: str) -> float:
    """Give a page's upload time (`2026-01-31T10:20:30.123456Z`) as seconds since the epoch."""
    return datetime.fromisoformat(upload_time).timestamp()
