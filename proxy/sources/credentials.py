"""All credentials of the server, and the one place that decides which request gets which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

import structlog

from proxy.config.models import Connection, Workspace
from proxy.config.values import IdentityCredential as Identity
from proxy.config.values import ManagedIdentity, SecretReference
from proxy.errors import SourceError, SourceRefused, SourceUnavailable
from proxy.rules.credentials import choose
from proxy.sources.authorisation import Authorisation
from proxy.sources.connections import (
    BasicCredential,
    Credential,
    Held,
    IdentityCredential,
    MissingCredential,
    OpenCredential,
    SignatureCredential,
    Standing,
)
from proxy.sources.identity import Tokens
from proxy.sources.rereading import SecretReader
from proxy.sources.secrets import reader_of
from proxy.sources.session import Session
from proxy.sources.workspaces import WorkspaceConnections
from proxy.tasks import Background

log = structlog.get_logger(__name__)

CATEGORY = "PythonFeed"


class Keyring:
    """The configuration's connections, and those of its workspaces as they are now."""

    def __init__(self, configured: Sequence[Held], workspaces: Sequence[WorkspaceConnections] = ()) -> None:
        """Hold both."""
        self._configured = tuple(configured)
        self.workspaces = tuple(workspaces)

    def start(self, background: Background) -> None:
        """Keep the workspaces' connections fresh from now on."""
        for workspace in self.workspaces:
            background.start(workspace.watch(), name=f"connections of workspace {workspace.name}")

    def for_source(self, source: str, *, prefer_bearer: bool = False) -> ConnectionCredentials:
        """Give the credentials as one source is handed them: errors name it.

        `prefer_bearer`: personal access tokens go as Bearer (GitHub) rather than Basic.
        """
        return ConnectionCredentials(self, source, prefer_bearer=prefer_bearer)

    def find(self, url: str) -> Held | None:
        """Give the credential for `url` among those that are known now."""
        stored = (held for workspace in self.workspaces for held in workspace.held)
        return choose(url, (*self._configured, *stored))

    async def describe(self, url: str) -> Standing | None:
        """Say what is known of the credential for `url`; `None`: nothing covers it."""
        for workspace in self.workspaces:
            await workspace.wait()
        held = self.find(url)
        return None if held is None else await held.credential.describe()

    async def standings(self) -> list[Standing]:
        """Say what is known of every credential that does not renew itself."""
        for workspace in self.workspaces:
            await workspace.wait()
        stored = [held for workspace in self.workspaces for held in workspace.held]
        held = [one for one in (*self._configured, *stored) if not isinstance(one.credential, IdentityCredential)]
        return [await one.credential.describe() for one in held]


class ConnectionCredentials:
    """The credentials of the keyring, for the requests of one source."""

    def __init__(self, keyring: Keyring, source: str, *, prefer_bearer: bool = False) -> None:
        """Let errors name `source`."""
        self._keyring = keyring
        self._source = source
        self._prefer_bearer = prefer_bearer

    async def authorise(self, url: str) -> Authorisation | None:
        """Give what to add for `url`; `None`: nothing covers it.

        A workspace that has never been read may hold a credential for `url`. The request then goes
        out without one, and its refusal or its "not here" is not believed (`Authorisation.doubt`): a
        feed may say that to strangers of a project that it has.

        Raises: SourceRefused, SourceUnavailable where the credential cannot be had.
        """
        for workspace in self._keyring.workspaces:
            await workspace.wait()
        held = self._keyring.find(url)
        if held is not None and not held.configured and isinstance(held.credential, MissingCredential):
            # Its workspace may give it away by now; how often that is tried is the workspace's business.
            await self.refused(url)
            held = self._keyring.find(url)
        if held is not None:
            try:
                return await held.credential.authorise(url, prefer_bearer=self._prefer_bearer)
            except SourceError as error:
                raise self._named(error) from error
        for workspace in self._keyring.workspaces:
            if workspace.problem is not None:
                return Authorisation(doubt=self._named(workspace.problem))
        return None

    async def refused(self, url: str) -> bool:
        """Re-read what was refused; whether there is another credential for `url` now.

        Raises: SourceRefused, SourceUnavailable where it cannot be had any more.
        """
        held = self._keyring.find(url)
        try:
            if held is not None and held.configured:
                return await held.credential.refused()
            changed = held is not None and await held.credential.refused()
            # Where nothing covers the URL, a workspace may have learnt of it since.
            for workspace in self._keyring.workspaces:
                changed = await workspace.refused() or changed
        except SourceError as error:
            raise self._named(error) from error
        return changed and self._keyring.find(url) is not None

    def _named(self, error: SourceError) -> SourceError:
        kind = SourceUnavailable if isinstance(error, SourceUnavailable) else SourceRefused
        return kind(self._source, error.reason, remedy=error.remedy, retry_after=error.retry_after)


def keyring_of(
    connections: Mapping[str, Connection],
    workspaces: Mapping[str, Workspace],
    *,
    session: Session,
    tokens_of: Callable[[Identity], Tokens],
) -> Keyring:
    """Build the keyring of a configuration; `tokens_of` gives the tokens of an identity that it names."""
    held = []
    for name, connection in connections.items():
        if connection.category != CATEGORY:
            log.info("connection is not for feeds, ignored", connection=name, category=connection.category)
            continue
        credential = _credential_of(name, connection, session=session, tokens_of=tokens_of)
        held.append(Held(f"connection {name}", connection.target, configured=True, credential=credential))
    read = [
        WorkspaceConnections(name, workspace, session=session, tokens_of=tokens_of)
        for name, workspace in workspaces.items()
    ]
    return Keyring(held, read)


def _credential_of(
    name: str, connection: Connection, *, session: Session, tokens_of: Callable[[Identity], Tokens]
) -> Credential:
    label = f"connection {name}"

    def reader(reference: SecretReference) -> SecretReader:
        return reader_of(reference, owner=label, session=session, tokens=tokens_of("default"))

    match connection.auth_type, connection.value:
        case "None", _:
            return OpenCredential(label)
        case "ManagedIdentity", _:
            identity = connection.client_id
            tokens = tokens_of(ManagedIdentity(managed_identity=identity) if identity else "managed-identity")
            return IdentityCredential(label, tokens, resource=connection.resource)
        case _, None:
            reason = f"{label} has no `value`"
            remedy = "say where its secret is"
            return MissingCredential(label, lambda: SourceRefused(label, reason, remedy=remedy))
        case "SAS", value:
            return SignatureCredential(label, reader(value))
        case "UsernamePassword", value:
            return BasicCredential(label, reader(value), username=connection.username or "")
        case "PAT", value:
            return BasicCredential(label, reader(value))
        case unknown:
            assert_never(unknown)
