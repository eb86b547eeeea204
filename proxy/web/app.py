"""The HTTP edge: one handler, from a request to its answer.

What happens to every request, from the outside in:

1. it gets an id, which is in its log lines and in the body of its error;
2. its path is understood (`routes.py`): what nothing can be called is 404 here;
3. its route answers (`pages.py`, `artifacts.py`, `operations.py`);
4. an error becomes its one status and body (`problems.py`), unless the answer had begun: then the
   connection is aborted;
5. it is counted and logged.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import structlog
from aiohttp import web

from proxy.errors import Hidden, WheelgateError
from proxy.feed import Feed
from proxy.simple.filename import version_of
from proxy.telemetry.access import AccessLog, Noted
from proxy.telemetry.audit import Subject
from proxy.telemetry.metrics import Metrics
from proxy.web import problems
from proxy.web.routes import DEFAULT, Kind, Route, path_of, route
from proxy.web.serving import SERVER, SUBJECT, Aborted
from proxy.web.shelf import FINISHED, Shelf

log = structlog.get_logger(__name__)

Answer = Callable[[web.BaseRequest, Route, Feed], Awaitable[web.StreamResponse]]


class App:
    """Answers requests for all feeds."""

    def __init__(
        self,
        feeds: Mapping[str, Feed],
        answers: Mapping[Kind, Answer],
        *,
        metrics: Metrics,
        shelf: Shelf,
        access: AccessLog,
    ) -> None:
        """Answer each kind of route by its own function, and put finished answers on the `shelf`."""
        self._feeds = feeds
        self._answers = answers
        self._metrics = metrics
        self._shelf = shelf
        self._access = access

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        start = time.perf_counter()
        request_id = secrets.token_hex(8)
        epoch = self._shelf.epoch
        path = path_of(request.raw_path)
        found = route(path, self._feeds)
        name = found.kind.value if found is not None else "none"
        # Not taken back at the end: a connection's next request binds its own.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            response = await self._answer(request, found, request_id)
        except (Aborted, ConnectionError):
            self._note(request, path, name, 0, start, request_id)
            # Nothing more may go out on this connection: not the rest, and no clean end. An error instead of
            # this answer, which finds the connection closed, would be logged by the HTTP server as its own.
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        except asyncio.CancelledError:
            # The client has left. What it waited for goes on, if it is anybody else's.
            self._note(request, path, name, 0, start, request_id)
            raise
        response.headers["Server"] = SERVER
        if response.status >= HTTPStatus.BAD_REQUEST:
            response.headers["X-Request-ID"] = request_id
        self._note(request, path, name, response.status, start, request_id)
        finished = response.get(FINISHED)
        if finished is not None and epoch == self._shelf.epoch and request.method == "GET" and path == request.raw_path:
            self._shelf.put(path, finished, SERVER)
        sent = 0 if request.method == "HEAD" else _sent(response)
        self._metrics.observe_request(name, response.status, time.perf_counter() - start, sent)
        return response

    async def _answer(self, request: web.BaseRequest, found: Route | None, request_id: str) -> web.StreamResponse:
        if request.method not in {"GET", "HEAD"}:
            remedy = "this index is read with GET and HEAD"
            return problems.plain(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"{request.method} is not for here",
                remedy,
                request_id,
                Allow="GET, HEAD",
            )
        if found is None:
            remedy = "project pages are at /simple/NAME/, or /FEED/simple/NAME/"
            return problems.plain(HTTPStatus.NOT_FOUND, "there is nothing of that name", remedy, request_id)
        if found.kind is Kind.REDIRECT:
            return _redirect(request, found)
        try:
            feed = self._feeds.get(found.feed)
            if feed is None and found.kind not in {Kind.LIVEZ, Kind.READYZ, Kind.METRICS, Kind.ROOT}:
                remedy = f"the feeds are {', '.join(self._feeds)}"
                return problems.plain(HTTPStatus.NOT_FOUND, f"there is no feed {found.feed}", remedy, request_id)
            return await self._answers[found.kind](request, found, feed or next(iter(self._feeds.values())))
        except Hidden as error:
            version = version_of(found.filename, found.named) if found.filename else ""
            request[SUBJECT] = Subject(
                found.feed, found.named, version, found.filename, rule=error.rule, reason=error.reason
            )
            self._metrics.refused.labels(found.feed, error.rule).inc()
            return problems.respond(error, request_id, explain=_explain_href(request, found))
        except WheelgateError as error:
            return problems.respond(error, request_id, explain=_explain_href(request, found))
        except (Aborted, ConnectionError):
            raise
        except Exception as error:
            log.exception("request failed", path=request.raw_path.partition("?")[0])
            if request.writer.output_size:
                raise Aborted from error
            return problems.plain(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "something went wrong inside the server",
                "the log has the reason under this request id",
                request_id,
            )

    def _note(self, request: web.BaseRequest, path: str, name: str, status: int, start: float, request_id: str) -> None:
        agent = request.headers.get("User-Agent", "")
        seconds = time.perf_counter() - start
        client = request.remote or ""
        subject = request.get(SUBJECT) if request.method == "GET" else None
        self._access.note(Noted(request.method, path, name, status, seconds, client, agent, request_id, subject))


def _explain_href(request: web.BaseRequest, found: Route) -> str:
    """Give the way to the explanation of a project, relative, so that it holds under any prefix."""
    if found.project is None:
        return ""
    depth = path_of(request.raw_path).count("/") - 1
    feed = "" if found.feed == DEFAULT else f"{found.feed}/"
    return f"{'../' * depth}{feed}explain/{found.project}"


def _redirect(request: web.BaseRequest, found: Route) -> web.Response:
    """Send to the right spelling: relative, so that it holds under any prefix and TLS front end, query kept."""
    _, mark, query = request.raw_path.partition("?")
    return web.Response(
        status=HTTPStatus.MOVED_PERMANENTLY,
        headers={"Location": found.location + mark + query, "Cache-Control": "max-age=600"},
    )


def _sent(response: web.StreamResponse) -> int:
    if isinstance(response, web.Response):
        return len(response.body) if isinstance(response.body, bytes) else 0
    return response.content_length or 0
