"""Promise: a download belongs to nobody, so whoever leaves takes nothing from the others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.server import LocalServer, settings, simple
from tests.scenarios.conftest import Run

LARGE = "big-1.0-py3-none-any.whl"
PATH = f"/files/big/{LARGE}"


@pytest.fixture
async def server(run: Run, cache_directory: Path, public: FakeIndex) -> LocalServer:
    public.has(LARGE, size_padding=2 << 20, metadata=True)
    public.slow(4e6)
    return await run(settings(cache_directory, {"public": simple(public.url)}))


async def leave_at(server: LocalServer, size: int) -> None:
    async with server.open(PATH) as response:
        await response.content.readexactly(size)
        response.close()


async def test_a_client_that_leaves_at_a_tenth_does_not_stop_the_download(
    server: LocalServer, public: FakeIndex, cache_directory: Path
) -> None:
    file = public.files[LARGE]

    await leave_at(server, len(file.content) // 10)

    await public.until(lambda it: it.open_files == 0)
    place = cache_directory / "artifacts" / file.sha256[:2] / file.sha256[2:]
    await public.until(lambda _: place.exists())
    assert (await server.get(PATH)).body == file.content
    assert public.asked(f"/files/{LARGE}") == 1


async def test_the_first_client_leaves_and_five_who_follow_have_it_all(server: LocalServer, public: FakeIndex) -> None:
    file = public.files[LARGE]

    async with asyncio.TaskGroup() as group:
        first = group.create_task(leave_at(server, len(file.content) // 10))
        await public.until(lambda it: it.open_files == 1)
        followers = [group.create_task(server.get(PATH)) for _ in range(5)]

    assert first.done()
    assert all(follower.result().body == file.content for follower in followers)
    assert public.asked(f"/files/{LARGE}") == 1


async def test_a_client_that_is_slow_keeps_nobody_waiting(server: LocalServer, public: FakeIndex) -> None:
    async with server.open(PATH) as slow:
        await slow.content.readexactly(10)

        fast = await server.get(PATH)

        assert fast.body == public.files[LARGE].content
        assert len(await slow.content.read()) == len(fast.body) - 10


async def test_one_who_leaves_before_the_page_is_here_does_not_end_it_for_the_next(
    server: LocalServer, public: FakeIndex
) -> None:
    public.delay = 0.3
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await server.page("/simple/big/")

    page = await server.page("/simple/big/")

    assert page.filenames() == [LARGE]
    assert public.asked("/simple/big/") == 1
