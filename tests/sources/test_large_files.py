"""Large bodies go past the HTTP client's parser; nothing may tell this from the ordinary way but its cost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.errors import SourceUnavailable
from proxy.sources.base import Chunk
from proxy.sources.heavy import AT_ONCE, HEAVY, Scales
from proxy.sources.intake import LARGE, PIECE
from proxy.sources.session import Session, Upstream
from tests.fakes.certificates import make_authority
from tests.fakes.index import FakeIndex

WHEEL = "big-1.0-py3-none-any.whl"
CONTENT = random.Random(11).randbytes(LARGE + 5 * PIECE + 12_345)  # noqa: S311 - any bytes will do


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as session:
        yield session


@pytest.fixture
async def index() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        index.has(WHEEL, content=CONTENT)
        yield index


@pytest.fixture
def upstream(session: Session) -> Upstream:
    return Upstream(session, name="public", timeout=0.5)


async def chunks_of(upstream: Upstream, url: str, *, pause: float = 0.0) -> list[Chunk]:
    async with upstream.get(url, bulk=True) as response:
        chunks = []
        async for chunk in upstream.stream(response):
            chunks.append(chunk)
            await asyncio.sleep(pause)
        return chunks


@pytest.mark.parametrize("pause", [0.0, 0.005])
async def test_all_bytes_come_and_stay_as_they_are(upstream: Upstream, index: FakeIndex, pause: float) -> None:
    """Who still holds the first bytes when the last ones come must not find those of the middle in them."""
    chunks = await chunks_of(upstream, index.file_url(WHEEL), pause=pause)

    assert b"".join(chunks) == CONTENT
    assert any(isinstance(chunk, memoryview) for chunk in chunks)


async def test_memory_is_used_again_once_nobody_looks_at_it(upstream: Upstream, index: FakeIndex) -> None:
    places = set()
    async with upstream.get(index.file_url(WHEEL), bulk=True) as response:
        async for chunk in upstream.stream(response):
            if isinstance(chunk, memoryview):
                places.add((id(chunk.obj), len(bytes(chunk.obj))))
            del chunk

    assert sum(size for _, size in places) <= 4 * PIECE


async def test_over_tls_all_bytes_come_too(session: Session, tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    async with FakeIndex(tls=authority.server) as secure:
        secure.has(WHEEL, content=CONTENT)
        upstream = Upstream(session, name="public", ca_file=authority.ca_file)

        chunks = await chunks_of(upstream, secure.file_url(WHEEL), pause=0.001)

    assert b"".join(chunks) == CONTENT
    assert any(isinstance(chunk, memoryview) for chunk in chunks)


async def test_one_that_breaks_off_is_an_error(upstream: Upstream, index: FakeIndex) -> None:
    index.cut_after(WHEEL, LARGE)

    with pytest.raises(SourceUnavailable, match="broke off"):
        await chunks_of(upstream, index.file_url(WHEEL))


async def test_one_that_falls_silent_is_an_error(upstream: Upstream, index: FakeIndex) -> None:
    index.stall_after(WHEEL, LARGE)

    with pytest.raises(SourceUnavailable, match="silent"):
        await chunks_of(upstream, index.file_url(WHEEL))


async def test_who_takes_its_time_does_not_make_the_source_a_silent_one(upstream: Upstream, index: FakeIndex) -> None:
    async with upstream.get(index.file_url(WHEEL), bulk=True) as response:
        chunks = upstream.stream(response)
        size = len(await anext(chunks))
        await asyncio.sleep(2 * upstream.timeout)
        size += sum([len(chunk) async for chunk in chunks])

    assert size == len(CONTENT)


async def test_what_comes_behind_the_end_is_nobodys(upstream: Upstream) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT + b"x" * 1000)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        chunks = await chunks_of(upstream, f"http://127.0.0.1:{port}/file")

    assert b"".join(chunks) == CONTENT


async def test_the_next_request_is_answered_after_a_large_one(upstream: Upstream, index: FakeIndex) -> None:
    for _ in range(3):
        assert sum(map(len, await chunks_of(upstream, index.file_url(WHEEL)))) == len(CONTENT)


async def test_who_leaves_in_the_middle_leaves_no_connection(upstream: Upstream, index: FakeIndex) -> None:
    async with upstream.get(index.file_url(WHEEL), bulk=True) as response:
        async for _ in upstream.stream(response):
            break

    await index.until(lambda it: it.open_files == 0)


class TestHeavyAnswers:
    async def test_few_of_them_are_in_memory_at_once(self) -> None:
        scales, go, begun = Scales(), asyncio.Event(), 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal begun
            yield b"x" * (HEAVY + 1)
            begun += 1
            await go.wait()
            yield b"y"

        async with asyncio.TaskGroup() as group:
            readers = [
                group.create_task(scales.read(body(), limit=1 << 30, patience=60, source="public", place="there"))
                for _ in range(AT_ONCE + 2)
            ]
            for _ in range(20):
                await asyncio.sleep(0)
            most = begun
            go.set()

        assert most == AT_ONCE
        assert [len(reader.result()) for reader in readers] == [HEAVY + 2] * (AT_ONCE + 2)

    async def test_one_that_has_to_wait_too_long_is_an_error_and_small_ones_never_wait(self) -> None:
        scales = Scales()

        async def endless() -> AsyncIterator[bytes]:
            yield b"x" * (HEAVY + 1)
            await asyncio.Event().wait()

        async def small() -> AsyncIterator[bytes]:
            yield b"small"

        holders = [
            asyncio.ensure_future(scales.read(endless(), limit=1 << 30, patience=60, source="public", place="there"))
            for _ in range(AT_ONCE)
        ]
        await asyncio.sleep(0)

        with pytest.raises(SourceUnavailable, match="too many large answers"):
            await scales.read(endless(), limit=1 << 30, patience=0.05, source="public", place="there")
        assert await scales.read(small(), limit=10, patience=0.05, source="public", place="there") == b"small"

        for holder in holders:
            holder.cancel()
        await asyncio.gather(*holders, return_exceptions=True)
