"""Promise: a clock that was wrong, and is set right, keeps nothing from being asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.index import FakeIndex
from tests.fakes.server import folder, settings, simple
from tests.fakes.wheels import build_wheel
from tests.scenarios.conftest import Run

YEAR = 365 * 86_400.0
OLD, NEW = "bar-1.0-py3-none-any.whl", "bar-2.0-py3-none-any.whl"
WINDOWS = {"fresh": "10 min", "stale": "1 h", "absent": "1 min"}


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_was_asked_in_the_future_is_asked_again(
    run: Run, cache_directory: Path, public: FakeIndex, clock: FakeClock, *, restarted: bool
) -> None:
    """A machine that starts with a wrong clock has it set back by minutes or years; pages would stay as they were."""
    public.has(OLD)
    config = settings(cache_directory, {"public": simple(public.url, **WINDOWS)})
    server = await run(config, clock=clock)
    assert (await server.page("/simple/bar/")).filenames() == [OLD]
    assert (await server.page("/simple/foo/")).status == 404

    public.has(NEW)
    public.has("foo-1.0-py3-none-any.whl")
    clock.pass_by(-YEAR)
    server = await run(config, clock=clock) if restarted else server

    await server.until(lambda page: page.filenames() == [OLD, NEW], "/simple/bar/")
    await server.until(lambda page: page.status == 200, "/simple/foo/")


async def test_what_was_asked_in_the_future_still_rescues(
    run: Run, cache_directory: Path, public: FakeIndex, clock: FakeClock
) -> None:
    public.has(OLD)
    config = settings(cache_directory, {"public": simple(public.url, **WINDOWS)})
    await (await run(config, clock=clock)).page("/simple/bar/")
    public.is_down()
    clock.pass_by(-YEAR)

    page = await (await run(config, clock=clock)).page("/simple/bar/")

    assert page.filenames() == [OLD]


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_listing_from_the_future_is_made_again(
    run: Run, cache_directory: Path, shelf: Path, clock: FakeClock, *, restarted: bool
) -> None:
    (shelf / OLD).write_bytes(build_wheel("bar", "1.0"))
    config = settings(cache_directory, {"own": folder(shelf, refresh="1 min")})
    server = await run(config, clock=clock)
    assert (await server.page("/simple/bar/")).filenames() == [OLD]

    (shelf / NEW).write_bytes(build_wheel("bar", "2.0"))
    (shelf / "foo-1.0-py3-none-any.whl").write_bytes(build_wheel("foo", "1.0"))
    clock.pass_by(-YEAR)
    server = await run(config, clock=clock) if restarted else server

    await server.until(lambda page: page.filenames() == [OLD, NEW], "/simple/bar/")
    await server.until(lambda page: '"foo"' in page.text, "/simple/")
