"""Bytes to a client: whole or in part, from this machine or on their way.

After the first byte of a response an error can only abort the connection, so whatever can fail is asked
for before the headers go out, and what fails later ends the connection without its last bytes.

Source: RFC 9110 §14 (ranges), §13 (conditions), §15.3.7 (206), §15.5.17 (416).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import BinaryIO, NoReturn

import structlog
from aiohttp import web

from proxy.errors import SourceUnavailable, WheelgateError
from proxy.feed.files import Coming, Here
from proxy.rules.ranges import Range, Unsatisfiable, Whole, if_none_match, parse
from proxy.sources.base import Chunk
from proxy.telemetry.audit import Subject
from proxy.web.outflow import corked, is_clear, pass_on, send_file

log = structlog.get_logger(__name__)

SERVER = "wheelgate"
SUBJECT = web.RequestKey("subject", Subject)
"""Under which a request carries what the audit has to know of it."""
IMMUTABLE = "max-age=365000000, immutable"
REPLACEABLE = "max-age=0"
NEAR = 1 << 20
"""Bytes ahead of what has arrived that a client waits for, rather than asking the source for its range alone."""
SMALL = 64 << 10
"""Up to this size, in bytes, a file is read and sent in one piece with its headers, and may be kept in memory."""
PART = 8 << 20
"""The longest range, in bytes, that is asked of the source alone."""
STALL = 60.0
"""Seconds for which a client may take nothing of what is sent to it; nginx's own `send_timeout`."""
_UNKNOWN = '""'


class Aborted(Exception):
    """The response had begun and could not be finished: its connection is closed without the rest."""


def limit_stall(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Let the kernel end the connection of a client that takes nothing for so long, however slow it was before.

    Only the kernel sees a slow client get on: for megabytes its own buffer hides that from us. With this a client
    that never reads, or vanished without a word, does not keep its answer in memory. Source: tcp(7).
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        with suppress(OSError):  # no TCP
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))


def content_type(filename: str) -> str:
    """Give a file's media type; never one that a client would decode on its own."""
    if filename.endswith((".tar.gz", ".tgz")):
        return "application/gzip"
    if filename.endswith(".zip"):
        return "application/zip"
    return "application/octet-stream"


def file_headers(filename: str, *, sha256: str | None, replaceable: bool) -> dict[str, str]:
    """Give the headers of a file: a strong ETag, which is its digest, and how long it may be kept."""
    headers = {
        "Content-Type": content_type(filename),
        "Accept-Ranges": "bytes",
        "Cache-Control": REPLACEABLE if replaceable else IMMUTABLE,
    }
    if sha256 is not None:
        headers["ETag"] = f'"{sha256}"'
    return headers


def not_modified(headers: Mapping[str, str]) -> web.Response:
    """Answer that the client has it already. Source: RFC 9110 §15.4.5: nothing of the content's own headers."""
    kept = {name: value for name, value in headers.items() if name not in {"Content-Type", "Content-Encoding"}}
    return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=kept)


async def send_here(request: web.BaseRequest, here: Here, filename: str) -> web.StreamResponse:
    """Send a file that is on this machine. Raises: OSError where it went in this moment."""
    headers = file_headers(filename, sha256=here.sha256, replaceable=here.replaceable)
    etag = headers["ETag"]
    if if_none_match(request.headers.get("If-None-Match"), etag):
        return not_modified(headers)
    part = parse(request.headers.get("Range"), here.size, if_range=request.headers.get("If-Range"), etag=etag)
    if isinstance(part, Unsatisfiable):
        return _unsatisfiable(part, headers)
    response, start, _ = _begin(part, here.size, dict(headers))
    count = part.length if isinstance(part, Range) else here.size
    if request.method == "HEAD":
        return response
    if isinstance(part, Whole) and here.size <= SMALL:
        return web.Response(body=await asyncio.to_thread(here.read), headers=headers)
    with here.open() if here.is_ours else await asyncio.to_thread(here.open) as stream:
        if os.fstat(stream.fileno()).st_size != here.size:
            raise FileNotFoundError(here.path)
        transport = request.transport
        if transport is None:
            raise Aborted
        await response.prepare(request)
        with corked(transport):
            await _send_part(transport, stream, start, count)
        await response.write_eof()
    return response


async def _send_part(transport: asyncio.Transport, stream: BinaryIO, start: int, count: int) -> None:
    try:
        sent = await send_file(transport, stream, start, count) if count else 0
    except OSError as error:
        raise Aborted from error
    if sent < count:
        # Cut short by somebody else meanwhile: the client must not wait for the rest.
        raise Aborted


async def send_coming(
    request: web.BaseRequest, coming: Coming, filename: str, *, size: int | None
) -> web.StreamResponse:
    """Send a file while it arrives. `size` is the whole one, where it is known.

    Raises: SourceError, FileGone, ArtifactWrong before the response begins; Aborted after that.
    """
    headers = file_headers(filename, sha256=coming.file.sha256, replaceable=coming.replaceable)
    etag = headers.get("ETag", _UNKNOWN)
    if if_none_match(request.headers.get("If-None-Match"), etag):
        return not_modified(headers)
    if size is None:
        size = await coming.download().started()
    part: Range | Whole | Unsatisfiable = Whole()
    if size is not None:
        part = parse(request.headers.get("Range"), size, if_range=request.headers.get("If-Range"), etag=etag)
    if isinstance(part, Unsatisfiable):
        return _unsatisfiable(part, headers)
    response, start, end = _begin(part, size, headers)
    if request.method == "HEAD":
        return response
    try:
        if isinstance(part, Range) and part.length <= PART and part.start > coming.arrived() + NEAR:
            # Who reads the end of a wheel of 2 GB for its metadata does not wait for all of it, nor causes all of it
            # to be fetched.
            await _send_part_of_source(request, response, coming, part)
        else:
            await _send_as_it_comes(request, response, coming, start, end)
        await response.write_eof()
    except (WheelgateError, OSError) as error:
        if not response.prepared:
            raise
        _give_up(filename, error)
    return response


async def _send_as_it_comes(
    request: web.BaseRequest, response: web.StreamResponse, coming: Coming, start: int, end: int | None
) -> None:
    """Send the bytes from `start` to before `end`, beside the transport where that may be."""
    async with coming.download().reader(start, end) as reader:
        await reader.find()  # what fails now has not begun
        await response.prepare(request)
        transport = request.transport
        if transport is not None and end is not None and is_clear(transport):
            await pass_on(transport, reader)
            return
        while (chunk := await reader.chunk()) is not None:
            reader.took(len(chunk))
            await response.write(chunk)


async def _send_part_of_source(
    request: web.BaseRequest, response: web.StreamResponse, coming: Coming, part: Range
) -> None:
    async with aclosing(_part_of_source(coming, part)) as chunks:
        first = await anext(chunks, b"")
        await response.prepare(request)
        if first:
            await response.write(first)
        async for chunk in chunks:
            await response.write(chunk)


async def _part_of_source(coming: Coming, part: Range) -> AsyncGenerator[Chunk, None]:
    async with coming.open(part.start, part.end) as body:
        if body.start == part.start:
            left = part.length
            async for chunk in body.chunks:
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    return
            raise SourceUnavailable(coming.source, f"{coming.file.filename} ended {left} bytes before the range did")
    async for chunk in coming.download().read(part.start, part.end):
        yield chunk


def _begin(
    part: Range | Whole, size: int | None, headers: dict[str, str]
) -> tuple[web.StreamResponse, int, int | None]:
    headers["Server"] = SERVER
    if isinstance(part, Range):
        headers |= {"Content-Range": part.content_range, "Content-Length": str(part.length)}
        return web.StreamResponse(status=HTTPStatus.PARTIAL_CONTENT, headers=headers), part.start, part.end
    if size is not None:
        headers["Content-Length"] = str(size)
    return web.StreamResponse(headers=headers), 0, size


def _unsatisfiable(part: Unsatisfiable, headers: dict[str, str]) -> web.Response:
    headers["Content-Range"] = part.content_range
    return web.Response(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)


def _give_up(filename: str, error: Exception) -> NoReturn:
    if isinstance(error, WheelgateError):
        log.error("file broken off", filename=filename, reason=str(error), remedy=error.remedy)
    raise Aborted from error
