"""What a feed has altogether: its project list, kept as finished files, and the files of its private sources."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import math
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Protocol, Self, runtime_checkable

import structlog
import zstandard

from proxy.errors import Hidden, ProjectAbsent, SourceError
from proxy.feed.feed import Feed
from proxy.mirror.base import Clock, within
from proxy.rules.freshness import SET_BACK
from proxy.simple import as_html, as_json
from proxy.simple.model import File, NormalizedName, Page
from proxy.simple.negotiation import Coding, MediaType
from proxy.tasks import Background, Flights

log = structlog.get_logger(__name__)

LIFE = 60.0
"""Seconds for which a project list is served before the sources are asked again."""
PATIENCE = 18.0
"""Seconds that a client waits for a first project list."""
BATCH = 2000


@dataclass(frozen=True, slots=True)
class Stored:
    """A finished project list in one form."""

    path: Path
    size: int
    etag: str
    made_at: float
    own: int | None
    """Stands for what the private sources listed then; `None` where one of them could not be asked."""
    generation: int = 0
    """Which of the feed's rules it was made by."""
    changes_at: float = math.inf
    """When a rule may take a name off it, in seconds since the epoch."""

    def open(self) -> BinaryIO:
        """Open it. Raises: OSError."""
        return self.path.open("rb")


@dataclass(frozen=True, slots=True)
class LinkedFile:
    """One file on the flat page of links."""

    project: NormalizedName
    file: File


@runtime_checkable
class Whole(Protocol):
    """A mirror that can give all its pages."""

    def names(self) -> AsyncIterator[str]:
        """Give the names of all projects. Raises: SourceError."""

    def files(self) -> AsyncIterator[Page]:
        """Give the pages of all projects. Raises: SourceError."""


class Lists:
    """Makes project lists and keeps them in a temporary folder."""

    def __init__(self, background: Background, *, clock: Clock) -> None:
        """Open nothing yet."""
        self._background = background
        self._clock = clock
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._stored: dict[tuple[str, MediaType, Coding], Stored] = {}
        self._flights: Flights[tuple[str, MediaType, Coding], Stored] = Flights(background)

    async def __aenter__(self) -> Self:
        """Make the folder."""
        self._folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="wheelgate-lists-")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder."""
        if self._folder is not None:
            await asyncio.to_thread(self._folder.cleanup)

    async def names(self, feed: Feed, media_type: MediaType, coding: Coding) -> Stored:
        """Give the feed's project list in one form. Raises: SourceError where no source can list its projects."""
        key = (feed.name, media_type, coding)
        stored = self._stored.get(key)
        own = await _own(feed)
        # What the private sources have changes under their users' eyes; the long list of an upstream may be late.
        is_ruled = stored is not None and stored.generation == feed.generation and self._clock() < stored.changes_at
        if stored is not None and is_ruled and own in {None, stored.own}:
            if not -SET_BACK <= self._clock() - stored.made_at < LIFE:
                self._flights.launch(key, lambda: self._make(key, feed, own))
            return stored
        try:
            return await within(PATIENCE, feed.name, self._flights.join(key, lambda: self._make(key, feed, own)))
        except SourceError:
            if stored is None or not is_ruled:
                raise
            return stored

    def forget(self, stored: Stored) -> None:
        """Make a list anew when it is next asked for, because its file is gone."""
        self._stored = {key: kept for key, kept in self._stored.items() if kept is not stored}

    async def links(self, feed: Feed) -> list[LinkedFile]:
        """Give the served files of the feed's private sources. A source that cannot be asked is left out."""
        linked = []
        for source in feed.ownership.order:
            mirror = feed.mirrors[source]
            if not isinstance(mirror, Whole):
                continue
            try:
                async for page in mirror.files():
                    linked += await _linked(feed, source, page.name)
            except SourceError as error:
                log.warning("source is left out of the links", source=source, feed=feed.name, reason=error.reason)
        return linked

    async def _make(self, key: tuple[str, MediaType, Coding], feed: Feed, own: int | None) -> Stored:
        """Write the list to a file, batch by batch, hashing as it goes."""
        if self._folder is None:
            raise RuntimeError("the lists are not entered")
        _, media_type, coding = key
        generation, changes_at = feed.generation, feed.policy.projects_change_at(self._clock())
        names = await feed.names()
        path, size, etag = await asyncio.to_thread(_write, Path(self._folder.name), names, media_type, coding)
        stored = Stored(path, size, etag, self._clock(), own, generation, changes_at)
        old = self._stored.get(key)
        self._stored[key] = stored
        if old is not None and old.path != stored.path:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(old.path.unlink)
        return stored


async def _own(feed: Feed) -> int | None:
    """Give what stands for the names that the feed's private sources list now, or `None` where one cannot be asked."""
    names: list[str] = []
    try:
        for source in feed.ownership.order:
            mirror = feed.mirrors[source]
            if isinstance(mirror, Whole):
                names += [source, *[name async for name in mirror.names()]]
    except SourceError:
        return None
    return hash(tuple(names))


async def _linked(feed: Feed, source: str, project: NormalizedName) -> list[LinkedFile]:
    """Give what of a private source's project is on the feed's page, so that one verdict holds everywhere."""
    if source not in feed.ownership.candidates(project).sources:
        return []
    try:
        page = await feed.page(project)
    except (Hidden, ProjectAbsent):
        return []
    return [
        LinkedFile(project, entry.file)
        for entry in page.entries.values()
        if entry.verdict.served and entry.source == source
    ]


def _write(folder: Path, names: Iterable[str], media_type: MediaType, coding: Coding) -> tuple[Path, int, str]:
    parts = as_json.iter_names(names) if media_type is MediaType.JSON else as_html.iter_names(names)
    digest = hashlib.sha256()
    folder.mkdir(mode=0o700, exist_ok=True)
    handle, path = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as raw, _coded(raw, coding) as stream:
        for part in parts:
            digest.update(part)
            stream.write(part)
    tag = f'"{digest.hexdigest()[:32]}-{media_type.name.lower()}-{coding.value}"'
    return Path(path), Path(path).stat().st_size, tag


class _Writer(Protocol):
    def write(self, part: bytes, /) -> object: ...


@contextlib.contextmanager
def _coded(raw: IO[bytes], coding: Coding) -> Iterator[_Writer]:
    match coding:
        case Coding.IDENTITY:
            yield raw
        case Coding.GZIP:
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0, filename="") as stream:
                yield stream
        case Coding.ZSTD:
            with zstandard.ZstdCompressor(level=1).stream_writer(raw, closefd=False) as stream:
                yield stream
