"""A blob service that does what the emulator cannot: short pages, throttling, refusals, cuts, other clocks.

It knows blobs, lists them by prefix, delimiter and marker, and serves ranges; its tricks are set by tests.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from email.utils import formatdate
from types import TracebackType
from typing import Self
from xml.sax.saxutils import escape

from aiohttp import web

from tests.fakes.loopback import Seen, note, serve

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class FakeBlob:
    """One blob."""

    content: bytes
    etag: str
    metadata: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    modified: str = "Sat, 31 Jan 2026 10:20:30 GMT"


Trick = Callable[[Seen], "web.StreamResponse | None"]
"""Answers a request in place of the service, or lets it."""


class FakeBlobService:
    """One account with one container, `wheels`."""

    container = "wheels"

    def __init__(self) -> None:
        """Start with an empty container."""
        self.url = ""
        self.requests: list[Seen] = []
        self.blobs: dict[str, FakeBlob] = {}
        self.page_size = 5000
        self.empty_pages = 0
        """How many empty answers with a marker come before each one that has blobs."""
        self.trick: Trick | None = None
        self.cut_after: int | None = None
        """Bytes after which a download breaks off."""
        self._number = 0
        self._stack = AsyncExitStack()

    def has(self, name: str, content: bytes = b"content", **metadata: str) -> FakeBlob:
        """Put a blob there, or another one in its place."""
        self._number += 1
        blob = self.blobs[name] = FakeBlob(content, f"0x8D{self._number:012X}", metadata)
        return blob

    def asked(self, word: str) -> list[str]:
        """Give the targets of the requests that have `word` in them."""
        return [seen.target for seen in self.requests if word in seen.target]

    def refuse(self, status: int, code: str, *, headers: Mapping[str, str] | None = None, detail: str = "") -> None:
        """Answer everything with an error from now on, as the service words it."""
        self.trick = lambda _: error(status, code, headers=headers, detail=detail)

    def answer_with(self, body: bytes) -> None:
        """Answer everything with this from now on."""
        self.trick = lambda _: web.Response(body=body, content_type="application/xml")

    async def __aenter__(self) -> Self:
        """Start serving."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.url = await self._stack.enter_async_context(serve(app))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        await self._stack.aclose()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        seen = note(request)
        self.requests.append(seen)
        tricked = self.trick(seen) if self.trick else None
        if tricked is not None:
            return tricked
        _, container, *rest = request.path.split("/", 2)
        if container != self.container:
            return error(404, "ContainerNotFound")
        if not rest:
            return self._list(request)
        blob = self.blobs.get(rest[0])
        if blob is None:
            return error(404, "BlobNotFound")
        match = request.headers.get("If-Match", f'"{blob.etag}"')
        if match != f'"{blob.etag}"':
            return error(412, "ConditionNotMet")
        return await self._download(request, blob)

    def _list(self, request: web.Request) -> web.Response:
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        most = min(int(request.query.get("maxresults", self.page_size)), self.page_size)
        after, _, empties = request.query.get("marker", "").partition("\t")
        left = self.empty_pages if not empties else int(empties)
        entries: dict[str, str] = {}
        names = sorted(self.blobs)
        for name in names[bisect_left(names, max(prefix, after)) :]:
            if not name.startswith(prefix) or len(entries) > most:
                break
            end = name.find(delimiter, len(prefix)) if delimiter else -1
            if end >= 0:
                folder = name[: end + len(delimiter)]
                if folder > after and folder not in entries:
                    entries[folder] = f"<BlobPrefix><Name>{escape(folder)}</Name></BlobPrefix>"
            elif name > after:
                entries[name] = _entry(name, self.blobs[name])
        shown = list(entries)[:most] if left <= 0 else []
        if left > 0:
            marker = f"{after}\t{left - 1}" if left > 1 else f"{after}\t-1"
        else:
            marker = f"{shown[-1]}\t" if len(entries) > most else ""
        body = "".join(entries[name] for name in shown)
        return web.Response(
            text=f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>{body}</Blobs>'
            f"<NextMarker>{escape(marker)}</NextMarker></EnumerationResults>",
            content_type="application/xml",
        )

    async def _download(self, request: web.Request, blob: FakeBlob) -> web.StreamResponse:
        match = _RANGE.fullmatch(request.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        end = int(match[2]) + 1 if match and match[2] else len(blob.content)
        body = blob.content[start:end]
        response = web.StreamResponse(status=206 if match else 200)
        response.headers["ETag"] = f'"{blob.etag}"'
        if match:
            response.headers["Content-Range"] = f"bytes {start}-{start + len(body) - 1}/{len(blob.content)}"
        response.content_length = len(body)
        response.headers.update({f"x-ms-meta-{key}": value for key, value in blob.metadata.items()})
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        await response.write(body if self.cut_after is None else body[: self.cut_after])
        if self.cut_after is not None and request.transport is not None:
            request.transport.close()
        return response


def error(status: int, code: str, *, headers: Mapping[str, str] | None = None, detail: str = "") -> web.Response:
    """Give an error as the service words it."""
    inner = f"<AuthenticationErrorDetail>{escape(detail)}</AuthenticationErrorDetail>" if detail else ""
    return web.Response(
        status=status,
        text=f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>Told so.</Message>{inner}</Error>',
        content_type="application/xml",
        headers={"x-ms-error-code": code, "Date": formatdate(usegmt=True), **(headers or {})},
    )


def _entry(name: str, blob: FakeBlob) -> str:
    """Give a blob as lists have it. Source: Azure Storage, "List Blobs", response body."""
    properties = {
        "Creation-Time": blob.modified,
        "Last-Modified": blob.modified,
        "Etag": blob.etag,
        "Content-Length": str(len(blob.content)),
        "Content-Type": "application/octet-stream",
        "Content-MD5": "",
        "BlobType": "BlockBlob",
        "AccessTier": "Hot",
        "LeaseStatus": "unlocked",
        "ServerEncrypted": "true",
        **blob.properties,
    }
    inner = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in properties.items())
    said = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in blob.metadata.items())
    metadata = f"<Metadata>{said}</Metadata>" if said else "<Metadata />"
    return f"<Blob><Name>{escape(name)}</Name><Properties>{inner}</Properties>{metadata}<OrMetadata /></Blob>"
