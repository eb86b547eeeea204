"""What every request out of here keeps to, over real sockets."""

from __future__ import annotations

import asyncio

import pytest

from proxy.errors import SourceNonsense, SourceUnavailable
from proxy.sources.session import Session, Upstream
from tests.fakes.fetching import WHEEL, fail, fetch
from tests.fakes.index import FakeIndex

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
