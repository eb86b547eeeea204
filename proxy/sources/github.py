"""Wheels and sdists attached to the releases of repositories on GitHub.

The releases are read page by page. Every page is asked for conditionally, because an answer "not modified"
costs nothing of the token's quota; pages are therefore kept with their entity tags, in memory and in the
listing's token. A release that is published meanwhile shifts what is on which page, so where there are several,
the first is asked for once more at the end, and all are read again if it has changed: a project must not be
missed for a moment in which another source could answer for it.

Of files with the same name the earlier repository's wins, and within a repository the one that was
uploaded last. Drafts, and uploads that did not finish, are no files.

Source: GitHub REST API, "Releases", "Release assets", "Rate limits for the REST API", "Using pagination".
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import msgspec
import structlog

from proxy.config.models import GithubSource
from proxy.errors import SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from proxy.rules.credentials import covers
from proxy.simple.filename import parse
from proxy.simple.model import File, NormalizedName
from proxy.sources.base import Body, Listing
from proxy.sources.credentials import Keyring
from proxy.sources.file_body import open_file
from proxy.sources.session import Session, Upstream
from proxy.sources.throttle import Throttle, parse_wait

log = structlog.get_logger(__name__)

API_VERSION = "2022-11-28"
SECONDARY_LIMIT = 60.0
"""Seconds of peace after a secondary rate limit that names no time. Source: "Best practices", "at least one minute"."""

_MOST_PAGES = 100
"""GitHub lists at most ten thousand releases."""
_MOST_READINGS = 3
_LARGEST = 64 << 20
_TOLD = (200, 304, 401, 403, 404, 429, 451)
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})")


class _Asset(msgspec.Struct):
    id: int
    name: str
    state: str = ""
    size: int | None = None
    digest: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


class _Release(msgspec.Struct):
    draft: bool = False
    assets: list[_Asset] = []


_Releases = list[_Release]


class _Message(msgspec.Struct):
    message: str = ""


class _Page(msgspec.Struct, frozen=True, array_like=True):
    """One page of a repository's releases, and what lets it be asked for again at no cost."""

    url: str
    etag: str
    next_url: str | None
    files: tuple[File, ...]


_Pages = dict[str, tuple[_Page, ...]]
_token_decoder = msgspec.msgpack.Decoder(_Pages)


class GitHubReleases:
    """The releases of one or several repositories, as one listed source."""

    def __init__(self, upstream: Upstream, repositories: Sequence[str], *, api_url: str) -> None:
        """Ask over `upstream`; `repositories` are `owner/name`, the first one wins."""
        self.name = upstream.name
        self._upstream = upstream
        self._repositories = tuple(repositories)
        self._api = api_url.rstrip("/")
        self._pages: _Pages = {}
        self._quiet = Throttle(upstream.name)

    async def list(self, known: Listing | None) -> Listing:
        """Give all files now; `known` itself where nothing changed."""
        if not self._pages and known is not None:
            self._pages = _decode_token(known.token)
        pages: _Pages = {}
        for repository in self._repositories:
            pages[repository] = await self._read(repository, self._pages.get(repository, ()))
        self._pages = pages
        projects = _projects(pages.values())
        # Counters of downloads change a page's entity tag and nothing that is listed.
        if known is not None and dict(known.projects) == projects:
            return known
        return Listing(projects, msgspec.msgpack.encode(pages))

    async def look(self, project: NormalizedName, known: Listing | None) -> tuple[File, ...] | None:  # noqa: ARG002
        """Not be able to tell: releases can only be read as a whole."""
        return None

    @asynccontextmanager
    async def open(self, file: File, *, start: int = 0, end: int | None = None) -> AsyncIterator[Body]:
        """Open the bytes of an asset: the API redirects to a signed URL, which is told no credential."""
        accept = "application/octet-stream"
        async with open_file(self._upstream, file, start=start, end=end, accept=accept) as body:
            # An asset's bytes never change: another upload is another asset.
            body.etag = file.etag
            yield body

    async def read_metadata(self, file: File) -> bytes | None:  # noqa: ARG002 - the protocol's
        """Have none published."""
        return None

    async def read_provenance(self, file: File) -> bytes | None:  # noqa: ARG002 - the protocol's
        """Have none published."""
        return None

    async def _read(self, repository: str, known: tuple[_Page, ...]) -> tuple[_Page, ...]:
        """Read all pages of a repository, as they were at one moment."""
        pages = await self._read_pages(repository, known)
        for _ in range(_MOST_READINGS - 1):
            if len(pages) == 1 or await self._read_page(repository, pages[0].url, pages[0]) == pages[0]:
                return pages
            pages = await self._read_pages(repository, pages)
        return pages

    async def _read_pages(self, repository: str, known: tuple[_Page, ...]) -> tuple[_Page, ...]:
        by_url = {page.url: page for page in known}
        pages: list[_Page] = []
        url: str | None = f"{self._api}/repos/{repository}/releases?per_page=100"
        while url is not None:
            if len(pages) == _MOST_PAGES:
                raise SourceNonsense(self.name, f"the list of releases of {repository} does not end")
            if covers(self._api, url) is None:
                reason = f"the list of releases of {repository} goes on at another host, which is not asked"
                raise SourceNonsense(self.name, reason, remedy="check `api_url`, and proxies on the way to it")
            page = await self._read_page(repository, url, by_url.get(url))
            pages.append(page)
            url = page.next_url
        return tuple(pages)

    async def _read_page(self, repository: str, url: str, known: _Page | None) -> _Page:
        """Read one page; `known` itself where it has not changed."""
        self._quiet.check()
        headers = {"Accept": "application/vnd.github+json"}
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        async with self._upstream.get(url, headers=headers, expect=_TOLD) as response:
            following = response.links.get("next")
            next_url = None if following is None else str(following["url"])
            if response.status == 304 and known is not None:  # noqa: PLR2004 - not modified
                # The same page may have got a successor.
                return msgspec.structs.replace(known, next_url=next_url) if next_url else known
            body = await self._upstream.read(response, limit=_LARGEST)
            if response.status != 200:  # noqa: PLR2004 - OK
                raise self._refusal(repository, response, _message_of(body))
            return _Page(
                url=url,
                etag=response.headers.get("ETag", ""),
                next_url=next_url,
                files=tuple(self._files(repository, self._decode(repository, body))),
            )

    def _decode(self, repository: str, body: bytes) -> _Releases:
        try:
            return msgspec.json.decode(body, type=_Releases)
        except msgspec.DecodeError as error:
            raise SourceNonsense(
                self.name,
                f"what it answered for the releases of {repository} is not GitHub's",
                remedy="check `api_url` (a GitHub Enterprise server's ends with /api/v3), and proxies on the way",
            ) from error

    def _files(self, repository: str, releases: Iterable[_Release]) -> Iterable[File]:
        for release in releases:
            for asset in release.assets:
                told = parse(asset.name)
                if release.draft or asset.state != "uploaded" or told is None:
                    continue
                digest = _SHA256.fullmatch(asset.digest or "")
                yield File(
                    filename=asset.name,
                    url=f"{self._api}/repos/{repository}/releases/assets/{asset.id}",
                    version=told.version,
                    hashes={"sha256": digest[1]} if digest else {},
                    size=asset.size,
                    upload_time=_time(asset.updated_at) or _time(asset.created_at),
                    etag=f"{asset.id}-{asset.updated_at or ''}",
                )

    def _refusal(self, repository: str, response: aiohttp.ClientResponse, message: str) -> SourceError:
        """Give the error for an answer that is not a list. Quotas come as 403, too, and may name no time."""
        wait = parse_wait(response.status, response.headers, now=datetime.now(UTC).timestamp())
        if wait is None and response.status == 403 and "rate limit" in message.lower():  # noqa: PLR2004 - forbidden
            wait = SECONDARY_LIMIT
        if wait is not None:
            self._quiet.pause(wait)
            reason = f"the quota of requests to GitHub is used up; it can be asked again in {wait:.0f} s"
            remedy = "wait, raise `refresh`, or give the source a token of its own (a token has 5000 requests an hour)"
            return SourceUnavailable(self.name, reason, remedy=remedy, retry_after=wait)
        match response.status:
            case 401:
                reason = "GitHub does not accept the token of the connection for it: it is wrong, expired or revoked"
                remedy = (
                    f"make a new token with Contents: read on {repository}, and store it where the connection reads it"
                )
            case 403 if "X-GitHub-SSO" in response.headers:
                reason = f"the organisation of {repository} wants the token to be authorised for single sign-on (SAML)"
                remedy = "authorise it under Settings, Developer settings, Personal access tokens, Configure SSO"
            case 403:
                reason = f"the token may not read the releases of {repository}"
                remedy = f"give it Contents: read on {repository} (a classic token: the scope repo)"
            case 404:
                reason = f"GitHub has no repository {repository}, or hides it from this token"
                remedy = (
                    f"check the name {repository}, that a connection's `target` covers {self._api}, "
                    f"and that its token has Contents: read on it"
                )
            case status:
                reason = f"GitHub answered {status} for the releases of {repository}"
                remedy = f"open the repository {repository} in a browser: it may be blocked"
        return SourceRefused(self.name, reason, remedy=remedy)


def github_source(name: str, source: GithubSource, *, session: Session, keyring: Keyring) -> GitHubReleases:
    """Build the source of a configuration."""
    upstream = Upstream(
        session,
        name=name,
        # GitHub takes a token either way, and documents Bearer.
        credentials=keyring.for_source(name, prefer_bearer=True),
        timeout=source.timeout,
        ca_file=source.ca_file,
        allow_http=source.allow_http,
        max_connections=source.max_connections,
        extra_headers={"X-GitHub-Api-Version": API_VERSION},
    )
    return GitHubReleases(upstream, source.every_repository, api_url=source.api_url)


def _projects(repositories: Iterable[tuple[_Page, ...]]) -> Mapping[NormalizedName, tuple[File, ...]]:
    chosen: dict[str, File] = {}
    for pages in repositories:
        newest: dict[str, File] = {}
        for file in (file for page in pages for file in page.files):
            other = newest.get(file.filename)
            if other is None or _rank(file) > _rank(other):
                newest[file.filename] = file
        chosen = newest | chosen
    projects: dict[NormalizedName, list[File]] = {}
    for filename in sorted(chosen):
        told = parse(filename)
        if told is not None:
            projects.setdefault(told.project, []).append(chosen[filename])
    return {project: tuple(files) for project, files in projects.items()}


def _rank(file: File) -> tuple[str, int]:
    """Order uploads by their time, and where it is the same by their number."""
    return file.upload_time or "", int((file.etag or "0").partition("-")[0])


def _decode_token(token: bytes) -> _Pages:
    try:
        return _token_decoder.decode(token)
    except msgspec.DecodeError:
        return {}


def _message_of(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Message).message
    except msgspec.DecodeError:
        return ""


def _time(text: str | None) -> str | None:
    """Give a time as pages have it; `None` where it is none."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
