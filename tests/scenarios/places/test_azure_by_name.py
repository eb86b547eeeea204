"""The set-up as it is in Azure, with its real names over TLS: only the services behind the names are doubles."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.clients.environments import Client
from tests.fakes.asking import Said, ask, ask_until
from tests.fakes.azure_by_name import NAMES, AzureByName
from tests.fakes.azurite import Azurite, run_azurite
from tests.fakes.certificates import Authority, make_authority
from tests.fakes.every_place import CORE, FEED, GITHUB_TOKEN, MODEL, PAT, spellings
from tests.fakes.process import StartServer
from tests.fakes.wheels import build_wheel

pytestmark = [pytest.mark.azurite, pytest.mark.timeout(300)]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"), *NAMES)


@pytest.fixture(scope="session")
def storage(authority: Authority) -> Iterator[Azurite]:
    """Give the emulator over TLS, where it takes tokens."""
    with run_azurite(chain=authority.ca_file.with_name("server.pem")) as running:
        yield running


@pytest.fixture
async def azure(tmp_path: Path, storage: Azurite, authority: Authority) -> AsyncIterator[AzureByName]:
    async with AzureByName(tmp_path, storage, authority) as running:
        yield running


def is_found(said: Said) -> bool:
    return said.status == 200


def leaks(azure: AzureByName, *texts: bytes) -> list[bytes]:
    """Give the secrets, tokens of the identity among them, that are in texts or in a file of the cache."""
    wanted = spellings([PAT, GITHUB_TOKEN, *azure.identity.minted])
    kept = [path.read_bytes() for path in azure.cache.rglob("*") if path.is_file()]
    return [secret for secret in wanted for text in (*texts, *kept) if secret in text]


@pytest.mark.clients
async def test_one_url_and_an_identity_are_all_that_is_needed(
    new_pip: Client, start_server: StartServer, azure: AzureByName, tmp_path: Path
) -> None:
    """The client has no token, the configuration no secret: the identity opens storage, vault and workspace."""
    server = azure.start(start_server)
    install = ("install", "--index-url", server.index_url, "--target", tmp_path / "target", "acme-core")

    await new_pip.run(*install, home=tmp_path / "home")

    installed = {path.name.removesuffix(".dist-info") for path in (tmp_path / "target").glob("*.dist-info")}
    assert installed == {"acme_core-1.0", "acme_feed-2.0.0", "acme_model-3.0", "leaf-1.0"}
    assert azure.strangers() == []
    assert set(azure.identity.asked_for()) == {
        "https://storage.azure.com",
        "https://vault.azure.net",
        "https://management.azure.com",
    }
    assert set(azure.names.asked) <= set(NAMES)
    assert leaks(azure, server.log.encode()) == []


async def test_a_connection_with_either_name_of_the_organisation_covers_the_feed_and_its_files(
    start_server: StartServer, azure: AzureByName
) -> None:
    """The workspace's connection names the older host; the feed's own links name the newer one."""
    server = azure.start(start_server)

    page = await ask(f"{server.index_url}acme-feed/")
    file = await ask(f"{server.url}/files/acme-feed/{FEED}", accept="*/*")

    assert FEED in page.files
    assert file.status == 200
    assert {"my-org.pkgs.visualstudio.com", "pkgs.dev.azure.com"} <= set(azure.names.asked)


async def test_upload_times_of_a_feed_come_from_its_rest_api(start_server: StartServer, azure: AzureByName) -> None:
    """Without them, neither uv's --exclude-newer nor min_age can be used on a feed."""
    also = '[connections.times]\ntarget = "https://feeds.dev.azure.com/my-org"\nauth_type = "PAT"\n'
    also += f'value = {{ file = "{azure.cache.parent}/pat" }}\n'
    (azure.cache.parent / "pat").write_text(PAT)
    azure.devops.files[0].publish_date = "2026-01-02T03:04:05.1234567Z"
    now = dt.datetime.now(dt.UTC).isoformat()
    azure.devops.has("acme_feed-3.0-py3-none-any.whl", build_wheel("acme-feed", "3.0"), publish_date=now)
    server = azure.start(start_server, more=f'rules = {{ min_age = "3 d" }}\n{also}')

    page = await ask(f"{server.index_url}acme-feed/")
    young = await ask(f"{server.url}/files/acme-feed/acme_feed-3.0-py3-none-any.whl")

    assert list(page.files) == [FEED]
    assert page.files[FEED]["upload-time"].startswith("2026-01-02T03:04:05")
    assert young.status == 403


async def test_a_token_that_was_replaced_in_the_workspace_is_picked_up_by_the_refusal(
    start_server: StartServer, azure: AzureByName
) -> None:
    """The connections are read every ten minutes; a 401 does not wait for that."""
    server = azure.start(start_server)
    assert is_found(await ask(f"{server.index_url}acme-feed/"))

    azure.devops.roles = {"the-next-pat": "collaborator"}
    azure.workspace.has_pat("team-feed", "https://my-org.pkgs.visualstudio.com", "the-next-pat")
    azure.devops.has("acme_feed-2.1-py3-none-any.whl", build_wheel("acme-feed", "2.1"))
    said = await ask(f"{server.index_url}acme-feed/")

    assert "acme_feed-2.1-py3-none-any.whl" in said.files
    assert b"the-next-pat" not in server.log.encode() + said.body


async def test_a_workspace_that_cannot_be_read_is_an_error_with_the_role_to_give(
    start_server: StartServer, azure: AzureByName
) -> None:
    """The server starts all the same, and goes on as soon as the role is there."""
    azure.workspace.lacks_secrets_reader = True
    server = azure.start(start_server)

    refused = await ask(f"{server.index_url}acme-feed/")
    container = await ask(f"{server.index_url}acme-core/")
    azure.workspace.lacks_secrets_reader = False
    granted = await ask_until(f"{server.index_url}acme-feed/", is_found, seconds=40)

    assert refused.status == 502
    assert "Connection Secrets Reader" in refused.remedy
    assert container.status == 200
    assert FEED in granted.files
    assert azure.strangers() == []


async def test_a_workspace_that_cannot_be_listed_keeps_its_feed_closed(
    start_server: StartServer, azure: AzureByName
) -> None:
    azure.workspace.lacks_reader = True
    server = azure.start(start_server)

    said = [await ask(f"{server.index_url}{name}/") for name in ("acme-feed", "acme-nothing")]

    assert [each.status for each in said] == [502, 502]
    assert "research" in said[0].json["detail"]
    assert azure.strangers() == []


async def test_a_secret_that_is_not_in_the_vault_is_named_and_needs_no_restart(
    start_server: StartServer, azure: AzureByName
) -> None:
    token = azure.vault.secrets.pop("github-releases")
    server = azure.start(start_server)

    missing = await ask(f"{server.index_url}acme-model/")
    azure.vault.secrets["github-releases"] = token
    there = await ask_until(f"{server.index_url}acme-model/", is_found)

    assert missing.status == 502
    assert "github-releases" in missing.remedy
    assert "my-vault.vault.azure.net" in missing.json["detail"]
    assert MODEL in there.files
    assert azure.strangers() == []


@pytest.mark.parametrize(
    ("forbids", "remedy"), [("ForbiddenByRbac", "Key Vault Secrets User"), ("ForbiddenByFirewall", "private endpoint")]
)
async def test_a_vault_that_refuses_says_why(
    start_server: StartServer, azure: AzureByName, forbids: str, remedy: str
) -> None:
    azure.vault.forbids = forbids
    server = azure.start(start_server)

    said = await ask(f"{server.index_url}acme-model/")

    assert said.status == 502
    assert remedy in said.remedy
    assert azure.strangers() == []


async def test_a_machine_without_its_identity_says_so(start_server: StartServer, azure: AzureByName) -> None:
    azure.identity.has_identity = False
    server = azure.start(start_server)

    said = await ask(f"{server.index_url}acme-core/")

    assert said.status == 502
    assert "identity" in said.remedy
    assert azure.strangers() == []


async def test_a_managed_identity_opens_a_feed_without_any_token_to_renew(
    start_server: StartServer, azure: AzureByName
) -> None:
    azure.devops.roles = {}
    azure.workspace.connections.clear()
    identity = '\n[connections.{}]\ntarget = "https://{}"\nauth_type = "ManagedIdentity"\n'
    connections = (("devops", "my-org.pkgs.visualstudio.com"), ("times", "feeds.dev.azure.com/my-org"))
    server = azure.start(start_server, more="".join(identity.format(*each) for each in connections))

    page = await ask_until(f"{server.index_url}acme-feed/", lambda said: b"core-metadata" in said.body)
    file = await ask(f"{server.url}/files/acme-feed/{FEED}", accept="*/*")

    assert page.files[FEED]["upload-time"]
    assert file.status == 200
    assert leaks(azure, page.body, server.log.encode()) == []


async def test_a_user_assigned_identity_is_asked_for_by_its_client_id(
    start_server: StartServer, azure: AzureByName
) -> None:
    client_id = "00000000-0000-0000-0000-000000000000"
    azure.identity.has_identity = False
    azure.identity.identities = {client_id}
    named = f'credential = {{ managed_identity = "{client_id}" }}'
    server = azure.start(start_server, ('credential = "managed-identity"', named))

    core = await ask(f"{server.index_url}acme-core/")
    feed = await ask(f"{server.index_url}acme-feed/")

    assert CORE in core.files
    assert FEED in feed.files
