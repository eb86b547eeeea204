"""Tokens of a managed identity: real azure-identity against a double of its endpoints."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from proxy.config.values import ManagedIdentity
from proxy.errors import SourceError, SourceRefused, SourceUnavailable
from proxy.secret import Secret
from proxy.sources.azure_access import STORAGE_SCOPE, TokenAccess
from proxy.sources.azure_tokens import AzureTokens, Granted, tokens_of
from proxy.sources.session import Session
from proxy.tasks import Background
from tests.fakes.azure import build_source, shown
from tests.fakes.azurite import run_azurite
from tests.fakes.blob_service import FakeBlobService, error
from tests.fakes.certificates import make_authority
from tests.fakes.clock import FakeClock
from tests.fakes.identity import FakeIdentity, FakeTokens
from tests.fakes.loopback import Seen

WHEEL = "foo-1.0-py3-none-any.whl"
CLIENT_ID = "99999999-8888-7777-6666-555555555555"


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as entered:
        yield entered


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    async with Background() as entered:
        yield entered


@pytest.fixture
async def identity(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeIdentity]:
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    async with FakeIdentity() as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


class TestRealAzureIdentity:
    async def test_a_system_assigned_identity_gets_one_token_for_many_requests(
        self, identity: FakeIdentity, session: Session, background: Background
    ) -> None:
        tokens = tokens_of("managed-identity", session=session, background=background)

        given = await asyncio.gather(*(tokens.token(STORAGE_SCOPE) for _ in range(20)))

        assert {token.reveal() for token in given} == {identity.minted[0]}
        assert identity.asked_for() == ["https://storage.azure.com"]

    async def test_a_user_assigned_identity_is_asked_for_by_its_client_id(
        self, identity: FakeIdentity, session: Session, background: Background
    ) -> None:
        identity.identities.add(CLIENT_ID)
        tokens = tokens_of(ManagedIdentity(managed_identity=CLIENT_ID), session=session, background=background)

        await tokens.token(STORAGE_SCOPE)

        assert f"client_id={CLIENT_ID}" in identity.requests[0].target

    async def test_an_app_service_or_a_container_app(
        self, identity: FakeIdentity, session: Session, background: Background, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in identity.app_service_environment().items():
            monkeypatch.setenv(name, value)

        await tokens_of("managed-identity", session=session, background=background).token(STORAGE_SCOPE)

        assert identity.requests[0].path == "/msi/token"

    async def test_the_default_chain_finds_the_managed_identity(
        self, identity: FakeIdentity, session: Session, background: Background, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "prod")

        await tokens_of("default", session=session, background=background).token(STORAGE_SCOPE)

        assert identity.asked_for() == ["https://storage.azure.com"]

    async def test_an_identity_that_is_not_there_is_refused_with_the_remedy(
        self, identity: FakeIdentity, session: Session, background: Background
    ) -> None:
        tokens = tokens_of(ManagedIdentity(managed_identity=CLIENT_ID), session=session, background=background)

        with pytest.raises(SourceRefused) as raised:
            await tokens.token(STORAGE_SCOPE)

        assert CLIENT_ID in str(raised.value)
        assert "client id" in raised.value.remedy
        asked = len(identity.requests)
        with pytest.raises(SourceRefused):
            await tokens.token(STORAGE_SCOPE)
        assert len(identity.requests) == asked

    async def test_workload_identity_without_its_variables_is_refused(
        self, session: Session, background: Background, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
            monkeypatch.delenv(name, raising=False)

        with pytest.raises(SourceRefused, match="workload identity"):
            await tokens_of("workload-identity", session=session, background=background).token(STORAGE_SCOPE)

    async def test_a_token_that_the_account_refuses_is_replaced_at_once(
        self, identity: FakeIdentity, session: Session, background: Background
    ) -> None:
        access = TokenAccess(
            tokens_of("managed-identity", session=session, background=background),
            label="managed identity",
            owner="curated",
        )
        async with FakeBlobService() as service:
            service.has(WHEEL)
            refused: list[str] = []

            def refuse_the_first(seen: Seen) -> web.Response | None:
                token = seen.headers["Authorization"].removeprefix("Bearer ")
                if token == identity.minted[0]:
                    refused.append(token)
                    return error(401, "InvalidAuthenticationInfo")
                return None

            service.trick = refuse_the_first

            listing = await build_source(session, service.url, access=access).list(None)

        assert shown(listing) == {"foo": [WHEEL]}
        assert len(refused) == 1
        assert len(identity.minted) == 2


async def test_a_token_whose_identity_lacks_a_role_is_not_replaced(session: Session) -> None:
    tokens = FakeTokens()
    access = TokenAccess(tokens, label="managed identity", owner="curated")
    async with FakeBlobService() as service:
        service.refuse(403, "AuthorizationPermissionMismatch")

        with pytest.raises(SourceRefused):
            await build_source(session, service.url, access=access).list(None)

        assert len(service.requests) == 1
    assert len(tokens.given) == 1


def granted(text: str, *, expires: float, renew: float) -> Granted:
    return Granted(Secret(text), expires, renew)


class TestRenewal:
    """The clock is that of the test, so that nothing waits for hours."""

    async def test_it_is_renewed_ahead_of_its_expiry_without_any_request(self, background: Background) -> None:
        clock = FakeClock()
        fetched = asyncio.Event()
        count = 0

        async def fetch(_: str) -> Granted:
            nonlocal count
            count += 1
            if count == 2:
                fetched.set()
            return granted(f"token {count}", expires=clock() + 3600, renew=clock())

        tokens = AzureTokens(fetch, label="identity", background=background, clock=clock)
        first = await tokens.token(STORAGE_SCOPE)
        async with asyncio.timeout(10):
            await fetched.wait()

        assert first.reveal() == "token 1"
        assert (await tokens.token(STORAGE_SCOPE)).reveal() == "token 2"

    async def test_the_old_one_is_given_while_it_cannot_be_renewed(self, background: Background) -> None:
        clock = FakeClock()
        failures: list[SourceError] = []

        async def fetch(_: str) -> Granted:
            if failures:
                raise failures[0]
            return granted("token", expires=clock() + 600, renew=clock() + 300)

        tokens = AzureTokens(fetch, label="identity", background=background, clock=clock)
        await tokens.token(STORAGE_SCOPE)
        failures.append(SourceUnavailable("identity", "down"))
        clock.pass_by(590)

        assert (await tokens.token(STORAGE_SCOPE)).reveal() == "token"
        clock.pass_by(20)
        with pytest.raises(SourceUnavailable):
            await tokens.token(STORAGE_SCOPE)

    async def test_many_refusals_get_one_new_token(self, background: Background) -> None:
        clock = FakeClock()
        count = 0

        async def fetch(_: str) -> Granted:
            nonlocal count
            count += 1
            await asyncio.sleep(0)
            return granted(f"token {count}", expires=clock() + 3600, renew=clock() + 3300)

        tokens = AzureTokens(fetch, label="identity", background=background, clock=clock)
        await tokens.token(STORAGE_SCOPE)

        assert await asyncio.gather(*(tokens.refused(STORAGE_SCOPE) for _ in range(10))) == [True] * 10
        assert count == 2

    async def test_nothing_is_asked_before_a_token_is_needed_or_warmed_up(self, background: Background) -> None:
        asked: list[str] = []
        clock = FakeClock()

        async def fetch(scope: str) -> Granted:
            asked.append(scope)
            return granted("token", expires=clock() + 3600, renew=clock() + 3300)

        tokens = AzureTokens(fetch, label="identity", background=background, clock=clock)
        await asyncio.sleep(0)
        assert asked == []

        tokens.warm(STORAGE_SCOPE)
        tokens.warm(STORAGE_SCOPE)
        await tokens.token(STORAGE_SCOPE)
        assert asked == [STORAGE_SCOPE]


@pytest.mark.azurite
class TestTheEmulatorTakesTokens:
    async def test_from_the_identity_to_the_listing(
        self, identity: FakeIdentity, session: Session, background: Background, tmp_path: Path
    ) -> None:
        authority = make_authority(tmp_path)
        tokens = tokens_of("managed-identity", session=session, background=background)
        access = TokenAccess(tokens, label="managed identity", owner="curated")
        with run_azurite(chain=tmp_path / "server.pem") as azurite:
            container = azurite.make_container(ca_file=authority.ca_file)
            container.upload_blob(WHEEL, b"content")
            source = build_source(
                session, azurite.url, container.container_name, access=access, ca_file=authority.ca_file
            )

            listing = await source.list(None)

        assert shown(listing) == {"foo": [WHEEL]}
        assert identity.asked_for() == ["https://storage.azure.com"]


def test_the_azure_libraries_are_not_imported_before_they_are_needed() -> None:
    """Together they take a second and a half, which every start would pay."""
    command = "import sys, proxy.sources.azure_assembly; print([m for m in sys.modules if m.split('.')[0] == 'azure'])"

    done = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "[]"
