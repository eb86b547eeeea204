from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.errors import SourceNonsense, SourceRefused, SourceUnavailable
from proxy.sources.key_vault import KeyVaultSecret, scope_of
from proxy.sources.session import Session
from tests.fakes.clock import FakeClock
from tests.fakes.identity import FakeTokens, mint
from tests.fakes.key_vault import FakeKeyVault


@pytest.fixture
async def vault() -> AsyncIterator[FakeKeyVault]:
    async with FakeKeyVault() as vault:
        vault.put("feed-pat", "first")
        yield vault


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as session:
        yield session


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tokens() -> FakeTokens:
    return FakeTokens()


@pytest.fixture
def reader(vault: FakeKeyVault, session: Session, clock: FakeClock, tokens: FakeTokens) -> KeyVaultSecret:
    url = f"{vault.url}/secrets/feed-pat"
    return KeyVaultSecret(url, owner="team", session=session, tokens=tokens, clock=clock)


async def test_the_current_version_is_read_with_a_token_for_vaults(
    reader: KeyVaultSecret, vault: FakeKeyVault, tokens: FakeTokens
) -> None:
    vault.put("feed-pat", "second")

    assert (await reader.read()).reveal() == "second"
    assert tokens.given == ["https://vault.azure.net/.default"]


async def test_a_version_is_read_where_one_is_named(vault: FakeKeyVault, session: Session, tokens: FakeTokens) -> None:
    version = vault.put("feed-pat", "second")
    vault.put("feed-pat", "third")
    url = f"{vault.url}/secrets/feed-pat/{version}"

    assert (await KeyVaultSecret(url, owner="team", session=session, tokens=tokens).read()).reveal() == "second"


async def test_many_readers_ask_once_in_ten_minutes(
    reader: KeyVaultSecret, vault: FakeKeyVault, clock: FakeClock
) -> None:
    await asyncio.gather(*(reader.read() for _ in range(20)))
    vault.put("feed-pat", "second")
    clock.pass_by(599)
    assert (await reader.read()).reveal() == "first"
    assert len(vault.requests) == 1

    clock.pass_by(1)
    assert (await reader.read()).reveal() == "second"


async def test_a_refused_secret_is_read_at_once(reader: KeyVaultSecret, vault: FakeKeyVault, clock: FakeClock) -> None:
    await reader.read()
    assert not await reader.refused()
    vault.put("feed-pat", "second")
    assert not await reader.refused(), "at most every ten seconds"

    clock.pass_by(10)
    assert await asyncio.gather(*(reader.refused() for _ in range(5))) == [True] * 5
    assert (await reader.read()).reveal() == "second"
    assert len(vault.requests) == 3


async def test_a_vault_that_is_down_does_not_take_a_remembered_secret_away(
    reader: KeyVaultSecret, vault: FakeKeyVault, clock: FakeClock
) -> None:
    await reader.read()
    vault.throttled_for = 5
    clock.pass_by(600)

    assert (await reader.read()).reveal() == "first"
    assert (await reader.read()).reveal() == "first"
    assert len(vault.requests) == 2


async def test_a_throttling_vault_says_when_to_come_back(reader: KeyVaultSecret, vault: FakeKeyVault) -> None:
    vault.throttled_for = 7

    with pytest.raises(SourceUnavailable) as caught:
        await reader.read()

    assert caught.value.retry_after == 7
    assert "feed-pat" in caught.value.reason


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        ("ForbiddenByRbac", "Key Vault Secrets User"),
        ("ForbiddenByPolicy", "Key Vault Secrets User"),
        ("ForbiddenByFirewall", "networking settings"),
    ],
)
async def test_a_refusal_names_the_vault_the_secret_and_the_remedy(
    reader: KeyVaultSecret, vault: FakeKeyVault, inner: str, words: str
) -> None:
    vault.forbids = inner

    with pytest.raises(SourceRefused) as caught:
        await reader.read()

    assert caught.value.source == "team"
    assert vault.url.removeprefix("http://") in caught.value.reason
    assert "feed-pat" in caught.value.reason
    assert words in caught.value.remedy


async def test_a_missing_and_a_disabled_secret_are_named(
    vault: FakeKeyVault, session: Session, tokens: FakeTokens, reader: KeyVaultSecret
) -> None:
    missing = KeyVaultSecret(f"{vault.url}/secrets/nope", owner="team", session=session, tokens=tokens)
    vault.disabled.add("feed-pat")

    with pytest.raises(SourceRefused, match="has no secret nope"):
        await missing.read()
    with pytest.raises(SourceRefused, match=r"feed-pat in .* is disabled"):
        await reader.read()


async def test_an_empty_secret_is_a_refused_source(reader: KeyVaultSecret, vault: FakeKeyVault) -> None:
    vault.put("feed-pat", "")

    with pytest.raises(SourceRefused, match="is empty"):
        await reader.read()


async def test_a_refused_token_is_replaced_once(
    reader: KeyVaultSecret, vault: FakeKeyVault, tokens: FakeTokens
) -> None:
    stale, _ = mint("https://vault.azure.net", seconds=-1)
    tokens.hold("https://vault.azure.net/.default", stale)

    assert (await reader.read()).reveal() == "first"
    assert len(vault.requests) == 2


async def test_a_token_that_stays_refused_names_the_tenant(reader: KeyVaultSecret, tokens: FakeTokens) -> None:
    tokens.audience = "https://elsewhere.example"

    with pytest.raises(SourceRefused) as caught:
        await reader.read()

    assert "tenant" in caught.value.remedy


async def test_what_is_not_a_vault_is_nonsense(session: Session, tokens: FakeTokens) -> None:
    async with FakeKeyVault() as other:
        other.answers_with = (200, "<html>hello</html>")
        reader = KeyVaultSecret(f"{other.url}/secrets/x", owner="team", session=session, tokens=tokens)

        with pytest.raises(SourceNonsense):
            await reader.read()

        other.answers_with = (400, '{"error": {"code": "BadParameter"}}')
        with pytest.raises(SourceRefused, match="answered 400"):
            await reader.read()


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("corp.vault.azure.net", "https://vault.azure.net/.default"),
        ("CORP.vault.azure.cn", "https://vault.azure.cn/.default"),
        ("corp.vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net/.default"),
        ("127.0.0.1:1234", "https://vault.azure.net/.default"),
    ],
)
def test_every_cloud_has_its_own_scope(host: str, scope: str) -> None:
    assert scope_of(f"https://{host}/secrets/x") == scope
