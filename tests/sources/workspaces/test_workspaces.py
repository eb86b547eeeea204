from __future__ import annotations

from typing import Any

import pytest

from proxy.config.models import Connection, Workspace
from proxy.errors import SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from proxy.sources.credentials import Keyring, keyring_of
from proxy.sources.session import Session
from proxy.sources.workspaces import WorkspaceConnections
from tests.fakes.authorising import FEED, TARGET, pair
from tests.fakes.identity import FakeTokens
from tests.fakes.management import WORKSPACE, FakeManagement


async def test_connections_are_read_with_a_token_for_the_management_url(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement, tokens: FakeTokens
) -> None:
    management.has_pat("my-feed", TARGET, "from the workspace")

    await workspace.read()

    assert (await pair(keyring)).endswith(":from the workspace")
    assert tokens.given == [f"{management.url}/.default"]
    assert [seen.method for seen in management.requests] == ["GET", "POST"]
    assert all("api-version=2024-10-01" in seen.target for seen in management.requests)


async def test_all_pages_are_read(workspace: WorkspaceConnections, management: FakeManagement) -> None:
    management.page_size = 2
    for number in range(5):
        management.has_pat(f"feed-{number}", f"https://host-{number}.example", "x")

    await workspace.read()

    assert len(workspace.held) == 5


@pytest.mark.parametrize("link", ["https://evil.example/connections", "http://127.0.0.1:1/connections"])
async def test_a_next_link_to_another_host_gets_no_token_and_is_refused(
    workspace: WorkspaceConnections, management: FakeManagement, link: str
) -> None:
    management.has_pat("my-feed", TARGET, "x")
    management.foreign_next_link = link

    with pytest.raises(SourceNonsense, match="another host"):
        await workspace.read()


async def test_a_list_that_does_not_end_is_given_up(
    workspace: WorkspaceConnections, management: FakeManagement
) -> None:
    management.foreign_next_link = f"{management.url}{WORKSPACE}/connections?api-version=2024-10-01"

    with pytest.raises(SourceNonsense, match="does not end"):
        await workspace.read()


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"credentials": {"pat": "new"}}, ":new"),
        ({"auth_type": "pat", "category": "python_feed", "credentials": {"pat": "new"}}, ":new"),
        ({"value": "first-sdk"}, ":first-sdk"),
        ({"value": '{"pat": "in json"}'}, ":in json"),
        ({"value": '{"PAT": "in json"}'}, ":in json"),
        ({"value": '"quoted"'}, ":quoted"),
        ({"value": "12345"}, ":12345"),
        (
            {
                "auth_type": "UsernamePassword",
                "credentials": {"username": "u", "password": "p:@", "securityToken": "t"},
            },
            "u:p:@",
        ),
        ({"auth_type": "UsernamePassword", "value": '{"username": "u", "password": "p"}'}, "u:p"),
    ],
)
async def test_every_shape_of_a_stored_secret_is_read(
    keyring: Keyring,
    workspace: WorkspaceConnections,
    management: FakeManagement,
    properties: dict[str, Any],
    expected: str,
) -> None:
    management.has("my-feed", TARGET, **properties)

    await workspace.read()

    assert (await pair(keyring)).endswith(expected)


async def test_a_signature_and_an_identity_and_nothing_are_read(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement, tokens: FakeTokens
) -> None:
    management.has("sas", "https://a.example", auth_type="SAS", credentials={"sas": "?sig=x"})
    management.has("identity", TARGET, auth_type="ManagedIdentity", credentials={"clientId": "c", "resourceId": "r"})
    management.has("none", "https://c.example", auth_type="None")
    await workspace.read()

    signature = await keyring.for_source("team").authorise("https://a.example/x")
    nothing = await keyring.for_source("team").authorise("https://c.example/x")

    assert signature is not None
    assert signature.query == "sig=x"
    assert nothing is not None
    assert nothing.headers == {}
    assert await pair(keyring)
    assert tokens.given[-1] == "499b84ac-1321-427f-aa17-267ca6975798/.default"


@pytest.mark.parametrize(
    "properties",
    [
        {"category": "Git"},
        {"category": None},
        {"auth_type": "OAuth2"},
        {"auth_type": "SomethingNew"},
        {"target": None},
        {"target": "not a url"},
        {"target": "http://plain.example"},
        {"target": "https://user:x@pkgs.dev.azure.com/my-org"},
    ],
)
async def test_what_is_no_credential_for_a_feed_is_ignored_and_its_secret_not_asked_for(
    workspace: WorkspaceConnections, management: FakeManagement, properties: dict[str, Any]
) -> None:
    management.has("odd", **({"target": TARGET, "credentials": {"pat": "x"}} | properties))

    await workspace.read()

    assert workspace.held == ()
    assert [seen.method for seen in management.requests] == ["GET"]


async def test_a_connection_that_holds_no_secret_is_a_refused_source(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement
) -> None:
    for credentials in ({}, {"pat": None}, {"pat": ""}, {"key": "x"}):
        management.has("my-feed", TARGET, credentials=credentials, value=7)
        await workspace.read()

        with pytest.raises(SourceRefused, match="connection my-feed of workspace research holds no secret"):
            await keyring.for_source("team").authorise(FEED)


async def test_the_configuration_wins_over_a_workspace(
    management: FakeManagement, session: Session, tokens: FakeTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEED_PAT", "configured")
    management.has_pat("my-feed", "https://my-org.pkgs.visualstudio.com", "stored")
    keyring = keyring_of(
        {"one": Connection.model_validate({"target": TARGET, "auth_type": "PAT", "value": {"env": "FEED_PAT"}})},
        {"research": Workspace.model_validate({"id": WORKSPACE, "management_url": management.url})},
        session=session,
        tokens_of=lambda _: tokens,
    )
    await keyring.workspaces[0].read()

    assert (await pair(keyring)).endswith(":configured")


async def refusal(workspace: WorkspaceConnections) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await workspace.read()
    return caught.value


async def test_a_missing_role_is_named(workspace: WorkspaceConnections, management: FakeManagement) -> None:
    management.lacks_reader = True

    error = await refusal(workspace)

    assert isinstance(error, SourceRefused)
    assert "workspace research" in error.reason
    assert "Azure Machine Learning Workspace Connection Secrets Reader" in error.remedy
    assert "listsecrets" in error.remedy


async def test_a_missing_right_to_secrets_is_named_where_one_is_needed(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement
) -> None:
    management.has_pat("my-feed", TARGET, "x")
    management.lacks_secrets_reader = True
    await workspace.read()

    with pytest.raises(SourceRefused) as caught:
        await keyring.for_source("team").authorise(FEED)

    assert caught.value.source == "team"
    assert "my-feed (listsecrets) of workspace research" in caught.value.reason
    assert "Azure Machine Learning Workspace Connection Secrets Reader" in caught.value.remedy
    assert await keyring.for_source("public").authorise("https://public.example/") is None
    standing = await keyring.describe(FEED)
    assert standing is not None
    assert "listsecrets" in standing.judge(0)


async def test_a_workspace_that_is_not_there_is_named(session: Session, management: FakeManagement) -> None:
    config = Workspace.model_validate({"id": WORKSPACE + "-2", "management_url": management.url})
    workspace = WorkspaceConnections("other", config, session=session, tokens_of=lambda _: FakeTokens())

    error = await refusal(workspace)

    assert isinstance(error, SourceRefused)
    assert "no workspace other" in error.reason


async def test_a_token_that_is_not_accepted_is_named(workspace: WorkspaceConnections, tokens: FakeTokens) -> None:
    tokens.audience = "https://elsewhere.example"

    error = await refusal(workspace)

    assert isinstance(error, SourceRefused)
    assert "tenant" in error.remedy


async def test_another_refusal_names_the_api_version(
    workspace: WorkspaceConnections, management: FakeManagement
) -> None:
    management.answers_with = (400, "{}")

    assert "api_version" in (await refusal(workspace)).remedy


async def test_throttling_says_when_to_come_back(workspace: WorkspaceConnections, management: FakeManagement) -> None:
    management.throttled_for = 17

    error = await refusal(workspace)

    assert isinstance(error, SourceUnavailable)
    assert error.retry_after == 17


@pytest.mark.parametrize("body", ["<html>sign in</html>", "[]", '{"value": [{"no": "name"}]}'])
async def test_what_is_not_resource_manager_is_nonsense(
    workspace: WorkspaceConnections, management: FakeManagement, body: str
) -> None:
    management.answers_with = (200, body)

    assert isinstance(await refusal(workspace), SourceNonsense)
