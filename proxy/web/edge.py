"""The shortcut in front of the parser: a whole GET for a finished answer is one look-up and one write.

It takes a request only where it arrived in one piece on an idle connection, its block of headers was understood
to the last line, and the shelf has an answer that still holds. Everything else goes to aiohttp's parser as if
this were not here, with the same answer.

The attributes of aiohttp's connection that are read here are not its public interface; `is_supported` looks
whether they are all there, and without them every request takes the ordinary way.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from proxy.telemetry.access import AccessLog, Noted
from proxy.web import problems
from proxy.web.serving import SERVER, STALL, limit_stall
from proxy.web.shelf import NOT_MODIFIED, Shelf, Wish

log = structlog.get_logger(__name__)

_NEEDED = ("_waiter", "_messages", "_force_close", "_close", "_keepalive", "_keepalive_handle", "_keepalive_timeout")
_GET, _HEAD = b"GET ", b"HEAD "
_LINE_END = b"\r\n"
_VERSION = b" HTTP/1.1"
_END = b"\r\n\r\n"
JOINED = 1 << 14
"""Up to this size, in bytes, head and body are put together before they go out: cheaper than naming both."""


def is_supported() -> bool:
    """Say whether this release of aiohttp has what the shortcut reads."""
    slots = {slot for kind in RequestHandler.__mro__ for slot in getattr(kind, "__slots__", ())}
    return slots.issuperset({*_NEEDED, "_next_keepalive_close_time", "_paused", "_upgraded"})


class Connection(RequestHandler):
    """One client's connection."""

    __slots__ = ("_access", "_client", "_descriptor", "_is_between", "_server", "_shelf")

    def __init__(self, manager: Server, *, loop: asyncio.AbstractEventLoop, **settings: object) -> None:
        """Serve the finished answers of `manager`'s shelf."""
        super().__init__(manager, loop=loop, **settings)  # type: ignore[arg-type]
        self._server = manager
        self._shelf = manager.shelf
        self._access = manager.access
        self._client = ""
        self._descriptor = -1
        self._is_between = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of who it is."""
        super().connection_made(transport)
        limit_stall(transport, self._server.stall)
        peer = transport.get_extra_info("peername")
        self._client = peer[0] if isinstance(peer, tuple) else ""
        # Past a layer of encryption nothing must be written.
        if transport.get_extra_info("sslcontext") is None and hasattr(os, "writev"):
            self._descriptor = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        """Answer at once where that is possible; else hand on what came."""
        if self._is_between:
            # The first line alone tells the version: a header may hold the same words.
            end = data.find(_LINE_END) - len(_VERSION)
            wish = self._understand(data, end)
            if wish is None:
                self._is_between = False
            elif data.startswith(_GET) and self._is_idle() and self._answer(data[len(_GET) : end], wish):
                return
        super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, in our own form; its bytes stay out of the log, where they may hold a credential."""
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        request_id = uuid.uuid4().hex[:16]
        log.info("malformed request", client=self._client, reason=type(exc).__name__, request_id=request_id)
        detail = f"this is no request that HTTP allows ({type(exc).__name__})"
        response = problems.plain(HTTPStatus.BAD_REQUEST, detail, "look at what is between you and here", request_id)
        response.headers.update({"Server": SERVER, "X-Request-ID": request_id})
        response.force_close()
        return response

    def _is_idle(self) -> bool:
        waiter = self._waiter
        return not (
            waiter is None
            or waiter.done()
            or self._messages
            or self._force_close
            or self._close
            or self._paused
            or self._upgraded
            or self._server.is_draining
        )

    def _understand(self, data: bytes, end: int) -> Wish | None:
        """Give what one whole request without a body asks for: after such a one the parser is between two again."""
        if end < 0 or not data.startswith(_VERSION, end):
            return None
        if not data.endswith(_END) or not data.startswith((_GET, _HEAD)):
            return None
        block = data[end + len(_VERSION) + len(_LINE_END) : -len(_END)]
        return None if _END in block else self._shelf.wish(block)

    def _answer(self, path: bytes, wish: Wish) -> bool:
        """Answer from the shelf where it has what is wished for."""
        started = time.perf_counter()
        found = self._shelf.find(path, wish)
        transport = self.transport
        if found is None or transport is None:
            return False
        answer, status = found
        if status == NOT_MODIFIED:
            transport.write(answer.head_unchanged + self._shelf.date())
        elif len(answer.body) <= JOINED:
            transport.write(b"".join((answer.head, self._shelf.date(), answer.body)))
        else:
            self._send(transport, answer.head + self._shelf.date(), answer.body)
        self._stay()
        if self._access.is_on:
            seconds = time.perf_counter() - started
            self._access.note(
                Noted(
                    "GET",
                    path.decode(),
                    answer.route,
                    status,
                    seconds,
                    self._client,
                    wish.agent,
                    subject=answer.subject,
                )
            )
        return True

    def _send(self, transport: asyncio.Transport, head: bytes, body: bytes) -> None:
        """Send a head and a large body, as far as possible in one call and without a copy.

        Put together, the body would be copied; one after the other, the reader would be woken for the head alone.
        Either is a fifth of what the whole answer costs.
        """
        sent = 0
        if self._descriptor >= 0 and not transport.get_write_buffer_size():
            # Whatever is wrong with the connection, the transport finds it too.
            with suppress(OSError):
                sent = os.writev(self._descriptor, (head, body))
        if sent < len(head):
            transport.write(head[sent:])
        if sent < len(head) + len(body):
            transport.write(memoryview(body)[max(0, sent - len(head)) :])

    def _stay(self) -> None:
        """Keep the connection for the next request, as the parser's own loop does."""
        self._keepalive = True
        self._next_keepalive_close_time = close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(close_time, self._process_keepalive)


class Server(web.Server):
    """aiohttp's low-level server, whose connections have the shortcut."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        shelf: Shelf,
        access: AccessLog,
        keepalive_timeout: float,
        stall: float = STALL,
    ) -> None:
        """Answer with `handler` what the shelf does not have; a client may take nothing for `stall` seconds."""
        # A handler whose client has left would keep what it waits for, and a server that stops, waiting.
        super().__init__(self._handle, access_log=None, keepalive_timeout=keepalive_timeout, handler_cancellation=True)
        self.stall = stall
        self.shelf = shelf
        self.access = access
        self.is_draining = False
        """Whether each answer from now on is the last on its connection."""
        self._handler = handler
        self._has_shortcut = is_supported()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self._handler(request)
        if self.is_draining:
            response.force_close()
        return response

    def __call__(self) -> RequestHandler:
        """Make the protocol of a new connection."""
        if not self._has_shortcut:
            return super().__call__()
        return Connection(self, loop=self._loop, **self._kwargs)
