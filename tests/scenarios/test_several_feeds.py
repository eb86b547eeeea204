"""Promise: every feed has its own sources, claims and rules, over mirrors that are shared."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.server import LocalServer, folder, settings, simple
from tests.fakes.wheels import build_wheel
from tests.scenarios.conftest import Run

WHEEL = "bar-1.0-py3-none-any.whl"


@pytest.fixture
async def server(run: Run, cache_directory: Path, shelf: Path, private: FakeIndex, public: FakeIndex) -> LocalServer:
    public.has(WHEEL, metadata=True)
    public.has("bar-2.0-py3-none-any.whl", metadata=True)
    private.has("torch-1.0.tar.gz")
    public.has("torch-1.0.tar.gz", content=b"another")
    public.has("torch-2.0.tar.gz")
    (shelf / "mine-1.0-py3-none-any.whl").write_bytes(build_wheel("mine", "1.0"))
    sources = {
        "shelf": folder(shelf),
        "private": simple(private.url, fresh="1 h"),
        "public": simple(public.url, fresh="1 h"),
    }
    feeds = {
        "team": {"sources": ["public"], "rules": {"deny": ["bar>=2"]}},
        "shop": {"sources": ["shelf", "public"], "claims": {"shelf": ["bar"]}},
        "both": {"sources": ["private", "public"], "combine": {"Torch": ["private", "public"]}},
    }
    return await run(settings(cache_directory, sources, feeds=feeds))


async def test_a_feed_has_its_own_rules_over_the_same_remembered_page(server: LocalServer, public: FakeIndex) -> None:
    default, team = await server.page("/simple/bar/"), await server.page("/team/simple/bar/")

    assert default.filenames() == [WHEEL, "bar-2.0-py3-none-any.whl"]
    assert team.filenames() == [WHEEL]
    assert default.headers["ETag"] != team.headers["ETag"]
    assert (await server.get("/team/files/bar/bar-2.0-py3-none-any.whl")).status == 403
    assert (await server.get("/files/bar/bar-2.0-py3-none-any.whl")).status == 200
    assert public.asked("/simple/bar/") == 1


async def test_the_default_feed_is_had_with_its_name_too(server: LocalServer) -> None:
    with_name, without = await server.page("/default/simple/bar/"), await server.page("/simple/bar/")

    assert with_name.body == without.body
    assert with_name.headers["ETag"] == without.headers["ETag"]


async def test_links_stay_within_their_feed(server: LocalServer) -> None:
    page = await server.page("/team/simple/bar/")

    path = urljoin("/team/simple/bar/", page.json()["files"][0]["url"])

    assert path == f"/team/files/bar/{WHEEL}"
    assert (await server.get(path)).status == 200
    assert (await server.get("/shop/links/")).hrefs() == ["../files/mine/mine-1.0-py3-none-any.whl"]
    assert (await server.get("/team/links/")).hrefs() == []


async def test_a_claim_holds_in_its_feed_alone(server: LocalServer) -> None:
    assert (await server.get("/shop/simple/bar/")).status == 404
    assert (await server.get(f"/shop/files/bar/{WHEEL}")).status == 404
    assert (await server.get("/team/simple/bar/")).status == 200


async def test_combined_sources_show_files_of_both_and_the_earlier_wins(
    server: LocalServer, private: FakeIndex, public: FakeIndex
) -> None:
    page = await server.page("/both/simple/torch/")
    apart = await server.page("/simple/torch/")

    assert page.filenames() == ["torch-1.0.tar.gz", "torch-2.0.tar.gz"]
    assert page.json()["versions"] == ["1.0", "2.0"]
    assert (await server.get("/both/files/torch/torch-1.0.tar.gz")).body == private.files["torch-1.0.tar.gz"].content
    assert (await server.get("/both/files/torch/torch-2.0.tar.gz")).body == public.files["torch-2.0.tar.gz"].content
    assert apart.filenames() == ["torch-1.0.tar.gz"]
    explained = (await server.get("/both/explain/torch")).json()
    assert explained["owner"] == "private, public"
    assert "combine" in explained["why"].lower()
    assert [file["source"] for file in explained["files"]] == ["private", "public"]


async def test_an_outage_of_one_combined_source_is_an_outage(server: LocalServer, public: FakeIndex) -> None:
    """Half of the files would make a resolver choose what nobody meant."""
    public.is_down("close")

    assert (await server.get("/both/simple/torch/")).status == 503


@pytest.mark.parametrize("path", ["/nobody/simple/bar/", "/nobody/files/bar/x.whl", "/nobody/explain/bar", "/nobody/"])
async def test_a_feed_that_is_not_there_is_404_before_any_source_is_asked(
    server: LocalServer, public: FakeIndex, path: str
) -> None:
    public.requests.clear()

    assert (await server.get(path)).status == 404
    assert public.requests == []


async def test_explain_is_of_a_feed(server: LocalServer) -> None:
    explained = (await server.get("/team/explain/bar")).json()

    assert explained["feed"] == "team"
    assert [source["name"] for source in explained["sources"]] == ["public"]
    assert [file["served"] for file in explained["files"]] == [True, False]


async def test_without_a_default_feed_only_the_named_ones_are_there(
    run: Run, tmp_path: Path, public: FakeIndex
) -> None:
    config = settings(tmp_path / "other", {"public": simple(public.url)})
    public.has(WHEEL)
    config["feeds"] = {"team": {"sources": ["public"]}}
    server = await run(config)

    assert (await server.get("/simple/bar/")).status == 404
    assert (await server.get("/team/simple/bar/")).status == 200
    assert (await server.get("/")).status == 200
    assert "/team/simple/" in (await server.get("/")).text
