"""One URL in place of a container, a feed, releases and the public index; and no secret on the way to the client."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.environments import Client
from tests.fakes.asking import ask, ask_until
from tests.fakes.every_place import CORE, FEED, MODEL, EveryPlace, leaks
from tests.fakes.process import ServerProcess, StartServer

pytestmark = [pytest.mark.azurite, pytest.mark.timeout(300)]
INSTALLED = {"acme_core-1.0", "acme_feed-2.0.0", "acme_model-3.0", "leaf-1.0"}


@pytest.fixture
def server(start_server: StartServer, places: EveryPlace) -> ServerProcess:
    return start_server(places.config())


def installed(folder: Path) -> set[str]:
    return {path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info")}


@pytest.mark.clients
@pytest.mark.parametrize("client", ["new_pip", "old_pip"])
async def test_pip_installs_from_every_place_with_one_url_and_no_token(
    request: pytest.FixtureRequest, server: ServerProcess, places: EveryPlace, tmp_path: Path, client: str
) -> None:
    pip: Client = request.getfixturevalue(client)
    target = tmp_path / "target"

    output = await pip.run(
        "install", "-vv", "--index-url", server.index_url, "--target", target, "acme-core", home=tmp_path / "home"
    )

    assert installed(target) == INSTALLED
    assert places.strangers() == []
    assert leaks(places, output.encode(), server.log.encode()) == []


@pytest.mark.clients
async def test_uv_installs_from_every_place_with_one_url_and_no_token(
    uv: Client, server: ServerProcess, places: EveryPlace, tmp_path: Path
) -> None:
    install = ("pip", "install", "-v", "--default-index", server.index_url, "--target", tmp_path / "target")

    output = await uv.run(*install, "acme-core", home=tmp_path / "home")

    assert installed(tmp_path / "target") == INSTALLED
    assert places.strangers() == []
    assert leaks(places, output.encode(), server.log.encode()) == []


@pytest.mark.clients
@pytest.mark.parametrize("client", ["new_pip", "old_pip"])
async def test_a_requirements_file_as_a_conda_file_becomes_one_installs_from_every_place(
    request: pytest.FixtureRequest, server: ServerProcess, tmp_path: Path, client: str
) -> None:
    """What stands under `pip:` in a conda file is handed to pip as a requirements file."""
    pip: Client = request.getfixturevalue(client)
    requirements = tmp_path / "condaenv.requirements.txt"
    requirements.write_text(f"--index-url {server.index_url}\n--trusted-host 127.0.0.1\nacme-core==1.0\n")

    await pip.run("install", "-U", "--target", tmp_path / "target", "-r", requirements, home=tmp_path / "home")

    assert installed(tmp_path / "target") == INSTALLED


@pytest.mark.clients
async def test_the_settings_of_a_compute_instance_are_all_that_pip_and_uv_need(
    new_pip: Client, uv: Client, server: ServerProcess, tmp_path: Path
) -> None:
    """As the creation script in docs/azure-ml.md writes them, for one user instead of the whole machine."""
    home = tmp_path / "home"
    pip_settings, uv_settings = home / "pip.conf", home / "uv.toml"
    home.mkdir()
    pip_settings.write_text(f"[global]\nindex-url = {server.index_url}\n")
    uv_settings.write_text(f'[[index]]\nurl = "{server.index_url}"\ndefault = true\n')
    by_pip = Client("pip", ("env", f"PIP_CONFIG_FILE={pip_settings}", *new_pip.command))
    by_uv = Client("uv", ("env", f"UV_CONFIG_FILE={uv_settings}", *uv.command))

    await by_pip.run("install", "--target", tmp_path / "pip", "acme-core", home=home)
    await by_uv.run("pip", "install", "--target", tmp_path / "uv", "acme-core", home=home)

    assert installed(tmp_path / "pip") == installed(tmp_path / "uv") == INSTALLED


async def test_no_secret_is_in_any_answer_log_line_or_byte_of_the_cache(
    server: ServerProcess, places: EveryPlace
) -> None:
    said = []
    for name, file in (("acme-core", CORE), ("acme-feed", FEED), ("acme-model", MODEL)):
        await ask_until(f"{server.index_url}{name}/", lambda said: b"core-metadata" in said.body)
        below = f"{server.url}/files/{name}/{file}"
        urls = [f"{server.index_url}{name}/", f"{server.url}/explain/{name}", below, f"{below}.metadata"]
        said += [await ask(url, accept=accept) for url in urls for accept in ("text/html", "*/*")]
    said += [await ask(f"{server.url}/{path}", accept="*/*") for path in ("", "metrics", "links/", "simple/")]
    for name in ("sas", "pat", "github"):
        places.keep(name, "no-longer-good")
    places.container.delete_container()
    places.devops.roles = {}
    places.github.token = "another"
    said += [await ask(f"{server.index_url}{name}/") for name in ("acme-core", "acme-feed", "acme-model", "nothing")]

    texts = [repr(sorted(each.headers.items())).encode() + each.body for each in said]

    assert {each.status for each in said} >= {200, 502}
    assert leaks(places, *texts, server.log.encode(), others=["no-longer-good"]) == []


async def test_a_stranger_never_gets_a_name_whatever_the_spelling(server: ServerProcess, places: EveryPlace) -> None:
    for name in ("acme-core", "Acme_Core", "ACME.feed", "acme--model"):
        said = await ask(f"{server.index_url}{name}/")
        if said.status == 301:
            said = await ask(f"{server.index_url}{name}/".replace(name, name.lower().replace("_", "-")))
        assert b"-99-" not in said.body

    assert places.strangers() == []


async def test_a_claimed_name_is_asked_of_its_source_alone(start_server: StartServer, places: EveryPlace) -> None:
    """Without the claim, every earlier source would be asked for it, too."""
    claims = 'claims = { models = ["acme-m*"], team = ["acme-feed", "acme-secret"] }\n'
    server = start_server(places.config(more=claims))

    model = await ask(f"{server.index_url}acme-model/")
    secret = await ask(f"{server.index_url}acme-secret/")

    assert MODEL in model.files
    assert secret.status == 404
    assert [seen.path for seen in places.devops.requests if "acme-model" in seen.path] == []
    assert places.strangers() == []


async def test_core_metadata_is_there_for_every_private_place(server: ServerProcess) -> None:
    """None of them publishes any; without it, resolving would download every candidate."""
    for name, file in (("acme-core", CORE), ("acme-feed", FEED), ("acme-model", MODEL)):
        page = await ask_until(f"{server.index_url}{name}/", lambda said: b"core-metadata" in said.body)
        metadata = await ask(f"{server.url}/files/{name}/{file}.metadata", accept="*/*")

        assert page.files[file]["core-metadata"]["sha256"]
        assert metadata.body.startswith(b"Metadata-Version: 2.1\n")
