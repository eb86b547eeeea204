"""What happens when the disk takes no more: clients get their bytes, nothing is kept, nothing wrong is left."""

from __future__ import annotations

import asyncio
import errno
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from proxy.errors import SourceUnavailable
from proxy.sources.base import Chunk
from proxy.store.artifacts import Artifacts
from proxy.store.download import Downloads
from proxy.store.growing import WINDOW
from proxy.store.partial import Mark, Partial
from tests.fakes.folders import large_files
from tests.fakes.openers import Opener, Script
from tests.fakes.patience import comes_true

CONTENT = random.Random(7).randbytes(3 * WINDOW)  # noqa: S311 - any bytes will do


class FullPartial(Partial):
    """A partial file on a disk with room for `room` bytes."""

    room = 1_500_000

    def write(self, chunks: Sequence[Chunk], offset: int) -> None:
        if offset + sum(map(len, chunks)) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(chunks, offset)


class FullArtifacts(Artifacts):
    """Artifacts on a full disk; evicting frees as much as `gain` says."""

    gain = 0
    asked = 0

    def open_partial(self, key: str) -> Partial:
        partial = super().open_partial(key)
        full = FullPartial(partial.path, os.dup(partial.fd))
        full.locked, partial.locked = partial.locked, False
        full.room += self.gain if self.asked else 0
        self.last = full
        return full

    def make_room(self, size: int) -> None:
        self.asked = size
        self.last.room += self.gain


@pytest.fixture
async def artifacts(tmp_path: Path) -> AsyncIterator[FullArtifacts]:
    async with FullArtifacts(tmp_path / "artifacts", size=100_000_000) as store:
        yield store


async def test_readers_get_everything_and_nothing_is_kept(downloads: Downloads, artifacts: Artifacts) -> None:
    opener = Opener(CONTENT)
    download = downloads.join(opener.wanted())

    async def collect() -> bytes:
        async with aclosing(download.read()) as chunks:
            return b"".join([chunk async for chunk in chunks])

    assert set(await asyncio.gather(collect(), collect(), collect())) == {CONTENT}
    artifact = await download.finished()
    assert artifacts.find(artifact.digest) is None
    await comes_true(lambda: large_files(artifacts.directory) == [])
    assert opener.opens == [0]


async def test_without_readers_it_is_given_up(downloads: Downloads, artifacts: Artifacts) -> None:
    """Nobody would have the bytes, and memory must not hold them."""
    download = downloads.join(Opener(CONTENT).wanted(silence=0.05))

    with pytest.raises(SourceUnavailable):
        await download.finished()

    await comes_true(lambda: large_files(artifacts.directory) == [])


async def test_who_comes_too_late_for_what_was_not_written_is_sent_away(downloads: Downloads) -> None:
    opener = Opener(CONTENT, [Script(stall=2 * WINDOW)])
    download = downloads.join(opener.wanted())

    async def collect() -> int:
        async with aclosing(download.read()) as chunks:
            return sum([len(chunk) async for chunk in chunks])

    first = asyncio.ensure_future(collect())
    await opener.stalled.wait()
    with pytest.raises(SourceUnavailable):
        await collect()
    opener.go.set()

    assert await first == len(CONTENT)


async def test_artifacts_make_room_first(downloads: Downloads, artifacts: FullArtifacts) -> None:
    artifacts.gain = len(CONTENT)

    artifact = await downloads.join(Opener(CONTENT).wanted()).finished()

    assert artifacts.asked > 0
    assert artifacts.find(artifact.digest) == artifact


async def test_room_is_made_by_evicting(tmp_path: Path) -> None:
    async with Artifacts(tmp_path / "other", size=100_000) as artifacts:
        for number in range(10):
            path = artifacts.partials / "x"
            await asyncio.to_thread(path.write_bytes, bytes(2000))
            await artifacts.run(artifacts.adopt, path, f"{number:064}")
        await artifacts.settled()

        await artifacts.run(artifacts.make_room, 10_000)

    assert len(large_files(artifacts.directory)) == 5


async def test_a_folder_that_cannot_be_written_costs_the_cache_not_the_file(
    downloads: Downloads, artifacts: Artifacts
) -> None:
    await asyncio.to_thread(artifacts.partials.rmdir)
    await asyncio.to_thread(artifacts.partials.touch)
    download = downloads.join(Opener(CONTENT).wanted())

    async with aclosing(download.read()) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == CONTENT

    await comes_true(lambda: large_files(artifacts.directory) == [])


def test_every_verdict_can_be_told_from_the_file(tmp_path: Path) -> None:
    partial = Partial(tmp_path / "x", os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT, 0o600))

    for mark in Mark:
        partial.mark(mark)
        assert partial.look() == (0, mark)
