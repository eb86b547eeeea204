"""The real azure-identity, against doubles of the endpoints that it asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from azure.identity.aio import WorkloadIdentityCredential

from proxy.config.models import Connection, Workspace
from proxy.config.values import IdentityCredential
from proxy.errors import SourceError, SourceRefused
from proxy.simple.model import NormalizedName
from proxy.sources.azure_tokens import AzureTokens, tokens_of
from proxy.sources.base import Answer
from proxy.sources.credentials import Keyring, keyring_of
from proxy.sources.session import Session, Upstream
from proxy.sources.simple_index import SimpleIndex
from proxy.tasks import Background
from tests.fakes.azure_devops import FakeAzureDevOps
from tests.fakes.certificates import make_authority
from tests.fakes.identity import TENANT, FakeIdentity, audience_of
from tests.fakes.key_vault import FakeKeyVault
from tests.fakes.management import WORKSPACE, FakeManagement

BAR = NormalizedName("bar")
WHEEL = "bar-1.0-py3-none-any.whl"
ENVIRONMENT = (
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "MSI_ENDPOINT",
    "IMDS_ENDPOINT",
)


@pytest.fixture
async def identity(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeIdentity]:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    async with FakeIdentity() as identity:
        for name, value in identity.environment().items():
            monkeypatch.setenv(name, value)
        yield identity


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    async with Background() as background:
        yield background


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as session:
        yield session


@pytest.fixture
async def feed() -> AsyncIterator[FakeAzureDevOps]:
    async with FakeAzureDevOps() as feed:
        feed.has(WHEEL, b"wheel")
        yield feed


Make = Callable[..., Keyring]


@pytest.fixture
def make(session: Session, background: Background) -> Make:
    @cache
    def tokens(identity: IdentityCredential) -> AzureTokens:
        return tokens_of(identity, session=session, background=background)

    def make(connections: dict[str, Any], workspaces: dict[str, Any] | None = None) -> Keyring:
        return keyring_of(
            {name: Connection.model_validate(table) for name, table in connections.items()},
            {name: Workspace.model_validate(table) for name, table in (workspaces or {}).items()},
            session=session,
            tokens_of=tokens,
        )

    return make


def index_of(keyring: Keyring, session: Session, feed: FakeAzureDevOps) -> SimpleIndex:
    return SimpleIndex(Upstream(session, name="team", credentials=keyring.for_source("team")), url=feed.index_url)


async def has_bar(index: SimpleIndex) -> bool:
    answer = await index.ask(BAR)
    return isinstance(answer, Answer) and [file.filename for file in answer.page.files] == [WHEEL]


@pytest.mark.usefixtures("identity")
async def test_a_machines_identity_reads_a_feed(make: Make, session: Session, feed: FakeAzureDevOps) -> None:
    keyring = make({"one": {"target": feed.root, "auth_type": "ManagedIdentity"}})

    assert await has_bar(index_of(keyring, session, feed))


async def test_a_containers_identity_reads_a_feed(
    make: Make, session: Session, feed: FakeAzureDevOps, identity: FakeIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """App Service and Container Apps."""
    monkeypatch.delenv("AZURE_POD_IDENTITY_AUTHORITY_HOST")
    for name, value in identity.app_service_environment().items():
        monkeypatch.setenv(name, value)
    identity.identities.add("client-1")
    keyring = make({"one": {"target": feed.root, "auth_type": "ManagedIdentity", "client_id": "client-1"}})

    assert await has_bar(index_of(keyring, session, feed))
    assert "client_id=client-1" in identity.requests[-1].target


async def test_an_identity_that_is_not_there_is_a_refusal_and_never_absence(
    make: Make, session: Session, feed: FakeAzureDevOps, identity: FakeIdentity
) -> None:
    identity.has_identity = False
    keyring = make({"one": {"target": feed.root, "auth_type": "ManagedIdentity"}})

    with pytest.raises(SourceError) as caught:
        await index_of(keyring, session, feed).ask(BAR)

    assert caught.value.source == "team"
    assert "identity" in caught.value.remedy
    assert feed.requests == []


async def test_a_token_is_asked_for_once(
    make: Make, session: Session, feed: FakeAzureDevOps, identity: FakeIdentity
) -> None:
    index = index_of(make({"one": {"target": feed.root, "auth_type": "ManagedIdentity"}}), session, feed)

    assert await has_bar(index)
    assert await has_bar(index)
    assert identity.asked_for() == ["499b84ac-1321-427f-aa17-267ca6975798"]


async def test_an_identity_that_a_feed_does_not_know_is_a_refusal(
    make: Make, session: Session, feed: FakeAzureDevOps, identity: FakeIdentity
) -> None:
    feed.identity_role = None
    index = index_of(make({"one": {"target": feed.root, "auth_type": "ManagedIdentity"}}), session, feed)

    with pytest.raises(SourceRefused):
        await index.ask(BAR)

    assert len(identity.minted) == 2, "one more token was tried"


@pytest.mark.usefixtures("identity")
async def test_a_workspace_is_read_and_its_token_reads_a_feed(
    make: Make, session: Session, feed: FakeAzureDevOps, background: Background
) -> None:
    async with FakeManagement() as management:
        management.has_pat("my-feed", feed.root, feed.pat)
        workspace = {"id": WORKSPACE, "management_url": management.url, "credential": "managed-identity"}
        keyring = make({}, {"research": workspace})
        keyring.start(background)

        assert await has_bar(index_of(keyring, session, feed))


@pytest.mark.usefixtures("identity")
async def test_a_rotated_secret_in_a_vault_is_picked_up_without_a_restart(
    make: Make, session: Session, feed: FakeAzureDevOps
) -> None:
    async with FakeKeyVault() as vault:
        vault.put("feed-pat", feed.pat)
        reference = {"key_vault": f"{vault.url}/secrets/feed-pat"}
        index = index_of(make({"one": {"target": feed.root, "auth_type": "PAT", "value": reference}}), session, feed)
        assert await has_bar(index)
        feed.roles = {"rotated": "collaborator"}
        vault.put("feed-pat", "rotated")

        assert await has_bar(index)


async def test_the_double_grants_tokens_to_a_workload(tmp_path: Path) -> None:
    """As on Kubernetes: a service account's token is exchanged for one of Entra."""
    authority = make_authority(tmp_path)
    assertion = tmp_path / "assertion"
    assertion.write_text("a service account's token")
    async with (
        FakeIdentity(tls=authority.server) as identity,
        WorkloadIdentityCredential(
            tenant_id=TENANT,
            client_id="client-1",
            token_file_path=str(assertion),
            authority=identity.url,
            disable_instance_discovery=True,
            connection_verify=str(authority.ca_file),
        ) as credential,
    ):
        token = await credential.get_token("https://storage.azure.com/.default")

    assert audience_of(token.token) == "https://storage.azure.com"
