"""When a source asks to be left alone, it is left alone as a whole, not request by request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from proxy.errors import SourceUnavailable

LONGEST = 3600.0
"""Seconds; a source that asks for more is asked again after this long."""
UNSAID = 5.0
"""Seconds of peace after a throttling answer that names no time."""

# A redirect's and a 404's `Retry-After` mean something else.
_MAY_DELAY = frozenset({200, 203, 204, 206, 304, 403, 429})

# Azure DevOps and Azure Storage say "too much" with a 500 or 503 and a sentence.
_QUOTA_WORDS = (
    b"exceeding usage of resource",
    b"TF400733",
    b"over the account limit",
    b"Server is busy",
    b"ServerBusy",
)


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """Give the seconds that a `Retry-After` asks for, or `None` where it says nothing readable.

    Source: RFC 9110 §10.2.3 (seconds or an HTTP date).
    """
    if not value:
        return None
    try:
        seconds = float(value.strip())
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    if seconds != seconds:  # noqa: PLR0124 - not a number
        return None
    return min(max(seconds, 0.0), LONGEST)


def parse_wait(status: int, headers: Mapping[str, str], *, now: float) -> float | None:
    """Give the seconds for which an answer with these headers wants no more requests; `None`: it does not say.

    Source: RFC 6585 §4 (429), Azure DevOps "Rate and usage limits" (a delay may come with a 200), GitHub's
    `x-ratelimit-*` (a 403 or 429 with nothing remaining).
    """
    asked = parse_retry_after(headers.get("Retry-After"), now=now)
    if asked is not None and (status in _MAY_DELAY or status >= 500):  # noqa: PLR2004 - server errors
        return asked
    if status in {403, 429} and headers.get("X-RateLimit-Remaining", "").strip() == "0":
        reset = headers.get("X-RateLimit-Reset", "").strip()
        if reset.isdecimal():
            return min(max(float(reset) - now, 0.0), LONGEST)
    return UNSAID if status == 429 else None  # noqa: PLR2004


def speaks_of_quota(body: bytes) -> bool:
    """Whether the text of a 5xx says that the quota is used up, rather than that something broke."""
    return any(words in body for words in _QUOTA_WORDS)


def throttled(source: str, status: int, where: str, wait: float) -> SourceUnavailable:
    """Give the error for an answer that asks for `wait` seconds of peace."""
    return SourceUnavailable(
        source,
        f"it answered {status} at {where}: too many requests",
        remedy="wait; remembered pages and files are served meanwhile",
        retry_after=wait,
    )


class Throttle:
    """Remembers until when one source wants to be left alone."""

    def __init__(self, source: str, *, clock: Callable[[], float] = time.time) -> None:
        """Start with a source that may be asked."""
        self._source = source
        self._clock = clock
        self._until = 0.0

    def check(self) -> None:
        """Do nothing where the source may be asked.

        Raises: SourceUnavailable, with the seconds that are left, where it may not.
        """
        left = self._until - self._clock()
        if left > LONGEST:  # the machine's clock was set back
            self._until = 0.0
        elif left > 0:
            raise SourceUnavailable(
                self._source,
                f"it asked to be left alone for {left:.0f} s more",
                remedy="wait; where it happens often, raise `fresh` or ask the people who run it for a higher limit",
                retry_after=left,
            )

    def notice(self, status: int, headers: Mapping[str, str]) -> float | None:
        """Take note of an answer; give the seconds of peace that it asked for, or `None`."""
        wait = parse_wait(status, headers, now=self._clock())
        if wait:
            self.pause(wait)
        return wait

    def pause(self, seconds: float) -> None:
        """Leave the source alone for at least `seconds` from now."""
        self._until = max(self._until, self._clock() + seconds)
