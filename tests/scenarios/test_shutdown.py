"""Promise: a server that is told to stop finishes what streams, takes nothing new, and publishes nothing partial."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.process import StartServer
from tests.fakes.server import client, fetch, opened
from tests.scenarios.conftest import toml

LARGE = "big-1.0-py3-none-any.whl"


@pytest.fixture
def upstream() -> Iterator[FakeIndex]:
    with FakeIndex.in_thread() as index:
        index.has(LARGE, size_padding=2 << 20, metadata=True)
        yield index


def whole_artifacts(cache: Path) -> list[Path]:
    folder = cache / "artifacts"
    return [path for path in folder.glob("[0-9a-f][0-9a-f]/*") if path.is_file()]


async def test_what_streams_is_finished_and_then_the_server_ends(
    start_server: StartServer, upstream: FakeIndex, cache_directory: Path
) -> None:
    server = await asyncio.to_thread(start_server, toml(cache_directory, upstream.url))
    upstream.slow(2e6)

    async with client() as session, opened(session, f"{server.url}/files/big/{LARGE}") as response:
        first = await response.content.readexactly(100_000)
        os.kill(server.pid, signal.SIGTERM)
        rest = await response.content.read()

    await asyncio.to_thread(server.stop)
    assert first + rest == upstream.files[LARGE].content
    assert '"event":"stopped"' in server.log
    assert "Traceback" not in server.log


async def test_a_server_that_stops_takes_no_new_clients(
    start_server: StartServer, upstream: FakeIndex, cache_directory: Path
) -> None:
    server = await asyncio.to_thread(start_server, toml(cache_directory, upstream.url))
    upstream.slow(1e6)

    async with client() as session, opened(session, f"{server.url}/files/big/{LARGE}") as response:
        await response.content.readexactly(10_000)
        os.kill(server.pid, signal.SIGTERM)
        await asyncio.sleep(0.3)
        async with client() as another:
            with pytest.raises(aiohttp.ClientConnectorError):
                await fetch(another, f"{server.url}/livez")
        upstream.slow(None)
        await response.content.read()


async def test_nothing_partial_is_published_by_a_server_that_stops_with_nobody_left(
    start_server: StartServer, upstream: FakeIndex, cache_directory: Path
) -> None:
    config = toml(cache_directory, upstream.url, more='timeout = "2 s"')
    server = await asyncio.to_thread(start_server, config)
    upstream.stall_after(LARGE, 1 << 20, times=1)
    async with client() as session:
        async with opened(session, f"{server.url}/files/big/{LARGE}") as response:
            await response.content.readexactly(500_000)
            response.close()
        await asyncio.to_thread(server.stop)

        kept = [path.stat().st_size for path in whole_artifacts(cache_directory)]
        await asyncio.to_thread(server.start)
        reply = await fetch(session, f"{server.url}/files/big/{LARGE}")

    # It may have gone on, and come to its end, while the server finished.
    assert kept in ([], [len(upstream.files[LARGE].content)])
    assert reply.body == upstream.files[LARGE].content
    assert "Traceback" not in server.log


async def test_a_client_that_has_left_keeps_no_server_that_stops_waiting_for_its_source(
    start_server: StartServer, upstream: FakeIndex, cache_directory: Path
) -> None:
    """The source may be silent for much longer than that."""
    config = toml(cache_directory, upstream.url, more='timeout = "5 min"')
    server = await asyncio.to_thread(start_server, config)
    upstream.stall_after(LARGE, 1 << 20)
    async with client() as session, opened(session, f"{server.url}/files/big/{LARGE}") as response:
        await response.content.readexactly(500_000)
        response.close()

    await asyncio.to_thread(server.stop)

    assert '"event":"stopped"' in server.log
    assert "Traceback" not in server.log
