"""Which credential belongs to which URL.

The rule: a target covers a URL of the same scheme, host and port whose path begins with the
target's path, in whole segments; the longest target wins, and of equals the configuration's
wins over a workspace's. `https://ORG.pkgs.visualstudio.com` and `https://pkgs.dev.azure.com/ORG`
are one place, where case does not matter.

Where two programs could read a URL differently (a backslash, a control character, user
information, dot segments under a path, an odd host name), no target covers it: a request without
a credential fails loudly, one with it may not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

AZURE_DEVOPS_HOST = "pkgs.dev.azure.com"
AZURE_DEVOPS_OLD_SUFFIX = ".pkgs.visualstudio.com"

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_IPV6 = re.compile(r"[0-9a-f:.]*:[0-9a-f:.]*")
_AMBIGUOUS = re.compile(r"[\x00-\x1f\x7f\\]")
# IDNA 2003 and IDNA 2008 send names with these letters to different hosts.
# Source: UTS #46, "Deviations".
_DEVIATIONS = frozenset("\u00df\u1e9e\u03c2\u200c\u200d")
_MOST_DECODINGS = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL points, in the one spelling in which places are compared."""

    scheme: str
    host: str
    port: int
    segments: tuple[str, ...]
    """The path, segment by segment, decoded; in lower case where the host does not tell cases apart."""
    has_dots: bool
    """Whether a reader might leave the path by `.` or `..`, under any encoding."""


class Candidate(Protocol):
    """A credential as this rule sees it."""

    @property
    def target(self) -> str:
        """The URL that it is for."""

    @property
    def configured(self) -> bool:
        """Whether the configuration has it, rather than a workspace."""


C = TypeVar("C", bound=Candidate)


def place_of(url: str) -> Place | None:
    """Read where `url` points; `None` where that can be read in more than one way, or is not http(s)."""
    if _AMBIGUOUS.search(url) or url != url.strip():
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = _host(parts)
    if parts.scheme not in _DEFAULT_PORTS or host is None or port == 0:
        return None
    segments, has_dots = _segments(parts.path)
    organisation = host.removesuffix(AZURE_DEVOPS_OLD_SUFFIX)
    if organisation != host and "." not in organisation:
        host, segments = AZURE_DEVOPS_HOST, (organisation, *segments)
    if host == AZURE_DEVOPS_HOST:
        segments = tuple(segment.lower() for segment in segments)
    return Place(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], segments, has_dots)


def covers(target: str, url: str) -> int | None:
    """Give how many segments of the path of `url` are the `target`'s, or `None` where it does not cover it.

    A bare host covers everything on it, with 0; an organisation's own host counts as one segment.
    """
    here, there = place_of(target), place_of(url)
    if here is None or there is None or here.has_dots:
        return None
    if (here.scheme, here.host, here.port) != (there.scheme, there.host, there.port):
        return None
    prefix = here.segments
    while prefix and not prefix[-1]:
        prefix = prefix[:-1]
    if prefix and there.has_dots:
        return None
    return len(prefix) if there.segments[: len(prefix)] == prefix else None


def choose(url: str, candidates: Iterable[C]) -> C | None:
    """Give the candidate for `url`: the longest target, then the configuration's, then the first."""
    best: C | None = None
    best_rank: tuple[int, bool] | None = None
    for candidate in candidates:
        length = covers(candidate.target, url)
        if length is None:
            continue
        rank = (length, candidate.configured)
        if best_rank is None or rank > best_rank:
            best, best_rank = candidate, rank
    return best


def is_azure_devops(url: str) -> bool:
    """Whether `url` is on a feed host of Azure DevOps, in either spelling."""
    place = place_of(url)
    return place is not None and place.host == AZURE_DEVOPS_HOST


def _host(parts: SplitResult) -> str | None:
    """Give the host as it is looked up, or `None` where it is not plainly a name or an address."""
    if "@" in parts.netloc or parts.hostname is None:
        return None
    host = parts.hostname
    if not host.isascii():
        if _DEVIATIONS & set(host):
            return None
        try:
            host = host.encode("idna").decode("ascii").lower()
        except UnicodeError:
            return None
    return host if (_HOST_NAME.fullmatch(host) or _IPV6.fullmatch(host)) else None


def _segments(path: str) -> tuple[tuple[str, ...], bool]:
    """Split a path, and tell whether it has dot segments under any of the ways servers decode."""
    raw = path.removeprefix("/").split("/") if path.strip("/") or len(path) > 1 else []
    # Bytes that are no UTF-8 stay what they are: two different ones must not become the same.
    segments = tuple(unquote(segment, errors="surrogateescape") for segment in raw)
    return segments, any(_is_dotted(segment) for segment in raw)


def _is_dotted(segment: str) -> bool:
    for _ in range(_MOST_DECODINGS):
        # Servers differ in whether `%2f`, a backslash and `;` end a segment.
        if any(part.split(";")[0] in {".", ".."} for part in re.split(r"[/\\]", segment)):
            return True
        decoded = unquote(segment)
        if decoded == segment:
            return False
        segment = decoded
    return True
