"""An upstream index on a port of its own that can lie, stall, cut, redirect and count.

    async with FakeIndex() as upstream:
        upstream.has("bar-1.0-py3-none-any.whl", metadata=True)
        ...  # something asks upstream.url
        assert upstream.asked("/simple/bar/") == 1

Without a loop of one's own: `with FakeIndex.in_thread() as upstream`. As a process:
`python -m tests.fakes.index --port 8081 bar-1.0-py3-none-any.whl`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote, unquote

from aiohttp import web
from packaging.utils import canonicalize_name

from tests.fakes.listing import (
    HTML,
    JSON,
    TEXT,
    FakeFile,
    Links,
    link_to,
    make_file,
    render_html,
    render_json,
    render_names,
)
from tests.fakes.wire import Answer, Break, Wire, cut_out

SIGNATURE = "sv=1&sig=a%2Fb%2Bc%3D&se=2026%3A11"
"""What signed URLs of the fake carry, to come back byte for byte."""

Down = Literal["503", "500", "close", "hang"]


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    """With the query, not decoded."""
    headers: Mapping[str, str]


class FakeIndex:
    """An upstream index; every verb may be used while it runs."""

    def __init__(self, *, path: str = "/simple/", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Serve project pages below `path`, and files below `/files/`."""
        self.path = path
        self.port = port
        self.requests: list[Asked] = []
        self.files: dict[str, FakeFile] = {}
        self.projects: dict[str, str] = {}
        """How projects are spelled in the list, by normalised name."""
        self.formats: set[str] = {"json", "html"}
        self.links: Links = "relative"
        self.base_href: str | None = None
        self.content_type: str | None = None
        self.page_etags = True
        self.file_etags = True
        self.last_modified: str | None = None
        self.page_headers: dict[str, str] = {}
        self.ranges = True
        self.delay = 0.0
        self.open_files = 0
        """Downloads that run now."""
        self._tls = tls
        self._down: tuple[Down, str | None] | None = None
        self._answers: dict[str, list[Answer]] = {}
        self._wrong: set[str] = set()
        self._auth: tuple[str | None, str, bool] | None = None
        self._status: dict[str, tuple[str, str | None]] = {}
        self._blobs: FakeIndex | None = None
        self._wire = Wire()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2, access_log=None, auto_decompress=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.release()
        if self._runner is not None:
            await self._runner.cleanup()

    @classmethod
    @contextlib.contextmanager
    def in_thread(cls, **settings: Any) -> Iterator[Self]:
        """Run in a thread, for tests without a loop."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        index = cls(**settings)
        asyncio.run_coroutine_threadsafe(index.__aenter__(), loop).result()
        try:
            yield index
        finally:
            asyncio.run_coroutine_threadsafe(index.__aexit__(None, None, None), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    # Where it is, and what was asked of it

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}{self.path}"

    def file_url(self, filename: str) -> str:
        return f"{self.origin}/files/{quote(filename)}"

    def asked(self, path: str) -> int:
        """How often a path (decoded, without its query) was asked for."""
        return sum(unquote(asked.path.partition("?")[0]) == path for asked in self.requests)

    def asked_of(self, name: str) -> list[Asked]:
        """The requests for one project's page, or for one file."""
        paths = {f"{self.path}{name}/", f"/files/{name}", f"/blobs/{name}"}
        return [asked for asked in self.requests if unquote(asked.path.partition("?")[0]) in paths]

    async def until(self, is_so: Callable[[FakeIndex], bool]) -> None:
        """Wait until something is so here: `await upstream.until(lambda it: it.open_files == 3)`."""
        while not is_so(self):  # noqa: ASYNC110 - any state at all, of any test
            await asyncio.sleep(0.01)

    # What it has

    def has(self, filename: str, **said: Any) -> FakeFile:
        """List a file: a tiny real one, or `content`. See `listing.make_file` for what else may be said."""
        file = make_file(filename, **said)
        self.files[filename] = file
        self.projects.setdefault(canonicalize_name(file.project), file.project)
        return file

    def has_project(self, name: str) -> None:
        self.projects[canonicalize_name(name)] = name

    def lacks(self, name: str) -> None:
        """Forget a file, or a project with all its files."""
        self.files.pop(name, None)
        if self.projects.pop(name, None):
            self.files = {
                filename: file for filename, file in self.files.items() if canonicalize_name(file.project) != name
            }

    def mark(self, project: str, status: str, reason: str | None = None) -> None:
        """Give a project a status marker (PEP 792)."""
        self._status[project] = (status, reason)

    # How it misbehaves

    def is_down(self, how: Down = "503", *, retry_after: str | None = None) -> None:
        """Answer nothing useful to anybody: 503, 500, a closed connection, or silence."""
        self._down = (how, retry_after)

    def is_up(self) -> None:
        self._down = None
        self._wire.release()

    def status_for(
        self,
        what: str,
        status: int,
        headers: Mapping[str, str] | None = None,
        *,
        body: bytes = b"",
        times: int | None = None,
    ) -> None:
        """Answer `status` for a path (`/…`), a project's page or a file; only the next `times` times.

        Several with `times` are used up in turn.
        """
        self._answers.setdefault(what, []).append(Answer(status, headers or {}, body, times))

    def page_for(self, project: str, body: bytes, content_type: str = TEXT) -> None:
        """Answer these bytes as a project's page."""
        self._answers[project] = [Answer(200, {"Content-Type": content_type} if content_type else {}, body)]

    def redirect(self, what: str, to: str, *, status: int = 302) -> None:
        self.status_for(what, status, {"Location": to})

    def truth_for(self, what: str) -> None:
        """Take back `status_for`, `page_for`, `redirect`, cuts and wrong bytes."""
        self._answers.pop(what, None)
        self._wire.breaks.pop(what, None)
        self._wrong.discard(what)

    def cut_after(self, what: str, size: int, *, times: int | None = None) -> None:
        """Close the connection after so many bytes of a file (from where the answer starts) or page."""
        self._wire.breaks[what] = Break(size, "cut", times)

    def stall_after(self, what: str, size: int, *, times: int | None = None) -> None:
        """Stay silent after so many bytes of a file or page, until it `is_up` again."""
        self._wire.breaks[what] = Break(size, "stall", times)

    def wrong_bytes(self, filename: str) -> None:
        """Send other bytes of the same length."""
        self._wrong.add(filename)

    def slow(self, bytes_per_second: float | None) -> None:
        self._wire.speed = bytes_per_second

    def no_ranges(self) -> None:
        self.ranges = False

    def no_lengths(self) -> None:
        self._wire.lengths = False

    def compresses_pages(self) -> None:
        self._wire.gzip = True

    def require_auth(self, user: str | None, password: str, *, absent_is_401: bool = False) -> None:
        """Want Basic authentication (any user for `None`); answer 401 for projects that are not there."""
        self._auth = (user, password, absent_is_401)

    def redirect_files_to(self, other: FakeIndex) -> None:
        """Answer 303 for files, to signed URLs of `other`, which refuses an Authorization header with 400."""
        self._blobs = other
        other.files = self.files

    # How it answers

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(Asked(request.method, request.raw_path, request.headers.copy()))
        if self.delay:
            await asyncio.sleep(self.delay)
        if self._down is not None:
            return await self._answer_down(request, *self._down)
        path = request.path
        name = self._name_of(path)
        for what in (path, name):
            answer = self._next_answer(what)
            if answer is not None:
                return await self._send(request, answer.body, dict(answer.headers), status=answer.status, what=name)
        return await self._answer_truly(request, path, name)

    async def _answer_truly(self, request: web.Request, path: str, name: str) -> web.StreamResponse:
        if path.startswith("/blobs/"):
            if "Authorization" in request.headers or request.raw_path.partition("?")[2] != SIGNATURE:
                return web.Response(status=400, text="InvalidAuthenticationInfo")
            return await self._answer_file(request, name)
        if self._auth is not None and not self._is_let_in(request):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="fake"'})
        if path.startswith("/files/"):
            return await self._answer_file(request, name)
        if path.startswith(self.path) and path.endswith("/"):
            return await self._answer_page(request, name)
        return web.Response(status=404)

    def _name_of(self, path: str) -> str:
        if path.startswith(self.path):
            return path[len(self.path) :].strip("/")
        return path.rpartition("/")[2]

    def _next_answer(self, what: str) -> Answer | None:
        for answer in self._answers.get(what, ()):
            if answer.times is None:
                return answer
            if answer.times > 0:
                answer.times -= 1
                return answer
        return None

    async def _answer_down(self, request: web.Request, how: Down, retry_after: str | None) -> web.Response:
        if how == "hang":
            await self._wire.stay_silent()
        if how in {"close", "hang"} and request.transport is not None:
            request.transport.abort()
        headers = {"Retry-After": retry_after} if retry_after is not None else {}
        return web.Response(status=int(how) if how.isdecimal() else 500, headers=headers)

    def _is_let_in(self, request: web.Request) -> bool:
        assert self._auth is not None
        scheme, _, coded = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return False
        user, _, password = base64.b64decode(coded).decode().partition(":")
        return self._auth[0] in {None, user} and self._auth[1] == password

    def _wants_json(self, request: web.Request) -> bool:
        accepted = request.headers.get("Accept", "")
        return "json" in self.formats and ("html" not in self.formats or JSON in accepted)

    async def _answer_page(self, request: web.Request, project: str) -> web.StreamResponse:
        if not project:
            body = render_names(self.projects.values(), as_json=self._wants_json(request))
            return await self._send_page(request, body, what="")
        if project not in self.projects:
            return web.Response(status=401 if self._auth is not None and self._auth[2] else 404)
        files = [file for file in self.files.values() if canonicalize_name(file.project) == project]
        urls = [
            file.url or link_to(file.filename, self.links, origin=self.origin, page=f"{self.path}{project}/")
            for file in files
        ]
        if self._wants_json(request):
            status = self._status.get(project, ("active", None))
            body = render_json(self.projects[project], files, urls, status)
        else:
            base = f"{self.origin}/files/" if self.links == "base" else self.base_href
            body = render_html(self.projects[project], files, urls, base=base)
        return await self._send_page(request, body, what=project)

    async def _send_page(self, request: web.Request, body: bytes, *, what: str) -> web.StreamResponse:
        accepted = request.headers.get("Accept", "")
        kind = JSON if self._wants_json(request) else HTML if HTML in accepted else TEXT
        headers = {"Content-Type": self.content_type or kind, "Vary": "Accept", **self.page_headers}
        if self.page_etags:
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if self.last_modified is not None:
            headers["Last-Modified"] = self.last_modified
        known = request.headers.get("If-None-Match")
        same_date = self.last_modified is not None and request.headers.get("If-Modified-Since") == self.last_modified
        if (known is not None and known == headers.get("ETag")) or (known is None and same_date):
            return web.Response(status=304, headers=headers)
        return await self._send(request, body, headers, what=what)

    async def _answer_file(self, request: web.Request, name: str) -> web.StreamResponse:
        file = self.files.get(name.removesuffix(".metadata").removesuffix(".provenance"))
        if file is None:
            return web.Response(status=404)
        if name.endswith((".metadata", ".provenance")):
            body = file.metadata if name.endswith(".metadata") else file.provenance
            return await self._send(request, body or b"", {}, status=404 if body is None else 200, what=name)
        if self._blobs is not None and request.path.startswith("/files/"):
            to = f"{self._blobs.origin}/blobs/{quote(name)}?{SIGNATURE}"
            return web.Response(status=303, headers={"Location": to})
        content = file.content
        if name in self._wrong:
            content = bytes([content[0] ^ 0xFF]) + content[1:]
        headers = {"Content-Type": "application/octet-stream"}
        if self.file_etags:
            headers["ETag"] = f'"{file.sha256[:16]}"'
        status = 200
        if self.ranges:
            headers["Accept-Ranges"] = "bytes"
            if "Range" in request.headers and request.headers.get("If-Range") in {None, headers.get("ETag")}:
                content, status, headers["Content-Range"] = cut_out(content, request.http_range)
        self.open_files += 1
        try:
            return await self._send(request, content, headers, status=status, what=name, slow=True)
        finally:
            self.open_files -= 1

    async def _send(
        self,
        request: web.Request,
        body: bytes,
        headers: dict[str, str],
        *,
        status: int = 200,
        what: str,
        slow: bool = False,
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        return await self._wire.send(request, response, body, what=what, slow=slow)


async def _serve(port: int, filenames: list[str]) -> None:
    async with FakeIndex(port=port) as index:
        for filename in filenames:
            index.has(filename, metadata=filename.endswith(".whl"))
        print(index.url, flush=True)  # noqa: T201 - that is what the caller reads
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="serve a fake index")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("filenames", nargs="*")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments.port, arguments.filenames))
