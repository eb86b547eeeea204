"""Feeds that answer 401 for a project: absence is believed only with a proof."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest
from packaging.utils import canonicalize_name

from proxy.errors import SourceError, SourceRefused
from proxy.sources.base import Answer
from proxy.sources.session import Session, Upstream
from proxy.sources.simple_index import SimpleIndex
from tests.fakes.credentials import FakeCredentials
from tests.fakes.index import FakeIndex

BAR = canonicalize_name("bar")
NOPE = canonicalize_name("no-pe")
GOOD = "Basic " + base64.b64encode(b"any:good").decode()
BAD = "Basic " + base64.b64encode(b"any:bad").decode()


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as session:
        yield session


@pytest.fixture
async def feed() -> AsyncIterator[FakeIndex]:
    """Give a feed that answers 401 for what it does not have, as Azure's do."""
    async with FakeIndex() as feed:
        feed.has("bar-1.0-py3-none-any.whl")
        feed.require_auth(None, "good", absent_is_401=True)
        yield feed


def make_source(session: Session, feed: FakeIndex, *secrets: str) -> SimpleIndex:
    credentials = FakeCredentials(feed.origin if secrets else "nothing", *secrets)
    return SimpleIndex(Upstream(session, name="feed", credentials=credentials), url=feed.url)


async def refused(source: SimpleIndex, project: str = "no-pe") -> SourceRefused:
    with pytest.raises(SourceRefused) as failure:
        await source.ask(canonicalize_name(project))
    assert failure.value.remedy
    return failure.value


async def test_absence_is_believed_when_the_credential_is_good_elsewhere(session: Session, feed: FakeIndex) -> None:
    assert await make_source(session, feed, GOOD).ask(NOPE) is None


async def test_a_page_served_before_is_proof_where_the_list_is_not(session: Session, feed: FakeIndex) -> None:
    feed.status_for("/simple/", 404)
    source = make_source(session, feed, GOOD)
    assert isinstance(await source.ask(BAR), Answer)

    assert await source.ask(NOPE) is None


@pytest.mark.parametrize("secrets", [(BAD,), ()])
async def test_a_bad_credential_is_never_absence(session: Session, feed: FakeIndex, secrets: tuple[str, ...]) -> None:
    await refused(make_source(session, feed, *secrets))


async def test_a_token_that_expires_is_never_absence_not_even_in_the_first_moment(
    session: Session, feed: FakeIndex
) -> None:
    """A remembered "the credential is good" would let a stranger's package through here."""
    source = make_source(session, feed, GOOD)
    assert await source.ask(NOPE) is None

    feed.require_auth(None, "another", absent_is_401=True)

    await refused(source)
    await refused(source, "bar")


async def test_a_rotated_token_is_picked_up(session: Session, feed: FakeIndex) -> None:
    source = make_source(session, feed, BAD, GOOD)

    assert isinstance(await source.ask(BAR), Answer)
    assert await source.ask(NOPE) is None


async def test_a_list_that_is_open_to_everybody_proves_nothing(session: Session, feed: FakeIndex) -> None:
    feed.status_for("/simple/", 200, {"Content-Type": "text/html"}, body=b"<html></html>")

    await refused(make_source(session, feed, BAD))
    await refused(make_source(session, feed, GOOD))


async def test_a_feed_without_a_list_and_without_a_page_so_far_is_not_believed(
    session: Session, feed: FakeIndex
) -> None:
    feed.status_for("/simple/", 404)

    await refused(make_source(session, feed, GOOD))


async def test_an_outage_while_in_doubt_is_an_outage(session: Session, feed: FakeIndex) -> None:
    feed.status_for("/simple/", 503, {"Retry-After": "30"})

    with pytest.raises(SourceError) as failure:
        await make_source(session, feed, GOOD).ask(NOPE)
    assert failure.value.retry_after is not None


@pytest.mark.parametrize(
    "body", [b"Package 'No.Pe' does not exist in feed", b'{"message": "Cannot find no_pe: it was not found"}']
)
async def test_the_feed_s_own_words_are_proof(session: Session, feed: FakeIndex, body: bytes) -> None:
    feed.status_for("no-pe", 401, body=body)

    assert await make_source(session, feed, GOOD).ask(NOPE) is None
    assert feed.asked("/simple/") == 0


@pytest.mark.parametrize(
    "body",
    [
        b"TF400813: The user is not authorized to access this resource.",
        b"The feed does not exist, and no-pe-2 was not found",
        b"The token expired: no-pe not found",
    ],
)
async def test_other_words_are_none(session: Session, feed: FakeIndex, body: bytes) -> None:
    feed.status_for("/simple/", 404)
    feed.status_for("no-pe", 401, body=body)

    await refused(make_source(session, feed, GOOD))


async def test_a_role_that_may_not_save_from_upstream_is_named(session: Session, feed: FakeIndex) -> None:
    """The feed has it, if only at its own upstream: the next source must not be asked."""
    feed.status_for("no-pe", 401, body=b"User 'x' lacks permission: You need to have 'AddUpstreamPackage'.")

    error = await refused(make_source(session, feed, GOOD))

    assert "Collaborator" in error.remedy


async def test_many_in_doubt_share_the_questions(session: Session, feed: FakeIndex) -> None:
    source = make_source(session, feed, GOOD)
    feed.delay = 0.05

    answers = await asyncio.gather(*(source.ask(canonicalize_name(f"nope-{number}")) for number in range(10)))

    assert answers == [None] * 10
    # One wave that began before the last 401 came, one after it, and one as a stranger.
    assert feed.asked("/simple/") <= 4
