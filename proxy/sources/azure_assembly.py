"""Builds an `azure-blob` source from its configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from proxy.config.models import AzureBlobSource
from proxy.config.values import (
    AccountKey,
    ConnectionString,
    IdentityCredential,
    ManagedIdentity,
    Sas,
    SecretReference,
    StorageCredential,
)
from proxy.sources.azure_access import Access, Anonymous, KeyAccess, SignatureAccess, StringAccess, TokenAccess
from proxy.sources.azure_account import Account
from proxy.sources.azure_blob import AzureBlob
from proxy.sources.azure_tokens import label_of
from proxy.sources.identity import Tokens
from proxy.sources.rereading import SecretReader
from proxy.sources.session import Session, Upstream

TokensOf = Callable[[IdentityCredential], Tokens]
"""Gives the tokens of an identity that the configuration names: the same object for the same identity."""
ReaderOf = Callable[[SecretReference], SecretReader]
"""Gives what reads a secret that the configuration refers to."""


def azure_blob_of(
    name: str, source: AzureBlobSource, *, session: Session, tokens_of: TokensOf, reader_of: ReaderOf
) -> AzureBlob:
    """Build the source; nothing is asked yet."""
    upstream = Upstream(
        session,
        name=name,
        timeout=source.timeout,
        ca_file=source.ca_file,
        allow_http=source.allow_http,
        max_connections=source.max_connections,
    )
    account = Account(
        upstream,
        session,
        access=access_of(source.credential, owner=name, tokens_of=tokens_of, reader_of=reader_of),
        account_url=source.account_url,
        container=source.container,
        api_version=source.api_version,
    )
    return AzureBlob(account, prefix=source.prefix)


def access_of(credential: StorageCredential, *, owner: str, tokens_of: TokensOf, reader_of: ReaderOf) -> Access:
    """Give the way in that the configuration names; errors name `owner`."""
    match credential:
        case "anonymous":
            return Anonymous()
        case "default" | "managed-identity" | "workload-identity" | ManagedIdentity():
            return TokenAccess(tokens_of(credential), label=label_of(credential), owner=owner)
        case AccountKey():
            return KeyAccess(reader_of(credential.account_key), owner=owner)
        case Sas():
            return SignatureAccess(reader_of(credential.sas), owner=owner)
        case ConnectionString():
            return StringAccess(reader_of(credential.connection_string), owner=owner)
        case _:
            assert_never(credential)
