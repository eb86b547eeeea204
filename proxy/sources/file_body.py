"""The bytes of one file over HTTP: what was asked for, what came, and whether it is all."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import aiohttp

from proxy.errors import FileGone, SourceNonsense, SourceUnavailable
from proxy.simple.model import File
from proxy.sources.base import Body, Chunk
from proxy.sources.redirects import redacted
from proxy.sources.session import Upstream

_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416
_CONTENT_RANGE = re.compile(r"bytes\s+(?:(\d{1,19})-(\d{1,19})|\*)/(\d{1,19}|\*)", re.IGNORECASE)
_WEB_PAGE = re.compile(rb"\s*<(?:!doctype html|html|head|body)\b", re.IGNORECASE)


@asynccontextmanager
async def open_file(
    upstream: Upstream, file: File, *, start: int = 0, end: int | None = None, accept: str = "*/*"
) -> AsyncIterator[Body]:
    """Open the bytes of `file` at its URL, from `start` to before `end`.

    Raises: FileGone, SourceError.
    """
    headers = {"Accept": accept}
    if start or end is not None:
        headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
    expect = {_OK, _PARTIAL, _UNSATISFIABLE, 404, 410} if "Range" in headers else {_OK, 404, 410}
    async with upstream.get(file.url, headers=headers, expect=expect, bulk=True) as response:
        if response.status in {404, 410}:
            raise FileGone(upstream.name, file.filename)
        first, length, size = _extent(upstream, response, start=start)
        async with aclosing(_read(upstream, response, file, first=first, length=length)) as chunks:
            yield Body(chunks, start=first, size=size, etag=_strong_etag(response))


def _extent(upstream: Upstream, response: aiohttp.ClientResponse, *, start: int) -> tuple[int, int | None, int | None]:
    """Give the offset of the first byte, how many come, and the whole file's size. Source: RFC 9110 §14.4, §15.3.7."""
    said = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    size = int(said[3]) if said is not None and said[3] != "*" else None
    match response.status:
        case 200:
            length = response.content_length
            return 0, length, length
        case 206 if said is not None and said[1] is not None and int(said[1]) == start:
            return start, int(said[2]) - start + 1, size
        case 416 if size is not None and size == start:
            return start, 0, size
    raise SourceNonsense(
        upstream.name,
        f"it answered another range than that from byte {start}, at {redacted(response.url)}",
        remedy="tell the people who run the source that its ranges are wrong",
    )


async def _read(
    upstream: Upstream, response: aiohttp.ClientResponse, file: File, *, first: int, length: int | None
) -> AsyncGenerator[Chunk, None]:
    """Give the bytes as they arrive.

    Raises: SourceUnavailable where they end early; SourceNonsense where they are a web page.
    """
    if response.status == _UNSATISFIABLE:
        return
    _refuse_coding(upstream, response, file)
    received = 0
    async for chunk in upstream.stream(response):
        if received == 0 and first == 0 and _WEB_PAGE.match(chunk):
            raise SourceNonsense(upstream.name, f"it sent a web page in place of {file.filename}", remedy=_SIGN_IN)
        received += len(chunk)
        yield chunk
    # The client checks a length by itself, but not that of a range against what the range said.
    if length is not None and received != length:
        what = f"{file.filename} ended after {received} of {length} bytes ({redacted(response.url)})"
        raise SourceUnavailable(upstream.name, what, remedy="asked again by itself, from where it broke off")


_SIGN_IN = "check the credential: a sign-in page looks like this"


def _refuse_coding(upstream: Upstream, response: aiohttp.ClientResponse, file: File) -> None:
    # Some servers label a `.tar.gz` as gzip-coded; its bytes are right as they are.
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in {"", "identity"} and not file.filename.endswith((".gz", ".tgz")):
        raise SourceNonsense(
            upstream.name,
            f"it sent {file.filename} with the content coding {coding}, which was not asked for",
            remedy="switch off compression of files at the source, or at the proxy in front of it",
        )


def _strong_etag(response: aiohttp.ClientResponse) -> str | None:
    """Give the entity tag, unless it is a weak one. Source: RFC 9110 §8.8.3."""
    etag = response.headers.get("ETag", "").strip()
    return etag if etag.startswith('"') and len(etag) > 2 else None  # noqa: PLR2004 - two quotes
