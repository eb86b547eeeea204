"""An upstream index that speaks the Simple repository API: another company's feed, or the public index.

What it is asked for is a project's page, the bytes of a listed file, and what is published beside them. No `If-Range`
is sent with a range: the reader compares the identities (`Body.etag`) and the digest, so that one thing decides.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import msgspec

from proxy.errors import SourceNonsense
from proxy.simple import as_html, as_json
from proxy.simple.model import File, NormalizedName, Page
from proxy.simple.tolerance import PageUnreadable, sniff
from proxy.sources.azure_devops import FeedTimes
from proxy.sources.base import Answer, Body, Unchanged
from proxy.sources.feed_doubt import FeedDoubt, what_it_says
from proxy.sources.file_body import open_file
from proxy.sources.pip_settings import PipSettings
from proxy.sources.redirects import as_target, redacted, why_refused
from proxy.sources.session import Upstream

__all__ = ["SimpleIndex"]

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
ACCEPT_PROVENANCE = "application/vnd.pypi.integrity.v1+json, application/json;q=0.5"
PAGE_LIMIT = 256 << 20
SIDECAR_LIMIT = 16 << 20
"""In bytes, decoded: what is larger is no page, but an attempt on our memory."""

_IN_A_THREAD = 200_000
"""Bytes from which on parsing takes more than some milliseconds."""
_READER = 2
"""Counted up whenever a page is read differently: a body that is the same then still gives another page."""
_ABSENT = frozenset({404, 410})
_NOT_MODIFIED, _UNAUTHORIZED = 304, 401

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,10})")

T = TypeVar("T")


class _Validator(msgspec.Struct, frozen=True, array_like=True):
    """What tells whether a page is still the same: the source's own validators, and the body where it has none."""

    reader: int
    body: str
    etag: str | None
    modified: str | None


class SimpleIndex:
    """A paged source: one index below one URL."""

    def __init__(self, upstream: Upstream, *, url: str | PipSettings, times: FeedTimes | None = None) -> None:
        """Store the way there and the index's URL, or where pip's own settings say it is (asked when first needed).

        `times` dates pages that say no upload times themselves.
        """
        self.name = upstream.name
        self._times = times
        self.upstream = upstream
        self._place = url
        self._doubt = FeedDoubt(upstream)

    async def ask(self, project: NormalizedName, validator: str | None = None) -> Answer | Unchanged | None:
        """Ask for one project's page. `None`: the index answered that it does not have it.

        Raises: SourceError where it could not be asked, or what it gave is no page.
        """
        answer = await self._ask(project, validator)
        if self._times is None or not isinstance(answer, Answer):
            return answer
        page, is_final = await self._times.date(answer.page)
        # Without its validator the page is read anew next time, and dated then.
        return dataclasses.replace(answer, page=page, validator=answer.validator if is_final else None)

    async def _ask(self, project: NormalizedName, validator: str | None) -> Answer | Unchanged | None:
        index = await self.index_url()
        url = _below(index, f"{project}/")
        known = _unpack(validator)
        expect = {200, _UNAUTHORIZED, *_ABSENT} | ({_NOT_MODIFIED} if known is not None else set())
        async with self.upstream.get(url, headers=_conditions(known) | {"Accept": ACCEPT}, expect=expect) as response:
            if response.status in _ABSENT:
                return None
            if response.status == _NOT_MODIFIED:
                self._doubt.is_served(url)
                return Unchanged()
            if response.status != _UNAUTHORIZED:
                answer = await self._read_page(response, project, known)
                self._doubt.is_served(url)
                return answer
            said = what_it_says(await self.upstream.read(response, limit=1 << 16), project)
        await self._doubt.resolve(url, said, index=index)
        return None

    async def ask_names(self) -> AsyncIterator[str]:
        """Give the project list, name by name, as the index spells them.

        Raises: SourceError; SourceNonsense where it has no list.
        """
        url = await self.index_url()
        expect = {200, 405, 501, *_ABSENT}
        async with self.upstream.get(url, headers={"Accept": ACCEPT}, expect=expect) as response:
            if response.status != 200:  # noqa: PLR2004 - OK
                raise SourceNonsense(
                    self.name,
                    f"it has no project list (it answered {response.status})",
                    remedy="nothing to do: project pages do not need it",
                )
            body = await self.upstream.read(response, limit=PAGE_LIMIT)
            names = await self._parse(
                response,
                body,
                as_json=lambda: as_json.parse_names(body),
                as_html=lambda: as_html.parse_names(body, base_url=_base_url(response), encoding=response.charset),
            )
        for name in names:
            yield name

    def open(self, file: File, *, start: int = 0, end: int | None = None) -> AbstractAsyncContextManager[Body]:
        """Open the bytes of `file` from `start` to before `end`.

        Raises: FileGone where the index no longer has it; SourceError where it could not be asked.
        """
        return open_file(self.upstream, file, start=start, end=end)

    async def read_metadata(self, file: File) -> bytes | None:
        """Give the core metadata published beside `file`, or `None` where there is none.

        Source: PEP 658, "Specification" (the file's URL with `.metadata` appended).
        """
        scheme, netloc, path, query, _ = urlsplit(file.url)
        return await self._read_beside(urlunsplit((scheme, netloc, f"{path}.metadata", query, "")), accept="*/*")

    async def read_provenance(self, file: File) -> bytes | None:
        """Give the provenance object that the page names for `file`, or `None`. Source: PEP 740."""
        if file.provenance is None:
            return None
        return await self._read_beside(file.provenance, accept=ACCEPT_PROVENANCE)

    async def index_url(self) -> str:
        """Give the URL that project names are appended to.

        Raises: SourceRefused where pip's settings are to say it, and do not.
        """
        if isinstance(self._place, PipSettings):
            found = await self._place.read(self.name)
            self.upstream.follow(ca_file=found.ca_file, proxy=found.proxy, allow_http=found.allow_http)
            return found.url
        return self._place

    async def _read_beside(self, url: str, *, accept: str) -> bytes | None:
        async with self.upstream.get(url, headers={"Accept": accept}, expect={200, *_ABSENT}) as response:
            if response.status in _ABSENT:
                return None
            return await self.upstream.read(response, limit=SIDECAR_LIMIT)

    async def _read_page(
        self, response: aiohttp.ClientResponse, project: NormalizedName, known: _Validator | None
    ) -> Answer | Unchanged:
        body = await self.upstream.read(response, limit=PAGE_LIMIT)
        base_url = _base_url(response)
        etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")

        def read(*, is_json: bool) -> tuple[_Validator, Page | None]:
            now = _Validator(_READER, _digest(body, base_url), etag, modified)
            if known is not None and known.reader == now.reader and known.body == now.body:
                return now, None
            if is_json:
                page = as_json.parse_page(body, base_url=base_url, project=project)
            else:
                page = as_html.parse_page(body, base_url=base_url, project=project, encoding=response.charset)
            return now, self._admit(page, base_url)

        now, page = await self._parse(
            response, body, as_json=lambda: read(is_json=True), as_html=lambda: read(is_json=False)
        )
        if page is None:
            return Unchanged()
        return Answer(page, msgspec.json.encode(now).decode(), _max_age(response))

    async def _parse(
        self, response: aiohttp.ClientResponse, body: bytes, *, as_json: Callable[[], T], as_html: Callable[[], T]
    ) -> T:
        """Read a page or a list for what it is, in a thread where it is large.

        Raises: SourceNonsense
        """
        try:
            is_json = _is_json(body, response.headers.get("Content-Type"))
            read = as_json if is_json else as_html
            return await asyncio.to_thread(read) if len(body) > _IN_A_THREAD else read()
        except PageUnreadable as error:
            raise SourceNonsense(
                self.name,
                f"the page at {redacted(response.url)} is unreadable: {error.reason}",
                remedy="check that the source's `url` is that of an index (often it ends in /simple/), "
                "and that a connection with a valid credential covers it",
            ) from error

    def _admit(self, page: Page, base_url: str) -> Page:
        """Leave out what would not be asked for: plain http where the source does not allow it."""
        here, allow_http = base_url[: base_url.find("/", 8) + 1] or base_url, self.upstream.allow_http

        def may_ask(url: str) -> bool:
            return _may_follow(url[: url.find("/", 8) + 1] or url, here, allow_http=allow_http)

        # Nearly always all links of a page lead to one place: what the first and the last in alphabetical order
        # begin with, all between them do.
        links = [file.url for file in page.files]
        links += [file.provenance for file in page.files if file.provenance is not None]
        usual = links[0][: links[0].find("/", 8) + 1] if links else ""
        alike = min(links, default="").startswith(usual) and max(links, default="").startswith(usual)
        if all(map(may_ask, {usual} if usual and alike else links)):
            return page
        return msgspec.structs.replace(page, files=tuple(_without_refused(page.files, may_ask)))


@lru_cache(maxsize=1024)
def _may_follow(origin: str, page: str, *, allow_http: bool) -> bool:
    return why_refused(as_target(origin), allow_http=allow_http, coming_from=as_target(page)) is None


def _without_refused(files: Iterable[File], may_ask: Callable[[str], bool]) -> Iterable[File]:
    for file in files:
        if not may_ask(file.url):
            continue
        if file.provenance is not None and not may_ask(file.provenance):
            yield msgspec.structs.replace(file, provenance=None)
        else:
            yield file


def _is_json(body: bytes, content_type: str | None) -> bool:
    kind = sniff(body, content_type)
    if kind is None:
        raise PageUnreadable("it is neither HTML nor JSON" if body.strip() else "it is empty")
    return kind == "json"


def _base_url(response: aiohttp.ClientResponse) -> str:
    # Without the query: it may be a signature of ours, and links never take it over.
    url = response.url
    return str(url.with_query(None) if url.raw_query_string else url)


def _below(index: str, name: str) -> str:
    folder, query = _around(index)
    return f"{folder}{name}{query}"


@lru_cache(maxsize=64)
def _around(index: str) -> tuple[str, str]:
    """Give what of an index's URL stands before the name of a project, and what behind it."""
    scheme, netloc, path, query, _ = urlsplit(index)
    return urlunsplit((scheme, netloc, f"{path.rstrip('/')}/", "", "")), f"?{query}" if query else ""


def _conditions(known: _Validator | None) -> dict[str, str]:
    """Give the headers that ask for a page only if it is another one. Source: RFC 9110 §13.1."""
    conditions = {}
    if known is not None and known.reader == _READER:
        if known.etag:
            conditions["If-None-Match"] = known.etag
        if known.modified:
            conditions["If-Modified-Since"] = known.modified
    return conditions


def _unpack(validator: str | None) -> _Validator | None:
    if validator is None:
        return None
    try:
        return msgspec.json.decode(validator, type=_Validator)
    except msgspec.DecodeError:
        return None


def _digest(body: bytes, base_url: str) -> str:
    # The links of a page depend on where it lies.
    digest = hashlib.sha256(base_url.encode() + b"\n")
    # Not joined with the body: a copy of a large one costs as much as its digest.
    digest.update(body)
    return digest.hexdigest()[:32]


def _max_age(response: aiohttp.ClientResponse) -> float | None:
    """Give for how long the answer is fresh by its own words. Source: RFC 9111 §4.2.1, §4.2.3."""
    found = _MAX_AGE.search(response.headers.get("Cache-Control", "").lower())
    if found is None:
        return None
    age = response.headers.get("Age", "")
    return max(0.0, float(found[1]) - (float(age) if age.isdecimal() else 0.0))
