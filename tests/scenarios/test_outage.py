"""Promise: an outage of a source never lets a later one answer, and 404 means that all have answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.index import Down, FakeIndex
from tests.fakes.server import LocalServer, settings, simple
from tests.scenarios.conftest import Run

WHEEL = "bar-1.0-py3-none-any.whl"


@pytest.fixture
async def server(run: Run, cache_directory: Path, private: FakeIndex, public: FakeIndex) -> LocalServer:
    public.has(WHEEL)
    sources = {"private": simple(private.url, timeout="1 s"), "public": simple(public.url)}
    return await run(settings(cache_directory, sources))


@pytest.mark.parametrize("how", ["503", "500", "close"])
async def test_an_outage_of_the_private_source_never_lets_the_public_one_answer(
    server: LocalServer, private: FakeIndex, public: FakeIndex, how: Down
) -> None:
    """Falling through here would install a stranger's code."""
    private.is_down(how)

    for path in ("/simple/bar/", f"/files/bar/{WHEEL}", f"/files/bar/{WHEEL}.metadata"):
        reply = await server.get(path)

        assert reply.status == 503
        assert int(reply.headers["Retry-After"]) >= 1
        problem = reply.json()
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert problem["source"] == "private"
        assert problem["status"] == 503
        assert problem["remedy"]
    assert public.requests == []


async def test_a_silent_source_is_an_outage(server: LocalServer, private: FakeIndex, public: FakeIndex) -> None:
    private.is_down("hang")

    reply = await server.get("/simple/bar/")

    assert reply.status == 503
    assert "Retry-After" in reply.headers
    assert public.requests == []


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, b""), (403, b""), (200, b"<html><form>sign in</form></html>"), (200, b""), (200, b'{"files": null}')],
    ids=["401", "403", "a log-in page", "nothing", "files: null"],
)
async def test_a_source_that_answers_nonsense_or_refuses_is_502(
    server: LocalServer, private: FakeIndex, public: FakeIndex, status: int, body: bytes
) -> None:
    private.status_for("bar", status, {"Content-Type": "text/html"}, body=body)
    private.status_for("/simple/", status, {"Content-Type": "text/html"}, body=body)

    reply = await server.get("/simple/bar/")

    assert reply.status == 502
    assert reply.json()["source"] == "private"
    assert "WWW-Authenticate" not in reply.headers
    assert public.requests == []


async def test_404_only_if_all_have_answered(server: LocalServer, private: FakeIndex, public: FakeIndex) -> None:
    assert (await server.get("/simple/nobody/")).status == 404

    public.is_down()

    assert (await server.get("/simple/nobody/")).status == 503
    assert private.asked("/simple/nobody/") == 2


async def test_a_404_is_not_kept_by_clients_for_long(server: LocalServer) -> None:
    reply = await server.get("/simple/nobody/")

    name, _, seconds = reply.headers["Cache-Control"].rpartition("max-age=")
    assert int(seconds) <= 60
    assert "no-store" not in name


async def test_the_time_a_throttling_source_names_is_handed_on(server: LocalServer, private: FakeIndex) -> None:
    private.is_down("503", retry_after="7")

    reply = await server.get("/simple/bar/")

    assert reply.status == 503
    assert 1 <= int(reply.headers["Retry-After"]) <= 7


async def test_every_kind_of_answer_is_refused_in_an_outage(server: LocalServer, private: FakeIndex) -> None:
    private.is_down()

    head = await server.head("/simple/bar/")
    ranged = await server.get(f"/files/bar/{WHEEL}", range="bytes=0-0")
    conditional = await server.get("/simple/bar/", if_none_match="*")

    assert {head.status, ranged.status, conditional.status} == {503}
    assert head.body == b""


async def test_explain_tells_of_an_outage(server: LocalServer, private: FakeIndex) -> None:
    private.is_down()

    reply = await server.get("/explain/bar")

    assert reply.status == 200
    explained = reply.json()
    assert explained["owner"] is None
    assert explained["files"] == []
    assert [source["name"] for source in explained["sources"]] == ["private", "public"]
    assert "could not be asked" in explained["sources"][0]["said"]


async def test_the_server_answers_again_when_its_source_does(server: LocalServer, private: FakeIndex) -> None:
    private.is_down()
    assert (await server.get("/simple/bar/")).status == 503

    private.is_up()
    private.has("bar-2.0-py3-none-any.whl")

    assert (await server.page("/simple/bar/")).filenames() == ["bar-2.0-py3-none-any.whl"]
