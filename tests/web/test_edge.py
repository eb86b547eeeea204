"""The shortcut in front of the parser gives what the ordinary way gives, byte for byte."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.assembly import Machine, build
from proxy.config import Config
from proxy.web.edge import Server, is_supported
from proxy.web.shelf import BARE, BESIDE, BYTES, LARGEST, Finished, Shelf, Wish
from tests.fakes.index import FakeIndex

_VOLATILE = re.compile(rb"(?m)^(Date|X-Request-ID): [^\r]*\r\n|\"request_id\": \"[0-9a-f]+\"")
_WISH = Wish(None, None, BARE, None, "")

_PATHS = [
    "/simple/bar/",
    "/simple/bar/?format=application/vnd.pypi.simple.v1+json",
    "/files/bar/bar-1.0-py3-none-any.whl",
    "/files/bar/bar-1.0-py3-none-any.whl.metadata",
    "/simple/absent/",
    "/simple/Bar/",
]
_HEADERS = [
    "Accept: application/vnd.pypi.simple.v1+json",
    "Accept: text/html",
    "accept: application/vnd.pypi.simple.v1+html, */*;q=0.1",
    "Accept: image/png",
    "Accept-Encoding: gzip",
    "Accept-Encoding: zstd, gzip;q=0.5",
    "Accept-Encoding:identity",
    "Authorization: Basic Zm9vOmJhcg==",
    "User-Agent: pip/26.3",
    "If-None-Match: *",
    'If-None-Match: "nothing"',
    "Range: bytes=0-9",
    "Connection: keep-alive",
    "X-Odd:   spaces  ",
    "Cache-Control: max-age=0",
]


async def _ask(port: int, requests: list[bytes]) -> list[bytes]:
    """Send requests one after the other on one connection; give the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    try:
        for request in requests:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = b""
            if length and not request.startswith(b"HEAD") and b" 304 " not in head:
                body = await reader.readexactly(int(length[1]))
            answers.append(_VOLATILE.sub(b"", head + body))
    finally:
        writer.close()
    return answers


@asynccontextmanager
async def _listening(server: web.Server) -> AsyncIterator[int]:
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _both(machine: Machine) -> AsyncIterator[tuple[int, int]]:
    quick = Server(machine.app.handle, shelf=machine.shelf, access=machine.access, keepalive_timeout=5)
    plain = web.Server(machine.app.handle, access_log=None)
    async with _listening(quick) as first, _listening(plain) as second:
        yield first, second


@asynccontextmanager
async def _machine(folder: Path) -> AsyncIterator[Machine]:
    async with FakeIndex() as index:
        index.has("bar-1.0-py3-none-any.whl", metadata=True)
        config = Config.model_validate(
            {
                "cache": {"directory": str(folder / "cache")},
                "sources": {"public": {"kind": "simple", "url": index.url}},
                "feeds": {"default": {"sources": ["public"]}},
            }
        )
        async with build(config) as machine:
            yield machine


def _request(path: str, headers: list[str], method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: index.example", *headers, "", ""]).encode()


def test_this_release_of_aiohttp_has_what_the_shortcut_reads() -> None:
    assert is_supported()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["GET", "GET", "GET", "HEAD"]),
            st.sampled_from(_PATHS),
            st.lists(st.sampled_from(_HEADERS), max_size=4, unique_by=lambda line: line.split(":")[0].lower()),
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_both_ways_give_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[str, str, list[str]]]
) -> None:
    folder = tmp_path_factory.mktemp("edge")

    async def compare() -> None:
        async with _machine(folder) as machine, _both(machine) as (quick, plain):
            requests = [_request(path, headers, method) for method, path, headers in asked]
            first = await _ask(plain, requests)
            expected = await _ask(plain, requests)
            assert await _ask(quick, requests) == expected
            assert await _ask(quick, requests) == expected
            assert [answer[:12] for answer in first] == [answer[:12] for answer in expected]

    asyncio.run(compare())


async def test_an_answer_is_given_from_the_shelf_and_counted(tmp_path: Path) -> None:
    async with _machine(tmp_path) as machine, _both(machine) as (quick, _):
        request = _request("/simple/bar/", ["Accept: text/html"])
        await _ask(quick, [request])
        machine.shelf.counts()

        await _ask(quick, [request, request])

        assert machine.shelf.counts()["page", 200][0] == 2


async def test_a_request_in_two_pieces_takes_the_ordinary_way(tmp_path: Path) -> None:
    async with _machine(tmp_path) as machine, _both(machine) as (quick, _):
        request = _request("/simple/bar/", ["X-Long: " + "a" * 100])
        [whole] = await _ask(quick, [request])
        reader, writer = await asyncio.open_connection("127.0.0.1", quick)

        writer.write(request[:40])
        await writer.drain()
        await asyncio.sleep(0.05)
        # The rest of a header's value looks like a request of its own.
        writer.write(request[40:])
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()

        assert head.startswith(b"HTTP/1.1 200")
        assert whole.startswith(b"HTTP/1.1 200")


async def test_what_follows_an_incomplete_head_is_never_taken_for_a_request(tmp_path: Path) -> None:
    """Else a header's value could be smuggled past the parser."""
    async with _machine(tmp_path) as machine, _both(machine) as (quick, _):
        inner = _request("/simple/bar/", [])
        await _ask(quick, [inner])
        machine.shelf.counts()
        reader, writer = await asyncio.open_connection("127.0.0.1", quick)

        writer.write(b"POST /simple/bar/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(inner))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(inner)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()

        assert head.startswith(b"HTTP/1.1 405")
        assert machine.shelf.counts() == {}


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    async with _machine(tmp_path) as machine, _both(machine) as (quick, _):
        page = _request("/simple/bar/", [])
        await _ask(quick, [page])
        reader, writer = await asyncio.open_connection("127.0.0.1", quick)

        writer.write(_request("/simple/absent/", []) + page)
        await writer.drain()
        first = await reader.readuntil(b"\r\n\r\n")
        writer.close()

        assert b" 404 " in first.splitlines()[0]


async def test_a_version_within_a_header_is_not_that_of_the_request(tmp_path: Path) -> None:
    """What is behind a head that announces a body is that body, however much it looks like a request."""
    async with _machine(tmp_path) as machine, _both(machine) as (quick, _):
        inner = _request("/simple/bar/", [])
        await _ask(quick, [inner])
        machine.shelf.counts()
        outer = b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: %d\r\nX: HTTP/1.1\r\nHost: x\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", quick)

        writer.write(outer % len(inner))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(inner + inner)
        await reader.readuntil(b"HTTP/1.1 200")
        writer.close()

        assert machine.shelf.counts() == {}


async def test_what_is_no_http_is_400_in_our_form_and_not_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A line of it may hold a credential, and a traceback for each would let anybody fill the log."""
    async with _machine(tmp_path) as machine, _both(machine) as (quick, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", quick)

        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic c2VjcmV0\x00\r\n\r\n")
        answer = await reader.read()
        writer.close()

        assert answer.split(b" ")[1] == b"400"
        assert b"application/problem+json" in answer
        assert b"c2VjcmV0" not in answer
        assert caplog.records == []


async def test_the_absolute_form_of_a_target_answers_like_its_path(tmp_path: Path) -> None:
    async with _machine(tmp_path) as machine, _both(machine) as (quick, _):
        answers = await _ask(quick, [_request(f"{before}/simple/bar/", []) for before in ("", "http://other.example")])

        assert answers[0].startswith(b"HTTP/1.1 200")
        assert answers[1] == answers[0]


def test_small_answers_are_bounded_as_well() -> None:
    """Clients spell a file's name in as many ways as they like."""
    shelf = Shelf(lambda: 0.0)
    finished = Finished(BARE, "file", '"x"', 1.0, {"ETag": '"x"'}, b"x")

    for number in range(BYTES // BESIDE + 100):
        shelf.put(f"/files/bar/{number}", finished, "wheelgate")

    assert shelf.find(b"/files/bar/0", _WISH) is None
    assert shelf.find(f"/files/bar/{number}".encode(), _WISH) is not None


async def test_a_large_answer_reaches_a_slow_reader_whole(tmp_path: Path) -> None:
    """What the connection does not take at once waits for the reader."""
    body = bytes(range(256)) * (LARGEST >> 8)
    finished = Finished(BARE, "file", '"x"', math.inf, {"ETag": '"x"'}, body)
    async with _machine(tmp_path) as machine, _both(machine) as (quick, _):
        machine.shelf.put("/files/bar/large", finished, "wheelgate")
        reader, writer = await asyncio.open_connection("127.0.0.1", quick, limit=1 << 16)

        received = []
        for _ in range(2):
            writer.write(_request("/files/bar/large", []))
            await asyncio.sleep(0.05)
            await reader.readuntil(b"\r\n\r\n")
            received.append(await reader.readexactly(len(body)))
        writer.close()

        assert received == [body, body]
        assert machine.shelf.counts()["file", 200][0] == 2
