"""Sources and their mirrors, out of the configuration: one function for each kind.

Nothing is asked here: a source whose secret is missing, whose workspace cannot be read or whose folder is
not there is built like the others, and says so when it is asked.

What reads a kind of place is imported where there is such a source: it stays in memory.
"""

# ruff: noqa: PLC0415 - as above

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, assert_never

import structlog

from proxy.config import Config
from proxy.config.models import AzureBlobSource, DirectorySource, GithubSource, SimpleSource, Source
from proxy.config.values import IdentityCredential, ManagedIdentity, SecretReference
from proxy.mirror import ListedMirror, Mirror, PagedMirror
from proxy.mirror.base import Setting
from proxy.mirror.inspector import Inspector, Record
from proxy.sources.authorisation import Credentials
from proxy.sources.azure_devops import times_of
from proxy.sources.base import ListedSource
from proxy.sources.credentials import Keyring, keyring_of
from proxy.sources.pip_settings import PipCredentials, PipSettings
from proxy.sources.rereading import SecretReader
from proxy.sources.secrets import reader_of
from proxy.sources.session import Session, Upstream
from proxy.sources.simple_index import SimpleIndex
from proxy.store.artifacts import Artifacts
from proxy.store.index import Index
from proxy.store.neighbours import Neighbours
from proxy.tasks import Background

if TYPE_CHECKING:
    from proxy.sources.azure_tokens import AzureTokens

log = structlog.get_logger(__name__)


class Places:
    """Builds sources, with the credentials they share."""

    def __init__(self, config: Config, session: Session, background: Background) -> None:
        """Build for `config`; nothing is opened and no source is asked."""
        self._config = config
        self._session = session
        self._background = background
        self._tokens: dict[IdentityCredential, AzureTokens] = {}
        self.sources: dict[str, SimpleIndex | ListedSource] = {}

    async def __aenter__(self) -> Self:
        """Begin to keep the connections of workspaces fresh, and make the folders that are to be made."""
        self.keyring.start(self._background)
        for name, settings in self._config.sources.items():
            if isinstance(settings, DirectorySource) and settings.create:
                await self._create(name, settings.path)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave all to the session and the background tasks, which end by themselves."""

    async def _create(self, name: str, path: Path) -> None:
        try:
            await asyncio.to_thread(path.mkdir, parents=True, exist_ok=True)
        except OSError as error:
            log.warning("folder cannot be made", source=name, path=str(path), reason=error.strerror)

    @cached_property
    def keyring(self) -> Keyring:
        """All connections, of the configuration and of its workspaces."""
        return keyring_of(
            self._config.connections, self._config.workspaces, session=self._session, tokens_of=self.tokens_of
        )

    def tokens_of(self, identity: IdentityCredential) -> AzureTokens:
        """Give the tokens of an identity: the same object for the same identity."""
        from proxy.sources.azure_tokens import tokens_of

        if identity not in self._tokens:
            self._tokens[identity] = tokens_of(identity, session=self._session, background=self._background)
        return self._tokens[identity]

    def source(self, name: str) -> SimpleIndex | ListedSource:
        """Give the source of this name: the same object each time."""
        if name not in self.sources:
            self.sources[name] = self._build(name, self._config.sources[name])
        return self.sources[name]

    def warm(self, settings: Source) -> None:
        """Ask for the token that a source will need, so that its first client does not wait for it."""
        match settings:
            case AzureBlobSource(
                credential=("default" | "managed-identity" | "workload-identity" | ManagedIdentity()) as identity,
                offline=False,
            ):
                from proxy.sources.azure_access import STORAGE_SCOPE

                self.tokens_of(identity).warm(STORAGE_SCOPE)

    def _build(self, name: str, settings: Source) -> SimpleIndex | ListedSource:
        match settings:
            case SimpleSource(url="pip"):
                pip = PipSettings()
                credentials = PipCredentials(pip, source=name, first=self.keyring.for_source(name))
                return SimpleIndex(self._upstream(name, settings, credentials), url=pip)
            case SimpleSource():
                upstream = self._upstream(name, settings, self.keyring.for_source(name))
                times = times_of(upstream, settings.url, is_covered=lambda url: self.keyring.find(url) is not None)
                return SimpleIndex(upstream, url=settings.url, times=times)
            case GithubSource():
                from proxy.sources.github import github_source

                return github_source(name, settings, session=self._session, keyring=self.keyring)
            case AzureBlobSource():
                from proxy.sources.azure_assembly import azure_blob_of

                return azure_blob_of(
                    name,
                    settings,
                    session=self._session,
                    tokens_of=self.tokens_of,
                    reader_of=lambda reference: self._reader(name, reference),
                )
            case DirectorySource():
                from proxy.sources.directory import Directory

                return Directory(name, settings.path, create=settings.create)
            case _:
                assert_never(settings)

    def _reader(self, owner: str, reference: SecretReference) -> SecretReader:
        return reader_of(reference, owner=f"source {owner}", session=self._session, tokens=self.tokens_of("default"))

    def _upstream(self, name: str, settings: SimpleSource, credentials: Credentials) -> Upstream:
        return Upstream(
            self._session,
            name=name,
            credentials=credentials,
            timeout=settings.timeout,
            ca_file=settings.ca_file,
            allow_http=settings.allow_http,
            max_connections=settings.max_connections,
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """What this machine keeps, and shares among its processes."""

    index: Index
    artifacts: Artifacts
    neighbours: Neighbours


class Mirrors:
    """Builds a mirror for each source."""

    def __init__(
        self, config: Config, places: Places, kept: Kept, *, background: Background, clock: Callable[[], float]
    ) -> None:
        """Mirror the sources of `places`."""
        self._config = config
        self._places = places
        self._kept = kept
        self._background = background
        self._clock = clock
        self._mirrors: dict[str, Mirror] = {}

    def mirror(self, name: str) -> Mirror:
        """Give the mirror of the source of this name: the same object each time, so that feeds share it."""
        if name not in self._mirrors:
            self._mirrors[name] = self._build(name, self._config.sources[name])
        return self._mirrors[name]

    def _build(self, name: str, settings: Source) -> Mirror:
        source = self._places.source(name)
        self._places.warm(settings)
        is_offline = not isinstance(settings, DirectorySource) and settings.offline
        setting = Setting(settings.windows, settings.client_max_age, is_offline, _place_of(settings))
        inspector = Inspector(
            source,
            place=setting.place,
            digests=not isinstance(settings, SimpleSource),
            offline=is_offline,
            find=self._find,
            index=self._kept.index,
            background=self._background,
            clock=self._clock,
            record=_record_of(source, settings),
            neighbours=self._kept.neighbours,
        )
        if isinstance(source, SimpleIndex):
            return PagedMirror(
                source,
                setting,
                index=self._kept.index,
                inspector=inspector,
                background=self._background,
                clock=self._clock,
                neighbours=self._kept.neighbours,
            )
        return ListedMirror(
            source,
            setting,
            index=self._kept.index,
            inspector=inspector,
            background=self._background,
            clock=self._clock,
            neighbours=self._kept.neighbours,
        )

    def _find(self, digest: str) -> Path | None:
        artifact = self._kept.artifacts.find(digest)
        return None if artifact is None else artifact.path


def _record_of(source: SimpleIndex | ListedSource, settings: Source) -> Record | None:
    """Give what keeps computed digests with the files, where that is wanted."""
    if not isinstance(settings, AzureBlobSource) or not settings.write_back or settings.offline:
        return None
    from proxy.sources.azure_blob import AzureBlob

    return source.record_digest if isinstance(source, AzureBlob) else None


def _place_of(settings: Source) -> str:
    """Name what a source is: what was remembered of another place does not count."""
    match settings:
        case SimpleSource():
            return settings.url
        case GithubSource():
            return f"{settings.api_url} {' '.join(settings.every_repository)}"
        case AzureBlobSource():
            # Where a connection string names the account, what it refers to is all that tells two apart.
            account = settings.account_url or repr(settings.credential)
            return f"{account} {settings.container} {settings.prefix}"
        case DirectorySource():
            return str(settings.path)
        case _:
            assert_never(settings)
