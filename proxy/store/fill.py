"""Filling a partial file from its source, by the one process that holds its lock.

recover what is there ─▶ open(start) ─▶ same identity? ─▶ hash and write ─▶ all here? ─▶ right? ─▶ keep
        ▲                     ▲               │ no: begin anew                 │ cut      │ no
        │                     └───────────────┴────────── pause ◀──────────────┘          ▼
        └──────────── begin anew, once, if the beginning was another process's ◀──── void, ERROR
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import NoReturn

import msgspec
import structlog

from proxy.errors import ArtifactWrong, FileGone, SourceError, SourceNonsense, SourceUnavailable
from proxy.sources.base import Chunk
from proxy.store.artifacts import Artifact, Artifacts, OpenArtifact
from proxy.store.digests import Digests
from proxy.store.growing import Growing
from proxy.store.partial import Identity, Mark, Partial, noted_digest, write_identity
from proxy.store.resume import Changed, is_another, rest_of
from proxy.store.wanted import Body, Patience, Wanted

log = structlog.get_logger(__name__)

BATCH = 1 << 20
"""Bytes that are hashed and written at once."""
LULL = 0.05
"""Seconds after which less than a batch is written, for those who follow in other processes."""
ATTEMPTS = 6
"""How often in a row the source may break off without progress."""
PROGRESS = 64 << 10
"""Bytes that make an attempt one that got on."""
LONGEST = 30.0
"""Seconds that a source may ask to be left alone for before clients are sent away."""
ROOM = 256 << 20
"""Bytes to free when the disk is full."""


@dataclass(slots=True)
class _Waiting:
    """Bytes that are neither hashed nor written yet."""

    chunks: list[Chunk] = field(default_factory=list)
    size: int = 0
    since: float = 0.0


class _NobodyReads(Exception):
    """The disk takes no more, memory holds enough, and nobody takes anything."""


class Fill:
    """One turn at filling a partial file, which is locked by us; `None`: the disk takes nothing."""

    def __init__(
        self,
        artifacts: Artifacts,
        wanted: Wanted,
        partial: Partial | None,
        *,
        growing: Growing | None,
        begin: Callable[[Growing], None],
        patience: Patience,
    ) -> None:
        """Go on with `growing` where readers follow it already; call `begin` with each new one."""
        self.partial = partial
        self._artifacts = artifacts
        self._wanted = wanted
        self._growing = growing
        self._begin = begin
        self._patience = patience
        self._silence = wanted.silence or patience.silence
        self._digests = Digests(wanted.hashes)
        self._identity = Identity()
        self._done = 0  # bytes hashed, and written if they are kept
        self._waiting = _Waiting()
        self._kept = partial is not None
        self._inherited = False
        self._unusable = False
        self._promised = growing is not None
        self._stopped = False

    async def run(self) -> Artifact:
        """Fill it, check it and keep it.

        Raises: ArtifactWrong, with nothing kept; SourceError or FileGone where the source finally failed.
        """
        try:
            found = await self._artifacts.run(self._prepare)
            if found is not None:
                return await self._attach(found)
            return await self._fill()
        except _NobodyReads:
            raise SourceUnavailable(
                self._wanted.source, "the disk takes no more, and nobody reads what comes", remedy="free some space"
            ) from None
        except FileGone:
            # What these bytes were the beginning of is no more.
            await self._discard()
            raise
        except SourceError:
            if not self._done:
                await self._discard()
            raise
        finally:
            self._stopped = True

    async def _fill(self) -> Artifact:
        if self._unusable:
            await self._renew()
        elif self._growing is not None:
            self._growing.grow(self._done)
        while True:
            await self._fetch()
            fault = self._digests.fault()
            if fault is None:
                return await self._keep()
            if not self._inherited:
                await self._refuse(*fault)
            # The beginning may have been damaged since (a power cut): a whole fetch decides.
            log.warning("resumed file is wrong, fetching it anew", **self._names())
            await self._renew()

    def _prepare(self) -> OpenArtifact | None:
        """Give the artifact if another process was quicker, else recover what an earlier turn left. Blocks."""
        found = None if self._growing is not None else self._look_for_it()
        if found is None:
            self._unusable = not self._recover()
        return found

    def _look_for_it(self) -> OpenArtifact | None:
        digest = self._wanted.sha256 or (noted_digest(self.partial.path) if self.partial else None)
        return self._artifacts.open(digest) if digest else None

    async def _attach(self, found: OpenArtifact) -> Artifact:
        """Let readers read the artifact that is here already."""
        with found:
            artifact = found.artifact
            whole = Partial(artifact.path, os.dup(found.fd))
        growing = Growing(self._artifacts, whole, source=self._wanted.source, size=artifact.size)
        growing.grow(artifact.size)
        growing.verify()
        self._begin(growing)
        await self._discard()
        return artifact

    async def _discard(self) -> None:
        if self.partial is not None and self._kept:
            await self._artifacts.run(self.partial.remove)

    def _recover(self) -> bool:
        """Hash what an earlier turn left, or begin with nothing; `False`: what is there is no use."""
        partial = self.partial
        if partial is None:
            return True
        size, mark = partial.look()
        partial.mark(Mark.GROWING)
        identity = partial.identity()
        if mark is Mark.RIGHT and identity is not None:
            identity = msgspec.structs.replace(identity, size=size)  # only its name was missing
        # Of unknown size, it may be whole, and asking for what comes after the end is an error.
        if identity is None or (identity.size is None and self._growing is None) or size > (identity.size or size):
            return not size
        while self._done < size and not self._stopped:
            chunk = os.pread(partial.fd, min(BATCH, size - self._done), self._done)
            if not chunk:
                return False
            self._digests.update([chunk])
            self._done += len(chunk)
        self._identity = identity
        self._inherited = size > 0
        return True

    async def _fetch(self) -> None:
        """Get all bytes, resuming where the source breaks off."""
        failures = 0
        while not self._is_whole():
            before = self._done
            try:
                await self._attempt()
            except Changed:
                log.warning("file changed at its source, fetching it anew", **self._names())
                await self._renew()
                failures += 1
                if failures >= ATTEMPTS:
                    raise SourceUnavailable(self._wanted.source, "the file changes all the time") from None
            except SourceNonsense:
                if not self._inherited:
                    raise
                # A range of what the file was in an earlier turn.
                await self._renew()
            except SourceUnavailable as error:
                await self._flush()
                failures = 1 if self._done - before >= PROGRESS else failures + 1
                patience = error.retry_after or 0.0
                if not self._promised or failures >= ATTEMPTS or patience > LONGEST:
                    raise
                await self._pause(failures, error.reason, patience)
            else:
                return

    async def _pause(self, failures: int, reason: str, patience: float) -> None:
        """Wait before the next attempt."""
        log.warning("source broke off, resuming", reason=reason, bytes=self._done, **self._names())
        # At once, then after one, three, seven… times the backoff.
        backoff = self._patience.backoff * (2 ** (failures - 1) - 1) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        await asyncio.sleep(max(backoff, patience))

    async def _attempt(self) -> None:
        """Get the rest from the source in one go."""
        loop = asyncio.get_running_loop()
        silence = self._silence
        start = self._done
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(silence) as limit:
                    body = await stack.enter_async_context(self._wanted.open(start if self._may_go_on() else 0))
                    growing = await self._accept(body, start)
                    async for chunk in rest_of(body, self._done, self._digests):
                        limit.reschedule(None)
                        await self._append(growing, chunk)
                        limit.reschedule(loop.time() + silence)
            except TimeoutError as error:
                raise SourceUnavailable(self._wanted.source, f"silent for {silence:g} seconds") from error
            except OSError as error:  # a connection's; those of our disk do not come as far as here
                raise SourceUnavailable(self._wanted.source, f"broke off ({error})") from error
        await self._flush()
        if growing.size is not None and self._done < growing.size:
            raise SourceUnavailable(self._wanted.source, f"broke off after {self._done} of {growing.size} bytes")

    def _may_go_on(self) -> bool:
        """Whether a rest alone is of use: without a digest or a tag only the whole file tells that it is the same."""
        return self._digests.listed is not None or self._identity.etag is not None

    async def _accept(self, body: Body, start: int) -> Growing:
        """Check that `body` goes on with what is here, and let readers begin."""
        wanted = self._wanted
        if body.start not in (0, start):
            raise SourceNonsense(wanted.source, f"sent bytes from {body.start} where {start} was asked for")
        if None not in (wanted.size, body.size) and wanted.size != body.size:
            await self._refuse(f"size:{wanted.size}", f"size:{body.size}")
        if start and is_another(body, self._identity, digest_listed=self._digests.listed is not None):
            if body.start:
                raise Changed
            await self._renew()
        size = next((size for size in (body.size, wanted.size, self._identity.size) if size is not None), None)
        if not self._done and self._growing is None:
            self._identity = Identity(etag=body.etag, size=size)
        return self._growing or self._show(size)

    def _show(self, size: int | None) -> Growing:
        """Let readers begin, with what is here."""
        growing = Growing(self._artifacts, self.partial, source=self._wanted.source, size=size)
        growing.grow(self._done)
        self._growing = growing
        self._promised = True
        self._begin(growing)
        return growing

    async def _append(self, growing: Growing, chunk: Chunk) -> None:
        waiting = self._waiting
        if growing.size is not None and growing.arrived + len(chunk) > growing.size:
            await self._refuse(f"size:{growing.size}", f"size:{growing.arrived + len(chunk)} or more")
        waiting.chunks.append(chunk)
        waiting.size += len(chunk)
        growing.add(chunk)
        if waiting.size >= BATCH or time.monotonic() - waiting.since > LULL:
            await self._flush()

    async def _flush(self) -> None:
        """Hash and write what waits."""
        chunks, size = self._waiting.chunks, self._waiting.size
        if not chunks or self._growing is None:
            return
        self._waiting = _Waiting(since=time.monotonic())
        offset, self._done = self._done, self._done + size
        if self._kept and size >= BATCH:
            self._growing.writing(self._done)
        await self._artifacts.run(self._hash_and_write, chunks, offset)
        self._waiting.since = time.monotonic()
        if self._kept:
            self._growing.flushed(self._done)
        elif not await self._growing.squeeze(self._silence):
            raise _NobodyReads

    def _hash_and_write(self, chunks: list[Chunk], offset: int) -> None:
        """Hash `chunks`; write them too while the disk takes them. Blocks."""
        self._digests.update(chunks)
        if self._kept and self.partial is not None:
            try:
                if not offset:
                    self.partial.begin(self._identity.etag, self._identity.size)
                self._write(self.partial, chunks, offset)
            except OSError as error:
                self._give_up_keeping(error)

    def _write(self, partial: Partial, chunks: list[Chunk], offset: int) -> None:
        try:
            partial.write(chunks, offset)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._artifacts.make_room(ROOM)
            partial.write(chunks, offset)

    def _give_up_keeping(self, error: OSError) -> None:
        """Go on without the disk: readers get the bytes, and nothing is kept."""
        log.warning("artifact not kept, the disk takes no more", reason=str(error), **self._names())
        self._kept = False
        if self.partial is not None:
            self.partial.remove()

    async def _renew(self) -> None:
        """Begin anew with nothing; bytes of two identities never share a file or a reader."""
        if self._growing is not None:
            self._growing.fail(SourceUnavailable(self._wanted.source, "the file changed while it was read"))
        if self.partial is not None and self._kept:
            self.partial = await self._artifacts.run(self.partial.renew)
        self._growing = None
        self._digests = Digests(self._wanted.hashes)
        self._identity = Identity()
        self._waiting = _Waiting()
        self._done = 0
        self._inherited = False

    def _is_whole(self) -> bool:
        """Whether nothing is missing, as after a crash just before the end."""
        if not self._done or self._done != self._identity.size:
            return False
        if self._growing is None:
            self._show(self._done)
        return True

    async def _keep(self) -> Artifact:
        """Release the last byte, and give the file its name."""
        assert self._growing is not None, "a body was accepted"  # noqa: S101 - for the type checker
        digest, size = self._digests.sha256, self._done
        partial = self.partial
        self._growing.verify()
        if partial is not None and self._kept:
            if self._artifacts.may_keep(size):
                try:
                    return await self._artifacts.run(self._adopt, partial, digest)
                except OSError as error:
                    log.warning("artifact not kept", reason=str(error), **self._names())
            await self._artifacts.run(partial.remove, mark=Mark.RIGHT)
        return Artifact(digest, self._artifacts.place(digest), size)

    def _adopt(self, partial: Partial, digest: str) -> Artifact:
        """Let followers in other processes go, then rename. Blocks."""
        record = partial.path.with_suffix(".json")
        if self._wanted.sha256 is None:
            write_identity(partial.path, Identity(inode=partial.inode, digest=digest, size=self._done))
        partial.mark(Mark.RIGHT)
        artifact = self._artifacts.adopt(partial.path, digest)
        if self._wanted.sha256 is not None:
            record.unlink(missing_ok=True)
        return artifact

    async def _refuse(self, expected: str, found: str) -> NoReturn:
        """Keep nothing of it, and say so to those who can act."""
        await self._discard()
        log.error("artifact wrong, nothing kept", expected=expected, found=found, **self._names())
        raise ArtifactWrong(self._wanted.source, self._wanted.filename, expected=expected, found=found)

    def _names(self) -> dict[str, str]:
        return {"source": self._wanted.source, "filename": self._wanted.filename}
