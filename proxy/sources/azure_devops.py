"""What Azure DevOps tells of a feed beside its pages: when each version was published.

Its pages have no upload times, without which no rule can tell a file's age. The REST API has them, at another host
than the feed: they are asked for where a connection covers that host as well (`https://feeds.dev.azure.com/ORG`), and
done without everywhere else.

Source: Azure DevOps REST API 7.1, "Artifact Details - Get Packages".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import msgspec
import structlog

from proxy.errors import SourceError, SourceUnavailable
from proxy.rules.credentials import AZURE_DEVOPS_HOST, place_of
from proxy.simple.filename import normalize, normalize_version
from proxy.simple.model import NormalizedName, Page
from proxy.sources.session import Upstream

log = structlog.get_logger(__name__)

FEEDS_URL = "https://feeds.dev.azure.com"
PATIENCE = 3.0
"""Seconds that a page waits for upload times at most."""
LEAVE_ALONE = 600.0
"""Seconds after a failure for which nothing is asked again."""

_AT_ONCE = 1000
_MOST_PAGES = 20
_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class FeedPlace:
    """A feed, whichever way its URL is spelt; all in lower case."""

    organisation: str
    project: str | None
    """`None` for a feed of the whole organisation."""
    feed: str
    view: str | None = None


def parse_feed_url(url: str) -> FeedPlace | None:
    """Read the URL of a feed's index; `None` where it is none of Azure DevOps."""
    place = place_of(url)
    if place is None or place.host != AZURE_DEVOPS_HOST or place.has_dots:
        return None
    match place.segments:
        case (organisation, "_packaging", feed, "pypi", "simple", *_):
            project = None
        case (organisation, project, "_packaging", feed, "pypi", "simple", *_):
            pass
        case _:
            return None
    name, _, view = feed.partition("@")
    if not organisation or not name or project == "":
        return None
    return FeedPlace(organisation, project, name, view or None)


def times_of(upstream: Upstream, url: str, *, is_covered: Callable[[str], bool]) -> FeedTimes | None:
    """Give what dates the pages of the index at `url`; `None` where it is no feed of Azure DevOps.

    `is_covered` says whether there is a credential for a URL.
    """
    place = parse_feed_url(url)
    return None if place is None else FeedTimes(upstream, place, is_covered=is_covered)


class _Version(msgspec.Struct, rename="camel"):
    version: str = ""
    publish_date: str | None = None
    is_deleted: bool | None = None


class _Listed(msgspec.Struct, rename="camel"):
    name: str = ""
    versions: list[_Version] = []


class _Answer(msgspec.Struct):
    value: list[_Listed] = []


class FeedTimes:
    """Asks one feed for upload times; where it does not tell, it is left alone for ten minutes."""

    def __init__(
        self,
        upstream: Upstream,
        place: FeedPlace,
        *,
        feeds_url: str = FEEDS_URL,
        is_covered: Callable[[str], bool] = lambda _: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask over `upstream` about the feed at `place`, where the REST API's URL `is_covered` by a credential."""
        self._upstream = upstream
        self._is_covered = is_covered
        self._clock = clock
        owner = "/".join(quote(part, safe="") for part in (place.organisation, place.project) if part)
        feed = quote(place.feed + (f"@{place.view}" if place.view else ""), safe="@")
        self._url = f"{feeds_url.rstrip('/')}/{owner}/_apis/packaging/Feeds/{feed}/packages"
        self._quiet_until = float("-inf")
        self._is_refused = False

    async def date(self, page: Page) -> tuple[Page, bool]:
        """Give the page with upload times where it has none, and whether asking again soon would give no more."""
        # A stranger would be refused there, and the refusal have every credential read anew.
        if all(file.upload_time for file in page.files) or not self._is_covered(self._url):
            return page, True
        times = await self.upload_times(page.name)
        files = (
            msgspec.structs.replace(file, upload_time=file.upload_time or times.get(file.version))
            for file in page.files
        )
        is_final = bool(times) or self._is_refused or self._clock() >= self._quiet_until
        return msgspec.structs.replace(page, files=tuple(files)), is_final

    async def upload_times(self, project: NormalizedName) -> Mapping[str, str]:
        """Give the time of publication by version, both normalised; `{}` where it cannot be had now."""
        if self._clock() < self._quiet_until:
            return {}
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._ask(project)
        except (SourceError, msgspec.DecodeError, TimeoutError) as error:
            self._quiet_until = self._clock() + LEAVE_ALONE
            self._is_refused = not isinstance(error, SourceUnavailable | TimeoutError)
            log.debug("no upload times", source=self._upstream.name, project=project, reason=str(error))
            return {}

    async def _ask(self, project: NormalizedName) -> Mapping[str, str]:
        # The feed may spell the name with other separators, and looks for it literally: ask for what all share.
        longest = max(project.split("-"), key=len)
        for page in range(_MOST_PAGES):
            query = {
                "protocolType": "PyPi",
                "packageNameQuery": longest,
                "includeAllVersions": "true",
                "$top": str(_AT_ONCE),
                "$skip": str(page * _AT_ONCE),
                "api-version": "7.1",
            }
            async with self._upstream.get(f"{self._url}?{urlencode(query)}") as response:
                body = await self._upstream.read(response, limit=_LARGEST)
            answer = await asyncio.to_thread(msgspec.json.decode, body, type=_Answer)
            for listed in answer.value:
                # The query is only contained in what is found.
                if normalize(listed.name) == project:
                    return dict(filter(None, map(_time_of, listed.versions)))
            if len(answer.value) < _AT_ONCE:
                break
        return {}


def _time_of(said: _Version) -> tuple[str, str] | None:
    """Give a version and its time, as pages have them."""
    version = normalize_version(said.version)
    if not version or said.is_deleted:
        return None
    try:
        time = datetime.fromisoformat(said.publish_date or "")
    except ValueError:
        return None
    time = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    return version, time.replace(tzinfo=None).isoformat() + "Z"
