"""The project list: kept as finished files, made anew when they are gone, when they are old, when a name came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.feed import Feed
from proxy.feed.listing import Lists, Stored
from proxy.rules.policy import Policy
from proxy.simple.negotiation import Coding, MediaType
from proxy.tasks import Background
from tests.fakes.clock import FakeClock
from tests.fakes.index import FakeIndex
from tests.fakes.server import LocalServer, folder, settings, simple
from tests.rules.policies import NOW, exemption, patterns


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def public() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        index.has("bar-1.0.tar.gz")
        yield index


@pytest.fixture
async def feed(tmp_path: Path, public: FakeIndex, clock: FakeClock) -> AsyncIterator[Feed]:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    config = settings(tmp_path / "cache", {"shelf": folder(shelf), "public": simple(public.url)})
    async with LocalServer(config, clock=clock) as server:
        yield server.machine.feeds["default"]


@pytest.fixture
async def lists(clock: FakeClock) -> AsyncIterator[Lists]:
    async with Background() as background, Lists(background, clock=clock) as lists:
        yield lists


async def of(lists: Lists, feed: Feed) -> Stored:
    return await lists.names(feed, MediaType.JSON, Coding.IDENTITY)


async def test_a_list_is_made_once_and_refreshed_behind(
    lists: Lists, feed: Feed, public: FakeIndex, clock: FakeClock
) -> None:
    first = await of(lists, feed)
    assert await of(lists, feed) is first
    public.has("foo-1.0.tar.gz")
    clock.pass_by(60)

    stale = await of(lists, feed)
    await public.until(lambda it: it.asked("/simple/") == 2)
    while (fresh := await of(lists, feed)) is first:  # noqa: ASYNC110 - until it is written
        await asyncio.sleep(0.01)

    assert stale is first
    assert fresh.etag != first.etag
    assert not await asyncio.to_thread(first.path.exists)


async def test_a_list_whose_file_is_gone_is_made_anew(lists: Lists, feed: Feed) -> None:
    first = await of(lists, feed)
    await asyncio.to_thread(first.path.unlink)
    await asyncio.to_thread(first.path.parent.rmdir)

    lists.forget(first)
    second = await of(lists, feed)

    assert second.etag == first.etag
    assert await asyncio.to_thread(second.path.exists)


async def test_a_private_name_is_on_the_list_as_soon_as_it_is_there(
    lists: Lists, feed: Feed, tmp_path: Path, clock: FakeClock
) -> None:
    first = await of(lists, feed)
    (tmp_path / "shelf" / "mine-1.0.tar.gz").write_bytes(b"x")
    clock.pass_by(1)

    second = await of(lists, feed)

    assert second.etag != first.etag
    assert b'"mine"' in await asyncio.to_thread(second.path.read_bytes)


async def test_a_name_goes_from_the_list_at_the_moment_its_exception_ends(
    lists: Lists, feed: Feed, clock: FakeClock
) -> None:
    clock.now = NOW
    feed.adopt(Policy(deny=patterns("bar"), exceptions=(exemption("bar", "1.0", "2026-11-22: the demo"),)))
    first = await of(lists, feed)
    before = await asyncio.to_thread(first.path.read_bytes)

    clock.pass_by(12 * 3600)
    second = await of(lists, feed)

    assert b'"bar"' in before
    assert b'"bar"' not in await asyncio.to_thread(second.path.read_bytes)


async def test_in_an_outage_the_list_that_is_here_goes_on(
    lists: Lists, feed: Feed, public: FakeIndex, tmp_path: Path, clock: FakeClock
) -> None:
    first = await of(lists, feed)
    await asyncio.to_thread((tmp_path / "shelf").rename, tmp_path / "elsewhere")
    public.is_down("close")
    clock.pass_by(61)

    assert await of(lists, feed) is first


async def test_lists_that_were_not_entered_make_nothing(feed: Feed, clock: FakeClock) -> None:
    async with Background() as background:
        with pytest.raises(RuntimeError, match="not entered"):
            await of(Lists(background, clock=clock), feed)
