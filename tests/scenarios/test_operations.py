"""Promise: an operator sees how the server does, and looking costs no source a request."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.server import LocalServer, folder, settings, simple
from tests.scenarios.conftest import Run


async def start(run: Run, cache: Path, public: FakeIndex) -> LocalServer:
    return await run(settings(cache, {"public": simple(public.url)}, feeds={"team": {"sources": ["public"]}}))


async def test_health_is_told_without_asking_anybody(run: Run, cache_directory: Path, public: FakeIndex) -> None:
    public.is_down()
    server = await start(run, cache_directory, public)

    for path in ("/livez", "/readyz", "/metrics", "/"):
        assert (await server.get(path)).status == 200
        assert (await server.head(path)).status == 200
    assert public.requests == []


async def test_a_server_that_stops_is_alive_and_not_ready(run: Run, cache_directory: Path, public: FakeIndex) -> None:
    server = await start(run, cache_directory, public)

    server.readiness.is_ready = False

    assert (await server.get("/readyz")).status == 503
    assert (await server.get("/livez")).status == 200


async def test_metrics_are_in_prometheus_text_and_count_what_was_asked(
    run: Run, cache_directory: Path, public: FakeIndex
) -> None:
    public.has("bar-1.0.tar.gz")
    server = await start(run, cache_directory, public)
    await server.page("/simple/bar/")
    await server.page("/simple/nobody/")
    await server.get("/files/bar/bar-1.0.tar.gz")

    async with asyncio.timeout(10):
        reply = await server.get("/metrics")
        # Its last byte is sent a moment before the file is kept.
        while '"hit"' not in reply.text:
            await server.get("/files/bar/bar-1.0.tar.gz")
            reply = await server.get("/metrics")

    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = reply.text.splitlines()
    assert any('route="page"' in line and 'status="404"' in line for line in lines)
    assert any('"hit"' in line for line in lines)
    assert any('"miss"' in line for line in lines)
    assert any('"public"' in line for line in lines)
    # The label of a project would make a time series of every name that anybody asks for.
    assert "nobody" not in reply.text


async def test_a_person_finds_a_page_to_read(run: Run, cache_directory: Path, public: FakeIndex) -> None:
    server = await start(run, cache_directory, public)

    page = await server.get("/", host="pypi.corp.example<script>")

    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<script>" not in page.text
    assert "simple/" in page.hrefs()
    assert "team/simple/" in page.hrefs()


async def test_the_links_page_has_the_files_of_private_sources_alone(
    run: Run, cache_directory: Path, shelf: Path, public: FakeIndex
) -> None:
    public.has("bar-1.0.tar.gz")
    (shelf / "mine-1.0+cu1.tar.gz").write_bytes(b"x" * 10)
    server = await run(settings(cache_directory, {"shelf": folder(shelf), "public": simple(public.url)}))

    page = await server.get("/links/")
    await server.get("/files/mine/mine-1.0+cu1.tar.gz")

    assert page.hrefs() == ["../files/mine/mine-1.0%2Bcu1.tar.gz"]
    assert page.headers["ETag"]
    assert (await server.get("/links/", if_none_match=page.headers["ETag"])).status in {200, 304}


async def test_the_list_goes_without_a_source_that_has_none(
    run: Run, cache_directory: Path, private: FakeIndex, public: FakeIndex
) -> None:
    private.has("mine-1.0.tar.gz")
    public.has("bar-1.0.tar.gz")
    private.status_for("/simple/", 405)
    server = await run(settings(cache_directory, {"private": simple(private.url), "public": simple(public.url)}))

    reply = await server.page("/simple/")

    assert reply.status == 200
    assert [project["name"] for project in reply.json()["projects"]] == ["bar"]
    assert (await server.page("/simple/mine/")).filenames() == ["mine-1.0.tar.gz"]


async def test_a_list_that_no_source_can_give_is_an_error(run: Run, cache_directory: Path, public: FakeIndex) -> None:
    public.is_down("close")
    server = await run(settings(cache_directory, {"public": simple(public.url)}))

    assert (await server.page("/simple/")).status == 503


async def test_bytes_and_downloads_are_counted_by_source(run: Run, cache_directory: Path, public: FakeIndex) -> None:
    public.has("bar-1.0.tar.gz", content=b"x" * 1000)
    server = await start(run, cache_directory, public)
    await server.get("/files/bar/bar-1.0.tar.gz")

    async with asyncio.timeout(10):
        counted = 'wheelgate_received_bytes_total{source="public"} 1000.0'
        while counted not in (await server.get("/metrics")).text:  # noqa: ASYNC110 - what it waits for is another's
            await asyncio.sleep(0.05)

    assert 'wheelgate_downloads_in_flight{source="public"} 0.0' in (await server.get("/metrics")).text


async def test_when_a_credential_ends_is_among_the_metrics(
    run: Run, cache_directory: Path, public: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image build that dies of an expired token is the worst moment to hear of it."""
    monkeypatch.setenv("FEED_SAS", "sv=2024-11-04&se=2030-01-01T00%3A00%3A00Z&sp=r&sig=c2VjcmV0")
    origin = public.url.partition("/simple/")[0]
    connection = {"target": origin, "auth_type": "SAS", "value": {"env": "FEED_SAS"}}
    server = await run(settings(cache_directory, {"public": simple(public.url)}, connections={"signed": connection}))

    async with asyncio.timeout(10):
        told = "wheelgate_credential_expires_timestamp_seconds{"
        while told not in (text := (await server.get("/metrics")).text):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)

    assert 'connection="connection signed"} 1.893456e+09' in text
    assert "c2VjcmV0" not in text
