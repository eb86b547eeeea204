"""Releases of private repositories on GitHub through the server."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.fakes.asking import ask, ask_until
from tests.fakes.every_place import MODEL, REPOSITORY, EveryPlace
from tests.fakes.github import FakeGitHub
from tests.fakes.process import ServerProcess, StartServer
from tests.fakes.wheels import build_wheel

pytestmark = pytest.mark.azurite

ENTERPRISE = """
[cache]
directory = "{folder}/places-cache"

[sources.models]
kind = "github"
repository = "my-org/models"
api_url = "{api_url}"

[connections.github]
target = "{api_url}"
auth_type = "PAT"
value = {{ file = "{folder}/token" }}

[feeds.default]
sources = ["models"]
"""


@pytest.fixture
def server(start_server: StartServer, places: EveryPlace) -> ServerProcess:
    return start_server(places.config())


async def test_a_digest_that_github_does_not_say_is_computed(server: ServerProcess, places: EveryPlace) -> None:
    """Assets from before the middle of 2025 have none."""
    wheel = build_wheel("acme-old", "1.0")
    release = places.github.release(REPOSITORY, "old", {"acme_old-1.0-py3-none-any.whl": wheel})
    release.assets[0].has_digest = False

    said = await ask_until(f"{server.index_url}acme-old/", lambda said: said.status == 200 and b"sha256" in said.body)

    assert said.files["acme_old-1.0-py3-none-any.whl"]["hashes"] == {"sha256": hashlib.sha256(wheel).hexdigest()}


async def test_an_asset_comes_from_storage_that_never_sees_the_token(server: ServerProcess, places: EveryPlace) -> None:
    said = await ask(f"{server.url}/files/acme-model/{MODEL}", accept="*/*")

    assert said.body == build_wheel("acme-model", "3.0", requires=["leaf"])
    assert places.github.downloads
    assert all("Authorization" not in seen.headers for seen in places.github.downloads)


async def test_a_draft_is_no_release(server: ServerProcess, places: EveryPlace) -> None:
    wheel = build_wheel("acme-draft", "1.0")
    places.github.release(REPOSITORY, "v9", {"acme_draft-1.0-py3-none-any.whl": wheel}, draft=True)

    said = await ask(f"{server.index_url}acme-draft/")

    assert said.status == 404


async def test_a_used_up_quota_rescues_what_is_known_and_lets_no_stranger_through(
    server: ServerProcess, places: EveryPlace
) -> None:
    assert (await ask(f"{server.index_url}acme-model/")).status == 200
    places.github.remaining = 0
    places.github.reset_in = 1800

    known = await ask(f"{server.index_url}acme-model/")
    other = await ask(f"{server.index_url}acme-tool/")

    assert (known.status, other.status) == (200, 404)
    assert places.strangers() == ["/simple/acme-tool/"], "with the list of releases at hand it is absent there"


async def test_a_repository_that_moved_is_followed_with_the_token(server: ServerProcess, places: EveryPlace) -> None:
    places.github.repositories["other/place"] = places.github.repositories.pop(REPOSITORY)
    places.github.moved[REPOSITORY] = "other/place"

    said = await ask(f"{server.index_url}acme-model/")

    assert MODEL in said.files


async def test_a_github_enterprise_server_has_its_api_below_a_path(start_server: StartServer, tmp_path: Path) -> None:
    """Its token goes to that path and to no other of the host."""
    async with FakeGitHub(prefix="/api/v3") as enterprise:
        enterprise.release(REPOSITORY, "v3", {MODEL: build_wheel("acme-model", "3.0")})
        (tmp_path / "token").write_text(f"{enterprise.token}\n")
        server = start_server(ENTERPRISE.format(folder=tmp_path, api_url=enterprise.url))

        page = await ask_until(f"{server.index_url}acme-model/", lambda said: b"core-metadata" in said.body)
        file = await ask(f"{server.url}/files/acme-model/{MODEL}", accept="*/*")

        assert MODEL in page.files
        assert file.body == build_wheel("acme-model", "3.0")
        assert all(seen.path.startswith("/api/v3/") for seen in enterprise.requests)
        assert all("Authorization" not in seen.headers for seen in enterprise.downloads)
