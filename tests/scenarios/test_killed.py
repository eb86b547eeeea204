"""Promise: a server that is killed in the middle of a download serves nothing half-written afterwards, and goes on."""

from __future__ import annotations

import asyncio
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
        index.has(LARGE, size_padding=3 << 20, metadata=True)
        yield index


async def test_after_a_kill_the_download_goes_on_where_it_stood(
    start_server: StartServer, upstream: FakeIndex, cache_directory: Path
) -> None:
    server = await asyncio.to_thread(start_server, toml(cache_directory, upstream.url))
    upstream.stall_after(LARGE, 2 << 20, times=1)
    async with client() as session:
        async with opened(session, f"{server.url}/files/big/{LARGE}") as response:
            await response.content.readexactly(2 << 20)
            # What has come is on the disk a moment later.
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.kill)
            with pytest.raises(aiohttp.ClientError):
                await response.content.read()

        await asyncio.to_thread(server.start)
        reply = await fetch(session, f"{server.url}/files/big/{LARGE}")

    assert reply.body == upstream.files[LARGE].content
    ranges = [asked.headers.get("Range") for asked in upstream.requests if asked.path.endswith(LARGE)]
    assert len(ranges) == 2
    # The last part of a megabyte may not have reached the disk.
    assert 1 << 20 <= int((ranges[1] or "").removeprefix("bytes=").removesuffix("-")) <= 2 << 20


async def test_after_a_kill_the_source_is_needed_for_the_rest(
    start_server: StartServer, upstream: FakeIndex, cache_directory: Path
) -> None:
    server = await asyncio.to_thread(start_server, toml(cache_directory, upstream.url))
    upstream.stall_after(LARGE, 1 << 20, times=1)
    async with client() as session:
        async with opened(session, f"{server.url}/files/big/{LARGE}") as response:
            await response.content.readexactly(1 << 20)
            await asyncio.to_thread(server.kill)
            with pytest.raises(aiohttp.ClientError):
                await response.content.read()
        upstream.status_for(LARGE, 404)

        await asyncio.to_thread(server.start)
        reply = await fetch(session, f"{server.url}/files/big/{LARGE}")

    assert reply.status == 404
    assert upstream.files[LARGE].content[: 1 << 20] not in reply.body


async def test_a_url_from_a_lock_file_works_after_a_restart_and_after_the_cache_is_lost(
    start_server: StartServer, upstream: FakeIndex, tmp_path: Path
) -> None:
    cache = tmp_path / "first"
    server = await asyncio.to_thread(start_server, toml(cache, upstream.url))
    async with client() as session:
        before = await fetch(session, f"{server.url}/files/big/{LARGE}.metadata")
        await asyncio.to_thread(server.stop)
        cache.rename(tmp_path / "lost")
        await asyncio.to_thread(server.start)

        metadata = await fetch(session, f"{server.url}/files/big/{LARGE}.metadata")
        file = await fetch(session, f"{server.url}/files/big/{LARGE}")

    assert metadata.body == before.body == upstream.files[LARGE].metadata
    assert file.body == upstream.files[LARGE].content
