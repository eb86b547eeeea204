"""Every way to be let in, against the real emulator; and that no credential goes anywhere else."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from azure.storage.blob import ContainerClient, ContainerSasPermissions, generate_container_sas

from proxy.errors import SourceNonsense, SourceRefused
from proxy.secret import Secret
from proxy.sources.azure_access import (
    Access,
    Anonymous,
    KeyAccess,
    Request,
    SignatureAccess,
    StringAccess,
    account_of,
    add_signature,
    parse_connection_string,
    sign,
)
from proxy.sources.secrets import EnvironmentSecret
from proxy.sources.session import Session
from tests.fakes.azure import HeldKey, build_source, shown
from tests.fakes.azurite import ACCOUNT, KEY, Azurite
from tests.fakes.blob_service import FakeBlobService
from tests.fakes.loopback import Seen, serve

WHEEL = "foo-1.0-py3-none-any.whl"
FOUND = {"foo": [WHEEL]}
WRONG = "d3Jvbmc="


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as entered:
        yield entered


@pytest.fixture
def container(azurite: Azurite) -> ContainerClient:
    made = azurite.make_container()
    made.upload_blob(WHEEL, b"content")
    return made


def make_sas(container: ContainerClient, permission: str = "rl") -> str:
    now = dt.datetime.now(dt.UTC)
    sas: str = generate_container_sas(
        ACCOUNT,
        container.container_name,
        account_key=KEY,
        permission=ContainerSasPermissions.from_string(permission),
        expiry=now + dt.timedelta(hours=1),
    )
    return sas


async def listed(session: Session, url: str | None, container: ContainerClient, access: Access) -> dict[str, list[str]]:
    return shown(await build_source(session, url, container.container_name, access=access).list(None))


@pytest.mark.azurite
class TestTheEmulatorLetsIn:
    async def test_an_account_key(self, azurite: Azurite, container: ContainerClient, session: Session) -> None:
        for url in (azurite.url, f"{azurite.url}/"):
            access = KeyAccess(HeldKey(f"{KEY}\n"), owner="curated")
            assert await listed(session, url, container, access) == FOUND

    @pytest.mark.parametrize("written", ["{}", "?{}", "&{}&", " {}\n", "https://account.example/wheels?{}"])
    async def test_a_sas_however_it_was_copied(
        self, azurite: Azurite, container: ContainerClient, session: Session, written: str
    ) -> None:
        access = SignatureAccess(HeldKey(written.format(make_sas(container))), owner="curated")

        assert await listed(session, azurite.url, container, access) == FOUND

    async def test_a_connection_string_and_its_endpoint_wins(
        self, azurite: Azurite, container: ContainerClient, session: Session
    ) -> None:
        access = StringAccess(HeldKey(azurite.connection_string), owner="curated")

        assert await listed(session, None, container, access) == FOUND
        assert await listed(session, "http://127.0.0.1:9/other", container, access) == FOUND

    async def test_a_connection_string_with_a_sas(
        self, azurite: Azurite, container: ContainerClient, session: Session
    ) -> None:
        string = f"BlobEndpoint={azurite.url}/;SharedAccessSignature={make_sas(container)}"

        assert await listed(session, None, container, StringAccess(HeldKey(string), owner="curated")) == FOUND

    async def test_everybody_into_a_public_container(self, azurite: Azurite, session: Session) -> None:
        container = azurite.make_container(public=True)
        container.upload_blob(WHEEL, b"content")

        assert await listed(session, azurite.url, container, Anonymous()) == FOUND

    async def test_nobody_into_a_private_one(
        self, azurite: Azurite, container: ContainerClient, session: Session
    ) -> None:
        with pytest.raises(SourceRefused):
            await listed(session, azurite.url, container, Anonymous())

    async def test_a_rotated_key_without_a_restart(
        self, azurite: Azurite, container: ContainerClient, session: Session
    ) -> None:
        key = HeldKey(WRONG, then=KEY)

        assert await listed(session, azurite.url, container, KeyAccess(key, owner="curated")) == FOUND
        assert key.refusals == 1

    async def test_a_rotated_sas_without_a_restart(
        self, azurite: Azurite, container: ContainerClient, session: Session
    ) -> None:
        good = make_sas(container)
        access = SignatureAccess(HeldKey(good.replace("sig=", "sig=AAAA"), then=good), owner="curated")

        assert await listed(session, azurite.url, container, access) == FOUND

    async def test_nobody_twice_with_the_same_wrong_key(
        self, azurite: Azurite, container: ContainerClient, session: Session
    ) -> None:
        key = HeldKey(WRONG)
        asked: list[int | str] = []
        session.observe = lambda _, outcome, __: asked.append(outcome)

        with pytest.raises(SourceRefused):
            await listed(session, azurite.url, container, KeyAccess(key, owner="curated"))

        assert asked == [403]


@pytest.mark.parametrize(
    ("string", "endpoint", "account"),
    [
        (
            "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=a2V5;EndpointSuffix=core.windows.net",
            "https://acme.blob.core.windows.net",
            "acme",
        ),
        ("accountname=acme;ACCOUNTKEY=a2V5==", "https://acme.blob.core.windows.net", "acme"),
        (
            "AccountName=acme;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn;",
            "https://acme.blob.core.chinacloudapi.cn",
            "acme",
        ),
        (
            "BlobEndpoint=https://acme.privatelink.example/;AccountName=real;AccountKey=a2V5",
            "https://acme.privatelink.example/",
            "real",
        ),
        (
            "SharedAccessSignature=sv=1&sig=x%3D;BlobEndpoint=https://acme.blob.core.usgovcloudapi.net",
            "https://acme.blob.core.usgovcloudapi.net",
            "acme",
        ),
        ("UseDevelopmentStorage=true", "http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
        (
            "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite",
            "http://azurite:10000/devstoreaccount1",
            "devstoreaccount1",
        ),
    ],
)
def test_a_connection_string_is_read(string: str, endpoint: str, account: str) -> None:
    said = parse_connection_string(Secret(string), owner="curated")

    assert (said.endpoint, said.account) == (endpoint, account)
    assert (said.key is None) != (said.signature is None)


@pytest.mark.parametrize("string", ["", "nonsense", "AccountKey=a2V5", "DefaultEndpointsProtocol=https"])
def test_a_connection_string_without_an_endpoint_is_refused_without_being_shown(string: str) -> None:
    with pytest.raises(SourceRefused) as raised:
        parse_connection_string(Secret(string), owner="curated")

    assert "a2V5" not in str(raised.value) + raised.value.remedy
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("endpoint", "account"),
    [
        ("https://acme.blob.core.windows.net", "acme"),
        ("https://acme-secondary.blob.core.windows.net/", "acme"),
        ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
        ("http://azurite:10000/devstoreaccount1/", "devstoreaccount1"),
        ("https://storage.stack.example/acme", "acme"),
    ],
)
def test_an_endpoint_names_its_account(endpoint: str, account: str) -> None:
    assert account_of(endpoint) == account


def test_a_key_that_is_no_key_and_a_sas_that_is_none_are_refused() -> None:
    request = Request("GET", "https://acme.blob.core.windows.net/wheels", {}, "acme")

    with pytest.raises(SourceRefused, match="Base64"):
        sign(request, key=Secret("not a key!"), owner="curated")
    with pytest.raises(SourceRefused, match="no signature"):
        add_signature(request, Secret("sv=2024-11-04&sp=rl"), owner="curated")


async def test_a_secret_that_is_missing_refuses_its_source_by_name(session: Session) -> None:
    reader = EnvironmentSecret("WHEELGATE_NO_SUCH_SECRET", owner="a variable")
    accesses = [each(reader, owner="curated") for each in (KeyAccess, SignatureAccess, StringAccess)]

    for access in accesses:
        with pytest.raises(SourceRefused, match=r"^source curated: the environment variable"):
            await build_source(session, "http://127.0.0.1:9", access=access).list(None)


async def test_a_redirect_is_not_followed_with_the_credential(session: Session) -> None:
    seen: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append(request.path_qs)
        return web.Response()

    app = web.Application()
    app.router.add_get("/{path:.*}", elsewhere)
    async with FakeBlobService() as service, serve(app) as other:
        service.trick = lambda _: web.Response(status=302, headers={"Location": f"{other}/list"})
        source = build_source(session, service.url, access=SignatureAccess(HeldKey("sv=1&sig=secret"), owner="curated"))

        with pytest.raises(SourceNonsense) as raised:
            await source.list(None)

    assert seen == []
    assert "secret" not in str(raised.value) + raised.value.remedy


async def test_no_message_shows_a_credential(session: Session) -> None:
    def echo(seen: Seen) -> web.Response:
        return web.Response(status=403, text=f"<Error><Code>AuthenticationFailed</Code>{seen.target}</Error>")

    async with FakeBlobService() as service:
        service.trick = echo
        source = build_source(session, service.url, access=SignatureAccess(HeldKey("sv=1&sig=secret"), owner="curated"))

        with pytest.raises(SourceRefused) as raised:
            await source.list(None)

    assert "secret" not in str(raised.value) + raised.value.remedy
