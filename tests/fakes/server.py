"""The whole server inside the test's own loop, on a real socket, and a client that changes nothing of what it sends."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from proxy.assembly import Machine, Readiness, build
from proxy.config.loading import validate
from proxy.serving.generation import KEEP_ALIVE
from proxy.web.edge import Server
from proxy.web.serving import STALL

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT = "text/html"

Clock = Callable[[], float]


@dataclass(frozen=True)
class Reply:
    """A whole answer, with nothing decoded."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as what its JSON says."""
        return json.loads(self.body)

    def filenames(self) -> list[str]:
        """The files on a page in JSON."""
        return [file["filename"] for file in self.json()["files"]]

    def file(self, filename: str) -> dict[str, Any]:
        """What a page in JSON says of one file."""
        found: dict[str, Any] = next(file for file in self.json()["files"] if file["filename"] == filename)
        return found

    def hrefs(self) -> list[str]:
        """The links of a page in HTML, without their fragments."""
        return [href.partition("#")[0] for href in re.findall(r'href="([^"]*)"', self.text)]


class LocalServer:
    """A server with one configuration, and what asks it."""

    def __init__(self, config: Mapping[str, Any], *, clock: Clock = time.time, stall: float = STALL) -> None:
        """Serve by `config`, as its TOML would read; its time is that of `clock`, its patience with clients `stall`."""
        self.config = validate(dict(config), "the test")
        self.readiness = Readiness()
        self.machine: Machine
        self.url = ""
        self._clock = clock
        self._stall = stall
        self._server: Server
        self._stack = AsyncExitStack()
        self._client: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.machine = await stack.enter_async_context(
                build(self.config, clock=self._clock, readiness=self.readiness)
            )
            machine = self.machine
            self._server = server = Server(
                machine.app.handle,
                shelf=machine.shelf,
                access=machine.access,
                keepalive_timeout=KEEP_ALIVE,
                stall=self._stall,
            )
            runner = web.ServerRunner(server, shutdown_timeout=0.2)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._client = await stack.enter_async_context(client())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._server.connections)

    @asynccontextmanager
    async def open(self, path: str, *, method: str = "GET", **headers: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask, and give the answer as it begins; `path` goes out as it is, `if_none_match` is a header."""
        async with opened(self._client, self.url + path, method=method, **headers) as response:
            yield response

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> Reply:
        """Ask, and give the whole answer. Raises: aiohttp.ClientError where it was broken off."""
        return await fetch(self._client, self.url + path, method=method, **headers)

    async def head(self, path: str, **headers: str) -> Reply:
        """Ask with HEAD."""
        return await self.get(path, method="HEAD", **headers)

    async def page(self, path: str, **headers: str) -> Reply:
        """Ask for a page in JSON."""
        return await self.get(path, **{"accept": JSON, **headers})

    async def raw(self, target: str, *, method: str = "GET") -> Reply:
        """Ask for a target that no URL library would let through."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.url.rpartition(":")[2]))
        try:
            writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
            await writer.wait_closed()
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = CIMultiDict((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        return Reply(int(first.split(" ")[1]), CIMultiDictProxy(headers), body)

    async def until(self, is_so: Callable[[Reply], bool], path: str, *, within: float = 10.0) -> Reply:
        """Ask for a page in JSON until the answer is so."""
        async with asyncio.timeout(within):
            while not is_so(reply := await self.page(path)):  # noqa: ASYNC110 - what it waits for is another's
                await asyncio.sleep(0.02)
        return reply


def client() -> aiohttp.ClientSession:
    """Give a client that adds no header of its own and decodes nothing."""
    return aiohttp.ClientSession(
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=60),
    )


@asynccontextmanager
async def opened(
    session: aiohttp.ClientSession, url: str, *, method: str = "GET", **headers: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Ask for `url` exactly as it is spelled."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with session.request(method, URL(url, encoded=True), headers=named, allow_redirects=False) as response:
        yield response


async def fetch(session: aiohttp.ClientSession, url: str, *, method: str = "GET", **headers: str) -> Reply:
    """Give the whole answer for `url`."""
    async with opened(session, url, method=method, **headers) as response:
        return Reply(response.status, response.headers, await response.read())


def settings(
    cache: Path,
    sources: Mapping[str, Mapping[str, Any]],
    *,
    rules: Mapping[str, Any] | None = None,
    server: Mapping[str, Any] | None = None,
    feeds: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Give a configuration with one feed of all `sources` in order; `claims` and `combine` belong to that feed."""
    feed: dict[str, Any] = {"sources": list(sources), "rules": dict(rules or {})}
    feed |= {key: more.pop(key) for key in ("claims", "combine") if key in more}
    return {
        "server": dict(server or {}),
        "cache": {"directory": str(cache), "size": more.pop("size", "1 GiB")},
        "sources": {name: dict(source) for name, source in sources.items()},
        "feeds": {"default": feed, **(feeds or {})},
        **more,
    }


def simple(url: str, **said: Any) -> dict[str, Any]:
    """Give the settings of an upstream index that is asked each time, unless said otherwise."""
    return {"kind": "simple", "url": url, "fresh": "0 s", "stale": "0 s", "absent": "0 s", **said}


def folder(path: Path, **said: Any) -> dict[str, Any]:
    """Give the settings of a folder that is looked at each time, unless said otherwise."""
    return {"kind": "directory", "path": str(path), "refresh": "0 s", **said}
