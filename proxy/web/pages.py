"""Project pages, project lists and flat pages of links."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from urllib.parse import parse_qs

import structlog
from aiohttp import web

from proxy.errors import NotAcceptable
from proxy.feed import Feed
from proxy.feed.listing import Lists
from proxy.rules.ranges import if_none_match
from proxy.simple import as_html
from proxy.simple.coding import compress
from proxy.simple.links import flat_href
from proxy.simple.negotiation import Coding, MediaType, choose, choose_coding, content_type
from proxy.web.renderings import Rendering, Renderings
from proxy.web.routes import Kind, Route
from proxy.web.serving import SERVER, not_modified
from proxy.web.shelf import FINISHED, Finished, page_key

log = structlog.get_logger(__name__)

VARY = "Accept, Accept-Encoding"


def negotiate(request: web.BaseRequest) -> tuple[MediaType, Coding]:
    """Choose the form of a page. Raises: NotAcceptable."""
    headers = request.headers
    accept = ", ".join(headers.getall("Accept")) if "Accept" in headers else None
    wanted = None
    query = request.raw_path.partition("?")[2]
    if "format=" in query:
        wanted = parse_qs(query).get("format", [None])[0]
    media_type = choose(accept, wanted)
    if media_type is None:
        raise NotAcceptable(f"none of the formats of this page is acceptable to you ({accept})")
    return media_type, _coding(request)


class Pages:
    """Answers for pages."""

    def __init__(self, renderings: Renderings, lists: Lists, *, clock: Callable[[], float]) -> None:
        """Send finished pages out of `renderings`."""
        self._renderings = renderings
        self._lists = lists
        self._clock = clock

    async def project(self, request: web.BaseRequest, found: Route, feed: Feed) -> web.StreamResponse:
        """Answer with a project's page."""
        media_type, coding = negotiate(request)
        rendering = await self._renderings.get(feed, found.named, media_type, coding)
        return self._respond(request, rendering, media_type)

    async def names(self, request: web.BaseRequest, found: Route, feed: Feed) -> web.StreamResponse:
        """Answer with the project list, which may have hundreds of thousands of names: it is never held as a whole."""
        media_type, coding = negotiate(request)
        stored = await self._lists.names(feed, media_type, coding)
        headers = {
            "Content-Type": content_type(media_type),
            "ETag": stored.etag,
            "Vary": VARY,
            "Cache-Control": _own(request, "max-age=60"),
        }
        if if_none_match(request.headers.get("If-None-Match"), stored.etag):
            return not_modified(headers)
        if coding is not Coding.IDENTITY:
            headers["Content-Encoding"] = coding.value
        headers |= {"Content-Length": str(stored.size), "Server": SERVER}
        response = web.StreamResponse(headers=headers)
        if request.method == "HEAD":
            return response
        try:
            stream = await asyncio.to_thread(stored.open)
        except FileNotFoundError:
            # A newer one took its place in this moment, or somebody tidied up the temporary folder.
            self._lists.forget(stored)
            return await self.names(request, found, feed)
        with stream:
            await response.prepare(request)
            while chunk := await asyncio.to_thread(stream.read, 1 << 18):
                await response.write(chunk)
            await response.write_eof()
        return response

    async def links(self, request: web.BaseRequest, found: Route, feed: Feed) -> web.StreamResponse:
        """Answer with one flat page of all files of the feed's private sources, for `--find-links`."""
        coding = _coding(request)
        files = await self._lists.links(feed)
        title = f"Files of {found.feed}"
        linked = [(one.file, flat_href(one.project, one.file.filename)) for one in files]
        body = await asyncio.to_thread(as_html.render_links, linked, title=title)
        digest = hashlib.sha256(body).hexdigest()
        headers = {
            "Content-Type": content_type(MediaType.TEXT_HTML),
            "ETag": f'"{digest[:32]}-l-{coding.value}"',
            "Vary": "Accept-Encoding",
            "Cache-Control": _own(request, "max-age=0"),
        }
        if if_none_match(request.headers.get("If-None-Match"), headers["ETag"]):
            return not_modified(headers)
        if coding is not Coding.IDENTITY:
            headers["Content-Encoding"] = coding.value
        return web.Response(body=await asyncio.to_thread(compress, body, coding), headers=headers)

    def _respond(self, request: web.BaseRequest, rendering: Rendering, media_type: MediaType) -> web.Response:
        private = "Authorization" in request.headers
        headers = {
            "Content-Type": rendering.content_type,
            "ETag": rendering.etag,
            "Vary": VARY,
            "Cache-Control": rendering.cache_control(self._clock(), private=private),
        }
        if rendering.warning:
            headers["Warning"] = rendering.warning
        if rendering.coding is not Coding.IDENTITY:
            headers["Content-Encoding"] = rendering.coding.value
        if if_none_match(request.headers.get("If-None-Match"), rendering.etag):
            response = not_modified(headers)
        else:
            response = web.Response(body=rendering.body, headers=headers)
        response[FINISHED] = Finished(
            page_key(media_type, rendering.coding, private=private),
            Kind.PAGE,
            rendering.etag,
            rendering.unchanging_until,
            headers,
            rendering.body,
        )
        return response


def _own(request: web.BaseRequest, cache_control: str) -> str:
    """Let no shared cache keep what was asked for with a credential. Source: RFC 9111 §3.5."""
    return f"private, {cache_control}" if "Authorization" in request.headers else cache_control


def _coding(request: web.BaseRequest) -> Coding:
    values = request.headers.getall("Accept-Encoding", [])
    return choose_coding(", ".join(values)) if values else Coding.IDENTITY
