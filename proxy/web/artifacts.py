"""Files, core metadata and provenance: what is behind the links of a page."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import msgspec
import structlog
from aiohttp import web

from proxy.errors import FileGone
from proxy.feed import Entry, Feed
from proxy.feed.files import Coming, Files, Here
from proxy.feed.sidecars import Sidecar, Sidecars
from proxy.rules.ranges import if_none_match
from proxy.simple.coding import compress
from proxy.simple.model import NormalizedName
from proxy.simple.negotiation import Coding, choose_coding
from proxy.telemetry.audit import Subject
from proxy.telemetry.metrics import Metrics
from proxy.web.routes import Kind, Route
from proxy.web.serving import IMMUTABLE, REPLACEABLE, SUBJECT, not_modified, send_coming, send_here
from proxy.web.shelf import BARE, FINISHED, Finished

log = structlog.get_logger(__name__)

SMALL = 4 << 20
"""Bytes of a file without a known digest that are received before it is answered, so that it has its ETag."""


class Artifacts:
    """Answers for files and what belongs to them."""

    def __init__(self, files: Files, sidecars: Sidecars, metrics: Metrics) -> None:
        """Find bytes with `files` and `sidecars`."""
        self._files = files
        self._sidecars = sidecars
        self._metrics = metrics

    async def file(self, request: web.BaseRequest, found: Route, feed: Feed) -> web.StreamResponse:
        """Answer with a file, or a part of it."""
        entry = await self._files.entry(feed, found.named, found.filename)
        good_until = _good_until(feed, found, entry)
        file = entry.file
        subject = Subject(feed.name, found.named, file.version, file.filename, file.sha256 or "", entry.source)
        request[SUBJECT] = subject
        for _ in range(2):
            here = await self._files.find(feed, found.named, entry)
            if here is None:
                break
            try:
                response = await send_here(request, here, found.filename)
            except FileNotFoundError:
                # It went between the look and the opening: a miss, not an error.
                continue
            self._metrics.cache.labels(entry.source, "hit").inc()
            request[SUBJECT] = subject = msgspec.structs.replace(subject, sha256=here.sha256)
            _offer(response, found, good_until, subject)
            return response
        self._metrics.cache.labels(entry.source, "miss").inc()
        try:
            return await self._fetch(request, feed, found.named, entry)
        except FileGone:
            # Replaced, or removed, since its source was asked last.
            renewed = await self._files.renew(feed, found.named, entry)
            if renewed is None:
                raise
            return await self._fetch(request, feed, found.named, renewed)

    async def metadata(self, request: web.BaseRequest, found: Route, feed: Feed) -> web.StreamResponse:
        """Answer with the core metadata of a wheel."""
        entry = await self._files.entry(feed, found.named, found.filename)
        good_until = _good_until(feed, found, entry)
        whole = partial(self._files.whole, feed, found.named, entry)
        sidecar = await self._sidecars.metadata(feed, found.named, entry, whole=whole)
        # What a rule will hide must not be kept by clients beyond that.
        is_passing = sidecar.replaceable or entry.verdict.changes_at is not None
        cache_control = REPLACEABLE if is_passing else IMMUTABLE
        return _respond(request, sidecar, "application/octet-stream", cache_control, found.kind, good_until)

    async def provenance(self, request: web.BaseRequest, found: Route, feed: Feed) -> web.StreamResponse:
        """Answer with the provenance object of a file."""
        entry = await self._files.entry(feed, found.named, found.filename)
        sidecar = await self._sidecars.provenance(feed, found.named, entry)
        return _respond(request, sidecar, "application/vnd.pypi.integrity.v1+json", "max-age=600", found.kind, 0)

    async def _fetch(
        self, request: web.BaseRequest, feed: Feed, project: NormalizedName, entry: Entry
    ) -> web.StreamResponse:
        coming = self._files.coming(feed, project, entry)
        size = entry.file.size
        if size is None:
            size = await self._size(request, coming)
        if entry.file.sha256 is None and size is not None and size <= SMALL:
            artifact = await coming.download().finished()
            here = Here(artifact.path, artifact.size, artifact.digest, coming.replaceable, is_ours=True)
            # What the cache could not keep (a full disk) is sent as it comes instead.
            with suppress(FileNotFoundError):
                return await send_here(request, here, entry.file.filename)
        return await send_coming(request, coming, entry.file.filename, size=size)

    async def _size(self, request: web.BaseRequest, coming: Coming) -> int | None:
        """Find out the size of a file: by the download that a GET needs anyway, else by asking for one byte."""
        if request.method == "GET" and "Range" not in request.headers:
            return await coming.download().started()
        async with coming.open(0, 1) as body:
            return body.size


def _good_until(feed: Feed, found: Route, entry: Entry) -> float:
    """Give until when it holds that a file may be had: asked at once, before its page can be another one."""
    until = feed.good_until(found.named)
    return until if entry.verdict.changes_at is None else min(until, entry.verdict.changes_at)


def _offer(response: web.StreamResponse, found: Route, good_until: float, subject: Subject) -> None:
    """Offer a small file for the shelf, so that it is not opened each time."""
    if isinstance(response, web.Response) and isinstance(response.body, bytes) and response.body and good_until:
        headers = {name: value for name, value in response.headers.items() if name != "Content-Length"}
        response[FINISHED] = Finished(BARE, found.kind, headers["ETag"], good_until, headers, response.body, subject)


def _respond(
    request: web.BaseRequest, sidecar: Sidecar, media_type: str, cache_control: str, kind: Kind, good_until: float
) -> web.Response:
    values = request.headers.getall("Accept-Encoding", [])
    coding = choose_coding(", ".join(values)) if values else Coding.IDENTITY
    etag = f'"{sidecar.sha256}"' if coding is Coding.IDENTITY else f'"{sidecar.sha256}-{coding.value}"'
    headers = {"Content-Type": media_type, "ETag": etag, "Cache-Control": cache_control, "Vary": "Accept-Encoding"}
    if if_none_match(request.headers.get("If-None-Match"), etag):
        return not_modified(headers)
    if coding is not Coding.IDENTITY:
        headers["Content-Encoding"] = coding.value
    body = compress(sidecar.body, coding)
    response = web.Response(body=body, headers=headers)
    if good_until:
        response[FINISHED] = Finished(coding, kind, etag, good_until, headers, body)
    return response
