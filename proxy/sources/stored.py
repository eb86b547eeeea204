"""Connections as a workspace stores them: the shapes on the wire, and what becomes of each.

Since 2024 the secret is in `credentials`, under a key for each `authType`. Connections of the first SDK have it
in `value`: the bare secret, or JSON in a string.

Source: Azure REST API, `WorkspaceConnectionPropertiesV2`; azureml-core's `Workspace.set_connection`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from proxy.config.models import AZURE_DEVOPS
from proxy.config.values import IdentityCredential as Identity
from proxy.config.values import ManagedIdentity, is_loopback
from proxy.errors import SourceError, SourceRefused
from proxy.rules.credentials import place_of
from proxy.secret import Secret
from proxy.sources.connections import (
    BasicCredential,
    Credential,
    Held,
    IdentityCredential,
    MissingCredential,
    OpenCredential,
    SignatureCredential,
    parse_time,
)
from proxy.sources.identity import Tokens
from proxy.sources.secrets import HeldSecret

log = structlog.get_logger(__name__)

_CATEGORY = "pythonfeed"
_KINDS = frozenset({"pat", "usernamepassword", "sas", "managedidentity", "none"})


class Properties(msgspec.Struct, rename="camel"):
    """What is said of a connection; other keys are not read."""

    category: str | None = None
    auth_type: str | None = None
    target: str | None = None
    credentials: dict[str, Any] | None = None
    value: Any = None
    expiry_time: str | None = None


class Resource(msgspec.Struct):
    """One connection, with or without its secret."""

    name: str
    properties: Properties = msgspec.field(default_factory=Properties)

    def counts(self, workspace: str) -> bool:
        """Whether it is a credential for a feed, of a kind that is known; says why not."""
        said = self.properties
        if _plain(said.category) != _CATEGORY:
            log.info("connection is not for feeds, ignored", workspace=workspace, connection=self.name)
            return False
        if _plain(said.auth_type) not in _KINDS:
            kind = said.auth_type
            log.info("connection of an unknown kind, ignored", workspace=workspace, connection=self.name, kind=kind)
            return False
        place = place_of(said.target or "")
        if place is None or (place.scheme == "http" and not is_loopback(place.host)):
            log.warning("connection with an unusable target, ignored", workspace=workspace, connection=self.name)
            return False
        return True


@dataclass(frozen=True, slots=True)
class StoredConnection:
    """One connection of a workspace, read."""

    name: str
    target: str
    kind: str = ""
    secret: Secret | None = None
    username: str | None = None
    client_id: str | None = None
    expires: float | None = None
    """Epoch seconds."""
    error: SourceError | None = field(default=None, compare=False)
    """Why its secret could not be read."""


def parse_stored(answer: Resource, *, listed: Resource) -> StoredConnection:
    """Read what `listsecrets` answered; what it leaves out is as it was listed."""
    said, before = answer.properties, listed.properties
    kind = _plain(said.auth_type or before.auth_type)
    found = _credentials(said, kind)
    secret = found.get({"usernamepassword": "password"}.get(kind, kind))
    return StoredConnection(
        name=listed.name,
        target=said.target or before.target or "",
        kind=kind,
        secret=Secret(secret) if secret else None,
        username=found.get("username"),
        client_id=found.get("clientid"),
        expires=parse_time(said.expiry_time or before.expiry_time or ""),
    )


def held_of(connection: StoredConnection, *, workspace: str, tokens_of: Callable[[Identity], Tokens]) -> Held:
    """Give the credential that a stored connection is."""
    label = f"connection {connection.name} of workspace {workspace}"
    credential = _credential_of(connection, label, tokens_of)
    return Held(label, connection.target, configured=False, credential=credential)


def _credential_of(connection: StoredConnection, label: str, tokens_of: Callable[[Identity], Tokens]) -> Credential:
    error, secret, expires = connection.error, connection.secret, connection.expires
    if error is not None:
        kind, reason, remedy, retry_after = type(error), error.reason, error.remedy, error.retry_after
        return MissingCredential(label, lambda: kind(label, reason, remedy=remedy, retry_after=retry_after))
    if connection.kind == "none":
        return OpenCredential(label)
    if connection.kind == "managedidentity":
        client_id = connection.client_id
        tokens = tokens_of(ManagedIdentity(managed_identity=client_id) if client_id else "managed-identity")
        return IdentityCredential(label, tokens, resource=AZURE_DEVOPS)
    if secret is None:
        remedy = "store the connection again, with its secret"
        return MissingCredential(label, lambda: SourceRefused(label, f"{label} holds no secret", remedy=remedy))
    if connection.kind == "sas":
        return SignatureCredential(label, HeldSecret(secret), expires=expires)
    username = (connection.username or "") if connection.kind == "usernamepassword" else None
    return BasicCredential(label, HeldSecret(secret), username=username, expires=expires)


def _credentials(said: Properties, kind: str) -> dict[str, str]:
    """Give the texts of a connection's credentials by their keys in lower case."""
    found: object = said.credentials
    if not found:
        found = said.value
        if isinstance(found, str):
            try:
                found = json.loads(found)
            except ValueError:
                found = {kind: found}
            # A token may look like a number, and a number like JSON.
            if not isinstance(found, Mapping):
                found = {kind: found if isinstance(found, str) else said.value}
    if not isinstance(found, Mapping):
        return {}
    return {_plain(str(key)): value for key, value in found.items() if isinstance(value, str)}


def _plain(text: str | None) -> str:
    """Fold the spellings of an open enumeration: `PythonFeed`, `python_feed`."""
    return (text or "").replace("_", "").lower()
