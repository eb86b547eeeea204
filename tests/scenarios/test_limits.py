"""Promise: what is large keeps nobody else waiting, and is never in memory as a whole."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.fakes.index import FakeIndex
from tests.fakes.loopback import serve
from tests.fakes.process import StartServer
from tests.fakes.server import JSON, client, opened, settings, simple
from tests.scenarios.conftest import Run, toml

MANY = 20_000
HUGE = 300 << 20
BLOCK = bytes(range(256)) * 4096


def large_page() -> bytes:
    anchors = "\n".join(
        f'<a href="../../files/many-1.{n}.tar.gz#sha256={hashlib.sha256(str(n).encode()).hexdigest()}">'
        f"many-1.{n}.tar.gz</a>"
        for n in range(MANY)
    )
    return f"<!DOCTYPE html><html><body>{anchors}</body></html>".encode()


async def test_other_requests_go_on_while_a_page_of_20000_files_is_read(
    run: Run, cache_directory: Path, public: FakeIndex
) -> None:
    public.has_project("many")
    public.page_for("many", large_page())
    public.has("bar-1.0.tar.gz")
    server = await run(settings(cache_directory, {"public": simple(public.url, fresh="1 h")}))
    await server.page("/simple/bar/")

    large = asyncio.create_task(server.page("/simple/many/"))
    answered = 0
    while not large.done():
        assert (await server.page("/simple/bar/")).status == 200
        answered += 1

    page = await large
    assert len(page.filenames()) == MANY
    assert answered > 5
    assert (await server.get("/simple/many/", accept_encoding="gzip")).status == 200


async def test_a_list_of_many_names_is_streamed(run: Run, cache_directory: Path, public: FakeIndex) -> None:
    count = 50_000
    anchors = "\n".join(f'<a href="p{n}/">P{n}</a>' for n in range(count))
    public.page_for("/simple/", f"<html><body>{anchors}</body></html>".encode())
    public.has("bar-1.0.tar.gz")
    server = await run(settings(cache_directory, {"public": simple(public.url)}))

    listing = asyncio.create_task(server.page("/simple/"))
    while not listing.done():
        assert (await server.page("/simple/bar/")).status == 200

    names = [project["name"] for project in (await listing).json()["projects"]]
    assert len(names) == count
    assert names[0] == "p0"


async def test_a_list_that_takes_long_delays_no_page(run: Run, cache_directory: Path, public: FakeIndex) -> None:
    public.has("bar-1.0.tar.gz")
    public.stall_after("", 10)
    server = await run(settings(cache_directory, {"public": simple(public.url, timeout="2 s")}))

    listing = asyncio.create_task(server.page("/simple/"))
    await public.until(lambda it: it.asked("/simple/") == 1)

    assert (await server.page("/simple/bar/")).status == 200
    assert not listing.done()
    public.is_up()
    assert (await listing).status in {200, 503}


@pytest.fixture
async def huge() -> AsyncIterator[str]:
    """Give an upstream with one file of 300 MB, made as it is sent."""
    digest = hashlib.sha256()
    for _ in range(HUGE // len(BLOCK)):
        digest.update(BLOCK)

    async def page(_: web.Request) -> web.Response:
        body = f'<a href="/files/huge-1.0.tar.gz#sha256={digest.hexdigest()}">huge-1.0.tar.gz</a>'
        return web.Response(text=f"<!DOCTYPE html><html><body>{body}</body></html>", content_type="text/html")

    async def file(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(HUGE)})
        await response.prepare(request)
        for _ in range(HUGE // len(BLOCK)):
            await response.write(BLOCK)
        return response

    app = web.Application()
    app.router.add_get("/simple/huge/", page)
    app.router.add_get("/files/huge-1.0.tar.gz", file)
    async with serve(app) as origin:
        yield f"{origin}/simple/"


def peak(pid: int) -> int:
    """Give the most memory that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) << 10


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_huge_file_costs_no_memory(start_server: StartServer, huge: str, cache_directory: Path) -> None:
    server = await asyncio.to_thread(start_server, toml(cache_directory, huge))
    received = 0

    async with client() as session:
        async with opened(session, f"{server.url}/simple/huge/", accept=JSON) as page:
            assert page.status == 200
        before = peak(server.pid)
        async with opened(session, f"{server.url}/files/huge/huge-1.0.tar.gz") as response:
            async for chunk in response.content.iter_any():
                received += len(chunk)
        after = peak(server.pid)

    assert received == HUGE
    assert after - before < 100 << 20
