"""What is let through for a while: `requests==2.32.0 until 2027-01-31: needed by billing`.

The day counts as a whole, in UTC: on the next one it is over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_FORM = re.compile(
    r"\s*(?P<what>\S(?:.*?\S)?)\s+until\s+(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})\s*:\s*(?P<why>\S(?:.*\S)?)\s*", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Until:
    """Something that holds up to the end of a day, and why."""

    what: str
    day: str
    why: str
    ends_at: float
    """In seconds since the epoch: the first moment at which it no longer holds."""

    @classmethod
    def parse(cls, text: str) -> Until:
        """Read `WHAT until YYYY-MM-DD: why`. Raises: ValueError where it has another form or names no day."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not of the form 'WHAT until YYYY-MM-DD: why'")
        return cls(found["what"], found["day"], found["why"], end_of_day(date.fromisoformat(found["day"])))

    def holds(self, now: float) -> bool:
        """Say whether it still holds."""
        return now < self.ends_at


def end_of_day(day: date) -> float:
    """Give the first moment after a day, in seconds since the epoch."""
    return (datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)).timestamp()
