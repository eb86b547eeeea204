from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.store.neighbours import Neighbours

HOLDS = """
import asyncio, sys
from pathlib import Path
from proxy.store.neighbours import Neighbours

async def hold():
    async with Neighbours(Path(sys.argv[1])) as neighbours:
        async with neighbours.hold("page:bar"):
            neighbours.tell("page:bar")
            neighbours.ring()
            print("held", flush=True)
            await asyncio.sleep(60)

asyncio.run(hold())
"""


@pytest.fixture
async def neighbours(tmp_path: Path) -> AsyncIterator[Neighbours]:
    async with Neighbours(tmp_path) as found:
        yield found


async def another(folder: Path) -> asyncio.subprocess.Process:
    """Start another process, and wait until it holds the page of bar."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDS, str(folder), cwd=Path(__file__).parents[2], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    return process


async def test_what_another_process_holds_is_had_when_that_one_is_killed(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    other = await another(tmp_path)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), neighbours.hold("page:bar"):
            pass
    async with asyncio.timeout(5), neighbours.hold("page:baz"):
        other.kill()
    async with asyncio.timeout(5), neighbours.hold("page:bar"):
        pass

    await other.wait()


async def test_one_at_a_time_holds_a_key_in_one_process_too(neighbours: Neighbours) -> None:
    order: list[str] = []

    async def hold(name: str) -> None:
        async with neighbours.hold("page:bar"):
            order.append(name)
            await asyncio.sleep(0)
            order.append(name)

    await asyncio.gather(hold("a"), hold("b"))

    assert order == ["a", "a", "b", "b"]


async def test_what_another_process_tells_is_read_and_heard(neighbours: Neighbours, tmp_path: Path) -> None:
    heard = asyncio.Event()
    before = neighbours.number("page:bar")
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(neighbours.listen([heard.set]))
        await asyncio.sleep(0)

        other = await another(tmp_path)
        async with asyncio.timeout(5):
            await heard.wait()
        listening.cancel()

    other.kill()
    await other.wait()
    assert neighbours.number("page:bar") != before
    assert neighbours.number("page:baz") == before == 0


async def test_where_no_file_can_be_made_it_goes_without(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    async with Neighbours(tmp_path / "taken") as alone, alone.hold("page:bar"):
        number = alone.tell("page:bar")

        assert alone.number("page:bar") == number


async def test_the_files_stay_small_whatever_is_held_and_told(neighbours: Neighbours, tmp_path: Path) -> None:
    for number in range(500):
        async with neighbours.hold(f"page:{number}"):
            neighbours.tell(f"page:{number}")

    assert (tmp_path / "locks").stat().st_size == 0
    assert (tmp_path / "board").stat().st_size <= 65_544
