"""Promise: a cache folder that is full, unwritable or gone costs speed and a line in the log, never an answer."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.folders import remove_in_use
from tests.fakes.index import FakeIndex
from tests.fakes.process import StartServer
from tests.fakes.server import client, fetch, settings, simple
from tests.scenarios.conftest import Run, toml

LARGE, SMALL = "big-1.0-py3-none-any.whl", "big-1.0.tar.gz"


@pytest.fixture
def upstream() -> Iterator[FakeIndex]:
    with FakeIndex.in_thread() as index:
        index.has(LARGE, size_padding=2 << 20, metadata=True)
        index.has(SMALL, hashes=[])
        yield index


async def test_without_a_place_for_the_cache_the_server_says_so_and_does_not_start(
    start_server: StartServer, upstream: FakeIndex, tmp_path: Path
) -> None:
    """A file stands where the folder should be, which stops root as well."""
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")

    with pytest.raises(AssertionError) as ended:
        await asyncio.to_thread(start_server, toml(blocked / "cache", upstream.url))

    said = str(ended.value)
    assert f"wheelgate: the cache cannot be in {blocked}/cache" in said
    assert "name a folder on a local disk" in said
    assert "Traceback" not in said


async def test_a_cache_that_goes_away_while_the_server_runs_is_made_again(
    run: Run, cache_directory: Path, public: FakeIndex
) -> None:
    public.has(LARGE, size_padding=2 << 20, metadata=True)
    public.has(SMALL)
    server = await run(settings(cache_directory, {"public": simple(public.url)}))
    assert (await server.get(f"/files/big/{SMALL}")).status == 200

    await asyncio.to_thread(remove_in_use, cache_directory)

    assert (await server.page("/simple/big/")).status == 200
    assert (await server.get(f"/files/big/{LARGE}")).body == public.files[LARGE].content
    assert (await server.get(f"/files/big/{SMALL}")).status == 200


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    if mount is None or unmount is None or os.geteuid() != 0:
        pytest.skip("may not mount")
    command = [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("may not mount")
    yield place
    subprocess.run([unmount, "--lazy", str(place)], check=False)


async def test_a_full_disk_costs_the_cache_and_no_answer(
    start_server: StartServer, upstream: FakeIndex, small_disk: Path
) -> None:
    server = await asyncio.to_thread(start_server, toml(small_disk / "cache", upstream.url))
    async with client() as session:
        for _ in range(2):
            large = await fetch(session, f"{server.url}/files/big/{LARGE}")
            little = await fetch(session, f"{server.url}/files/big/{SMALL}")
            page = await fetch(session, f"{server.url}/simple/big/")

            assert large.body == upstream.files[LARGE].content
            assert little.body == upstream.files[SMALL].content
            assert page.status == 200
    await asyncio.to_thread(server.stop)
    assert "Traceback" not in server.log
    assert "disk" in server.log
