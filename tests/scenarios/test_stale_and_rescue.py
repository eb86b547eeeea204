"""Promise: what is remembered is served as long as the windows say, and never longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.index import FakeIndex
from tests.fakes.patience import comes_true
from tests.fakes.server import LocalServer, settings, simple
from tests.scenarios.conftest import Run

FIRST, SECOND = "bar-1.0.tar.gz", "bar-2.0.tar.gz"
WINDOWS = {"fresh": "10 min", "stale": "1 h", "rescue": "1 d", "absent": "1 min"}
MINUTE, HOUR = 60.0, 3600.0


@pytest.fixture
async def server(run: Run, cache_directory: Path, public: FakeIndex, clock: FakeClock) -> LocalServer:
    public.has(FIRST)
    return await run(settings(cache_directory, {"public": simple(public.url, **WINDOWS)}), clock=clock)


async def test_a_fresh_page_is_served_without_asking(server: LocalServer, public: FakeIndex, clock: FakeClock) -> None:
    await server.page("/simple/bar/")
    public.has(SECOND)
    clock.pass_by(10 * MINUTE - 1)

    assert (await server.page("/simple/bar/")).filenames() == [FIRST]
    assert public.asked("/simple/bar/") == 1


async def test_a_stale_page_is_served_at_once_and_refreshed_behind(
    server: LocalServer, public: FakeIndex, clock: FakeClock
) -> None:
    before = await server.page("/simple/bar/")
    public.has(SECOND)
    clock.pass_by(10 * MINUTE)

    stale = await server.page("/simple/bar/")
    await public.until(lambda it: it.asked("/simple/bar/") == 2)
    clock.pass_by(2)
    fresh = await server.until(lambda page: len(page.filenames()) == 2, "/simple/bar/")

    assert stale.filenames() == [FIRST]
    assert "Warning" not in stale.headers
    assert fresh.headers["ETag"] != before.headers["ETag"]
    assert public.asked("/simple/bar/") == 2


async def test_a_page_older_than_the_stale_window_is_asked_for_first(
    server: LocalServer, public: FakeIndex, clock: FakeClock
) -> None:
    await server.page("/simple/bar/")
    public.has(SECOND)
    clock.pass_by(HOUR)

    assert (await server.page("/simple/bar/")).filenames() == [FIRST, SECOND]


async def test_an_unchanged_page_is_not_read_again(server: LocalServer, public: FakeIndex, clock: FakeClock) -> None:
    before = await server.page("/simple/bar/")
    clock.pass_by(HOUR)
    after = await server.page("/simple/bar/")

    assert after.headers["ETag"] == before.headers["ETag"]
    assert "If-None-Match" in public.asked_of("bar")[-1].headers


async def test_an_old_page_comes_to_the_rescue_and_is_marked(
    server: LocalServer, public: FakeIndex, clock: FakeClock
) -> None:
    await server.page("/simple/bar/")
    clock.pass_by(23 * HOUR)
    public.is_down()

    page = await server.page("/simple/bar/")
    again = await server.get("/simple/bar/", accept="text/html", if_none_match="*")

    assert page.filenames() == [FIRST]
    assert page.headers["Warning"].startswith("111 ")
    assert "public" in page.headers["Warning"]
    assert again.status == 304


async def test_a_page_too_old_for_the_rescue_is_an_outage(
    server: LocalServer, public: FakeIndex, clock: FakeClock
) -> None:
    await server.page("/simple/bar/")
    clock.pass_by(24 * HOUR)
    public.is_down()

    assert (await server.page("/simple/bar/")).status == 503


async def test_after_an_outage_the_first_answer_is_the_new_one(
    server: LocalServer, public: FakeIndex, clock: FakeClock
) -> None:
    await server.page("/simple/bar/")
    clock.pass_by(2 * HOUR)
    public.is_down()
    assert "Warning" in (await server.page("/simple/bar/")).headers

    public.is_up()
    public.has(SECOND)
    clock.pass_by(3)
    page = await server.page("/simple/bar/")

    assert page.filenames() == [FIRST, SECOND]
    assert "Warning" not in page.headers


async def test_a_throttling_source_is_left_alone_for_as_long_as_it_says(
    server: LocalServer, public: FakeIndex, clock: FakeClock
) -> None:
    await server.page("/simple/bar/")
    clock.pass_by(2 * HOUR)
    public.status_for("bar", 429, {"Retry-After": "120"})

    assert "Warning" in (await server.page("/simple/bar/")).headers
    asked = public.asked("/simple/bar/")
    for _ in range(3):
        clock.pass_by(30)
        assert "Warning" in (await server.page("/simple/bar/")).headers

    assert public.asked("/simple/bar/") == asked


async def test_not_here_is_remembered_for_its_own_time(
    server: LocalServer, public: FakeIndex, clock: FakeClock
) -> None:
    assert (await server.page("/simple/new/")).status == 404
    public.has("new-1.0.tar.gz")
    clock.pass_by(59)
    assert (await server.page("/simple/new/")).status == 404
    assert public.asked("/simple/new/") == 1

    clock.pass_by(1)

    assert (await server.page("/simple/new/")).filenames() == ["new-1.0.tar.gz"]


async def test_not_here_comes_to_nobodys_rescue(server: LocalServer, public: FakeIndex, clock: FakeClock) -> None:
    assert (await server.page("/simple/new/")).status == 404
    public.is_down()
    clock.pass_by(61)

    assert (await server.page("/simple/new/")).status == 503


async def test_what_is_remembered_outlives_the_process(
    server: LocalServer, run: Run, cache_directory: Path, public: FakeIndex, clock: FakeClock
) -> None:
    await server.page("/simple/bar/")
    asked = len(public.requests)
    # It is told of when it is on the disk, which is a moment after the answer.
    await comes_true(lambda: any((cache_directory / "board").read_bytes()))

    again = await run(settings(cache_directory, {"public": simple(public.url, **WINDOWS)}), clock=clock)

    assert (await again.page("/simple/bar/")).filenames() == [FIRST]
    assert len(public.requests) == asked


async def test_offline_serves_what_is_remembered_and_cached_and_asks_nobody(
    server: LocalServer, run: Run, cache_directory: Path, public: FakeIndex, clock: FakeClock
) -> None:
    public.has("bar-3.0-py3-none-any.whl", metadata=True)
    await server.get(f"/files/bar/{FIRST}")
    await server.get("/files/bar/bar-3.0-py3-none-any.whl.metadata")
    asked = len(public.requests)
    clock.pass_by(20 * 24 * HOUR)

    offline = await run(settings(cache_directory, {"public": simple(public.url, offline=True, **WINDOWS)}), clock=clock)
    # Both are on the disk a moment after the answer.
    page = await offline.until(lambda reply: reply.status == 200, "/simple/bar/")
    file = await offline.get(f"/files/bar/{FIRST}")
    sidecar = await offline.until(lambda reply: reply.status == 200, "/files/bar/bar-3.0-py3-none-any.whl.metadata")
    unknown = await offline.get("/simple/new/")
    uncached = await offline.get("/files/bar/bar-3.0-py3-none-any.whl")

    assert page.filenames() == [FIRST, "bar-3.0-py3-none-any.whl"]
    assert file.body == public.files[FIRST].content
    assert sidecar.status == 200
    assert unknown.status == 503
    assert "offline" in unknown.json()["detail"]
    assert uncached.status == 503
    assert len(public.requests) == asked
