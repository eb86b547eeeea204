"""Each way to sign in that a configuration can name becomes the right one."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.config.models import AzureBlobSource
from proxy.config.values import IdentityCredential, SecretReference
from proxy.secret import Secret
from proxy.sources.azure_access import Anonymous, KeyAccess, SignatureAccess, StringAccess, TokenAccess
from proxy.sources.azure_assembly import azure_blob_of
from proxy.sources.rereading import SecretReader
from proxy.sources.secrets import HeldSecret
from proxy.sources.session import Session
from tests.fakes.azure import shown
from tests.fakes.blob_service import FakeBlobService
from tests.fakes.identity import FakeTokens

SECRET = {"env": "STORAGE_SECRET"}


def read_nothing(_: SecretReference) -> SecretReader:
    return HeldSecret(Secret("AccountName=acme;AccountKey=a2V5"))


@pytest.mark.parametrize(
    ("credential", "kind", "identity"),
    [
        ("default", TokenAccess, "default"),
        ("managed-identity", TokenAccess, "managed-identity"),
        ("workload-identity", TokenAccess, "workload-identity"),
        ({"managed_identity": "client-id"}, TokenAccess, "client-id"),
        ("anonymous", Anonymous, None),
        ({"account_key": SECRET}, KeyAccess, None),
        ({"sas": SECRET}, SignatureAccess, None),
        ({"connection_string": SECRET}, StringAccess, None),
    ],
)
async def test_a_credential_becomes_a_way_in(credential: Any, kind: type, identity: str | None) -> None:
    asked: list[str] = []

    def tokens_of(named: IdentityCredential) -> FakeTokens:
        asked.append(named if isinstance(named, str) else named.managed_identity)
        return FakeTokens()

    settings = AzureBlobSource.model_validate(
        {"kind": "azure-blob", "account_url": "https://acme.example", "container": "wheels", "credential": credential}
    )
    source = azure_blob_of("curated", settings, session=Session(), tokens_of=tokens_of, reader_of=read_nothing)

    assert type(source.account.access) is kind
    assert asked == ([identity] if identity else [])


async def test_what_is_configured_is_what_is_asked() -> None:
    async with FakeBlobService() as service, Session() as session:
        service.has("curated/foo-1.0.tar.gz")
        service.has("bar-1.0.tar.gz")
        settings = AzureBlobSource.model_validate(
            {
                "kind": "azure-blob",
                "account_url": service.url,
                "container": "wheels",
                "prefix": "curated",
                "credential": "anonymous",
                "api_version": "2021-12-02",
            }
        )
        source = azure_blob_of(
            "curated", settings, session=session, tokens_of=lambda _: FakeTokens(), reader_of=read_nothing
        )

        assert shown(await source.list(None)) == {"foo": ["foo-1.0.tar.gz"]}
        assert service.requests[0].headers["x-ms-version"] == "2021-12-02"
