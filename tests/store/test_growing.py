"""Where a reader that can send out of a file finds what has arrived: there, once it is, and else in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.errors import SourceUnavailable
from proxy.store.artifacts import Artifacts
from proxy.store.growing import STRETCH, Growing, Written
from proxy.store.partial import Partial

CHUNK = b"wheel" * 20_000


@pytest.fixture
async def partial(artifacts: Artifacts) -> AsyncIterator[Partial]:
    found = await artifacts.run(artifacts.open_partial, "key")
    yield found
    found.unlock()


@pytest.fixture
def growing(artifacts: Artifacts, partial: Partial) -> Growing:
    return Growing(artifacts, partial, source="public", size=10 * STRETCH)


async def put(artifacts: Artifacts, partial: Partial, growing: Growing, content: bytes) -> None:
    await artifacts.run(partial.write, [content], growing.arrived)
    growing.grow(growing.arrived + len(content))


async def test_what_just_arrived_comes_from_memory(growing: Growing) -> None:
    growing.add(CHUNK)

    with growing.reader(0, None) as reader:
        assert await reader.find() is CHUNK


async def test_what_is_being_written_is_waited_for(artifacts: Artifacts, partial: Partial, growing: Growing) -> None:
    growing.add(CHUNK)
    growing.writing(len(CHUNK))

    with growing.reader(0, None) as reader:
        finding = asyncio.ensure_future(reader.find())
        await asyncio.sleep(0.01)
        assert not finding.done()
        await artifacts.run(partial.write, [CHUNK], 0)
        growing.flushed(len(CHUNK))

        assert await finding == Written(partial, 0, len(CHUNK))


async def test_who_wants_bytes_does_not_wait_for_the_disk(growing: Growing) -> None:
    growing.add(CHUNK)
    growing.writing(len(CHUNK))

    with growing.reader(0, None) as reader:
        assert await reader.chunk() is CHUNK


async def test_a_disk_that_takes_no_more_holds_nobody_up(growing: Growing) -> None:
    growing.add(CHUNK)
    growing.writing(len(CHUNK))

    with growing.reader(0, None) as reader:
        finding = asyncio.ensure_future(reader.find())
        await asyncio.sleep(0)
        assert await growing.squeeze(1.0)

        assert await finding is CHUNK


async def test_a_long_stretch_comes_in_parts(artifacts: Artifacts, partial: Partial, growing: Growing) -> None:
    await put(artifacts, partial, growing, bytes(STRETCH + 1000))

    with growing.reader(10, STRETCH + 500) as reader:
        assert await reader.find() == Written(partial, 10, STRETCH + 10)
        reader.took(STRETCH)
        assert await reader.find() == Written(partial, STRETCH + 10, STRETCH + 500)
        reader.took(490)
        assert await reader.find() is None


async def test_a_file_that_somebody_cut_short_is_an_error(growing: Growing) -> None:
    with growing.reader(0, None) as reader, pytest.raises(SourceUnavailable, match="cut short"):
        reader.took(0)


async def test_what_ends_a_file_ends_who_waits_for_the_disk(growing: Growing) -> None:
    growing.add(CHUNK)
    growing.writing(len(CHUNK))

    with growing.reader(0, None) as reader:
        finding = asyncio.ensure_future(reader.find())
        await asyncio.sleep(0)
        growing.fail(SourceUnavailable("public", "it went away"))

        with pytest.raises(SourceUnavailable, match="went away"):
            await finding
