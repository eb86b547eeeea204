"""A source that wants to be left alone is left alone as a whole, over real sockets."""

from __future__ import annotations

import pytest

from proxy.errors import SourceUnavailable
from proxy.sources.session import Session, Upstream
from proxy.sources.throttle import Throttle, parse_retry_after
from tests.fakes.clock import FakeClock
from tests.fakes.fetching import fail, fetch
from tests.fakes.index import FakeIndex


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        (429, {"Retry-After": "30"}, 30),
        (503, {"Retry-After": "30"}, 30),
        (503, {"Retry-After": "Mon, 12 Jan 1970 13:47:10 GMT"}, 30),
        (429, {}, 5),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1000030"}, 30),
        (429, {"Retry-After": "99999999"}, 3600),
    ],
)
async def test_a_source_that_wants_peace_gets_it_as_a_whole(
    upstream: Upstream, index: FakeIndex, clock: FakeClock, status: int, headers: dict[str, str], wait: float
) -> None:
    index.status_for("bar", status, headers, times=1)
    first = await fail(upstream, f"{index.url}bar/")

    clock.pass_by(wait - 1)
    second = await fail(upstream, f"{index.url}other/")
    clock.pass_by(2)
    await fetch(upstream, f"{index.url}bar/")

    assert isinstance(first, SourceUnavailable)
    assert first.retry_after == pytest.approx(wait)
    assert second.retry_after == pytest.approx(1)
    assert len(index.requests) == 2


async def test_a_delay_that_comes_with_a_good_answer_counts_from_the_next_one(
    upstream: Upstream, index: FakeIndex, clock: FakeClock
) -> None:
    """Azure DevOps asks for patience with a 200, before it blocks."""
    index.page_headers["Retry-After"] = "12"

    assert await fetch(upstream, f"{index.url}bar/")
    error = await fail(upstream, f"{index.url}bar/")

    assert error.retry_after == pytest.approx(12)
    clock.pass_by(13)
    assert await fetch(upstream, f"{index.url}bar/")


async def test_a_500_that_speaks_of_a_quota_is_no_failure_to_ask_over(upstream: Upstream, index: FakeIndex) -> None:
    text = b"Request was blocked due to exceeding usage of resource 'Concurrency' in namespace 'IPAddress'."
    index.status_for("bar", 500, body=text)

    error = await fail(upstream, f"{index.url}bar/")

    assert error.retry_after is not None
    assert len(index.requests) == 1


async def test_one_source_that_wants_peace_leaves_another_alone(
    session: Session, index: FakeIndex, other: FakeIndex
) -> None:
    first, second = Upstream(session, name="feed"), Upstream(session, name="other")
    index.is_down(retry_after="30")
    other.has_project("bar")

    await fail(first, f"{index.url}bar/")

    assert await fetch(second, f"{other.url}bar/")


async def test_a_source_that_says_again_at_once_is_asked_again(upstream: Upstream, index: FakeIndex) -> None:
    index.status_for("bar", 429, {"Retry-After": "0"}, times=1)

    assert await fetch(upstream, f"{index.url}bar/")


async def test_a_delay_that_comes_with_nothing_new_counts_too(upstream: Upstream, index: FakeIndex) -> None:
    index.status_for("bar", 304, {"Retry-After": "12"})
    async with upstream.get(f"{index.url}bar/", expect={304}):
        pass

    assert (await fail(upstream, f"{index.url}bar/")).retry_after == pytest.approx(12)


async def test_an_unreadable_retry_after_means_nothing(upstream: Upstream, index: FakeIndex) -> None:
    index.status_for("bar", 503, {"Retry-After": "soon"}, times=1)

    assert await fetch(upstream, f"{index.url}bar/")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), (" 0.5 ", 0.5), ("-3", 0.0), ("nan", None), ("", None), (None, None), ("Mon, 99 Foo", None)],
)
def test_a_retry_after_is_read_with_tolerance(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=0) == seconds


def test_a_clock_that_is_set_back_does_not_lock_a_source_out(clock: FakeClock) -> None:
    throttle = Throttle("feed", clock=clock)
    throttle.pause(30)

    clock.pass_by(-100_000)

    throttle.check()
