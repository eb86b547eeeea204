"""The bytes behind a file of a feed: here already, or on their way.

A file is had over its page, always: `Feed.entry` says whether the client may have it and which source
it comes from. One that has gone from its page is still served if it was received once, is here, and
nothing hides it now; the ledger of what was served knows it.

Warm: page → entry → artifact. Cold: page → entry → one `Download` for everybody.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

import msgspec
import structlog

from proxy.errors import ArtifactWrong, FileAbsent, Hidden, LedgerUnreadable, ProjectAbsent, WheelgateError
from proxy.feed.feed import Entry, Feed
from proxy.feed.pinning import Pinning
from proxy.mirror.base import Mirror
from proxy.mirror.facts import identity_of
from proxy.simple.model import File, NormalizedName
from proxy.sources.base import Body
from proxy.store.artifacts import Artifacts
from proxy.store.download import Download, Downloads, Wanted
from proxy.store.index import Index
from proxy.tasks import Background
from proxy.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(File)


@runtime_checkable
class Local(Protocol):
    """An opener whose files lie on this machine already."""

    def path_of(self, file: File) -> Path | None:
        """Give the path of the very file that was listed, or `None` where it is not that one any more."""


@dataclass(frozen=True, slots=True)
class Here:
    """A whole file on this machine."""

    path: Path
    size: int
    sha256: str
    replaceable: bool
    is_ours: bool = False
    """Whether it is in the cache, on a disk that answers at once; a folder of packages may be on a network's."""

    def open(self) -> BinaryIO:
        """Open it: from then on neither eviction nor deletion breaks the reader. Raises: OSError."""
        return self.path.open("rb", buffering=0)

    def read(self) -> bytes:
        """Read the whole of it. Blocks. Raises: OSError; FileNotFoundError where it is another file by now."""
        with self.open() as stream:
            body = stream.read(self.size + 1)
        if len(body) != self.size:
            raise FileNotFoundError(self.path)
        return body


@dataclass(frozen=True, slots=True)
class Coming:
    """A file that is not on this machine yet."""

    file: File
    source: str
    replaceable: bool
    download: Callable[[], Download]
    """Joins, or begins, the one download of the whole file, which goes on whatever becomes of the caller."""
    arrived: Callable[[], int]
    """Gives how many bytes of it are here already; 0 where nobody fetches it."""
    open: Callable[[int, int], AbstractAsyncContextManager[Body]]
    """Opens a range at the source itself."""


class Files:
    """Finds or fetches the bytes behind files."""

    def __init__(
        self,
        index: Index,
        artifacts: Artifacts,
        downloads: Downloads,
        background: Background,
        *,
        pinning: Pinning,
        metrics: Metrics,
    ) -> None:
        """Keep what comes in `artifacts`, note in `index` what was served, and pin its digest."""
        self._pinning = pinning
        self._metrics = metrics
        self._index = index
        self._artifacts = artifacts
        self._downloads = downloads
        self._background = background
        self._notes: dict[str, tuple[Download, asyncio.Task[None]]] = {}
        """What is being received, by what is noted of it then; other bytes of the same file come later in here."""

    async def entry(self, feed: Feed, project: NormalizedName, filename: str) -> Entry:
        """Give the file that clients may have under this name, also one that has gone from its page.

        Raises: Hidden, FileAbsent, ProjectAbsent, SourceError.
        """
        try:
            return await feed.entry(project, filename)
        except (FileAbsent, ProjectAbsent):
            entry = await self._gone(feed, project, filename)
            if entry is None:
                raise
            return entry

    async def renew(self, feed: Feed, project: NormalizedName, entry: Entry) -> Entry | None:
        """Ask anew for a file whose bytes turned out to be gone; `None` where its source still says the same of it.

        Raises: Hidden, FileAbsent, ProjectAbsent, SourceError.
        """
        await feed.doubt(project, entry.source)
        renewed = await self.entry(feed, project, entry.file.filename)
        is_same = renewed.source == entry.source and identity_of(renewed.file) == identity_of(entry.file)
        return None if is_same else renewed

    async def whole(self, feed: Feed, project: NormalizedName, entry: Entry) -> Path:
        """Give where all bytes of a file are, once they have been received. Raises: what the download raises."""
        here = await self.find(feed, project, entry)
        return here.path if here is not None else (await self.coming(feed, project, entry).download().finished()).path

    async def find(self, feed: Feed, project: NormalizedName, entry: Entry) -> Here | None:
        """Give the file where its bytes are on this machine; asks nobody.

        Raises: Hidden where it was served before with other bytes.
        """
        mirror, file = feed.mirrors[entry.source], entry.file
        here = None
        if isinstance(mirror.opener, Local):
            here = await self._local(mirror, mirror.opener, project, file)
        elif file.sha256 is not None and (artifact := self._artifacts.find(file.sha256)) is not None:
            here = Here(artifact.path, artifact.size, artifact.digest, mirror.private, is_ours=True)
        if here is None:
            return None
        await self._pinning.serve(entry.source, project, file.filename, here.sha256)
        # What a rule will hide must not be kept by clients beyond that.
        return here if entry.verdict.changes_at is None else replace(here, replaceable=True)

    def coming(self, feed: Feed, project: NormalizedName, entry: Entry) -> Coming:
        """Give the file as it can be had from its source. Nothing is fetched before it is asked for."""
        mirror, file = feed.mirrors[entry.source], entry.file
        opener = mirror.opener
        wanted = Wanted(
            key=file.sha256 or f"{entry.source}|{file.url}|{identity_of(file)}",
            filename=file.filename,
            source=entry.source,
            size=file.size,
            hashes=file.hashes,
            open=lambda start: opener.open(file, start=start),
        )

        def download() -> Download:
            joined = self._downloads.join(wanted)
            self._note_once(wanted.key, mirror, project, file, joined)
            return joined

        def arrived() -> int:
            running = self._downloads.get(wanted.key)
            return 0 if running is None else running.available

        return Coming(
            file,
            entry.source,
            mirror.private or entry.verdict.changes_at is not None,
            download,
            arrived,
            lambda start, end: opener.open(file, start=start, end=end),
        )

    def _note_once(self, key: str, mirror: Mirror, project: NormalizedName, file: File, download: Download) -> None:
        note = f"{_ledger_key(mirror.name, project, file.filename)}|{key}"
        if note not in self._notes:
            work = self._note(note, mirror, project, file, download)
            self._notes[note] = download, self._background.start(work, name=f"note {file.filename}")

    async def _note(self, note: str, mirror: Mirror, project: NormalizedName, file: File, download: Download) -> None:
        """Wait for the whole file; remember that it was served, and what its bytes have shown."""
        try:
            try:
                with self._metrics.downloads.labels(mirror.name).track_inprogress():
                    artifact = await download.finished()
                self._metrics.received.labels(mirror.name).inc(artifact.size)
            except WheelgateError as error:
                log.debug("file was not received", source=mirror.name, filename=file.filename, reason=str(error))
                if isinstance(error, ArtifactWrong):
                    await mirror.forget(project, file)
                    if await _lists_no_digest(mirror, project, file.filename):
                        with suppress(LedgerUnreadable):
                            await self._pinning.differ(mirror.name, project, file.filename, error.found)
                return
            with suppress(Hidden, LedgerUnreadable):
                await self._pinning.serve(mirror.name, project, file.filename, artifact.digest)
            known = msgspec.structs.replace(file, hashes={"sha256": artifact.digest}, size=artifact.size)
            await self._index.put(_ledger_key(mirror.name, project, file.filename), _encode(known))
            await mirror.learn(project, file, sha256=artifact.digest, size=artifact.size, path=artifact.path)
        finally:
            del self._notes[note]

    async def _written(self, key: str) -> None:
        """Wait for the notes of a file that clients already have to the last byte."""
        notes = [note for of, (download, note) in self._notes.items() if of.startswith(f"{key}|") and download.has_all]
        if notes:
            await asyncio.wait(notes)

    async def _local(self, mirror: Mirror, local: Local, project: NormalizedName, file: File) -> Here | None:
        path = await asyncio.to_thread(local.path_of, file)
        if path is None:
            return None
        if file.sha256 is not None and file.size is not None:
            return Here(path, file.size, file.sha256, mirror.private)
        digest, size = await asyncio.to_thread(_digest, path)
        await mirror.learn(project, file, sha256=digest, size=size, path=path)
        return Here(path, size, digest, mirror.private)

    async def _gone(self, feed: Feed, project: NormalizedName, filename: str) -> Entry | None:
        """Look for a file that was on the page once, in the sources that may own the project now.

        Not in those after its owner: what a stranger's project had before the name became ours stays hidden.
        """
        for source in await _may_have_owned(feed, project):
            key = _ledger_key(source, project, filename)
            await self._written(key)
            raw = await self._index.get(key)
            if raw is None:
                continue
            try:
                file = _decoder.decode(raw)
            except msgspec.DecodeError:
                continue
            if file.sha256 is None or self._artifacts.find(file.sha256) is None:
                continue
            known = await feed.mirrors[source].recall(project)
            verdict = await feed.judge(project, file, source, known.page if known is not None else None)
            if not verdict.served:
                raise Hidden(filename, rule=verdict.rule, reason=verdict.reason, remedy=verdict.remedy)
            return Entry(file, source, verdict)
        return None


async def _may_have_owned(feed: Feed, project: NormalizedName) -> tuple[str, ...]:
    """Give the sources whose former files may still be served, the most important first."""
    candidates = feed.ownership.candidates(project)
    if candidates.together:
        return candidates.sources
    try:
        owner = (await feed.page(project)).owners[0]
    except ProjectAbsent:
        return candidates.sources
    return candidates.sources[: candidates.sources.index(owner) + 1]


async def _lists_no_digest(mirror: Mirror, project: NormalizedName, filename: str) -> bool:
    """Say whether a source itself lists no digest of a file: then other bytes mean that the file was changed."""
    known = await mirror.recall(project)
    files = known.page.files if known is not None and known.page is not None else ()
    return any(file.filename == filename and file.sha256 is None for file in files)


def _ledger_key(source: str, project: NormalizedName, filename: str) -> str:
    return f"served:{source}:{project}:{filename}"


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
        return digest.hexdigest(), stream.tell()
