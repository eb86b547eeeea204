from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from proxy.config import values
from proxy.config.models import Connection
from proxy.errors import SourceRefused, SourceUnavailable
from proxy.secret import Secret
from proxy.sources.connections import BasicCredential, SignatureCredential, Standing
from proxy.sources.credentials import ConnectionCredentials, Keyring, keyring_of
from proxy.sources.secrets import EnvironmentSecret, HeldSecret
from proxy.sources.session import Session, Upstream
from tests.fakes.identity import FakeTokens
from tests.fakes.key_vault import FakeKeyVault

FEED = "https://pkgs.dev.azure.com/my-org/my-project/_packaging/my-feed/pypi/simple/bar/"
TARGET = "https://my-org.pkgs.visualstudio.com"


class Identities:
    """Gives tokens by identity, and remembers which identity was asked for."""

    def __init__(self) -> None:
        """Know no identity yet."""
        self.of: dict[str, FakeTokens] = {}

    def __call__(self, identity: values.IdentityCredential) -> FakeTokens:
        """Give the tokens of `identity`."""
        name = identity if isinstance(identity, str) else identity.managed_identity
        return self.of.setdefault(name, FakeTokens())


@pytest.fixture
def identities() -> Identities:
    return Identities()


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as session:
        yield session


Make = Callable[..., ConnectionCredentials]


@pytest.fixture
def make(session: Session, identities: Identities, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Build the credentials of a configuration with the given connections."""
    monkeypatch.setenv("FEED_PAT", "p@t:w%40rd")

    def make(*, prefer_bearer: bool = False, **connections: dict[str, Any]) -> ConnectionCredentials:
        models = {name: Connection.model_validate(table) for name, table in connections.items()}
        keyring = keyring_of(models, {}, session=session, tokens_of=identities)
        return keyring.for_source("team", prefer_bearer=prefer_bearer)

    return make


def pat(target: str = TARGET, **more: Any) -> dict[str, Any]:
    return {"target": target, "auth_type": "PAT", "value": {"env": "FEED_PAT"}} | more


async def header(credentials: ConnectionCredentials, url: str = FEED) -> str:
    authorisation = await credentials.authorise(url)
    assert authorisation is not None
    assert authorisation.query == ""
    return authorisation.headers["Authorization"]


def unpacked(header: str) -> str:
    kind, _, value = header.partition(" ")
    assert kind == "Basic"
    return base64.b64decode(value).decode()


async def test_a_token_is_the_password_of_any_user(make: Make) -> None:
    assert unpacked(await header(make(one=pat()))).partition(":")[2] == "p@t:w%40rd"


async def test_a_token_is_a_bearer_where_the_source_prefers_that(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEED_PAT", "ghp_x")

    assert await header(make(one=pat(), prefer_bearer=True)) == "Bearer ghp_x"


@pytest.mark.parametrize("token", ["two words", "p\u00e4t", "line\nbreak"])
async def test_a_bearer_that_no_header_can_hold_is_refused_without_showing_it(
    make: Make, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("FEED_PAT", token)

    with pytest.raises(SourceRefused) as caught:
        await make(one=pat(), prefer_bearer=True).authorise(FEED)

    assert token not in f"{caught.value} {caught.value.remedy}"


@pytest.mark.parametrize(
    ("username", "pair"), [("j\u00f6rg@x", "j\u00f6rg@x"), ("", ""), (None, ""), ("a b%40", "a b%40")]
)
async def test_user_names_and_passwords_go_out_as_they_are(make: Make, username: str | None, pair: str) -> None:
    credentials = make(one=pat(auth_type="UsernamePassword", username=username))

    assert unpacked(await header(credentials)) == f"{pair}:p@t:w%40rd"


async def test_a_user_name_with_a_colon_is_refused(make: Make) -> None:
    with pytest.raises(SourceRefused, match="colon"):
        await make(one=pat(auth_type="UsernamePassword", username="a:b")).authorise(FEED)


@pytest.mark.parametrize("secret", ["?sv=1&sig=a%2Bb%3D", "sv=1&sig=a%2Bb%3D", "&sv=1&sig=a%2Bb%3D "])
async def test_a_signature_is_added_to_the_query(make: Make, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("FEED_PAT", secret)

    authorisation = await make(one=pat(auth_type="SAS")).authorise(FEED)

    assert authorisation is not None
    assert authorisation.query == "sv=1&sig=a%2Bb%3D"
    assert authorisation.headers == {}
    assert "sig" not in repr(authorisation)


async def test_a_managed_identity_is_a_password_for_azure_devops_in_both_spellings(
    make: Make, identities: Identities
) -> None:
    credentials = make(one={"target": TARGET, "auth_type": "ManagedIdentity"})

    new, old = await header(credentials), await header(credentials, f"{TARGET}/my-project/x")

    assert unpacked(new) == unpacked(old)
    assert identities.of["managed-identity"].given == ["499b84ac-1321-427f-aa17-267ca6975798/.default"]


async def test_a_managed_identity_is_a_bearer_elsewhere(make: Make, identities: Identities) -> None:
    connection = {
        "target": "https://feeds.example",
        "auth_type": "ManagedIdentity",
        "resource": "api://feeds",
        "client_id": "client-1",
    }

    assert (await header(make(one=connection), "https://feeds.example/simple/")).startswith("Bearer ")
    assert identities.of["client-1"].given == ["api://feeds/.default"]


async def test_no_credential_on_purpose_beats_a_shorter_target(make: Make) -> None:
    credentials = make(one=pat(), two={"target": f"{TARGET}/my-project", "auth_type": "None"})

    authorisation = await credentials.authorise(FEED)

    assert authorisation is not None
    assert authorisation.headers == {}
    assert not await credentials.refused(FEED)


async def test_what_nothing_covers_gets_nothing(make: Make) -> None:
    credentials = make(one=pat())

    assert await credentials.authorise("https://my-org.pkgs.visualstudio.com.evil/x") is None
    assert not await credentials.refused("https://my-org.pkgs.visualstudio.com.evil/x")


async def test_a_connection_that_is_not_for_feeds_is_ignored(make: Make) -> None:
    assert await make(one=pat(category="Git")).authorise(FEED) is None


async def test_a_missing_secret_names_the_source_and_the_variable(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEED_PAT")

    with pytest.raises(SourceRefused) as caught:
        await make(one=pat()).authorise(FEED)

    assert caught.value.source == "team"
    assert "FEED_PAT" in caught.value.reason


async def test_a_connection_without_a_secret_is_a_refused_source(session: Session) -> None:
    bare = Connection.model_construct(
        category="PythonFeed", target=TARGET, auth_type="PAT", username=None, value=None, resource="x", client_id=None
    )
    keyring = keyring_of({"one": bare}, {}, session=session, tokens_of=Identities())

    with pytest.raises(SourceRefused, match="no `value`"):
        await keyring.for_source("team").authorise(FEED)


async def test_an_identity_without_tokens_stays_the_kind_of_failure_that_it_is(
    make: Make, identities: Identities
) -> None:
    credentials = make(one={"target": TARGET, "auth_type": "ManagedIdentity"})
    tokens = identities.of["managed-identity"]

    tokens.error = SourceUnavailable("identity", "the token service is down", retry_after=3)
    with pytest.raises(SourceUnavailable) as caught:
        await credentials.authorise(FEED)
    assert (caught.value.source, caught.value.retry_after) == ("team", 3)

    tokens.error = SourceRefused("identity", "there is no such identity")
    with pytest.raises(SourceRefused):
        await credentials.authorise(FEED)


async def test_a_refused_file_is_read_at_once(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "pat"
    file.write_text("first\n")
    credentials = make(one=pat(value={"file": str(file)}))
    assert unpacked(await header(credentials)).endswith(":first")
    file.write_text("second\n")

    assert await credentials.refused(FEED)
    assert unpacked(await header(credentials)).endswith(":second")


async def test_a_file_that_vanished_is_named_when_it_is_needed(make: Make, tmp_path: Path) -> None:
    credentials = make(one=pat(value={"file": str(tmp_path / "gone")}))

    with pytest.raises(SourceRefused) as caught:
        await credentials.refused(FEED)

    assert caught.value.source == "team"


async def test_a_refused_token_is_replaced(make: Make) -> None:
    credentials = make(one={"target": TARGET, "auth_type": "ManagedIdentity"})
    before = await header(credentials)

    assert await credentials.refused(FEED)
    assert await header(credentials) != before


async def test_a_secret_in_a_vault_is_read_with_the_servers_own_identity(make: Make, identities: Identities) -> None:
    async with FakeKeyVault() as vault:
        vault.put("feed-pat", "from the vault")
        credentials = make(one=pat(value={"key_vault": f"{vault.url}/secrets/feed-pat"}))

        assert unpacked(await header(credentials)).endswith(":from the vault")

    assert identities.of["default"].given == ["https://vault.azure.net/.default"]


async def test_a_session_sends_the_credential_to_its_place_only(make: Make, session: Session) -> None:
    async with FakeKeyVault() as covered, FakeKeyVault() as other:
        upstream = Upstream(session, name="team", credentials=make(one=pat(target=covered.url)))
        for server in (covered, other):
            async with upstream.get(f"{server.url}/secrets/x", expect=(401,)):
                pass

        assert "Authorization" in covered.requests[0].headers
        assert "Authorization" not in other.requests[0].headers


async def test_a_credential_is_described_without_being_shown(
    session: Session, identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEED_PAT", "p@t")
    connections = {
        "pat": pat("https://a.example"),
        "user": pat("https://b.example", auth_type="UsernamePassword", username="x"),
        "sas": pat("https://c.example", auth_type="SAS"),
        "identity": {"target": "https://d.example", "auth_type": "ManagedIdentity"},
        "none": {"target": "https://e.example", "auth_type": "None"},
        "gone": pat("https://f.example", value={"env": "NOT_SET"}),
    }
    models = {name: Connection.model_validate(table) for name, table in connections.items()}
    keyring = keyring_of(models, {}, session=session, tokens_of=identities)

    said = {letter: await keyring.describe(f"https://{letter}.example/x") for letter in "abcdefg"}

    assert said["a"] == Standing("connection pat", "personal access token")
    assert said["b"] == Standing("connection user", "user name and password")
    assert said["c"] == Standing("connection sas", "shared access signature")
    assert said["d"] is not None
    assert "until 20" in said["d"].what
    assert said["e"] == Standing("connection none", "no credential")
    assert said["f"] is not None
    assert "NOT_SET" in said["f"].judge(0)
    assert said["g"] is None
    assert "p@t" not in repr(said)


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        ("?sv=1&se=2026-06-10T00%3A00%3A00Z&sig=x", "shared access signature expires soon, on 2026-06-10"),
        ("sv=1&se=2026-05-01&sig=x", "shared access signature expired on 2026-05-01"),
        ("sv=1&sig=x", ""),
    ],
)
async def test_a_signature_says_itself_when_it_ends(signature: str, words: str) -> None:
    standing = await SignatureCredential("connection one", HeldSecret(Secret(signature))).describe()

    assert standing.judge(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) == words


async def test_a_signature_that_cannot_be_read_is_described_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)

    standing = await SignatureCredential("connection one", EnvironmentSecret("NOT_SET", owner="x")).describe()

    assert "NOT_SET" in standing.judge(0)


async def test_an_identity_without_tokens_is_described_as_such(session: Session, identities: Identities) -> None:
    connection = Connection.model_validate({"target": TARGET, "auth_type": "ManagedIdentity"})
    keyring = keyring_of({"one": connection}, {}, session=session, tokens_of=identities)
    identities.of["managed-identity"].error = SourceRefused("identity", "Identity not found")

    standing = await keyring.describe(FEED)

    assert standing is not None
    assert standing.judge(0) == "Identity not found"


@pytest.mark.parametrize(
    ("days", "words"),
    [(-1, "personal access token expired on"), (5, "personal access token expires soon, on"), (30, "")],
)
async def test_the_end_of_a_token_is_said_in_time(days: float, words: str) -> None:
    now = time.time()
    reader = HeldSecret(Secret("x"))
    standing = await BasicCredential("connection one", reader, expires=now + days * 86400).describe()

    assert standing.judge(now).startswith(words)
    assert bool(standing.judge(now)) is bool(words)


def test_an_empty_keyring_has_nothing() -> None:
    assert Keyring([]).find(FEED) is None
