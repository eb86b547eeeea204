"""Promise: a credential goes to its source and nowhere else, and nothing a client sends goes to a source."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.process import StartServer
from tests.fakes.server import client, fetch
from tests.scenarios.conftest import toml

SECRET = "pat-q7wertzuiop0815"
CODED = base64.b64encode(f":{SECRET}".encode()).decode()
WHEEL = "bar-1.0-py3-none-any.whl"
PATHS = (
    "/simple/",
    "/simple/bar/",
    "/simple/absent/",
    f"/files/bar/{WHEEL}",
    f"/files/bar/{WHEEL}.metadata",
    "/files/bar/bar-9.9-py3-none-any.whl",
    "/explain/bar",
    "/explain/absent",
    "/links/",
    "/metrics",
    "/",
)


@pytest.fixture
def upstream() -> Iterator[FakeIndex]:
    with FakeIndex.in_thread() as index, FakeIndex.in_thread() as blobs:
        index.has(WHEEL, metadata=True)
        index.require_auth(None, SECRET)
        index.redirect_files_to(blobs)
        yield index


def kept(cache: Path) -> list[bytes]:
    """Give all names and all bytes of a cache folder."""
    paths = list(cache.rglob("*"))
    return [str(path).encode() for path in paths] + [path.read_bytes() for path in paths if path.is_file()]


def connection(upstream: FakeIndex) -> str:
    return f"""
[connections.team]
target = "{upstream.origin}"
auth_type = "PAT"
value = {{ env = "FEED_PAT" }}
"""


async def test_a_token_is_nowhere_but_in_the_requests_to_its_source(
    start_server: StartServer, upstream: FakeIndex, cache_directory: Path
) -> None:
    server = start_server(
        toml(cache_directory, upstream.url, more=connection(upstream)), environment={"FEED_PAT": SECRET}
    )
    seen = []
    async with client() as session:
        for path in PATHS:
            reply = await fetch(session, server.url + path)
            seen += [reply.body, str(dict(reply.headers)).encode()]
            assert reply.status in {200, 404}
        file = await fetch(session, f"{server.url}/files/bar/{WHEEL}")
        # Both ways to be refused: with the wrong password, and by an outage.
        upstream.require_auth(None, "another")
        for path in PATHS:
            reply = await fetch(session, server.url + path)
            seen += [reply.body, str(dict(reply.headers)).encode()]
            assert reply.status != 401
        upstream.is_down("close")
        for path in PATHS:
            seen.append((await fetch(session, server.url + path)).body)
    server.stop()

    seen.append(server.log.encode())
    seen += kept(cache_directory)
    everything = b"\n".join(seen)
    assert file.body == upstream.files[WHEEL].content
    assert any(asked.headers.get("Authorization") for asked in upstream.requests)
    assert SECRET.encode() not in everything
    assert CODED.encode() not in everything
    assert CODED.rstrip("=").encode() not in everything


async def test_a_signed_address_of_a_file_is_nowhere_to_be_seen(
    start_server: StartServer, upstream: FakeIndex, cache_directory: Path
) -> None:
    """Feeds redirect to storage with a signature in the query: a client gets the bytes, and no redirect."""
    server = start_server(
        toml(cache_directory, upstream.url, more=connection(upstream)), environment={"FEED_PAT": SECRET}
    )

    async with client() as session:
        reply = await fetch(session, f"{server.url}/files/bar/{WHEEL}")
        page = await fetch(session, f"{server.url}/simple/bar/")
    server.stop()

    everything = b"".join(kept(cache_directory))
    assert reply.status == 200
    assert "Location" not in reply.headers
    assert b"sig=" not in page.body
    assert b"sig=a" not in everything
    assert "sig=a" not in server.log


async def test_a_missing_secret_stops_its_source_alone(
    start_server: StartServer, upstream: FakeIndex, cache_directory: Path, tmp_path: Path
) -> None:
    config = toml(cache_directory, upstream.url, more=connection(upstream))
    (tmp_path / "shelf").mkdir()
    config += f"""
[sources.shelf]
kind = "directory"
path = "{tmp_path}/shelf"

[feeds.own]
sources = ["shelf"]
"""
    server = start_server(config)

    async with client() as session:
        refused = await fetch(session, f"{server.url}/simple/bar/")
        other = await fetch(session, f"{server.url}/own/simple/")

    assert refused.status == 502
    assert "FEED_PAT" in refused.text
    assert other.status == 200


async def test_nothing_of_a_client_reaches_a_source(
    start_server: StartServer, upstream: FakeIndex, cache_directory: Path
) -> None:
    upstream.require_auth(None, SECRET)
    server = start_server(
        toml(cache_directory, upstream.url, more=connection(upstream)), environment={"FEED_PAT": SECRET}
    )
    theirs = {"authorization": "Basic dGhlaXI6b3du", "cookie": "session=theirs", "x_forwarded_for": "10.1.2.3"}

    async with client() as session:
        page = await fetch(session, f"{server.url}/simple/bar/?token=theirs", **theirs)
        await fetch(session, f"{server.url}/files/bar/{WHEEL}?token=theirs", **theirs)
    server.stop()

    asked = "".join(f"{asked.path} {dict(asked.headers)}" for asked in upstream.requests)
    assert page.status == 200
    assert page.headers["Cache-Control"] == "private, max-age=600"
    for word in ("dGhlaXI6b3du", "theirs", "10.1.2.3"):
        assert word not in asked
    assert "dGhlaXI6b3du" not in server.log
    assert "token=theirs" not in server.log
