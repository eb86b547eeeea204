"""Promise: an upstream that breaks off, or falls silent, in the middle costs the client time at most."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.server import LocalServer, settings, simple
from tests.scenarios.conftest import Run

LARGE = "big-1.0-py3-none-any.whl"
CUT = 300_000


@pytest.fixture
async def server(run: Run, cache_directory: Path, public: FakeIndex) -> LocalServer:
    public.has(LARGE, size_padding=2 << 20, metadata=True)
    return await run(settings(cache_directory, {"public": simple(public.url, timeout="1 s")}))


def ranges(public: FakeIndex) -> list[str | None]:
    return [asked.headers.get("Range") for asked in public.requests if asked.path.endswith(LARGE)]


async def test_a_cut_download_goes_on_where_it_broke_off(server: LocalServer, public: FakeIndex) -> None:
    public.cut_after(LARGE, CUT, times=1)

    reply = await server.get(f"/files/big/{LARGE}")

    assert reply.body == public.files[LARGE].content
    assert reply.headers["Content-Length"] == str(len(reply.body))
    assert ranges(public) == [None, f"bytes={CUT}-"]


async def test_a_stalled_download_goes_on_after_the_limit_of_silence(server: LocalServer, public: FakeIndex) -> None:
    public.stall_after(LARGE, CUT, times=1)

    reply = await server.get(f"/files/big/{LARGE}")

    assert reply.body == public.files[LARGE].content
    assert ranges(public) == [None, f"bytes={CUT}-"]


async def test_without_ranges_a_cut_download_begins_anew(server: LocalServer, public: FakeIndex) -> None:
    public.no_ranges()
    public.cut_after(LARGE, CUT, times=1)

    reply = await server.get(f"/files/big/{LARGE}")

    assert reply.body == public.files[LARGE].content


async def test_a_page_that_is_cut_is_not_remembered(run: Run, tmp_path: Path, public: FakeIndex) -> None:
    public.has("bar-1.0.tar.gz")
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))
    before = await server.page("/simple/bar/")
    public.has("bar-1.1.tar.gz")
    public.cut_after("bar", 40)

    after = await server.page("/simple/bar/")
    public.truth_for("bar")

    assert after.filenames() == before.filenames() == ["bar-1.0.tar.gz"]
    assert "Warning" in after.headers
    page = await server.until(lambda page: len(page.filenames()) == 2, "/simple/bar/")
    assert "Warning" not in page.headers


async def test_a_part_that_breaks_off_is_broken_off(server: LocalServer, public: FakeIndex) -> None:
    """The client must neither take it for whole nor wait for the rest."""
    await server.page("/simple/big/")
    public.cut_after(LARGE, 500)

    with pytest.raises(aiohttp.ClientError):
        await server.get(f"/files/big/{LARGE}", range="bytes=-2000", if_range=f'"{public.files[LARGE].sha256}"')


async def test_a_part_is_had_of_a_source_without_ranges(server: LocalServer, public: FakeIndex) -> None:
    public.no_ranges()

    reply = await server.get(f"/files/big/{LARGE}", range="bytes=-2000")

    assert reply.status == 206
    assert reply.body == public.files[LARGE].content[-2000:]
