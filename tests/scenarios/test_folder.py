"""Promise: what lies in a folder is what clients see, within two seconds, hash and bytes together."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.server import LocalServer, folder, settings, simple
from tests.fakes.wheels import build_wheel, metadata
from tests.scenarios.conftest import Run

WHEEL = "mine-1.0-py3-none-any.whl"


@pytest.fixture
async def server(run: Run, cache_directory: Path, shelf: Path, public: FakeIndex) -> LocalServer:
    public.has("mine-9.0-py3-none-any.whl", metadata=True)
    # With the refresh that a folder has by default.
    sources = {"shelf": {"kind": "directory", "path": str(shelf)}, "public": simple(public.url, fresh="1 h")}
    return await run(settings(cache_directory, sources))


def put(shelf: Path, name: str, content: bytes) -> None:
    """Put a whole file in place, as a careful person does."""
    temporary = shelf / f".{name}.part"
    temporary.write_bytes(content)
    os.utime(temporary, (1_700_000_000, 1_700_000_000))
    temporary.rename(shelf / name)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def test_a_file_that_is_dropped_in_is_seen_within_two_seconds_also_on_the_lists(
    server: LocalServer, shelf: Path
) -> None:
    wheel = build_wheel("new", "1.0", requires_python=">=3.9")
    assert (await server.page("/simple/new/")).status == 404
    assert "new" not in (await server.get("/simple/")).text

    put(shelf, "new-1.0-py3-none-any.whl", wheel)
    page = await server.until(lambda page: page.status == 200, "/simple/new/", within=3)
    names = await server.until(lambda page: '"new"' in page.text, "/simple/", within=3)
    links = await server.get("/links/")
    file = await server.get("/files/new/new-1.0-py3-none-any.whl")

    assert names.status == 200
    assert "../files/new/new-1.0-py3-none-any.whl" in links.hrefs()
    assert file.body == wheel
    said = page.file("new-1.0-py3-none-any.whl")
    assert said["size"] == len(wheel)
    assert page.headers["Cache-Control"] == "max-age=0"
    page = await server.until(lambda page: bool(page.json()["files"][0]["hashes"]), "/simple/new/")
    said = page.json()["files"][0]
    assert said["hashes"] == {"sha256": digest(wheel)}
    assert said["requires-python"] == ">=3.9"
    expected = metadata("new", "1.0", requires_python=">=3.9")
    assert said["core-metadata"] == {"sha256": digest(expected)}
    assert (await server.get("/files/new/new-1.0-py3-none-any.whl.metadata")).body == expected


async def test_a_private_file_comes_before_a_strangers_as_soon_as_it_is_there(server: LocalServer, shelf: Path) -> None:
    assert (await server.page("/simple/mine/")).filenames() == ["mine-9.0-py3-none-any.whl"]

    put(shelf, WHEEL, build_wheel("mine", "1.0"))

    await server.until(lambda page: page.filenames() == [WHEEL], "/simple/mine/", within=3)


async def test_a_replaced_file_changes_its_hash_size_and_bytes_together(server: LocalServer, shelf: Path) -> None:
    first, second = build_wheel("mine", "1.0"), build_wheel("mine", "1.0", requires=["other"])
    put(shelf, WHEEL, first)
    before = await server.until(lambda page: bool(page.json()["files"][0]["hashes"]), "/simple/mine/")
    cached = await server.get(f"/files/mine/{WHEEL}")

    put(shelf, WHEEL, second)
    after = await server.until(
        lambda page: page.file(WHEEL)["hashes"] == {"sha256": digest(second)}, "/simple/mine/", within=4
    )
    file = await server.get(f"/files/mine/{WHEEL}", if_none_match=cached.headers["ETag"])

    assert before.file(WHEEL)["size"] == len(first)
    assert before.headers["ETag"] != after.headers["ETag"]
    assert after.file(WHEEL)["size"] == len(second)
    assert file.status == 200
    assert file.body == second
    assert file.headers["ETag"] == f'"{digest(second)}"'
    assert file.headers["Cache-Control"] == "max-age=0"
    assert (await server.get(f"/files/mine/{WHEEL}.metadata")).body == metadata("mine", "1.0", requires=["other"])


async def test_a_file_replaced_a_moment_ago_is_never_sent_under_the_old_hash(server: LocalServer, shelf: Path) -> None:
    """The page may be two seconds old; the bytes that come are then the new ones, and say so."""
    first, second = build_wheel("mine", "1.0"), build_wheel("mine", "1.0", requires=["other"])
    put(shelf, WHEEL, first)
    await server.until(lambda page: bool(page.json()["files"][0]["hashes"]), "/simple/mine/")

    put(shelf, WHEEL, second)
    reply = await server.get(f"/files/mine/{WHEEL}")

    assert reply.status == 200
    assert reply.body == second
    assert reply.headers["ETag"] == f'"{digest(second)}"'


async def test_a_deleted_file_is_gone_within_two_seconds(server: LocalServer, shelf: Path) -> None:
    put(shelf, "new-1.0-py3-none-any.whl", build_wheel("new", "1.0"))
    await server.until(lambda page: page.status == 200, "/simple/new/", within=3)

    (shelf / "new-1.0-py3-none-any.whl").unlink()

    await server.until(lambda page: page.status == 404, "/simple/new/", within=3)
    assert (await server.get("/files/new/new-1.0-py3-none-any.whl")).status == 404


async def test_a_vanished_folder_is_an_outage_and_no_absence(
    run: Run, cache_directory: Path, shelf: Path, public: FakeIndex
) -> None:
    public.has("mine-9.0-py3-none-any.whl")
    server = await run(settings(cache_directory, {"shelf": folder(shelf / "not-there"), "public": simple(public.url)}))

    reply = await server.get("/simple/mine/")

    assert reply.status == 503
    assert reply.json()["source"] == "shelf"
    assert public.requests == []


async def test_after_the_folder_vanished_what_is_remembered_is_served_and_no_stranger(
    run: Run, cache_directory: Path, shelf: Path, public: FakeIndex
) -> None:
    public.has("mine-9.0-py3-none-any.whl")
    put(shelf, WHEEL, build_wheel("mine", "1.0"))
    server = await run(settings(cache_directory, {"shelf": folder(shelf), "public": simple(public.url)}))
    await server.page("/simple/mine/")

    await asyncio.to_thread(shelf.rename, shelf.with_name("elsewhere"))
    page = await server.page("/simple/mine/")

    assert page.filenames() == [WHEEL]
    assert "shelf" in page.headers["Warning"]
    assert public.requests == []


async def test_a_link_that_leads_out_of_the_folder_is_not_served(
    server: LocalServer, shelf: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside-1.0-py3-none-any.whl"
    outside.write_bytes(build_wheel("outside", "1.0"))
    (shelf / outside.name).symlink_to(outside)

    assert (await server.page("/simple/outside/")).status == 404
    assert (await server.get(f"/files/outside/{outside.name}")).status == 404


async def test_a_mount_point_without_its_disk_is_an_outage(
    run: Run, cache_directory: Path, tmp_path: Path, public: FakeIndex
) -> None:
    """It is a folder like any other, and empty: what it had would be whoever's has the name elsewhere."""
    public.has("mine-9.0-py3-none-any.whl", metadata=True)
    disk, bare, mounted = tmp_path / "disk", tmp_path / "bare", tmp_path / "mounted"
    disk.mkdir()
    put(disk, WHEEL, build_wheel("mine", "1.0"))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        bare.symlink_to(elsewhere)
        if bare.stat().st_dev == disk.stat().st_dev:
            pytest.skip("one disk is all there is here")
        mounted.symlink_to(disk)
        config = settings(cache_directory, {"shelf": folder(mounted), "public": simple(public.url)})
        server = await run(config)
        assert (await server.page("/simple/mine/")).filenames() == [WHEEL]

        bare.rename(mounted)
        page = await server.page("/simple/mine/")
        after = await run(config)
        reply = await after.get("/explain/mine")

        assert page.filenames() == (await after.page("/simple/mine/")).filenames() == [WHEEL]
        assert "it is not mounted" in reply.text
        assert public.requests == []

        # Emptied on purpose, it is as empty as it looks.
        (Path(elsewhere) / "README").write_text("nothing here any more")
        await server.until(lambda page: page.filenames() == ["mine-9.0-py3-none-any.whl"], "/simple/mine/")
