"""Sources and their mirrors, out of the configuration: one function for each kind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from proxy.config import Config
from proxy.config.models import DirectorySource, SimpleSource, Source
from proxy.mirror import ListedMirror, Mirror, PagedMirror
from proxy.mirror.inspector import Inspector
from proxy.mirror.paged import Setting
from proxy.sources.authorisation import Credentials, NoCredentials
from proxy.sources.base import ListedSource, Opener, PagedSource
from proxy.sources.directory import Directory
from proxy.sources.pip_settings import PipSettings
from proxy.sources.session import Session, Upstream
from proxy.sources.simple_index import SimpleIndex
from proxy.store.artifacts import Artifacts
from proxy.store.index import Index
from proxy.tasks import Background


class Places:
    """Builds the sources that feeds use, and a mirror for each."""

    def __init__(
        self,
        config: Config,
        session: Session,
        *,
        index: Index,
        artifacts: Artifacts,
        background: Background,
        clock: Callable[[], float],
    ) -> None:
        """Build for `config`; nothing is opened before it is entered, and no source is asked."""
        self._config = config
        self._session = session
        self._index = index
        self._artifacts = artifacts
        self._background = background
        self._clock = clock
        self._stack = AsyncExitStack()
        self._pip = PipSettings()
        self._credentials: Credentials = NoCredentials()
        self.sources: dict[str, PagedSource | ListedSource] = {}
        self.mirrors: dict[str, Mirror] = {}

    async def __aenter__(self) -> Self:
        """Build the sources that feeds use."""
        feeds = self._config.feeds.values()
        used = {name for feed in feeds for names in (feed.sources, *feed.combine.values()) for name in names}
        for name in sorted(used):
            settings = self._config.sources[name]
            self.mirrors[name] = await self._mirror(name, settings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what the sources opened."""
        await self._stack.aclose()

    async def _mirror(self, name: str, settings: Source) -> Mirror:
        match settings:
            case SimpleSource():
                url = self._pip if settings.url == "pip" else settings.url
                return self._paged(SimpleIndex(self._upstream(name, settings), url=url), settings)
            case DirectorySource():
                return self._listed(
                    Directory(name, settings.path, create=settings.create), settings, str(settings.path)
                )
            case _:
                raise AssertionError(settings.kind)

    def _upstream(self, name: str, settings: SimpleSource) -> Upstream:
        return Upstream(
            self._session,
            name=name,
            credentials=self._credentials,
            timeout=settings.timeout,
            ca_file=settings.ca_file,
            allow_http=settings.allow_http,
            max_connections=settings.max_connections,
        )

    def _paged(self, source: PagedSource, settings: SimpleSource) -> PagedMirror:
        place = str(settings.url)
        setting = Setting(settings.windows, settings.client_max_age, settings.offline, place)
        self.sources[source.name] = source
        return PagedMirror(
            source,
            setting,
            index=self._index,
            inspector=self._inspector(source, place, digests=False, offline=settings.offline),
            background=self._background,
            clock=self._clock,
        )

    def _listed(self, source: ListedSource, settings: Source, place: str) -> ListedMirror:
        offline = getattr(settings, "offline", False)
        setting = Setting(settings.windows, settings.client_max_age, offline, place)
        self.sources[source.name] = source
        return ListedMirror(
            source,
            setting,
            index=self._index,
            inspector=self._inspector(source, place, digests=True, offline=offline),
            background=self._background,
            clock=self._clock,
        )

    def _inspector(self, source: Opener, place: str, *, digests: bool, offline: bool) -> Inspector:
        return Inspector(
            source,
            place=place,
            digests=digests,
            offline=offline,
            find=self._find,
            index=self._index,
            background=self._background,
            clock=self._clock,
        )

    def _find(self, digest: str) -> Path | None:
        artifact = self._artifacts.find(digest)
        return None if artifact is None else artifact.path
