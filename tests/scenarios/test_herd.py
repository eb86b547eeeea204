"""Promise: however many ask for a file at once, and however many processes serve it, its source is asked once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.process import StartServer
from tests.fakes.server import client, fetch
from tests.scenarios.conftest import toml

LARGE = "big-1.0-py3-none-any.whl"
CLIENTS = 200


@pytest.fixture
def upstream() -> Iterator[FakeIndex]:
    with FakeIndex.in_thread() as index:
        index.has(LARGE, size_padding=4 << 20, metadata=True)
        yield index


async def test_200_cold_requests_over_two_processes_ask_the_source_once(
    start_server: StartServer, upstream: FakeIndex, cache_directory: Path
) -> None:
    config = toml(cache_directory, upstream.url)
    first, second = await asyncio.gather(*(asyncio.to_thread(start_server, config) for _ in range(2)))
    upstream.slow(8e6)

    async with client() as session:
        replies = await asyncio.gather(
            *(
                fetch(session, f"{server.url}/files/big/{LARGE}")
                for _ in range(CLIENTS // 2)
                for server in (first, second)
            )
        )

    digest = upstream.files[LARGE].sha256
    assert {reply.status for reply in replies} == {200}
    assert {hashlib.sha256(reply.body).hexdigest() for reply in replies} == {digest}
    assert upstream.asked(f"/files/{LARGE}") == 1
