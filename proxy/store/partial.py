"""A file that is not whole yet: its lock, its identity, and what others may know of it.

    partial/<sha256 of the key>         the bytes so far; flocked by the process that writes them
    partial/<sha256 of the key>.json    what they are the beginning of (`Identity`), or a digest already found

The lock is on the file itself, so it dies with its holder, and whoever gets it afterwards goes on
where the file stands. Other processes hold the same file open and learn everything from `fstat`:
how far it has grown, and from its mode bits the verdict on it (`Mark`). Both stay true when the
file is renamed or unlinked, which is why no further file has to be watched.

A file that has to begin anew gets a new inode: bytes of two identities never share one, and
whoever reads the old one sees that it is void.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import hashlib
import io
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from proxy.sources.base import Chunk

FOLDER = "partial"
NOTED = 60.0
"""Seconds for which a digest that was found is noted beside the partial file's place."""
_IOV = min(os.sysconf("SC_IOV_MAX"), 1024) if hasattr(os, "sysconf") else 16


class Mark(enum.IntEnum):
    """The verdict on the bytes, as the mode bits of the file that holds them.

    The folder is closed to everybody else, so the bits beyond the owner's open nothing.
    """

    GROWING = 0o600
    RIGHT = 0o640
    VOID = 0o604


class Identity(msgspec.Struct, frozen=True):
    """What the bytes in a partial file are the beginning of."""

    inode: int = 0
    """Of the file that this speaks of: left over from another one, it says nothing."""
    etag: str | None = None
    size: int | None = None
    """Of the whole file, in bytes."""
    digest: str | None = None
    """The sha256 that was found, once all is here: for sources that publish none."""


class Partial:
    """An open partial file. It closes itself with the last one who holds it, and the lock with it."""

    def __init__(self, path: Path, fd: int) -> None:
        """Take over the descriptor."""
        self.path = path
        self.fd = fd
        self.stream: BinaryIO = io.FileIO(fd, closefd=False)
        self.inode = os.fstat(fd).st_ino
        self.locked = False

    def __del__(self) -> None:
        """Close: readers come and go, and the last one is whoever happens to be it."""
        with suppress(OSError):
            os.close(self.fd)

    def lock(self) -> bool:
        """Become the one who writes, unless somebody is or the file is no longer in its place."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self.locked = self.is_in_place()
        if not self.locked:
            fcntl.flock(self.fd, fcntl.LOCK_UN)
        return self.locked

    def unlock(self) -> None:
        """Let another one write, also while readers here keep the file open."""
        if self.locked:
            self.locked = False
            fcntl.flock(self.fd, fcntl.LOCK_UN)

    def is_in_place(self) -> bool:
        """Whether the path still leads to this file: not finished, not begun anew, not removed."""
        try:
            return self.path.stat(follow_symlinks=False).st_ino == self.inode
        except FileNotFoundError:
            return False

    def look(self) -> tuple[int, Mark]:
        """Give the size in bytes and the verdict, as they are now."""
        status = os.fstat(self.fd)
        bits = status.st_mode & 0o777
        return status.st_size, Mark(bits) if bits in Mark._value2member_map_ else Mark.GROWING

    def mark(self, mark: Mark) -> None:
        """Make the verdict known to everybody who has the file open."""
        os.fchmod(self.fd, mark)

    def write(self, chunks: Sequence[Chunk], offset: int) -> None:
        """Write all `chunks` from `offset` on."""
        views = [memoryview(chunk) for chunk in chunks]
        while views:
            written = os.pwritev(self.fd, views[:_IOV], offset)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            offset += written
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
            if written:
                views[0] = views[0][written:]

    def begin(self, etag: str | None, size: int | None) -> None:
        """State what the bytes that follow are the beginning of."""
        write_identity(self.path, Identity(inode=self.inode, etag=etag, size=size))

    def identity(self) -> Identity | None:
        """Give what the bytes are the beginning of, or `None` where that is not (yet) known."""
        known = read_identity(self.path)
        return known if known is not None and known.inode == self.inode else None

    def renew(self) -> Partial:
        """Begin anew in another file, locked by us before anybody else can see it; void this one."""
        fresh = self.path.with_suffix(".new")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, Mark.GROWING)
        other = Partial(self.path, fd)
        fcntl.flock(fd, fcntl.LOCK_EX)
        fresh.replace(self.path)
        other.locked = True
        self.mark(Mark.VOID)
        self.unlock()
        return other

    def remove(self, *, mark: Mark = Mark.VOID) -> None:
        """Take the file away, with a verdict for those who have it open."""
        with suppress(OSError):
            self.mark(mark)
        if self.is_in_place():
            # The record goes first, and only if it is of this file: afterwards both belong to somebody else.
            if self.identity() is not None:
                self.path.with_suffix(".json").unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)


def place(folder: Path, key: str) -> Path:
    """Give the path of the partial file of `key`; nothing of the key itself gets into it."""
    return folder / hashlib.sha256(key.encode()).hexdigest()


def open_partial(path: Path) -> Partial:
    """Open or create the partial file at `path`, locked by us if nobody else has it."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, Mark.GROWING)
        partial = Partial(path, fd)
        # Between opening and locking, its holder may have finished and renamed it: then look again.
        if partial.lock() or partial.is_in_place():
            return partial


def read_identity(path: Path) -> Identity | None:
    """Read the record beside a partial file; `None` where it is missing or torn."""
    try:
        return msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Identity)
    except (OSError, msgspec.DecodeError):
        return None


def noted_digest(path: Path) -> str | None:
    """Give the digest found a moment ago for the file whose partial was at `path`.

    For sources that publish none: whoever comes just after the end, from another process, asks for
    the digest here, before what the others remember of it has reached them.
    """
    with suppress(OSError):
        if time.time() - path.with_suffix(".json").stat().st_mtime < NOTED:
            known = read_identity(path)
            return known.digest if known else None
    return None


def write_identity(path: Path, identity: Identity) -> None:
    """Write the record beside a partial file, whole or not at all."""
    fresh = path.with_suffix(".json-new")
    fresh.write_bytes(msgspec.json.encode(identity))
    fresh.replace(path.with_suffix(".json"))
