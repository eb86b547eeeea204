"""The one way out: every request that a source sends, and what may happen to it.

A request goes through these steps, and an error leaves them only as a `SourceError`:

1. the source is not asked at all while it wants to be left alone (`throttle.py`);
2. the number of its connections is capped, and downloads never keep pages waiting;
3. redirects are followed by hand (`redirects.py`), and the credential is decided anew for each hop,
   so a header never leaves the place it is meant for;
4. a refusal re-reads the credential and asks once more;
5. a failure that may be over in a moment is asked again, within a client's patience.

No cookie is kept, no `.netrc` is read, and nothing that a client sent is here to be forwarded.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import aiohttp
from isal import isal_zlib
from yarl import URL

from proxy.errors import SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from proxy.sources.authorisation import Authorisation, Credentials, NoCredentials
from proxy.sources.base import CHUNK, Chunk
from proxy.sources.failures import Passing, again, proxy_wants_a_password, refusal, translate
from proxy.sources.heavy import Scales, begin
from proxy.sources.intake import receive
from proxy.sources.outside import find_proxy, make_ssl_context
from proxy.sources.redirects import (
    MAX_HOPS,
    REDIRECTS,
    as_target,
    is_sign_in,
    next_hop,
    redacted,
    why_refused,
    with_query,
)
from proxy.sources.throttle import UNSAID, Throttle, speaks_of_quota, throttled

__all__ = ["Authorisation", "Credentials", "NoCredentials", "Observer", "Session", "Upstream"]

PATIENCE = 18.0
"""Seconds for all tries of one request, up to the headers of its answer: a client waits at most 20 for an error."""

# What may follow a redirect to another origin; all else was meant for the first one.
_TRAVELLING = frozenset({"accept", "accept-encoding", "range", "if-range", "if-match", "if-none-match", "user-agent"})
_OK, _NON_AUTHORITATIVE, _PROXY_AUTH = 200, 203, 407
_REFUSALS = frozenset({401, 403, _PROXY_AUTH})


class Observer(Protocol):
    """Counts what is asked of sources."""

    def __call__(self, source: str, outcome: int | str, seconds: float) -> None:
        """Take note of one request: its status, or the name of the error, and how long its headers took."""


def _unobserved(source: str, outcome: int | str, seconds: float) -> None:
    """Count nothing."""


class Session:
    """Owns the connections of the process; enter it before the first request."""

    def __init__(
        self,
        *,
        user_agent: str = "wheelgate",
        observe: Observer = _unobserved,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Store how to introduce ourselves, who counts, and what time it is."""
        self.user_agent = user_agent
        self.observe = observe
        self.clock = clock
        self.scales = Scales()
        self._client: aiohttp.ClientSession | None = None
        self._contexts: dict[Path | None, ssl.SSLContext] = {}

    async def __aenter__(self) -> Self:
        """Open the pool of connections."""
        # Pages come with gzip: ISA-L reads them in half the time that zlib takes.
        aiohttp.set_zlib_backend(isal_zlib)
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            requote_redirect_url=False,
            # Not `trust_env`: it reads .netrc as well, whose passwords would follow redirects.
            trust_env=False,
            read_bufsize=CHUNK,
            max_line_size=1 << 16,
            max_field_size=1 << 16,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    @property
    def client(self) -> aiohttp.ClientSession:
        """The pool, for `Upstream` alone."""
        if self._client is None:
            raise RuntimeError("the session is not entered, or closed")
        return self._client

    async def trust(self, ca_file: Path | None) -> ssl.SSLContext:
        """Give what to trust: the system's authorities, those of the environment, and `ca_file`.

        One for each file, so that connections are shared; made in a thread, because reading takes time.

        Raises: OSError where a file cannot be read or holds no certificate.
        """
        context = self._contexts.get(ca_file)
        if context is None:
            made = await asyncio.to_thread(make_ssl_context, ca_file)
            context = self._contexts.setdefault(ca_file, made)
        return context


@dataclass(frozen=True, slots=True)
class _Ask:
    """One request as its source means it."""

    method: str
    url: str
    headers: Mapping[str, str]
    expect: Collection[int]
    body: bytes | None
    bulk: bool
    anonymous: bool


class Upstream:
    """How one source is spoken to."""

    def __init__(  # noqa: PLR0913 - each is a setting of a source
        self,
        session: Session,
        *,
        name: str,
        credentials: Credentials | None = None,
        timeout: float = 20.0,
        ca_file: Path | None = None,
        allow_http: bool = False,
        max_connections: int = 16,
        extra_headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """Store the settings of source `name`; `timeout` is seconds of silence, never of a whole download.

        At most `max_connections` questions are on their way at once; four times as many downloads may run.
        """
        self.name = name
        self.allow_http = allow_http
        self.timeout = timeout
        self.ca_file = ca_file
        self.proxy = proxy
        self._session = session
        self._credentials = credentials or NoCredentials()
        self._patience = patience
        self._headers = {
            "User-Agent": session.user_agent,
            # Azure DevOps answers with a sign-in page for people otherwise.
            "X-TFS-FedAuthRedirect": "Suppress",
            **(extra_headers or {}),
        }
        self._throttle = Throttle(name, clock=session.clock)
        self._slots = asyncio.Semaphore(max_connections)
        # A download is no question any more once it runs: long ones must not keep pages, or small files, waiting.
        self._downloads = asyncio.Semaphore(4 * max_connections)

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (_OK,),
        bulk: bool = False,
        anonymous: bool = False,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Ask for `url`; entering waits for the answer's headers.

        A status in `expect` is given back, every other one is an error. `bulk` is for the bytes of files:
        as they are, without a content coding, and not counted as a question once they come. `anonymous` asks as a
        stranger would. Errors while the answer is read inside the block are translated too.

        Raises: SourceError.
        """
        return self.request("GET", url, headers=headers, expect=expect, bulk=bulk, anonymous=anonymous)

    @asynccontextmanager
    async def request(  # noqa: PLR0913 - each is a part of one request
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (_OK,),
        body: bytes | None = None,
        bulk: bool = False,
        anonymous: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Like `get`, for requests that may be repeated although they are no GET (`listsecrets`)."""
        ask = _Ask(method, url, headers or {}, expect, body, bulk, anonymous)
        async with AsyncExitStack() as slots:
            response = await self._open(ask, slots)
            async with response:
                try:
                    yield response
                except aiohttp.ClientError as error:
                    raise self.translate(error, url) from error

    def follow(self, *, ca_file: Path | None, proxy: str | None, allow_http: bool) -> None:
        """Take over what only became known later (pip's settings), unless the source has a setting of its own."""
        self.ca_file = self.ca_file or ca_file
        self.proxy = self.proxy or proxy
        self.allow_http = self.allow_http or allow_http

    async def read(self, response: aiohttp.ClientResponse, *, limit: int) -> bytes:
        """Give the whole body of an answer, decoded.

        Raises: SourceNonsense beyond `limit` bytes; SourceUnavailable where it breaks off.
        """
        try:
            begun, is_whole = await begin(response, limit=limit)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self.translate(error, response.url) from error
        if is_whole:
            return b"".join(begun)
        rest, place = self.stream(response), redacted(response.url)
        return await self._session.scales.read(
            rest, begun=begun, limit=limit, patience=self._patience, source=self.name, place=place
        )

    async def stream(self, response: aiohttp.ClientResponse) -> AsyncIterator[Chunk]:
        """Give the body of an answer as it arrives, in parts of at most about 1 MiB.

        Raises: SourceUnavailable where it breaks off, or stays silent for too long.
        """
        try:
            async for part in receive(response):
                yield part
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self.translate(error, response.url) from error

    def translate(self, error: Exception, url: str | URL) -> SourceError:
        """Give our error for one of the HTTP client's."""
        return translate(error, source=self.name, url=url, timeout=self.timeout, ca_file=self.ca_file)

    async def refusal(self, url: str, what: str) -> SourceRefused:
        """Give the error for a refusal at `url`, which names the credential that was used there."""
        return refusal(self.name, url, what, await self._credentials.authorise(url))

    async def _open(self, ask: _Ask, slots: AsyncExitStack) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout(self._patience), AsyncExitStack() as opening:
                self._throttle.check()
                if ask.bulk:
                    await slots.enter_async_context(self._downloads)
                await (opening if ask.bulk else slots).enter_async_context(self._slots)
                try:
                    return await self._follow(ask)
                except Passing:
                    return await again(self._follow, ask)
        except TimeoutError as error:
            raise SourceUnavailable(
                self.name,
                f"no answer within {self._patience:g} s from {redacted(ask.url)}",
                remedy="check that the source is up, and how busy it and the way to it are",
            ) from error

    async def _follow(self, ask: _Ask) -> aiohttp.ClientResponse:
        """Ask along the redirects, once more from the start where a refusal led to a new credential."""
        self._throttle.check()
        url = first = self._allowed(lambda: as_target(ask.url), None)
        hops, retried = 0, False
        while True:
            response, authorisation = await self._send(ask, url, abroad=url.origin() != first.origin())
            status = response.status
            location = response.headers.get("Location")
            try:
                if status in REDIRECTS and location and status not in ask.expect:
                    hops += 1
                    url = self._allowed(lambda: next_hop(url, location), url, hops)  # noqa: B023 - called at once
                elif status in _REFUSALS and not (retried or ask.anonymous) and await self._may_retry(response, url):
                    url, hops, retried = first, 0, True
                else:
                    await self._judge(response, ask, url, authorisation)
                    return response
            except BaseException:
                response.close()
                raise
            response.release()

    async def _may_retry(self, response: aiohttp.ClientResponse, url: URL) -> bool:
        if response.status == _PROXY_AUTH or self._throttle.notice(response.status, response.headers) is not None:
            return False
        return await self._credentials.refused(str(url))

    def _allowed(self, make: Callable[[], URL], coming_from: URL | None, hops: int = 0) -> URL:
        """Give the URL to ask next.

        Raises: SourceNonsense where it is refused; SourceRefused where it leads to a sign-in page.
        """
        try:
            url = make()
            why = why_refused(url, allow_http=self.allow_http, coming_from=coming_from)
        except ValueError as error:
            url, why = None, str(error)
        if hops > MAX_HOPS:
            why = f"it is redirected more than {MAX_HOPS} times"
        if url is None or why is not None:
            where = redacted(coming_from or url or "")
            what = f"the redirect of {where}" if coming_from else f"the URL {where}"
            raise SourceNonsense(self.name, f"{what} is not followed: {why}", remedy="check the source's `url`")
        if coming_from is not None and is_sign_in(url, coming_from=coming_from):
            raise refusal(self.name, coming_from, "it answered with a sign-in page", None)
        return url

    async def _send(self, ask: _Ask, url: URL, *, abroad: bool) -> tuple[aiohttp.ClientResponse, Authorisation | None]:
        """Send one hop; give its answer, with the body unread."""
        authorisation = None if ask.anonymous else await self._credentials.authorise(str(url))
        headers = {"Accept-Encoding": "identity" if ask.bulk else "gzip, deflate", **self._headers, **ask.headers}
        if abroad:
            headers = {name: value for name, value in headers.items() if name.lower() in _TRAVELLING}
        if authorisation is not None:
            headers |= authorisation.headers
        # A page that stops in the middle must become an error within a client's patience too.
        silence = self.timeout if ask.bulk else min(self.timeout, self._patience)
        start = time.monotonic()
        outcome: int | str = "error"
        try:
            response = await self._session.client.request(
                ask.method,
                with_query(url, authorisation.query if authorisation else ""),
                headers=headers,
                data=ask.body,
                allow_redirects=False,
                auto_decompress=not ask.bulk,
                proxy=find_proxy(url, self.proxy),
                ssl=await self._session.trust(self.ca_file) if url.scheme == "https" else True,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.timeout, sock_read=silence),
            )
            outcome = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            outcome = type(error).__name__
            raise self.translate(error, url) from error
        finally:
            self._session.observe(self.name, outcome, time.monotonic() - start)
        return response, authorisation

    async def _judge(
        self, response: aiohttp.ClientResponse, ask: _Ask, url: URL, authorisation: Authorisation | None
    ) -> None:
        """Do nothing where the answer is one that the source can use.

        Raises: SourceError.
        """
        status = response.status
        wait = self._throttle.notice(status, response.headers)
        if authorisation is not None and authorisation.doubt is not None and 400 <= status < 500:  # noqa: PLR2004
            raise authorisation.doubt
        if status in ask.expect:
            return
        where = redacted(url)
        if wait and status >= 400:  # noqa: PLR2004 - client and server errors
            raise throttled(self.name, status, where, wait)
        if status == _PROXY_AUTH:
            raise proxy_wants_a_password(self.name)
        if status in _REFUSALS:
            raise refusal(self.name, url, f"it answered {status}", authorisation)
        if status == _NON_AUTHORITATIVE:
            raise refusal(self.name, url, "it answered with a sign-in page", authorisation)
        if status >= 500 or wait is not None:  # noqa: PLR2004 - server errors, and "again at once"
            if speaks_of_quota(await self._glance(response)):
                self._throttle.pause(UNSAID)
                raise throttled(self.name, status, where, UNSAID)
            raise Passing(self.name, f"it answered {status} at {where}", remedy="look at the source's own health")
        raise SourceNonsense(self.name, f"it answered {status} at {where}", remedy="check the source's `url`")

    async def _glance(self, response: aiohttp.ClientResponse) -> bytes:
        with suppress(aiohttp.ClientError, TimeoutError):
            return await response.content.read(1 << 14)
        return b""
