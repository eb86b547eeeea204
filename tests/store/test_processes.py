"""Several processes of one machine share the folder."""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.fakes.folders import large_files
from tests.fakes.patience import comes_true

SIZE = 3_000_000
ROOT = Path(__file__).parents[2]
DIGEST = hashlib.sha256(random.Random(7).randbytes(SIZE)).hexdigest()  # noqa: S311 - any bytes will do

Start = Callable[..., Awaitable[Process]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    path = tmp_path / "upstream"
    path.mkdir()
    return path


@pytest.fixture
async def start(folder: Path, upstream: Path) -> AsyncIterator[Start]:
    started: list[Process] = []

    async def start(*, stall: int = -1, listed: str = "right") -> Process:
        arguments = [Path(__file__).with_name("filler.py"), folder, upstream, SIZE, stall, listed]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *map(str, arguments), stdout=PIPE, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: Process) -> str:
    """Give the next line that is not a log line."""
    assert process.stdout is not None
    while text := (await process.stdout.readline()).decode():
        if text.startswith(("began", "whole", "failed")):
            return text.strip()
    return ""


def offsets(upstream: Path) -> list[int]:
    return sorted(int(path.name.partition("-")[2]) for path in upstream.iterdir() if path.name != "go")


@pytest.mark.parametrize("listed", ["right", "none"])
async def test_processes_share_one_upstream_request(start: Start, upstream: Path, folder: Path, listed: str) -> None:
    processes = [await start(stall=1_000_000, listed=listed) for _ in range(3)]
    assert {await line(process) for process in processes} == {f"began {SIZE}"}

    (upstream / "go").touch()

    assert {await line(process) for process in processes} == {f"whole {SIZE} True"}
    assert offsets(upstream) == [0]
    assert hashlib.sha256((folder / DIGEST[:2] / DIGEST[2:]).read_bytes()).hexdigest() == DIGEST


async def test_who_comes_just_after_the_end_finds_it_without_a_listed_digest(start: Start, upstream: Path) -> None:
    first = await start(listed="none")
    await first.wait()

    second = await start(listed="none")

    assert await line(second) == f"began {SIZE}"
    assert await line(second) == f"whole {SIZE} True"
    assert offsets(upstream) == [0]


async def test_a_killed_writer_is_taken_over_where_it_stood(start: Start, upstream: Path, folder: Path) -> None:
    """The follower's own reader notices nothing."""
    writer = await start(stall=1_000_000)
    assert await line(writer) == f"began {SIZE}"
    follower = await start()
    assert await line(follower) == f"began {SIZE}"

    writer.kill()
    await writer.wait()

    assert await line(follower) == f"whole {SIZE} True"
    assert len(offsets(upstream)) == 2
    assert offsets(upstream)[1] > 0
    assert (folder / DIGEST[:2] / DIGEST[2:]).stat().st_size == SIZE


async def test_nothing_half_written_is_served_after_a_kill_and_the_fill_resumes(
    start: Start, upstream: Path, folder: Path
) -> None:
    writer = await start(stall=2_000_000)
    await comes_true(lambda: sum(path.stat().st_size for path in large_files(folder)) >= 1_000_000)
    writer.kill()
    await writer.wait()
    assert not (folder / DIGEST[:2] / DIGEST[2:]).exists()

    again = await start()

    assert await line(again) == f"began {SIZE}"
    assert await line(again) == f"whole {SIZE} True"
    assert offsets(upstream)[1] >= 1_000_000


async def test_wrong_bytes_are_seen_whole_in_no_process(start: Start, upstream: Path, folder: Path) -> None:
    processes = [await start(stall=1_000_000, listed="wrong") for _ in range(2)]
    assert {await line(process) for process in processes} == {f"began {SIZE}"}

    (upstream / "go").touch()

    for process in processes:
        assert (await line(process)).startswith("failed True")
    await comes_true(lambda: large_files(folder) == [])
