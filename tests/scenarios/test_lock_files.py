"""Promise: a URL out of a lock file works on any replica, whatever it remembers, and stays the same for ever."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.server import LocalServer, folder, settings, simple
from tests.fakes.wheels import build_wheel, metadata
from tests.scenarios.conftest import Run

WHEEL = "bar-1.0-py3-none-any.whl"


@pytest.fixture
async def server(run: Run, cache_directory: Path, public: FakeIndex) -> LocalServer:
    public.has(WHEEL, metadata=True)
    public.has("bar-1.0+local.1-py3-none-any.whl", metadata=True)
    return await run(settings(cache_directory, {"public": simple(public.url)}))


async def test_a_file_is_had_on_an_empty_cache(server: LocalServer, public: FakeIndex) -> None:
    reply = await server.get(f"/files/bar/{WHEEL}")

    assert reply.status == 200
    assert reply.body == public.files[WHEEL].content
    assert reply.headers["ETag"] == f'"{public.files[WHEEL].sha256}"'
    assert reply.headers["Cache-Control"] == "max-age=365000000, immutable"


async def test_core_metadata_is_had_on_an_empty_cache(server: LocalServer, public: FakeIndex) -> None:
    reply = await server.get(f"/files/bar/{WHEEL}.metadata")

    assert reply.status == 200
    assert reply.body == public.files[WHEEL].metadata
    assert public.asked(f"/files/{WHEEL}") == 0


async def test_core_metadata_that_was_read_out_of_a_wheel_is_had_on_an_empty_cache(
    run: Run, tmp_path: Path, public: FakeIndex
) -> None:
    public.has("plain-1.0-py3-none-any.whl", requires_python=">=3.9")
    server = await run(settings(tmp_path / "another", {"public": simple(public.url)}))

    reply = await server.get("/files/plain/plain-1.0-py3-none-any.whl.metadata")

    assert reply.status == 200
    assert reply.body == metadata("plain", "1.0", requires_python=">=3.9")


async def test_private_files_are_had_on_an_empty_cache(run: Run, tmp_path: Path, shelf: Path) -> None:
    wheel = build_wheel("mine", "1.0")
    (shelf / "mine-1.0-py3-none-any.whl").write_bytes(wheel)
    server = await run(settings(tmp_path / "another", {"shelf": folder(shelf)}))

    file = await server.get("/files/mine/mine-1.0-py3-none-any.whl")
    beside = await server.get("/files/mine/mine-1.0-py3-none-any.whl.metadata")

    assert file.body == wheel
    assert beside.body == metadata("mine", "1.0")


@pytest.mark.parametrize("spelling", ["bar-1.0+local.1", "bar-1.0%2Blocal.1", "bar-1.0%2blocal.1"])
async def test_a_plus_in_a_name_is_one_file_however_it_is_spelled(
    server: LocalServer, public: FakeIndex, spelling: str
) -> None:
    reply = await server.get(f"/files/bar/{spelling}-py3-none-any.whl")

    assert reply.body == public.files["bar-1.0+local.1-py3-none-any.whl"].content
    assert public.asked("/files/bar-1.0+local.1-py3-none-any.whl") == 1


async def test_links_of_pages_lead_to_the_same_urls_on_every_replica(
    server: LocalServer, run: Run, tmp_path: Path, public: FakeIndex
) -> None:
    """They hold under a prefix too, carry no query, and no absolute address."""
    other = await run(settings(tmp_path / "replica", {"public": simple(public.url)}))

    here, there = await server.page("/simple/bar/"), await other.page("/simple/bar/")

    urls = [file["url"] for file in here.json()["files"]]
    assert urls == [file["url"] for file in there.json()["files"]]
    assert here.headers["ETag"] == there.headers["ETag"]
    assert urls[0] == f"../../files/bar/{WHEEL}"
    assert urls[1] == "../../files/bar/bar-1.0%2Blocal.1-py3-none-any.whl"
    prefixed = urljoin("https://corp.example/prefix/simple/bar/", urls[0])
    assert prefixed == f"https://corp.example/prefix/files/bar/{WHEEL}"


@pytest.mark.parametrize("name", ["Bar", "BAR", "bar"])
async def test_a_name_in_a_file_url_needs_no_redirect(server: LocalServer, name: str) -> None:
    assert (await server.get(f"/files/{name}/{WHEEL}")).status == 200


async def test_a_file_of_another_project_is_not_had_under_this_one(server: LocalServer, public: FakeIndex) -> None:
    public.has("foo-1.0-py3-none-any.whl")

    assert (await server.get("/files/bar/foo-1.0-py3-none-any.whl")).status == 404
    assert (await server.get("/files/foo/foo-1.0-py3-none-any.whl")).status == 200
