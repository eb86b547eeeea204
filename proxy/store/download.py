"""Downloads: one for each artifact, for all clients and all processes of this machine.

A `Download` belongs to nobody who reads it. In this process it is one object for each key; between
processes the lock on the partial file says who fills it (`fill.py`), and the others follow the file
as it grows. If the lock comes free without a result (a crash), whoever gets it goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import structlog

from proxy.errors import ArtifactWrong, FileGone, SourceError, SourceUnavailable, kept
from proxy.sources.base import Chunk
from proxy.store.artifacts import Artifact, Artifacts
from proxy.store.fill import Fill
from proxy.store.growing import CHUNK, Growing, Reader
from proxy.store.partial import Mark, Partial, noted_digest
from proxy.store.wanted import Patience, Wanted
from proxy.tasks import Background

__all__ = ["Download", "Downloads", "Wanted"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

_QUICK, _SLOW = 0.005, 0.05
"""Seconds between two looks at a file that another process fills: while it grows, and while not."""


class Download:
    """One artifact on its way here, for everybody who wants it."""

    def __init__(self, artifacts: Artifacts, wanted: Wanted, patience: Patience) -> None:
        """Take note of what is wanted; `run` fetches it."""
        loop = asyncio.get_running_loop()
        self.wanted = wanted
        self._artifacts = artifacts
        self._patience = patience
        self._error: Exception | None = None
        self._growing: Growing | None = None
        self._begun: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[Artifact] = loop.create_future()
        for future in (self._begun, self._ended):
            # Nobody may be left who asks.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())

    @property
    def available(self) -> int:
        """How many bytes have arrived so far."""
        return self._growing.arrived if self._growing else 0

    @property
    def has_all(self) -> bool:
        """Whether all bytes have arrived; they may still be on their way into the cache."""
        return self._growing is not None and self._growing.arrived == self._growing.size

    @property
    def digest(self) -> str | None:
        """The sha256: as listed, or as computed once all is here."""
        if self._ended.done() and self._error is None:
            return self._ended.result().digest
        return self.wanted.sha256

    @property
    def error(self) -> Exception | None:
        """What ended it before all was here and right, if anything did."""
        return self._error

    async def started(self) -> int | None:
        """Wait until the source has answered; give the whole file's size in bytes, or `None` if it is unknown.

        Raises: SourceError, FileGone or ArtifactWrong as the answer was.
        """
        return (await self._started()).size

    async def finished(self) -> Artifact:
        """Wait until all is here and right. Raises what ended it otherwise."""
        return await _done(self._ended)

    async def read(self, start: int = 0, end: int | None = None) -> AsyncGenerator[Chunk, None]:
        """Give the bytes from `start` to before `end` as they arrive, up to 1 MiB at once.

        The last byte of the file comes only when the digest is right. Use `contextlib.aclosing`.

        Raises: ArtifactWrong, SourceError or FileGone, also after some bytes: abort the connection then.
        """
        async with aclosing((await self._started()).read(start, end)) as chunks:
            async for chunk in chunks:
                yield chunk

    @asynccontextmanager
    async def reader(self, start: int, end: int | None) -> AsyncIterator[Reader]:
        """Give a reader of the bytes from `start` to before `end`, for who can send out of a file.

        Raises: SourceError, FileGone or ArtifactWrong as the source's answer was.
        """
        with (await self._started()).reader(start, end) as reader:
            yield reader

    async def run(self) -> None:
        """Get the artifact, by filling its partial file or by following another process that does."""
        began = time.monotonic()
        try:
            artifact = await self._get()
        except (SourceError, FileGone, ArtifactWrong) as error:
            self.fail(error)
        except OSError as error:
            log.error("cache folder in trouble", reason=str(error), filename=self.wanted.filename)  # noqa: TRY400 - no bug
            self.fail(SourceUnavailable(self.wanted.source, f"the cache is in trouble ({error.strerror})"))
        else:
            log.info(
                "artifact received",
                source=self.wanted.source,
                filename=self.wanted.filename,
                bytes=artifact.size,
                seconds=round(time.monotonic() - began, 3),
            )
            self._ended.set_result(artifact)
        finally:
            if not self._ended.done():
                self.fail(SourceUnavailable(self.wanted.source, "the download was ended"))

    def fail(self, error: Exception) -> None:
        """End it for everybody with `error`."""
        error = self._error = kept(error)
        if self._growing is not None:
            self._growing.fail(error)
        if not self._begun.done():
            self._begun.set_exception(error)
        if not self._ended.done():
            self._ended.set_exception(error)

    async def _started(self) -> Growing:
        await _done(self._begun)
        assert self._growing is not None, "begun"  # noqa: S101 - for the type checker
        return self._growing

    async def _get(self) -> Artifact:
        while True:
            try:
                partial = await self._artifacts.run(self._artifacts.open_partial, self.wanted.key)
            except OSError as error:
                log.warning("partial file cannot be written", reason=str(error), filename=self.wanted.filename)
                return await self._fill(None)
            try:
                if partial.locked:
                    return await self._fill(partial)
                if artifact := await self._follow(partial):
                    return artifact
            finally:
                partial.unlock()

    async def _fill(self, partial: Partial | None) -> Artifact:
        fill = Fill(
            self._artifacts,
            self.wanted,
            partial,
            growing=self._growing,
            begin=self._begin,
            patience=self._patience,
        )
        try:
            return await fill.run()
        finally:
            if fill.partial is not None:
                fill.partial.unlock()

    async def _follow(self, partial: Partial) -> Artifact | None:
        """Follow the file that another process fills; `None`: it came to nothing before it began."""
        pause = _QUICK
        while (seen := await self._artifacts.run(_observe, partial)) is not None:
            if self._growing is None and seen.begun:
                self._begin(Growing(self._artifacts, partial, source=self.wanted.source, size=seen.whole))
            before = self.available
            if self._growing is not None:
                self._growing.grow(seen.size)
                if seen.mark is Mark.RIGHT:
                    self._growing.verify()
            if not seen.placed or seen.mark is Mark.VOID:
                return await self._conclude(partial, seen.mark)
            pause = _QUICK if self.available > before else min(pause * 1.5, _SLOW)
            await asyncio.sleep(pause)
        # Its holder is gone without a result, and we hold it now.
        return await self._fill(partial)

    async def _conclude(self, partial: Partial, mark: Mark) -> Artifact | None:
        if mark is Mark.RIGHT:
            size, _ = partial.look()
            digest = self.wanted.sha256
            if digest is None:
                digest = await self._artifacts.run(_digest, partial)
            return Artifact(digest, self._artifacts.place(digest), size)
        if self._growing is not None:
            raise SourceUnavailable(self.wanted.source, "the process that fetched the file gave it up")
        return None

    def _begin(self, growing: Growing) -> None:
        self._growing = growing
        if not self._begun.done():
            self._begun.set_result(None)


class Downloads:
    """All downloads of this process."""

    def __init__(
        self,
        artifacts: Artifacts,
        background: Background,
        *,
        silence: float = 20.0,
        backoff: float = 0.5,
        rest: float = 5.0,
    ) -> None:
        """Give a source up after `silence` seconds without a byte, and leave one that sent wrong bytes at `rest`.

        `backoff`: seconds before the second attempt to resume; each one after that waits twice as long.
        """
        self._artifacts = artifacts
        self._background = background
        self._patience = Patience(silence=silence, backoff=backoff)
        self._rest = rest
        self._running: dict[str, Download] = {}
        self._wrong: dict[str, tuple[float, ArtifactWrong]] = {}

    def __len__(self) -> int:
        """How many are running now."""
        return len(self._running)

    def join(self, wanted: Wanted) -> Download:
        """Give the download of this key, starting it where none is running. Ask `Artifacts.find` first."""
        download = self._running.get(wanted.key)
        if download is not None:
            return download
        download = Download(self._artifacts, wanted, self._patience)
        known = self._known_fault(wanted.key)
        if known is not None:
            download.fail(known)
            return download
        self._running[wanted.key] = download
        self._background.start(self._run(download), name=f"download {wanted.filename}")
        return download

    def get(self, key: str) -> Download | None:
        """Give the download of this key where one is running, starting none."""
        return self._running.get(key)

    async def _run(self, download: Download) -> None:
        key = download.wanted.key
        try:
            await download.run()
        finally:
            # Before anybody who waits for the end runs: who joins from now on joins another one.
            del self._running[key]
            if isinstance(download.error, ArtifactWrong):
                self._wrong[key] = (time.monotonic() + self._rest, download.error)

    def _known_fault(self, key: str) -> ArtifactWrong | None:
        """Give the fault found in these bytes a moment ago: fetching them again at once would hammer the source."""
        now = time.monotonic()
        self._wrong = {key: fault for key, fault in self._wrong.items() if fault[0] > now}
        fault = self._wrong.get(key)
        return fault[1] if fault else None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file that another process fills, at one moment."""

    placed: bool
    size: int
    mark: Mark
    begun: bool
    whole: int | None


async def _done(future: asyncio.Future[T]) -> T:
    """Wait for what many wait for; give its result, or raise its error for this one."""
    if not future.done():
        await asyncio.wait([future])
    error = future.exception()
    if error is not None:
        raise kept(error)
    return future.result()


def _observe(partial: Partial) -> _Seen | None:
    """Look at the file, or give `None` where its lock was free and is ours now. Blocks."""
    if partial.lock():
        return None
    # In this order: whoever takes the file out of its place has given the verdict before.
    placed = partial.is_in_place()
    size, mark = partial.look()
    identity = partial.identity()
    whole = size if mark is Mark.RIGHT else identity.size if identity else None
    return _Seen(placed, size, mark, begun=mark is Mark.RIGHT or identity is not None, whole=whole)


def _digest(partial: Partial) -> str:
    """Give the digest of a finished file: as its writer noted it, or computed again. Blocks."""
    noted = noted_digest(partial.path)
    if noted is not None:
        return noted
    digest, offset = hashlib.sha256(), 0
    while chunk := os.pread(partial.fd, CHUNK, offset):
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()
