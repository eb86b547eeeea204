"""Promise: what a lock file names goes on being served when its source let go of it, unless somebody hides it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.server import LocalServer, settings, simple
from tests.scenarios.conftest import Run

OLD, NEW = "bar-1.0-py3-none-any.whl", "bar-2.0-py3-none-any.whl"


@pytest.fixture
async def server(run: Run, cache_directory: Path, public: FakeIndex) -> LocalServer:
    public.has(OLD, metadata=True)
    public.has(NEW, metadata=True)
    server = await run(settings(cache_directory, {"public": simple(public.url)}))
    # Both the file and its core metadata were asked for once.
    assert (await server.get(f"/files/bar/{OLD}")).status == 200
    assert (await server.get(f"/files/bar/{OLD}.metadata")).status == 200
    return server


async def test_a_cached_file_that_went_from_its_page_is_still_served(server: LocalServer, public: FakeIndex) -> None:
    file = public.files[OLD]
    public.lacks(OLD)

    page = await server.page("/simple/bar/")
    reply = await server.get(f"/files/bar/{OLD}")
    metadata = await server.get(f"/files/bar/{OLD}.metadata")

    assert page.filenames() == [NEW]
    assert page.json()["versions"] == ["2.0"]
    assert reply.body == file.content
    assert metadata.body == file.metadata


async def test_a_cached_file_of_a_project_that_went_is_still_served(server: LocalServer, public: FakeIndex) -> None:
    file = public.files[OLD]
    public.lacks("bar")

    assert (await server.page("/simple/bar/")).status == 404
    assert (await server.get(f"/files/bar/{OLD}")).body == file.content


async def test_a_listed_file_that_is_gone_and_not_cached_is_404(server: LocalServer, public: FakeIndex) -> None:
    public.status_for(NEW, 404)

    reply = await server.get(f"/files/bar/{NEW}")

    assert reply.status == 404
    assert reply.json()["source"] == "public"


async def test_nothing_of_a_quarantined_project_is_served_cached_or_not(server: LocalServer, public: FakeIndex) -> None:
    public.mark("bar", "quarantined", "malware")

    page = await server.page("/simple/bar/")
    replies = [await server.get(f"/files/bar/{name}") for name in (OLD, NEW, f"{OLD}.metadata", f"{NEW}.metadata")]
    explained = (await server.get("/explain/bar")).json()

    assert page.status == 200
    assert page.filenames() == []
    assert page.json()["project-status"] == {"status": "quarantined", "reason": "malware"}
    assert [reply.status for reply in replies] == [403] * 4
    assert "malware" in replies[0].json()["detail"]
    assert [file["served"] for file in explained["files"]] == [False, False]
    assert {file["rule"] for file in explained["files"]} == {"status"}


async def test_nothing_of_a_quarantined_project_is_served_when_its_files_left_the_page(
    server: LocalServer, public: FakeIndex
) -> None:
    """Indexes that quarantine a project list no files of it."""
    public.mark("bar", "quarantined")
    public.files.clear()

    page = await server.page("/simple/bar/")

    assert page.filenames() == []
    assert (await server.get(f"/files/bar/{OLD}")).status == 403
    assert (await server.get(f"/files/bar/{OLD}.metadata")).status == 403


async def test_a_project_out_of_quarantine_is_served_again(server: LocalServer, public: FakeIndex) -> None:
    public.mark("bar", "quarantined")
    assert (await server.page("/simple/bar/")).filenames() == []

    public.mark("bar", "deprecated", "use foo")
    page = await server.page("/simple/bar/")

    assert page.filenames() == [OLD, NEW]
    assert page.json()["project-status"] == {"status": "deprecated", "reason": "use foo"}
    assert (await server.get(f"/files/bar/{OLD}")).status == 200


async def test_a_file_that_went_and_a_rule_hides_now_is_hidden(
    server: LocalServer, run: Run, cache_directory: Path, public: FakeIndex
) -> None:
    assert (await server.get(f"/files/bar/{OLD}")).status == 200
    public.lacks(OLD)
    other = await run(settings(cache_directory, {"public": simple(public.url)}, rules={"deny": ["bar==1.0"]}))

    reply = await other.get(f"/files/bar/{OLD}")

    assert reply.status == 403
    assert reply.json()["rule"] == "deny"
