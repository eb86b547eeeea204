"""Promise: who takes nothing of an answer does not hold it for ever; who takes it slowly gets all of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.patience import comes_true
from tests.fakes.server import LocalServer, settings, simple
from tests.scenarios.conftest import Run

LARGE = "big-1.0-py3-none-any.whl"
STALL = 1.0

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system's kernel cannot")


@pytest.fixture
async def server(run: Run, cache_directory: Path, public: FakeIndex) -> LocalServer:
    public.has(LARGE, size_padding=12 << 20, metadata=True)
    for number in range(4000):
        public.has(f"wide-1.{number}-py3-none-any.whl", content=b"x")
    return await run(settings(cache_directory, {"public": simple(public.url, fresh="1 h")}), stall=STALL)


@asynccontextmanager
async def asking(server: LocalServer, path: str, *, times: int = 1) -> AsyncIterator[socket.socket]:
    """Give a connection that has asked, and reads nothing of itself."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", int(server.url.rpartition(":")[2])))
        await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * times)
        yield client


async def test_a_client_that_never_reads_a_cached_file_is_let_go(server: LocalServer) -> None:
    await server.get(f"/files/big/{LARGE}")

    async with asking(server, f"/files/big/{LARGE}"):
        await comes_true(lambda: server.connections == 2)
        await comes_true(lambda: server.connections == 1)


async def test_a_client_that_never_reads_a_file_on_its_way_is_let_go_and_the_file_is_kept(
    server: LocalServer, public: FakeIndex
) -> None:
    async with asking(server, f"/files/big/{LARGE}"):
        await comes_true(lambda: server.connections == 1)
        await comes_true(lambda: server.connections == 0)

    assert (await server.get(f"/files/big/{LARGE}")).body == public.files[LARGE].content
    assert public.asked(f"/files/{LARGE}") == 1


async def test_a_client_that_never_reads_pages_is_let_go(server: LocalServer) -> None:
    """Also those that the shelf gives, which no handler writes."""
    await server.get("/simple/wide/")

    async with asking(server, "/simple/wide/", times=20):
        await comes_true(lambda: server.connections == 2)
        await comes_true(lambda: server.connections == 1)


@pytest.mark.parametrize("cached", [False, True], ids=["on its way", "cached"])
async def test_a_slow_client_gets_all_of_a_file(server: LocalServer, public: FakeIndex, cached: bool) -> None:
    """It takes a little again and again, for longer than one may take nothing."""
    content = public.files[LARGE].content
    if cached:
        await server.get(f"/files/big/{LARGE}")
    loop = asyncio.get_running_loop()
    received = bytearray()

    async with asking(server, f"/files/big/{LARGE}") as client:
        for _ in range(10):
            await asyncio.sleep(STALL / 4)
            received += await loop.sock_recv(client, 1 << 17)
        while len(received) < len(content) and (more := await loop.sock_recv(client, 1 << 20)):
            received += more

    assert received.partition(b"\r\n\r\n")[2] == content
