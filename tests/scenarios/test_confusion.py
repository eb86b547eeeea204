"""Promise: a name that is ours is never a stranger's, under any spelling, on any route."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.server import LocalServer, folder, settings, simple
from tests.fakes.wheels import build_wheel
from tests.scenarios.conftest import Run

OURS, THEIRS = "acme_sdk-1.0-py3-none-any.whl", "acme_sdk-99.0-py3-none-any.whl"
SPELLINGS = ["acme-sdk", "Acme_SDK", "acme.sdk", "ACME--__..SDK"]


@pytest.fixture
async def owned(run: Run, cache_directory: Path, private: FakeIndex, public: FakeIndex) -> LocalServer:
    """Give a server whose private source has the project, and is asked first."""
    private.has(OURS, metadata=True)
    public.has(THEIRS, metadata=True, provenance=b"{}")
    return await run(settings(cache_directory, {"private": simple(private.url), "public": simple(public.url)}))


@pytest.fixture
async def claimed(run: Run, cache_directory: Path, private: FakeIndex, public: FakeIndex) -> LocalServer:
    """Give a server whose private source claims the name, does not have it, and comes last."""
    public.has(THEIRS, metadata=True, provenance=b"{}")
    sources = {"public": simple(public.url), "private": simple(private.url)}
    return await run(settings(cache_directory, sources, claims={"private": ["Acme_*"]}))


@pytest.mark.parametrize("name", SPELLINGS)
async def test_a_higher_public_version_of_an_owned_name_is_invisible(
    owned: LocalServer, public: FakeIndex, name: str
) -> None:
    page = await owned.page(f"/simple/{name}/")
    if page.status == 301:
        page = await owned.page("/simple/acme-sdk/")
    files = {
        path: (await owned.get(f"/files/{name}/{path}")).status
        for path in (OURS, THEIRS, f"{THEIRS}.metadata", f"{THEIRS}.provenance")
    }
    explained = (await owned.get(f"/explain/{name}")).json()

    assert page.filenames() == [OURS]
    assert page.json()["versions"] == ["1.0"]
    assert list(files.values()) == [200, 404, 404, 404]
    assert explained["owner"] == "private"
    assert [file["filename"] for file in explained["files"]] == [OURS]
    assert public.requests == []


@pytest.mark.parametrize("name", SPELLINGS)
async def test_a_claimed_name_is_not_even_asked_of_others(claimed: LocalServer, public: FakeIndex, name: str) -> None:
    page = await claimed.get(f"/simple/{name}/")
    if page.status == 301:
        page = await claimed.get("/simple/acme-sdk/")

    assert page.status == 404
    for suffix in ("", ".metadata", ".provenance"):
        assert (await claimed.get(f"/files/{name}/{THEIRS}{suffix}")).status == 404
    assert (await claimed.get(f"/explain/{name}")).status == 404
    assert public.requests == []


async def test_a_claimed_name_is_not_on_the_project_list(claimed: LocalServer, public: FakeIndex) -> None:
    public.has("other-1.0.tar.gz")

    names = [project["name"] for project in (await claimed.page("/simple/")).json()["projects"]]

    assert names == ["other"]


async def test_an_outage_of_the_claiming_source_is_no_absence(
    claimed: LocalServer, private: FakeIndex, public: FakeIndex
) -> None:
    private.is_down("close")

    assert (await claimed.get("/simple/acme-sdk/")).status == 503
    assert public.requests == []


async def test_a_public_project_is_hidden_as_soon_as_the_name_becomes_ours(
    run: Run, cache_directory: Path, shelf: Path, public: FakeIndex
) -> None:
    """The public source's page is fresh for long, and its file in the cache: neither may come through any more."""
    public.has(THEIRS, metadata=True)
    sources = {"shelf": folder(shelf), "public": simple(public.url, fresh="1 h")}
    server = await run(settings(cache_directory, sources))
    assert (await server.page("/simple/acme-sdk/")).filenames() == [THEIRS]
    assert (await server.get(f"/files/acme-sdk/{THEIRS}")).status == 200

    (shelf / OURS).write_bytes(build_wheel("acme-sdk", "1.0"))
    page = await server.until(lambda page: page.filenames() == [OURS], "/simple/acme-sdk/")

    assert page.headers["Cache-Control"] == "max-age=0"
    assert (await server.get(f"/files/acme-sdk/{THEIRS}")).status == 404
    assert (await server.get(f"/files/acme-sdk/{THEIRS}.metadata")).status == 404


async def test_the_same_file_in_two_sources_is_the_first_ones_alone(
    run: Run, cache_directory: Path, private: FakeIndex, public: FakeIndex
) -> None:
    """Also where files of both are shown: the digest on the page and the bytes come from one source."""
    for index, content in ((private, b"p" * 2000), (public, b"q" * 2000)):
        index.has("torch-1.0.tar.gz", content=content)
    public.has("torch-2.0.tar.gz")
    sources = {"private": simple(private.url), "public": simple(public.url)}
    server = await run(settings(cache_directory, sources, combine={"torch": ["private", "public"]}))

    direct = await server.get("/files/torch/torch-1.0.tar.gz")
    page = await server.page("/simple/torch/")

    assert direct.body == b"p" * 2000
    assert page.filenames() == ["torch-1.0.tar.gz", "torch-2.0.tar.gz"]
    assert page.file("torch-1.0.tar.gz")["hashes"] == {"sha256": private.files["torch-1.0.tar.gz"].sha256}
    assert public.asked("/files/torch-1.0.tar.gz") == 0
