"""What every request out of here keeps to, over real sockets."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest

from proxy.errors import SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from proxy.sources.session import Session, Upstream
from tests.fakes.clock import FakeClock
from tests.fakes.credentials import FakeCredentials
from tests.fakes.index import SIGNATURE, FakeIndex

WHEEL = "bar-1.0-py3-none-any.whl"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def observed() -> list[tuple[str, int | str]]:
    return []


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def session(observed: list[tuple[str, int | str]], clock: FakeClock) -> AsyncIterator[Session]:
    def observe(source: str, outcome: int | str, seconds: float) -> None:
        assert seconds >= 0
        observed.append((source, outcome))

    async with Session(user_agent="wheelgate/test", observe=observe, clock=clock) as session:
        yield session


@pytest.fixture
async def index() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        index.has(WHEEL)
        yield index


@pytest.fixture
async def other() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as other:
        yield other


@pytest.fixture
def upstream(session: Session) -> Upstream:
    return Upstream(session, name="feed", timeout=2)


async def fetch(upstream: Upstream, url: str, *, bulk: bool = False) -> bytes:
    async with upstream.get(url, bulk=bulk) as response:
        return await upstream.read(response, limit=1 << 20)


async def fail(upstream: Upstream, url: str) -> SourceError:
    with pytest.raises(SourceError) as failure:
        await fetch(upstream, url)
    assert failure.value.source == "feed"
    assert failure.value.remedy or failure.value.retry_after is not None
    return failure.value


# What goes out


async def test_a_request_says_who_asks_and_wants_no_sign_in_page(upstream: Upstream, index: FakeIndex) -> None:
    await fetch(upstream, f"{index.url}bar/")

    headers = index.requests[0].headers
    assert headers["User-Agent"] == "wheelgate/test"
    assert headers["X-TFS-FedAuthRedirect"] == "Suppress"
    assert headers["Accept-Encoding"] == "gzip, deflate"
    assert "Authorization" not in headers
    assert "Cookie" not in headers


async def test_bytes_of_files_are_asked_for_and_given_as_they_are(upstream: Upstream, index: FakeIndex) -> None:
    index.status_for(f"/files/{WHEEL}", 200, {"Content-Encoding": "gzip"}, body=b"not gzip at all")

    assert await fetch(upstream, index.file_url(WHEEL), bulk=True) == b"not gzip at all"
    assert index.requests[0].headers["Accept-Encoding"] == "identity"


async def test_a_compressed_page_is_given_decoded(upstream: Upstream, index: FakeIndex) -> None:
    index.compresses_pages()

    assert b"bar-1.0-py3-none-any.whl" in await fetch(upstream, f"{index.url}bar/")


async def test_cookies_are_never_kept(upstream: Upstream, index: FakeIndex) -> None:
    index.page_headers["Set-Cookie"] = "session=abc; Path=/"

    await fetch(upstream, f"{index.url}bar/")
    await fetch(upstream, f"{index.url}bar/")

    assert all("Cookie" not in asked.headers for asked in index.requests)


async def test_a_netrc_file_adds_nothing(
    upstream: Upstream, index: FakeIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """Its passwords would follow redirects to wherever it has a line for."""
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:  # noqa: ASYNC230, PTH123 - before anything runs
        file.write("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", netrc)

    await fetch(upstream, f"{index.url}bar/")

    assert "Authorization" not in index.requests[0].headers


async def test_odd_letters_of_a_url_go_out_as_they_were_written(upstream: Upstream, index: FakeIndex) -> None:
    index.status_for("/files/a+b c.whl", 200)

    for spelling in ("a%2Bb%20c.whl", "a%2bb%20c.whl", "a+b%20c.whl", "a+b c.whl"):
        await fetch(upstream, f"{index.origin}/files/{spelling}#sha256=00")

    paths = [asked.path.rpartition("/")[2] for asked in index.requests]
    assert paths == ["a%2Bb%20c.whl", "a%2bb%20c.whl", "a+b%20c.whl", "a+b%20c.whl"]


async def test_every_request_is_counted(
    upstream: Upstream, index: FakeIndex, observed: list[tuple[str, int | str]]
) -> None:
    index.redirect("old", f"{index.url}bar/")

    await fetch(upstream, f"{index.url}old/")
    await fail(upstream, "http://127.0.0.1:1/")

    assert observed[:2] == [("feed", 302), ("feed", 200)]
    assert observed[2:] == [("feed", "ClientConnectorError")] * 3


# Redirects and credentials


async def test_a_credential_stays_behind_when_a_redirect_leads_to_signed_storage(
    session: Session, index: FakeIndex, other: FakeIndex
) -> None:
    """Azure feeds do this, and storage answers 400 to a signed URL with an Authorization header."""
    credentials = FakeCredentials(index.origin, basic("any", "pat"))
    upstream = Upstream(session, name="feed", credentials=credentials)
    index.redirect_files_to(other)

    body = await fetch(upstream, index.file_url(WHEEL), bulk=True)

    assert body == index.files[WHEEL].content
    assert index.requests[0].headers["Authorization"] == basic("any", "pat")
    assert "Authorization" not in other.requests[0].headers
    assert credentials.asked == [index.file_url(WHEEL), f"{other.origin}/blobs/{WHEEL}?{SIGNATURE}"]


async def test_a_signed_location_goes_out_byte_for_byte(upstream: Upstream, index: FakeIndex, other: FakeIndex) -> None:
    signed = "/blobs/a%2Fb.whl?sig=x%2By%2Fz%3D%3d&se=2026-01-01T00%3A00:00Z&sp=r|w&q=%7E~*'()"
    other.status_for("/blobs/a/b.whl", 200, body=b"yes")
    index.redirect("bar", f"{other.origin}{signed}", status=303)

    assert await fetch(upstream, f"{index.url}bar/") == b"yes"
    assert other.requests[0].path == signed


async def test_what_was_meant_for_one_place_does_not_travel_to_another(
    session: Session, index: FakeIndex, other: FakeIndex
) -> None:
    upstream = Upstream(session, name="feed", extra_headers={"X-Api-Key": "secret"})
    other.has_project("bar")
    index.redirect("bar", f"{other.url}bar/")

    async with upstream.get(f"{index.url}bar/", headers={"Accept": "text/html", "X-Other": "1"}) as response:
        assert response.status == 200

    assert index.requests[0].headers["X-Api-Key"] == "secret"
    assert other.requests[0].headers["Accept"] == "text/html"
    assert not {"X-Api-Key", "X-Other"} & set(other.requests[0].headers)


async def test_relative_redirects_are_followed(upstream: Upstream, index: FakeIndex) -> None:
    index.redirect("/simple/Bar", "bar/", status=301)

    async with upstream.get(f"{index.url}Bar") as response:
        assert str(response.url) == f"{index.url}bar/"


async def test_a_loop_of_redirects_ends(upstream: Upstream, index: FakeIndex) -> None:
    index.redirect("bar", f"{index.url}bar/")

    error = await fail(upstream, f"{index.url}bar/")

    assert isinstance(error, SourceNonsense)
    assert "more than 5 times" in error.reason
    assert len(index.requests) == 6


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://169.254.169.254/metadata",
        "https://169.254.169.254/metadata",
        "https://[fe80::1]/",
        "https://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://feed.example/simple/",
        "https://[broken/",
        "data:text/html,hello",
        "javascript:alert(1)",
    ],
)
async def test_a_redirect_to_where_nothing_may_be_asked_is_refused(
    upstream: Upstream, index: FakeIndex, location: str
) -> None:
    index.redirect("bar", location)

    error = await fail(upstream, f"{index.url}bar/")

    assert isinstance(error, SourceNonsense)
    assert len(index.requests) == 1


@pytest.mark.parametrize("url", ["http://feed.example/simple/", "file:///srv/x", "https://169.254.1.2/", "nothing"])
async def test_a_url_that_may_not_be_asked_is_refused(upstream: Upstream, url: str) -> None:
    assert isinstance(await fail(upstream, url), SourceNonsense)


async def test_a_user_in_a_location_is_not_used(upstream: Upstream, index: FakeIndex) -> None:
    index.redirect("old", f"http://someone:secret@127.0.0.1:{index.port}/simple/bar/")

    await fetch(upstream, f"{index.url}old/")

    assert "Authorization" not in index.requests[1].headers


async def test_a_sas_is_added_to_the_query_and_shown_nowhere(session: Session, index: FakeIndex) -> None:
    credentials = FakeCredentials(index.origin, query="sv=1&sig=se%2Fcret%3D")
    upstream = Upstream(session, name="feed", credentials=credentials)
    index.status_for("gone", 418)

    await fetch(upstream, f"{index.url}bar/")
    error = await fail(upstream, f"{index.url}gone/?v=1")

    assert index.requests[0].path == "/simple/bar/?sv=1&sig=se%2Fcret%3D"
    assert index.requests[1].path == "/simple/gone/?v=1&sv=1&sig=se%2Fcret%3D"
    assert "sig" not in f"{error} {error.remedy}"


async def test_a_refused_credential_is_re_read_and_tried_once_more(session: Session, index: FakeIndex) -> None:
    index.require_auth(None, "new")
    credentials = FakeCredentials(index.origin, basic("any", "old"), basic("any", "new"))
    upstream = Upstream(session, name="feed", credentials=credentials)

    await fetch(upstream, f"{index.url}bar/")

    assert credentials.refusals == [f"{index.url}bar/"]
    assert len(index.requests) == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_names_the_credential_and_nothing_of_it(
    session: Session, index: FakeIndex, status: int
) -> None:
    index.status_for("bar", status)
    credentials = FakeCredentials(index.origin, basic("any", "secret"))
    upstream = Upstream(session, name="feed", credentials=credentials)

    error = await fail(upstream, f"{index.url}bar/")

    assert isinstance(error, SourceRefused)
    assert "connection-1" in error.remedy
    assert "secret" not in f"{error}{error.remedy}"
    assert len(index.requests) == 1


async def test_a_refusal_without_a_credential_says_that_none_covers_the_url(
    upstream: Upstream, index: FakeIndex
) -> None:
    index.status_for("bar", 401)

    error = await fail(upstream, f"{index.url}bar/")

    assert isinstance(error, SourceRefused)
    assert "no connection covers" in error.remedy


@pytest.mark.parametrize(
    ("status", "location"),
    [
        (203, None),
        (302, "https://login.microsoft.example/common/oauth2/authorize?x=1"),
        (302, "https://spsprod.visualstudio.example/_signin?realm=x"),
        (302, "/users/sign_in"),
    ],
)
async def test_a_sign_in_page_is_a_refusal(
    upstream: Upstream, index: FakeIndex, status: int, location: str | None
) -> None:
    index.status_for("bar", status, {"Location": location} if location else {}, body=b"<html>Sign in</html>")

    assert isinstance(await fail(upstream, f"{index.url}bar/"), SourceRefused)
    assert len(index.requests) == 1


async def test_a_project_may_be_called_login(upstream: Upstream, index: FakeIndex) -> None:
    index.has_project("login")
    index.redirect("/simple/login", "/simple/login/", status=301)

    assert await fetch(upstream, f"{index.url}login")


# Failures


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://no-such-host.invalid/simple/", "no address for the host no-such-host.invalid"),
        ("http://127.0.0.1:1/simple/", "no connection to 127.0.0.1:1"),
    ],
)
async def test_a_place_that_cannot_be_reached_is_named(upstream: Upstream, url: str, words: str) -> None:
    error = await fail(upstream, url)

    assert isinstance(error, SourceUnavailable)
    assert words in error.reason


async def test_silence_ends_after_the_timeout_and_is_not_asked_again(session: Session, index: FakeIndex) -> None:
    upstream = Upstream(session, name="feed", timeout=0.2)
    index.is_down("hang")

    error = await fail(upstream, f"{index.url}bar/")

    assert isinstance(error, SourceUnavailable)
    assert "silent for 0.2 s" in error.reason
    assert "timeout" in error.remedy
    assert len(index.requests) == 1


async def test_silence_in_the_middle_of_a_body_ends_too(session: Session, index: FakeIndex) -> None:
    upstream = Upstream(session, name="feed", timeout=0.2)
    index.stall_after("bar", 20)

    assert isinstance(await fail(upstream, f"{index.url}bar/"), SourceUnavailable)


async def test_a_slow_body_takes_longer_than_the_timeout(session: Session, index: FakeIndex) -> None:
    upstream = Upstream(session, name="feed", timeout=0.4)
    content = bytes(1000)
    index.has("slow-1.0-py3-none-any.whl", content=content)
    index.slow(1000)

    assert await fetch(upstream, index.file_url("slow-1.0-py3-none-any.whl"), bulk=True) == content


async def test_an_error_never_takes_longer_than_the_patience(session: Session, index: FakeIndex) -> None:
    upstream = Upstream(session, name="feed", timeout=60, patience=0.2)
    index.is_down("hang")

    error = await fail(upstream, f"{index.url}bar/")

    assert "no answer within 0.2 s" in error.reason


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_an_error_that_passes_is_asked_over(upstream: Upstream, index: FakeIndex, status: int) -> None:
    index.status_for("bar", status, times=2)

    await fetch(upstream, f"{index.url}bar/")

    assert len(index.requests) == 3


async def test_an_error_that_stays_is_given_up_after_three_tries(upstream: Upstream, index: FakeIndex) -> None:
    index.is_down("close")

    error = await fail(upstream, f"{index.url}bar/")

    assert isinstance(error, SourceUnavailable)
    # aiohttp itself repeats each once, because a kept connection may have been closed meanwhile.
    assert 3 <= len(index.requests) <= 6


@pytest.mark.parametrize("status", [400, 404, 406, 418])
async def test_an_unexpected_answer_is_nonsense_and_not_asked_over(
    upstream: Upstream, index: FakeIndex, status: int
) -> None:
    index.status_for("bar", status)

    error = await fail(upstream, f"{index.url}bar/?sig=secret")

    assert isinstance(error, SourceNonsense)
    assert "secret" not in str(error)
    assert len(index.requests) == 1


async def test_an_expected_status_is_given_back(upstream: Upstream, index: FakeIndex) -> None:
    async with upstream.get(f"{index.url}gone/", expect={200, 404}) as response:
        assert response.status == 404


async def test_what_is_no_http_is_nonsense(upstream: Upstream) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        assert isinstance(await fail(upstream, f"http://127.0.0.1:{port}/"), SourceNonsense)


async def test_a_body_beyond_the_limit_is_not_read(upstream: Upstream, index: FakeIndex) -> None:
    index.page_for("bar", bytes(2 << 20))

    assert isinstance(await fail(upstream, f"{index.url}bar/"), SourceNonsense)


async def test_a_compressed_body_is_measured_decoded(upstream: Upstream, index: FakeIndex) -> None:
    """A few kB of gzip hold gigabytes."""
    index.compresses_pages()
    index.page_for("bar", b" " * (2 << 20))

    assert isinstance(await fail(upstream, f"{index.url}bar/"), SourceNonsense)


async def test_a_body_that_breaks_off_is_an_error(upstream: Upstream, index: FakeIndex) -> None:
    index.cut_after("bar", 50)

    error = await fail(upstream, f"{index.url}bar/")

    assert isinstance(error, SourceUnavailable)
    assert "broke off" in error.reason


async def test_an_error_of_the_reader_is_left_alone(upstream: Upstream, index: FakeIndex) -> None:
    """A full disk is not the source's fault."""
    with pytest.raises(OSError, match="disk full"):
        async with upstream.get(f"{index.url}bar/"):
            raise OSError("disk full")


async def test_downloads_are_capped_and_never_keep_pages_waiting(session: Session, index: FakeIndex) -> None:
    upstream = Upstream(session, name="feed", max_connections=1)
    index.has("big-1.0-py3-none-any.whl", content=bytes(1000))
    index.stall_after("big-1.0-py3-none-any.whl", 10)
    url = index.file_url("big-1.0-py3-none-any.whl")

    downloads = [asyncio.create_task(fetch(upstream, url, bulk=True)) for _ in range(10)]
    await index.until(lambda it: it.open_files >= 4)
    await fetch(upstream, f"{index.url}bar/")

    assert index.open_files == 4
    for download in downloads:
        download.cancel()
    await asyncio.gather(*downloads, return_exceptions=True)


async def test_pages_are_capped(session: Session, index: FakeIndex) -> None:
    upstream = Upstream(session, name="feed", max_connections=2)
    index.delay = 0.1

    questions = [asyncio.create_task(fetch(upstream, f"{index.url}bar/")) for _ in range(4)]
    await index.until(lambda it: len(it.requests) >= 2)
    asked_at_first = len(index.requests)
    await asyncio.gather(*questions)

    assert (asked_at_first, len(index.requests)) == (2, 4)


async def test_no_tls_where_it_was_expected_is_told_from_a_bad_certificate(
    upstream: Upstream, index: FakeIndex
) -> None:
    error = await fail(upstream, index.url.replace("http:", "https:"))

    assert isinstance(error, SourceUnavailable)
    assert "no TLS connection" in error.reason


async def test_one_who_leaves_frees_the_connection(session: Session, index: FakeIndex) -> None:
    upstream = Upstream(session, name="feed", max_connections=1)
    index.delay = 60
    leaver = asyncio.create_task(fetch(upstream, f"{index.url}bar/"))
    await index.until(lambda it: bool(it.requests))

    leaver.cancel()
    await asyncio.gather(leaver, return_exceptions=True)
    index.delay = 0

    assert await fetch(upstream, f"{index.url}bar/")


# Throttling


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


async def test_an_unreadable_retry_after_means_nothing(upstream: Upstream, index: FakeIndex) -> None:
    index.status_for("bar", 503, {"Retry-After": "soon"}, times=1)

    assert await fetch(upstream, f"{index.url}bar/")
