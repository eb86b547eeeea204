"""Promise: `/explain/` says which sources were asked, what each said, who owns the project, and what hides a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.fakes.index import FakeIndex
from tests.fakes.server import LocalServer, settings, simple
from tests.scenarios.conftest import Run

KEYS = ["project", "feed", "owner", "why", "sources", "files"]
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


async def start(run: Run, cache: Path, private: FakeIndex, public: FakeIndex, **more: Any) -> LocalServer:
    public.has("bar-1.0-py3-none-any.whl")
    public.has("bar-2.0-py3-none-any.whl")
    sources = {"private": simple(private.url), "public": simple(public.url)}
    return await run(settings(cache, sources, **more))


async def test_it_has_the_shape_of_the_interface(
    run: Run, cache_directory: Path, private: FakeIndex, public: FakeIndex
) -> None:
    server = await start(run, cache_directory, private, public, rules={"deny": ["bar>=2"]})

    reply = await server.get("/explain/Bar")

    explained = reply.json()
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert list(explained) == KEYS
    assert explained["project"] == "bar"
    assert explained["feed"] == "default"
    assert explained["owner"] == "public"
    assert explained["why"]
    assert [list(source) for source in explained["sources"]] == [["name", "said", "asked_at", "age_seconds"]] * 2
    assert [source["name"] for source in explained["sources"]] == ["private", "public"]
    assert all(MOMENT.fullmatch(source["asked_at"]) for source in explained["sources"])
    assert all(source["age_seconds"] >= 0 for source in explained["sources"])
    first, second = explained["files"]
    assert list(first) == ["filename", "version", "source", "served", "rule", "reason", "changes_at"]
    assert first == {
        "filename": "bar-1.0-py3-none-any.whl",
        "version": "1.0",
        "source": "public",
        "served": True,
        "rule": None,
        "reason": None,
        "changes_at": None,
    }
    assert (second["served"], second["rule"], second["version"]) == (False, "deny", "2.0")
    assert "'bar>=2'" in second["reason"]


async def test_an_unknown_project_is_404_with_the_same_shape_and_no_files(
    run: Run, cache_directory: Path, private: FakeIndex, public: FakeIndex
) -> None:
    server = await start(run, cache_directory, private, public)

    reply = await server.get("/explain/nobody")

    explained = reply.json()
    assert reply.status == 404
    assert list(explained) == KEYS
    assert explained["owner"] is None
    assert explained["files"] == []
    assert [source["said"] for source in explained["sources"]] == ["does not have it"] * 2


async def test_sources_that_had_no_say_are_named_as_not_asked(
    run: Run, cache_directory: Path, private: FakeIndex, public: FakeIndex
) -> None:
    private.has("bar-0.1.tar.gz")
    private.has("acme-0.1.tar.gz")
    server = await start(run, cache_directory, private, public, claims={"private": ["acme"]})

    owned, claimed = (await server.get("/explain/bar")).json(), (await server.get("/explain/acme")).json()

    assert owned["owner"] == claimed["owner"] == "private"
    assert owned["sources"][1]["said"].startswith("not asked")
    assert owned["sources"][1]["asked_at"] is None
    assert "claimed by private" in claimed["why"]
    assert claimed["sources"][1]["said"].startswith("not asked")
    assert public.requests == []


async def test_a_page_to_the_rescue_is_told(
    run: Run, cache_directory: Path, private: FakeIndex, public: FakeIndex
) -> None:
    server = await start(run, cache_directory, private, public)
    await server.page("/simple/bar/")
    public.is_down("close")

    explained = (await server.get("/explain/bar")).json()

    assert explained["owner"] == "public"
    assert "remembered" in explained["sources"][1]["said"]
    assert len(explained["files"]) == 2
