from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from proxy.config.models import Connection
from proxy.errors import SourceError, SourceRefused, SourceUnavailable
from proxy.simple.model import File, NormalizedName, Page
from proxy.sources.azure_devops import FeedPlace, FeedTimes, parse_feed_url, times_of
from proxy.sources.base import Answer, Unchanged
from proxy.sources.credentials import keyring_of
from proxy.sources.session import Session, Upstream
from proxy.sources.simple_index import SimpleIndex
from tests.fakes.azure_devops import FakeAzureDevOps
from tests.fakes.clock import FakeClock
from tests.fakes.identity import FakeTokens

BAR = NormalizedName("bar")
WHEEL = "bar-1.0-py3-none-any.whl"

Make = Callable[..., Upstream]


@pytest.fixture
async def feed() -> AsyncIterator[FakeAzureDevOps]:
    async with FakeAzureDevOps() as feed:
        yield feed


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as session:
        yield session


@pytest.fixture
def upstream_with(session: Session, feed: FakeAzureDevOps, monkeypatch: pytest.MonkeyPatch) -> Make:
    def make(pat: str | None = "valid-pat", **connection: Any) -> Upstream:
        monkeypatch.setenv("FEED_PAT", pat or "")
        table = {"target": feed.root, "auth_type": "PAT", "value": {"env": "FEED_PAT"}} | connection
        held = {} if pat is None else {"connection-1": Connection.model_validate(table)}
        keyring = keyring_of(held, {}, session=session, tokens_of=lambda _: FakeTokens())
        return Upstream(session, name="team", credentials=keyring.for_source("team"))

    return make


@pytest.fixture
def index(upstream_with: Make, feed: FakeAzureDevOps) -> SimpleIndex:
    return SimpleIndex(upstream_with(), url=feed.index_url)


async def files(index: SimpleIndex) -> tuple[File, ...]:
    answer = await index.ask(BAR)
    assert isinstance(answer, Answer)
    return answer.page.files


async def read(index: SimpleIndex, file: File, start: int = 0) -> bytes:
    async with index.open(file, start=start) as body:
        return b"".join([chunk async for chunk in body.chunks])


async def test_a_page_links_under_ids_that_the_same_target_covers(index: SimpleIndex, feed: FakeAzureDevOps) -> None:
    feed.has(WHEEL, b"wheel", requires_python=">=3.8")

    (file,) = await files(index)

    assert file.sha256 == hashlib.sha256(b"wheel").hexdigest()
    assert file.requires_python == ">=3.8"
    assert file.version == "1.0", "not the one in the path, which lost its zero"
    assert "/bar/1/" in file.url


async def test_a_file_comes_over_a_redirect_whose_query_is_kept_and_that_gets_no_credential(
    index: SimpleIndex, feed: FakeAzureDevOps
) -> None:
    feed.has(WHEEL, b"0123456789")
    (file,) = await files(index)

    assert await read(index, file) == b"0123456789"
    assert await read(index, file, 7) == b"789"
    assert len(feed.downloads) == 2


async def test_a_managed_identity_needs_no_token_of_a_person(upstream_with: Make, feed: FakeAzureDevOps) -> None:
    feed.has(WHEEL, b"wheel")
    index = SimpleIndex(upstream_with(auth_type="ManagedIdentity", value=None), url=feed.index_url)

    (file,) = await files(index)

    assert await read(index, file) == b"wheel"


@pytest.mark.parametrize("absent_is", [401, 404])
async def test_a_project_that_is_not_there_is_absent_however_the_feed_says_so(
    index: SimpleIndex, feed: FakeAzureDevOps, absent_is: Any
) -> None:
    feed.has("other-1.0.tar.gz")
    feed.absent_is = absent_is

    assert await index.ask(BAR) is None


@pytest.mark.parametrize("pat", ["expired", None])
async def test_a_bad_or_missing_token_is_never_absence(
    upstream_with: Make, feed: FakeAzureDevOps, pat: str | None
) -> None:
    """The next source would answer for a project that the feed has."""
    feed.has(WHEEL)

    with pytest.raises(SourceRefused) as caught:
        await SimpleIndex(upstream_with(pat), url=feed.index_url).ask(BAR)

    assert caught.value.source == "team"


async def test_what_only_a_collaborator_may_save_is_never_absence(index: SimpleIndex, feed: FakeAzureDevOps) -> None:
    feed.has(WHEEL, saved=False)
    feed.roles[feed.pat] = "reader"

    with pytest.raises(SourceRefused) as caught:
        await index.ask(BAR)

    assert "Collaborator" in caught.value.remedy


async def test_a_quota_that_is_told_as_an_error_of_the_server_leaves_it_alone(
    index: SimpleIndex, feed: FakeAzureDevOps
) -> None:
    feed.has(WHEEL)
    feed.quota_500 = 1

    with pytest.raises(SourceUnavailable) as caught:
        await index.ask(BAR)
    with pytest.raises(SourceUnavailable):
        await index.ask(BAR)

    assert caught.value.retry_after
    assert len(feed.requests) == 1


async def test_a_delay_that_is_told_with_a_good_answer_is_obeyed_by_the_next(
    index: SimpleIndex, feed: FakeAzureDevOps
) -> None:
    feed.has(WHEEL)
    feed.delays_told = 30

    assert await files(index)
    with pytest.raises(SourceUnavailable):
        await index.ask(BAR)


async def test_a_truncated_file_is_an_outage(index: SimpleIndex, feed: FakeAzureDevOps) -> None:
    feed.has(WHEEL, b"0123456789")
    (file,) = await files(index)
    feed.truncates_next = 1

    with pytest.raises(SourceError):
        await read(index, file)
    assert await read(index, file) == b"0123456789"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (
            "https://pkgs.dev.azure.com/My-Org/_packaging/my-feed/pypi/simple/",
            FeedPlace("my-org", None, "my-feed"),
        ),
        (
            "https://pkgs.dev.azure.com/my-org/My%20Project/_packaging/my-feed@Release/pypi/simple/",
            FeedPlace("my-org", "my project", "my-feed", "release"),
        ),
        (
            "https://my-org.pkgs.visualstudio.com/my-project/_packaging/my-feed/pypi/simple",
            FeedPlace("my-org", "my-project", "my-feed"),
        ),
        ("https://my-org.pkgs.visualstudio.com/_packaging/f/pypi/simple/x/", FeedPlace("my-org", None, "f")),
        ("https://pkgs.dev.azure.com/my-org/_packaging/my-feed/npm/registry/", None),
        ("https://pkgs.dev.azure.com//_packaging/my-feed/pypi/simple/", None),
        ("https://pkgs.dev.azure.com/my-org//_packaging/my-feed/pypi/simple/", None),
        ("https://pkgs.dev.azure.com/my-org/_packaging/@x/pypi/simple/", None),
        ("https://pkgs.dev.azure.com/my-org/../_packaging/my-feed/pypi/simple/", None),
        ("https://feeds.example/my-org/_packaging/my-feed/pypi/simple/", None),
        ("pip", None),
    ],
)
def test_the_url_of_a_feed_is_read_in_every_spelling(url: str, place: FeedPlace | None) -> None:
    assert parse_feed_url(url) == place


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def times_of_feed(upstream: Upstream, feed: FakeAzureDevOps, clock: FakeClock) -> FeedTimes:
    return FeedTimes(upstream, FeedPlace("my-org", "my-project", "my-feed"), feeds_url=feed.url, clock=clock)


async def test_upload_times_are_told_by_version(upstream_with: Make, feed: FakeAzureDevOps, clock: FakeClock) -> None:
    feed.has("bar_baz-1.0-py3-none-any.whl", publish_date="2026-01-02T03:04:05.1234567Z")
    feed.has("bar_baz-1.1.tar.gz", publish_date="2026-02-02T03:04:05+01:00")
    feed.has("bar_baz-1.2.tar.gz", publish_date="some day")
    feed.has("bar_baz-1.3.tar.gz", deleted=True)
    feed.has("bar_baz_extra-9.0.tar.gz")

    times = await times_of_feed(upstream_with(), feed, clock).upload_times(NormalizedName("bar-baz"))

    assert times == {"1.0": "2026-01-02T03:04:05.123456Z", "1.1": "2026-02-02T02:04:05Z"}


async def test_upload_times_of_what_the_feed_does_not_have_are_none(
    upstream_with: Make, feed: FakeAzureDevOps, clock: FakeClock
) -> None:
    feed.has("bar_extra-9.0.tar.gz")

    assert await times_of_feed(upstream_with(), feed, clock).upload_times(BAR) == {}


async def test_where_upload_times_are_refused_they_are_done_without_for_a_while(
    upstream_with: Make, feed: FakeAzureDevOps, clock: FakeClock
) -> None:
    feed.has(WHEEL)
    times = times_of_feed(upstream_with("expired"), feed, clock)
    feed.roles.clear()
    assert await times.upload_times(BAR) == {}
    assert await times.upload_times(BAR) == {}
    assert len(feed.requests) == 1
    feed.roles["expired"] = "reader"

    clock.pass_by(600)

    assert list(await times.upload_times(BAR)) == ["1.0"]


async def test_pages_are_dated_where_the_feed_tells(
    upstream_with: Make, feed: FakeAzureDevOps, clock: FakeClock
) -> None:
    feed.has(WHEEL)
    upstream = upstream_with()
    index = SimpleIndex(upstream, url=feed.index_url, times=times_of_feed(upstream, feed, clock))

    answer = await index.ask(BAR)

    assert isinstance(answer, Answer)
    assert answer.page.files[0].upload_time == "2026-01-02T03:04:05.123456Z"
    assert answer.validator is not None
    assert await index.ask(BAR, answer.validator) == Unchanged()


async def test_a_page_that_could_not_be_dated_just_now_is_read_anew_next_time(
    upstream_with: Make, feed: FakeAzureDevOps, clock: FakeClock
) -> None:
    feed.has(WHEEL)
    upstream = upstream_with()
    feed.quota_500_for_rest = 1
    index = SimpleIndex(upstream, url=feed.index_url, times=times_of_feed(upstream, feed, clock))

    answer = await index.ask(BAR)

    assert isinstance(answer, Answer)
    assert answer.page.files[0].upload_time is None
    assert answer.validator is None


async def test_a_page_that_will_not_be_dated_is_remembered_as_it_is(
    upstream_with: Make, feed: FakeAzureDevOps, clock: FakeClock
) -> None:
    feed.has(WHEEL)
    feed.refuses_rest = True
    upstream = upstream_with()
    index = SimpleIndex(upstream, url=feed.index_url, times=times_of_feed(upstream, feed, clock))

    answer = await index.ask(BAR)

    assert isinstance(answer, Answer)
    assert answer.validator is not None


async def test_a_page_with_upload_times_is_not_dated(
    upstream_with: Make, feed: FakeAzureDevOps, clock: FakeClock
) -> None:
    page = Page(BAR, (File(WHEEL, "unused", "1.0", upload_time="2026-01-01T00:00:00Z"),))

    assert await times_of_feed(upstream_with(), feed, clock).date(page) == (page, True)
    assert feed.requests == []


def test_only_feeds_of_azure_devops_are_dated(upstream_with: Make) -> None:
    upstream = upstream_with()

    feed, index = "https://pkgs.dev.azure.com/o/_packaging/f/pypi/simple/", "https://feeds.example/simple/"
    assert times_of(upstream, feed, is_covered=lambda _: True) is not None
    assert times_of(upstream, index, is_covered=lambda _: True) is None


async def test_nothing_is_asked_of_the_rest_api_without_a_credential_for_it(
    upstream_with: Make, feed: FakeAzureDevOps
) -> None:
    """Its refusal would have all credentials read anew, and take the turn of one that expired."""
    page = Page(BAR, (File(WHEEL, "unused", "1.0"),))
    place = parse_feed_url("https://pkgs.dev.azure.com/my-org/_packaging/my-feed/pypi/simple/")
    assert place is not None
    times = FeedTimes(upstream_with(), place, feeds_url=feed.url, is_covered=lambda _: False)

    assert await times.date(page) == (page, True)
    assert feed.requests == []
