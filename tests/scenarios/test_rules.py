"""Promise: what a rule hides is hidden on every route, in every form, whatever a client asks with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.index import FakeIndex
from tests.fakes.server import HTML, JSON, TEXT, LocalServer, settings, simple
from tests.scenarios.conftest import Run

OLD, NEW, SDIST = "bar-1.0-py3-none-any.whl", "bar-2.1rc1-py3-none-any.whl", "bar-1.0.tar.gz"
DAY = 86400.0


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
def serve(run: Run, cache_directory: Path, public: FakeIndex, clock: FakeClock) -> Run:
    """Give what runs a server with rules over three files of `bar`: a day old, and one of this moment."""
    public.has(OLD, metadata=True, provenance=b"{}", upload_time=stamp(clock.now - DAY))
    public.has(SDIST, upload_time=stamp(clock.now - DAY))
    public.has(NEW, metadata=True, provenance=b"{}", upload_time=stamp(clock.now))

    async def start(rules: dict[str, Any], **more: Any) -> LocalServer:
        return await run(
            settings(
                cache_directory, {"public": simple(public.url, fresh="30 d", max_age="10 min")}, rules=rules, **more
            ),
            clock=clock,
        )

    return start


async def assert_hidden(server: LocalServer, filename: str, rule: str) -> None:
    """Look on every route."""
    for accept in (JSON, HTML, TEXT):
        assert filename not in (await server.get("/simple/bar/", accept=accept)).text
        assert filename not in (await server.get("/simple/bar/", accept=accept, accept_encoding="identity")).text
    for name in ("bar", "BAR"):
        for path in (filename, f"{filename}.metadata", f"{filename}.provenance"):
            for asked in (
                await server.get(f"/files/{name}/{path}"),
                await server.get(f"/files/{name}/{path}", range="bytes=0-9"),
                await server.get(f"/files/{name}/{path}", if_none_match="*"),
                await server.get(f"/files/{name}/{path}", if_range='"x"', range="bytes=-1"),
            ):
                assert asked.status == 403
                assert asked.json()["rule"] == rule
                assert asked.json()["detail"]
            assert (await server.head(f"/files/{name}/{path}")).status == 403
    explained = next(
        file for file in (await server.get("/explain/bar")).json()["files"] if file["filename"] == filename
    )
    assert explained["served"] is False
    assert explained["rule"] == rule
    assert explained["reason"]


@pytest.mark.parametrize(
    ("rules", "hidden", "rule"),
    [
        ({"deny": ["Bar>=2"]}, NEW, "deny"),
        ({"deny": ["b*==2.1rc1"]}, NEW, "deny"),
        ({"allow": ["bar<2"]}, NEW, "allow"),
        ({"allow": ["bar"], "deny": ["bar>2"]}, NEW, "deny"),
        ({"min_age": "1 h"}, NEW, "min_age"),
        ({"kinds": ["sdist"]}, NEW, "kinds"),
    ],
)
async def test_a_hidden_file_is_hidden_everywhere(serve: Run, rules: dict[str, Any], hidden: str, rule: str) -> None:
    server = await serve(rules)

    await assert_hidden(server, hidden, rule)

    assert SDIST in (await server.page("/simple/bar/")).filenames()
    assert "2.1rc1" not in (await server.page("/simple/bar/")).json()["versions"]


async def test_a_cached_file_is_hidden_by_a_rule_that_came_later(serve: Run) -> None:
    server = await serve({})
    cached = await server.get(f"/files/bar/{NEW}")
    page = await server.page("/simple/bar/")
    assert cached.status == 200

    other = await serve({"deny": ["bar>2"]})

    await assert_hidden(other, NEW, "deny")
    revived = await other.get(f"/files/bar/{NEW}", if_none_match=cached.headers["ETag"])
    assert revived.status == 403
    assert (await other.page("/simple/bar/", if_none_match=page.headers["ETag"])).status == 200


@pytest.mark.parametrize(
    "rules", [{"deny": ["bar"]}, {"deny": ["B*"]}, {"allow": []}, {"allow": ["other"]}, {"deny": ["bar>=0a0"]}]
)
async def test_a_project_that_is_hidden_as_a_whole_is_403_with_the_reason(serve: Run, rules: dict[str, Any]) -> None:
    server = await serve(rules)
    rule = next(iter(rules))

    for asked in (
        await server.page("/simple/bar/"),
        await server.get("/simple/bar/", if_none_match="*"),
        await server.get(f"/files/bar/{OLD}"),
        await server.get(f"/files/bar/{OLD}.metadata"),
        await server.get(f"/files/bar/{OLD}.provenance"),
    ):
        assert asked.status == 403
        assert asked.json()["rule"] == rule
        assert asked.json()["remedy"]
    assert (await server.head("/simple/bar/")).status == 403
    explained = await server.get("/explain/bar")
    assert explained.status == 200
    files = explained.json()["files"]
    assert len(files) == 3
    assert not any(file["served"] for file in files)
    assert {file["rule"] for file in files} == {rule}


async def test_a_project_that_is_hidden_as_a_whole_is_not_on_the_list(serve: Run, public: FakeIndex) -> None:
    public.has("seen-1.0.tar.gz")
    server = await serve({"deny": ["bar"]})

    assert [each["name"] for each in (await server.page("/simple/")).json()["projects"]] == ["seen"]


async def test_a_project_without_a_file_of_the_wanted_kind_is_an_empty_page(serve: Run, public: FakeIndex) -> None:
    public.has("only-1.0.tar.gz")
    server = await serve({"kinds": ["wheel"]})

    as_json, as_html = await server.page("/simple/only/"), await server.get("/simple/only/", accept=HTML)

    assert as_json.status == as_html.status == 200
    assert as_json.json()["files"] == []
    assert as_json.json()["versions"] == []
    assert "only-1.0" not in as_html.text.partition("<body>")[2].replace("only-1.0.tar.gz is of kind", "")


async def test_specifiers_include_local_versions(serve: Run, public: FakeIndex) -> None:
    public.has("bar-3.0+cu118-py3-none-any.whl")
    server = await serve({"deny": ["bar==3.0"]})

    assert "bar-3.0+cu118-py3-none-any.whl" not in (await server.page("/simple/bar/")).filenames()


async def test_a_file_comes_of_age_at_its_moment_with_another_etag(serve: Run, clock: FakeClock) -> None:
    server = await serve({"min_age": "1 d"})
    young = await server.page("/simple/bar/")
    metadata = await server.get(f"/files/bar/{OLD}.metadata")
    explained = (await server.get("/explain/bar")).json()
    clock.pass_by(DAY - 1)
    almost = await server.page("/simple/bar/", if_none_match=young.headers["ETag"])
    refused = await server.get(f"/files/bar/{NEW}")

    clock.pass_by(1)
    grown = await server.page("/simple/bar/", if_none_match=young.headers["ETag"])

    assert NEW not in young.filenames()
    assert metadata.status == 200
    assert next(file["changes_at"] for file in explained["files"] if file["filename"] == NEW) == stamp(clock.now)
    assert almost.status == 304
    assert refused.status == 403
    assert grown.status == 200
    assert NEW in grown.filenames()
    assert grown.headers["ETag"] != young.headers["ETag"]
    assert (await server.get(f"/files/bar/{NEW}")).status == 200


async def test_what_clients_may_keep_never_outlives_a_rules_change_of_mind(serve: Run, clock: FakeClock) -> None:
    server = await serve({"min_age": "1 d"})
    seen = []
    for seconds in (0, DAY - 600, 300.5, 290, 9, 0.5):
        clock.pass_by(seconds)
        for _ in range(3):
            page = await server.page("/simple/bar/")
            head = await server.head("/simple/bar/", accept=JSON)
            same = await server.page("/simple/bar/", if_none_match=page.headers["ETag"])
            assert page.headers["Cache-Control"] == head.headers["Cache-Control"] == same.headers["Cache-Control"]
        seen.append(page.headers["Cache-Control"])

    assert seen == [f"max-age={seconds}" for seconds in (600, 600, 299, 9, 0, 600)]


async def test_without_an_upload_time_nothing_is_old_enough(serve: Run, public: FakeIndex) -> None:
    public.has("bar-0.5.tar.gz")
    server = await serve({"min_age": "1 s"})

    page = await server.page("/simple/bar/")

    assert page.filenames() == [OLD, SDIST]
    assert "no upload time" in (await server.get("/files/bar/bar-0.5.tar.gz")).json()["detail"]


async def test_exempt_projects_may_be_young(serve: Run) -> None:
    server = await serve({"min_age": "30 d", "min_age_exempt": ["B.*r", "bar"]})

    assert NEW in (await server.page("/simple/bar/")).filenames()


async def test_rules_hold_on_the_flat_page_of_links(run: Run, cache_directory: Path, shelf: Path) -> None:
    for name in ("mine-1.0.tar.gz", "mine-2.0.tar.gz", "secret-1.0.tar.gz"):
        (shelf / name).write_bytes(b"x" * 100)
    sources = {"shelf": {"kind": "directory", "path": str(shelf)}}
    server = await run(settings(cache_directory, sources, rules={"deny": ["mine>=2", "secret"]}))

    links = (await server.get("/links/")).hrefs()

    assert links == ["../files/mine/mine-1.0.tar.gz"]
