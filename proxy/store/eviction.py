"""Keeps the artifacts under their size: the least recently used ones go first.

How much is kept is a number in a small file that all processes add to, so neither a start nor a
receipt has to look through the folder. Looking through it (in a thread) corrects the number;
that happens once after a start, and when the number says that it is too much.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from proxy.store.partial import FOLDER, NOTED, Partial

log = structlog.get_logger(__name__)

KEEP = 0.9
"""The part of the size that is left after an eviction."""
ABANDONED = 6 * 3600.0
"""Seconds after which a partial file that nobody writes is given up."""

INTERVAL = 3600.0
"""Seconds between two looks through the folder that nothing else asks for."""
_ROUNDS = 10


class Eviction:
    """The size limit of one folder of artifacts, shared with the other processes. Its calls block."""

    def __init__(self, directory: Path, size: int) -> None:
        """Limit the artifacts in `directory` to `size` bytes."""
        self._directory = directory
        self._size = size
        self._due = 0.0
        self.stopped = threading.Event()

    def add(self, size: int) -> bool:
        """Count `size` bytes more; tell whether it is too much now."""
        with self._usage() as fd:
            total = _read_number(fd) + size
            _write_number(fd, total)
        return total > self._size

    def is_due(self) -> bool:
        """Tell, once for each `INTERVAL`, that it is time for a `scan`: what fails leaves things behind."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + INTERVAL
        return True

    def scan(self) -> None:
        """Correct the count, remove what was left behind, and evict if it is too much."""
        self._remove_leftovers()
        with self._alone() as alone:
            if alone and self._look_through(None) > self._size:
                self._evict()

    def evict(self, *, spare: int = 0) -> None:
        """Remove the least recently used ones until it is not too much.

        `spare`: bytes to free whatever the limit says, because the disk itself is full.
        """
        with self._alone() as alone:
            if alone:
                self._evict(spare)

    def _evict(self, spare: int = 0) -> None:
        # What came meanwhile, from a process that found this one at it, is this one's to see to.
        for _ in range(_ROUNDS):
            total = self._look_through(spare)
            if total <= self._size or self.stopped.is_set():
                return
            spare = 0

    def _target(self, total: int, spare: int | None) -> int:
        """Give how much of `total` stays; `None` to spare: all of it."""
        return total if spare is None else min(round(self._size * KEEP), max(0, total - spare))

    def _look_through(self, spare: int | None) -> int:
        """Count what is there, and remove what is too much. Give what is left, and count that."""
        with self._usage() as fd:
            before = _read_number(fd)
        cutoff, total = self._cutoff(spare)
        limit = self._target(total, spare)
        removed = 0
        for path, status in self._files() if total > limit else ():
            if total <= limit:
                break
            # Seen again: one that was used since is not the least recently used any more.
            if status.st_mtime_ns > cutoff:
                continue
            with suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108 - from os.scandir, 100,000 of them
                removed += 1
            total -= status.st_size
        if self.stopped.is_set():
            return total  # it saw only a part
        if removed:
            log.info("artifacts evicted", removed=removed, bytes_kept=total, bytes_limit=self._size)
        with self._usage() as fd:
            # Counted by others meanwhile, and perhaps seen as well: rather too much than too little.
            total += max(0, _read_number(fd) - before)
            _write_number(fd, total)
        return total

    def _cutoff(self, spare: int | None) -> tuple[int, int]:
        """Give the last use (ns) up to which artifacts go, and what all of them take.

        Numbers only, no paths: a hundred thousand files must not cost tens of megabytes.
        """
        used, sizes = array("q"), array("q")
        for _, status in self._files():
            used.append(status.st_mtime_ns)
            sizes.append(status.st_size)
        total = left = sum(sizes)
        limit, cutoff = self._target(total, spare), -1
        for index in sorted(range(len(used)), key=used.__getitem__) if left > limit else ():
            if left <= limit:
                break
            cutoff = used[index]
            left -= sizes[index]
        return cutoff, total

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Give the artifacts, shard by shard; others may remove some meanwhile."""
        for number in range(256):
            # A moment for everybody else: nothing waits for this.
            if self.stopped.wait(0.001):
                return
            try:
                entries = os.scandir(self._directory / f"{number:02x}")
            except OSError:
                continue
            with entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        if entry.is_file(follow_symlinks=False):
                            yield entry.path, entry.stat(follow_symlinks=False)

    def _remove_leftovers(self) -> None:
        now = time.time()
        with suppress(OSError):
            for path in (self._directory / FOLDER).iterdir():
                with suppress(OSError):
                    _remove_if_left(path, now - path.stat(follow_symlinks=False).st_mtime)

    @contextmanager
    def _usage(self) -> Iterator[int]:
        with _locked(self._directory / "usage", fcntl.LOCK_EX) as fd:
            yield fd

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Tell whether no other process is at it: what it does need not be done twice."""
        try:
            with _locked(self._directory / "sweep", fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield True
        except BlockingIOError:
            yield False


def _remove_if_left(path: Path, age: float) -> None:
    if path.suffix:
        if age > NOTED and not path.with_suffix("").exists():
            path.unlink()
    elif age > ABANDONED:
        partial = Partial(path, os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC))
        if partial.lock():
            partial.remove()
            log.info("partial file removed", age_seconds=round(age))


@contextmanager
def _locked(path: Path, how: int) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, how)
        yield fd
    finally:
        os.close(fd)


def _read_number(fd: int) -> int:
    try:
        return max(0, int(os.pread(fd, 32, 0)))
    except ValueError:
        return 0


def _write_number(fd: int, number: int) -> None:
    os.pwrite(fd, f"{max(0, number):<31}\n".encode(), 0)
