"""The flat page for `--find-links`: what environments of the older SDK turn an index URL into."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.environments import Client
from tests.fakes.asking import ask
from tests.fakes.every_place import CORE, FEED, MODEL, EveryPlace
from tests.fakes.process import ServerProcess, StartServer
from tests.fakes.wheels import build_wheel

pytestmark = [pytest.mark.azurite, pytest.mark.timeout(300)]

OTHER = """
[feeds.other]
sources = ["curated", "models", "public"]
claims = { curated = ["acme-core"] }

[feeds.other.rules]
deny = ["acme-core==1.1", "acme-model"]
"""


@pytest.fixture
def server(start_server: StartServer, places: EveryPlace) -> ServerProcess:
    places.container.upload_blob("acme_core-1.1-py3-none-any.whl", build_wheel("acme-core", "1.1"))
    return start_server(places.config(more=OTHER))


async def test_the_page_has_the_files_of_private_sources_and_no_others(server: ServerProcess) -> None:
    said = await ask(f"{server.url}/links/", accept="text/html")

    assert said.status == 200
    for file in (CORE, MODEL):
        assert f"../files/{file.partition('-')[0].replace('_', '-')}/{file}".encode() in said.body
    assert FEED.encode() not in said.body, "a feed is an upstream index, and is asked project by project"
    assert b"leaf" not in said.body
    assert b"-99-" not in said.body


async def test_rules_hold_for_the_page_of_a_feed(server: ServerProcess) -> None:
    said = await ask(f"{server.url}/other/links/", accept="text/html")

    assert f"../files/acme-core/{CORE}".encode() in said.body
    assert b"acme_core-1.1" not in said.body
    assert b"acme_model" not in said.body


@pytest.mark.clients
@pytest.mark.parametrize("client", ["new_pip", "old_pip"])
@pytest.mark.parametrize(("feed", "version"), [("", "1.1"), ("other/", "1.0")])
async def test_pip_finds_private_files_on_the_page(
    request: pytest.FixtureRequest, server: ServerProcess, tmp_path: Path, client: str, feed: str, version: str
) -> None:
    pip: Client = request.getfixturevalue(client)
    target = tmp_path / "target"

    await pip.run(
        *("install", "--no-index", "--find-links", f"{server.url}/{feed}links/"),
        *("--no-deps", "--target", target, "acme-core"),
        home=tmp_path / "home",
    )

    assert (target / f"acme_core-{version}.dist-info").is_dir()
