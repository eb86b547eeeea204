"""What only shows with all places together: names, changes at each of them, what outlives an outage, `check`."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from pathlib import Path

import pytest

from tests.fakes.asking import ask, ask_until
from tests.fakes.every_place import CORE, FEED, MODEL, REPOSITORY, EveryPlace, leaks
from tests.fakes.process import ROOT, ServerProcess, StartServer
from tests.fakes.wheels import build_wheel

pytestmark = pytest.mark.azurite
NAMES = {"acme-core", "acme-feed", "acme-model", "leaf"}


@pytest.fixture
def server(start_server: StartServer, places: EveryPlace) -> ServerProcess:
    return start_server(places.config())


async def test_the_list_has_the_names_of_all_places(server: ServerProcess) -> None:
    said = await ask_until(f"{server.url}/simple/", lambda said: said.status == 200)

    assert {project["name"] for project in said.json["projects"]} == NAMES


async def test_a_place_that_refuses_its_list_takes_no_other_names_with_it(
    server: ServerProcess, places: EveryPlace
) -> None:
    places.devops.roles = {}

    said = await ask(f"{server.url}/simple/")

    assert {project["name"] for project in said.json["projects"]} >= NAMES - {"acme-feed"}
    assert '"team"' in server.log


async def test_what_is_here_outlives_every_token_and_every_place(start_server: StartServer, places: EveryPlace) -> None:
    """An expired token is no reason to stop what was already fetched with it.

    The claim keeps the model from waiting for the feed, which could not say whether it has it too.
    """
    server = start_server(places.config(more='claims = { models = ["acme-model"] }\n'))
    files = {"acme-core": CORE, "acme-feed": FEED, "acme-model": MODEL}
    for name, file in files.items():
        await ask_until(f"{server.index_url}{name}/", lambda said: b"core-metadata" in said.body)
        assert (await ask(f"{server.url}/files/{name}/{file}", accept="*/*")).status == 200
    places.devops.roles = {}
    places.github.token = "another"
    places.github.repositories[REPOSITORY].tokens = {"another"}
    places.container.delete_container()

    for name, file in files.items():
        page = await ask(f"{server.index_url}{name}/")
        said = await ask(f"{server.url}/files/{name}/{file}", accept="*/*")
        metadata = await ask(f"{server.url}/files/{name}/{file}.metadata", accept="*/*")

        assert (page.status, said.status, metadata.status) == (200, 200, 200)
        assert f'"{page.files[file]["hashes"]["sha256"]}"' == said.headers["ETag"]
    assert places.strangers() == []


async def test_an_asset_that_is_uploaded_again_changes_as_a_whole(server: ServerProcess, places: EveryPlace) -> None:
    assert MODEL in (await ask(f"{server.index_url}acme-model/")).files
    assert (await ask(f"{server.url}/files/acme-model/{MODEL}", accept="*/*")).status == 200
    wheel = build_wheel("acme-model", "3.0", requires=["leaf>=1"])
    (release,) = places.github.repositories[REPOSITORY].releases
    release.assets[:] = [places.github.make_asset(MODEL, wheel)]

    page = await ask(f"{server.index_url}acme-model/")
    file = await ask(f"{server.url}/files/acme-model/{MODEL}", accept="*/*")

    assert page.files[MODEL]["hashes"] == {"sha256": hashlib.sha256(wheel).hexdigest()}
    assert page.files[MODEL]["size"] == len(wheel)
    assert file.body == wheel


async def test_a_file_that_the_feed_lists_and_does_not_have_is_404(server: ServerProcess, places: EveryPlace) -> None:
    other = "acme_gone-1.0-py3-none-any.whl"
    file = places.devops.has(other, build_wheel("acme-gone", "1.0"))
    places.devops.has("acme_gone-2.0-py3-none-any.whl", build_wheel("acme-gone", "2.0"))
    assert other in (await ask(f"{server.index_url}acme-gone/")).files
    file.deleted = True

    said = await ask(f"{server.url}/files/acme-gone/{other}", accept="*/*")

    assert said.status == 404
    assert places.strangers() == []


async def test_explain_says_for_each_place_what_it_answered(server: ServerProcess) -> None:
    said = await ask(f"{server.url}/explain/acme-feed")

    assert said.json["owner"] == "team"
    assert [source["name"] for source in said.json["sources"]][:2] == ["curated", "team"]
    assert FEED in {file["filename"] for file in said.json["files"]}


async def check(places: EveryPlace, folder: Path) -> tuple[int, str]:
    """Run `wheelgate check`, and give its status and all that it printed."""
    config = folder / "checked.toml"
    config.write_text(places.config())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "check", "--config", str(config)),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "400"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_check_finds_every_place_in_order_and_tells_no_secret(places: EveryPlace, tmp_path: Path) -> None:
    status, output = await check(places, tmp_path)

    assert status == 0, output
    assert all(name in output for name in ("curated", "team", "models", "public"))
    assert leaks(places, output.encode()) == []


async def test_check_says_what_to_change_at_each_place(places: EveryPlace, tmp_path: Path) -> None:
    places.devops.roles = {}
    (places.secrets / "github").unlink()
    places.container.delete_container()

    status, output = await check(places, tmp_path)

    assert status == 1, output
    for remedy in ("connection devops", "secrets/github", "container"):
        assert remedy in output
    assert leaks(places, output.encode()) == []
