"""The artifacts: files of this machine, named by the sha256 of their bytes.

    <directory>/ab/cdef…      the artifact abcdef…; complete and right as soon as it has this name
    <directory>/partial/      what is not whole yet (see `partial.py`)
    <directory>/usage, sweep  how much is kept, and who is evicting (see `eviction.py`)

Nothing else says that an artifact is here, so several processes share the folder, and a file that
somebody deletes is simply not here any more. The time of the last use is the file's mtime.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

import structlog

from proxy.errors import CacheUnusable
from proxy.store.eviction import Eviction
from proxy.store.partial import FOLDER, Partial, open_partial, place

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

TOUCH = 60.0
"""Seconds by which the recorded last use may be behind."""
_THREADS = 8
_is_digest = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Artifact:
    """The bytes of one file, whole and right. It may be evicted at any time: `Artifacts.open` it to read."""

    digest: str
    """The sha256 in lower-case hex."""
    path: Path
    size: int
    """In bytes."""


class OpenArtifact:
    """An artifact held open: eviction takes its name, not its bytes. Close it, or use `with`."""

    __slots__ = ("artifact", "fd")

    def __init__(self, artifact: Artifact, fd: int) -> None:
        """Own `fd`, which is open for reading."""
        self.artifact = artifact
        self.fd = fd

    def fileno(self) -> int:
        """Give the descriptor, for `os.sendfile`."""
        return self.fd

    def read(self, start: int, end: int) -> bytes:
        """Give the bytes from `start` to before `end`. Blocks as long as the disk takes."""
        return os.pread(self.fd, end - start, start)

    def close(self) -> None:
        """Let go of the file."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the file."""
        self.close()

    def __del__(self) -> None:
        """Let go of the file, if nobody did."""
        self.close()


class Artifacts:
    """The artifacts in one folder, limited to a size in bytes."""

    def __init__(self, directory: Path, *, size: int) -> None:
        """Keep up to `size` bytes in `directory`, which is this store's alone."""
        self.directory = directory
        self.size = size
        self.partials = directory / FOLDER
        self._root = str(directory)
        self._eviction = Eviction(directory, size)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="artifacts")
        self._sweeper = ThreadPoolExecutor(1, thread_name_prefix="eviction")

    async def __aenter__(self) -> Self:
        """Make the folders; what is in them is looked through afterwards, in a thread.

        Raises: CacheUnusable if they cannot be made or written.
        """
        await self.run(self._open)
        self._eviction.is_due()
        self._sweep(self._eviction.scan)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop looking through the folder and wait for the threads."""
        self._eviction.stopped.set()
        await asyncio.to_thread(self._sweeper.shutdown, cancel_futures=True)
        await asyncio.to_thread(self._threads.shutdown)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking `work` on a file in a thread of the store.

        A cancelled caller waits for the thread: nobody lets go of a lock under a write that goes on.
        """
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            future.cancelled() or future.exception()
            raise

    def find(self, digest: str) -> Artifact | None:
        """Give the artifact with this sha256, or `None` where it is not here. Counts as a use.

        One `stat`, so it may be called on the event loop.
        """
        if not _is_digest(digest):
            return None
        path = self.place(digest)
        try:
            status = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - on the path of every request
        except OSError:
            return None
        return self._judge(digest, path, status)

    def open(self, digest: str) -> OpenArtifact | None:
        """Open the artifact with this sha256, or give `None` where it is not here. Counts as a use."""
        if not _is_digest(digest):
            return None
        path = self.place(digest)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        artifact = self._judge(digest, path, os.fstat(fd))
        if artifact is None:
            os.close(fd)
            return None
        return OpenArtifact(artifact, fd)

    def place(self, digest: str) -> Path:
        """Give the path of the artifact with this sha256, whether it is here or not."""
        return Path(f"{self._root}/{digest[:2]}/{digest[2:]}")

    def open_partial(self, key: str) -> Partial:
        """Open the partial file of `key`, locked by us if nobody else has it. Blocks. Raises: OSError."""
        path = place(self.partials, key)
        try:
            return open_partial(path)
        except FileNotFoundError:
            self._prepare()  # somebody removed the folders
            return open_partial(path)

    def may_keep(self, size: int) -> bool:
        """Whether a file of `size` bytes is kept at all: one larger than the whole cache is not."""
        return 0 < size <= self.size

    def adopt(self, temporary: Path, digest: str) -> Artifact:
        """Make the file at `temporary` the artifact with this sha256, which it has been checked to have. Blocks.

        Its bytes are on the disk before it gets the name: the name is the only proof that they are
        right, and without this a power cut could leave the name on a file of zeros. The rename itself
        is not forced to the disk; losing it costs a fetch, nothing else.
        """
        path = self.place(digest)
        fd = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(fd)
            size = os.fstat(fd).st_size
        finally:
            os.close(fd)
        known = self.find(digest)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.utime(temporary)
        temporary.replace(path)
        self._count(size - (known.size if known else 0))
        return Artifact(digest, path, size)

    def make_room(self, size: int) -> None:
        """Evict at least `size` bytes, because the disk is full. Blocks."""
        self._eviction.evict(spare=size)

    async def settled(self) -> None:
        """Wait until the folder has been looked through and nothing is left to evict."""
        await asyncio.wrap_future(self._sweeper.submit(int))

    def _count(self, size: int) -> None:
        try:
            too_much = self._eviction.add(size)
        except OSError as error:
            # Nothing was lost: the next look through the folder corrects the count.
            log.warning("artifact not counted", reason=str(error))
            return
        if too_much:
            self._sweep(self._eviction.evict)
        elif self._eviction.is_due():
            self._sweep(self._eviction.scan)

    def _sweep(self, work: Callable[[], None]) -> None:
        # After the end of the store, the next start looks through the folder.
        with suppress(RuntimeError):
            self._sweeper.submit(_logged, work)

    def _open(self) -> None:
        try:
            self._prepare()
        except OSError as error:
            raise CacheUnusable(str(self.directory), (error.strerror or str(error)).lower()) from error
        if not os.access(self.partials, os.W_OK | os.X_OK):
            raise CacheUnusable(str(self.directory), "it may not be written")

    def _prepare(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.partials.mkdir(mode=0o700, exist_ok=True)

    def _judge(self, digest: str, path: Path, status: os.stat_result) -> Artifact | None:
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            return None
        if abs(time.time() - status.st_mtime) > TOUCH:
            with suppress(OSError):
                os.utime(path)
        return Artifact(digest, path, status.st_size)


def _logged(work: Callable[[], None]) -> None:
    try:
        work()
    except OSError as error:
        log.warning("artifacts could not be looked through", reason=str(error))
