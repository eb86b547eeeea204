"""Two downloads of the same file that know nothing of each other but the folder, as in two processes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Self

import pytest

from proxy.errors import ArtifactWrong, SourceUnavailable
from proxy.store.artifacts import Artifacts
from proxy.store.download import Download, Downloads
from proxy.tasks import Background
from tests.fakes.openers import Opener, Script


class Side:
    """One of the two, with its own end."""

    def __init__(self, folder: Path, *, silence: float = 10.0) -> None:
        self.folder = folder
        self.silence = silence
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.artifacts = await self._stack.enter_async_context(Artifacts(self.folder, size=100_000_000))
        background = await self._stack.enter_async_context(Background())
        self.downloads = Downloads(self.artifacts, background, silence=self.silence, backoff=0.001, rest=0.0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Side]:
    async with Side(tmp_path / "shared") as side:
        yield side


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[Side]:
    async with Side(tmp_path / "shared") as side:
        yield side


async def collect(download: Download) -> bytes:
    async with aclosing(download.read()) as chunks:
        return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("listed", [True, False])
async def test_the_other_follows_and_asks_nobody(one: Side, other: Side, content: bytes, *, listed: bool) -> None:
    opener, unused = Opener(content, [Script(stall=1_000_000)]), Opener(content)
    changes: dict[str, object] = {} if listed else {"hashes": {}, "key": "opaque"}
    first = one.downloads.join(opener.wanted(**changes))
    assert await first.started() == len(content)
    second = other.downloads.join(unused.wanted(**changes))
    assert await second.started() == len(content)
    reader = asyncio.ensure_future(collect(second))
    await opener.stalled.wait()

    opener.go.set()

    assert await reader == content
    assert (await second.finished()) == (await first.finished())
    assert unused.opens == []


async def test_the_digest_is_computed_again_where_its_note_is_lost(one: Side, other: Side, content: bytes) -> None:
    opener = Opener(content, [Script(stall=1_000_000)])
    changes: dict[str, object] = {"hashes": {}, "key": "opaque"}
    first = one.downloads.join(opener.wanted(**changes))
    await opener.stalled.wait()
    second = other.downloads.join(Opener(content).wanted(**changes))
    await second.started()
    (note,) = one.artifacts.partials.glob("*.json")
    note.rename(note.with_suffix(".lost"))
    note.mkdir()

    opener.go.set()

    assert (await second.finished()).digest == hashlib.sha256(content).hexdigest()
    assert (await first.finished()).digest == hashlib.sha256(content).hexdigest()


async def test_the_other_takes_over_when_the_first_shuts_down(other: Side, tmp_path: Path, content: bytes) -> None:
    opener, taker = Opener(content, [Script(stall=2_000_000)]), Opener(content)
    async with Side(tmp_path / "shared") as one:
        await one.downloads.join(opener.wanted()).started()
        second = other.downloads.join(taker.wanted())
        await second.started()
        reader = asyncio.ensure_future(collect(second))
        await opener.stalled.wait()

    assert await reader == content
    assert taker.opens != [0]


async def test_wrong_bytes_end_both(one: Side, other: Side, content: bytes) -> None:
    opener = Opener(content, [Script(content=content[::-1], stall=1_000_000)])
    first = one.downloads.join(opener.wanted())
    await first.started()
    second = other.downloads.join(Opener(content).wanted())
    await second.started()
    seen = bytearray()

    async def follow() -> None:
        async with aclosing(second.read()) as chunks:
            async for chunk in chunks:
                seen.extend(chunk)

    reader = asyncio.ensure_future(follow())
    opener.go.set()

    with pytest.raises(SourceUnavailable):
        await reader
    with pytest.raises(ArtifactWrong):
        await first.finished()
    assert len(seen) < len(content)


async def test_the_other_asks_for_itself_where_the_first_never_got_an_answer(
    one: Side, other: Side, content: bytes
) -> None:
    slow = Opener(content, [Script(delayed=True, error=SourceUnavailable("fake", "down"))])
    asked = Opener(content)
    first = one.downloads.join(slow.wanted())
    await slow.stalled.wait()
    second = other.downloads.join(asked.wanted())
    reader = asyncio.ensure_future(collect(second))
    await asyncio.sleep(0.02)
    assert asked.opens == []

    slow.go.set()

    with pytest.raises(SourceUnavailable):
        await first.started()
    assert await reader == content


async def test_a_file_larger_than_the_cache_reaches_the_other_too(one: Side, other: Side, content: bytes) -> None:
    one.artifacts.size = 1000
    opener = Opener(content, [Script(stall=1_000_000)])
    await one.downloads.join(opener.wanted()).started()
    second = other.downloads.join(Opener(content).wanted())
    await second.started()
    reader = asyncio.ensure_future(collect(second))

    opener.go.set()

    assert await reader == content
    assert one.artifacts.find(opener.wanted().key) is None


async def test_who_waited_for_the_lock_finds_the_finished_artifact(one: Side, other: Side, content: bytes) -> None:
    opener, unused = Opener(content), Opener(content)
    await one.downloads.join(opener.wanted()).finished()

    second = other.downloads.join(unused.wanted())

    assert await collect(second) == content
    assert await second.finished() == one.artifacts.find(opener.wanted().key)
    assert unused.opens == []
    assert list(one.artifacts.partials.iterdir()) == []


async def test_a_read_that_ends_early_disturbs_nobody(one: Side, content: bytes) -> None:
    opener = Opener(content, [Script(stall=100_000)])
    download = one.downloads.join(opener.wanted())
    assert one.downloads.get(download.wanted.key) is download
    impatient = [asyncio.ensure_future(collect(download)) for _ in range(20)]
    patient = asyncio.ensure_future(collect(download))
    await opener.stalled.wait()

    for reader in impatient:
        reader.cancel()
    opener.go.set()

    assert await patient == content
    await download.finished()
    assert one.downloads.get(download.wanted.key) is None
