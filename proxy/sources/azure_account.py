"""One container of a storage account, spoken to in the service's own protocol over the one session."""

from __future__ import annotations

import urllib.parse
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager

import aiohttp

from proxy.errors import FileGone, SourceError, SourceNonsense, SourceRefused
from proxy.sources.azure_access import Access, Request, account_of
from proxy.sources.azure_errors import Asked, Refusal, explain, read_code
from proxy.sources.azure_listing import Blob, ListedBlobs, ListingUnreadable, iter_listing
from proxy.sources.base import Chunk
from proxy.sources.session import Session, Upstream

_LARGEST_LISTING = 64 << 20
"""Bytes of one answer with 5000 blobs; names and metadata are at most 10 KB each, and 0.8 in practice."""
_CHECK_URL = "check `account_url`: it is the account's blob endpoint, and no proxy on the way answers for it"
_LONGEST_ERROR = 1 << 14
_OK, _UNAUTHORISED, _FORBIDDEN = 200, 401, 403
# Answers that the session deals with: it waits, asks again, and leaves a throttling account alone.
_SAID_BY_US = frozenset(range(200, 500)) - {407, 429}


class Account:
    """Sends requests to one container and nowhere else, and gives answers or errors that say what to do."""

    def __init__(
        self,
        upstream: Upstream,
        session: Session,
        *,
        access: Access,
        account_url: str | None,
        container: str,
        api_version: str,
    ) -> None:
        """Speak to `container` at `account_url`, unless the credential names an endpoint of its own.

        `upstream` has no credentials: they are added here, because a signature covers the whole request.
        """
        self.name = upstream.name
        self.container = container
        self.access = access
        self._upstream = upstream
        self._session = session
        self._account_url = account_url
        self._api_version = api_version

    async def list_blobs(
        self, *, prefix: str, delimiter: str = "", marker: str = "", most: int | None = None
    ) -> ListedBlobs:
        """Give one answer of the blobs whose names begin with `prefix`, in the order of their names.

        Raises: SourceError.
        """
        body = await self.list_raw(prefix=prefix, delimiter=delimiter, marker=marker, most=most)
        return await self.read_list(body)

    async def list_raw(
        self, *, prefix: str, delimiter: str = "", marker: str = "", most: int | None = None
    ) -> list[bytes]:
        """Give such an answer as it came, in the parts it came in."""
        query = {"restype": "container", "comp": "list", "include": "metadata", "prefix": prefix}
        query |= {"delimiter": delimiter, "marker": marker, "maxresults": str(most) if most else ""}
        query = {key: value for key, value in query.items() if value}
        parts: list[bytes] = []
        size = 0
        async with self.request("GET", None, query=query) as response:
            async for part in self._upstream.stream(response):
                parts.append(bytes(part))
                size += len(part)
                if size > _LARGEST_LISTING:
                    raise SourceNonsense(self.name, "its list of blobs has no end", remedy=_CHECK_URL)
        return parts

    async def read_list(self, body: Iterable[bytes]) -> ListedBlobs:
        """Read an answer of `list_raw` as a whole. Raises: SourceNonsense."""
        blobs: list[Blob] = []
        folders: list[str] = []
        marker = ""
        async for some in self.iter_list(body):
            blobs += some.blobs
            folders += some.folders
            marker = some.marker
        return ListedBlobs(blobs, folders, marker)

    async def iter_list(self, body: Iterable[bytes]) -> AsyncIterator[ListedBlobs]:
        """Read an answer of `list_raw` slice by slice. Raises: SourceNonsense."""
        try:
            async for some in iter_listing(body):
                yield some
        except ListingUnreadable as error:
            raise SourceNonsense(
                self.name, f"the list of the container {self.container} cannot be read: {error}", remedy=_CHECK_URL
            ) from error

    async def read_blob(self, blob: str, *, limit: int) -> bytes:
        """Give a whole small blob. Raises: FileGone, SourceError."""
        async with self.request("GET", blob) as response:
            return await self._upstream.read(response, limit=limit)

    def stream(self, response: aiohttp.ClientResponse) -> AsyncIterator[Chunk]:
        """Give the body of an answer as it arrives."""
        return self._upstream.stream(response)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        blob: str | None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Collection[int] = (_OK,),
        bulk: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request; entering waits for the headers of an answer with a status in `expect`.

        Raises: FileGone where it is a blob that is not there or not the same any more; SourceError.
        """
        admitted = await self._admit(method, blob, query or {}, headers or {})
        for may_retry in (True, False):
            async with self._upstream.request(
                method, admitted.url, headers=admitted.headers, expect=_SAID_BY_US, bulk=bulk
            ) as response:
                if response.status in expect:
                    yield response
                    return
                error = await self._explain(response, method, blob)
            if not (may_retry and isinstance(error, SourceRefused) and await self._is_renewed(response.status)):
                raise error
            admitted = await self._admit(method, blob, query or {}, headers or {})

    async def _is_renewed(self, status: int) -> bool:
        return status in {_UNAUTHORISED, _FORBIDDEN} and await self.access.refused(status)

    async def _admit(
        self, method: str, blob: str | None, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> Request:
        endpoint = (await self.access.endpoint() or self._account_url or "").rstrip("/")
        url = f"{endpoint}/{urllib.parse.quote(self.container, safe='$')}"
        if blob is not None:
            url = f"{url}/{urllib.parse.quote(blob, safe='/~')}"
        if query:
            url = f"{url}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}"
        request = Request(method, url, {"x-ms-version": self._api_version, **headers}, account_of(endpoint))
        return await self.access.admit(request)

    async def _explain(self, response: aiohttp.ClientResponse, method: str, blob: str | None) -> SourceError | FileGone:
        connection = response.connection
        transport = connection.transport if connection is not None else None
        peer = transport.get_extra_info("peername") if transport is not None else None
        try:
            body = await response.content.read(_LONGEST_ERROR)
        except (aiohttp.ClientError, TimeoutError):
            body = b""
        asked = Asked(
            source=self.name,
            host=response.url.host or "",
            container=self.container,
            filename=blob.rpartition("/")[2] if blob is not None else None,
            credential=self.access.label,
            writes=method == "PUT",
        )
        return explain(
            asked,
            Refusal(
                status=response.status,
                code=read_code(response.headers, body),
                body=body,
                headers=response.headers,
                address=str(peer[0]) if peer else "",
                now=self._session.clock(),
            ),
        )
