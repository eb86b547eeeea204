"""The index: small records by key, kept on disk and shared by the processes of this machine.

It is a cache: a record may be gone at any time, and trouble with the disk costs records, never an
answer. Over diskcache, which would pickle what it does not know, and unpickle what it finds: a
pickle in a cache folder is code execution (CVE-2025-69872). The `Disk` here knows `str` keys and
`bytes` values and nothing else, both ways, and keeps no files beside the database: a planted row
can neither run code nor name a file to read or remove.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

import diskcache
import structlog
from diskcache.core import DBNAME, MODE_RAW

log = structlog.get_logger(__name__)

T = TypeVar("T")

_Row = tuple[str, bytes, float | None]
"""A key, its record, and for how many seconds it is kept."""

LEISURE = 0.01
"""Seconds for which a record that nobody waits for may wait for company."""
_BUSY = 5.0
"""Seconds to wait for another process that writes."""
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_GONE = "no such table"
_SIDES = ("", "-wal", "-shm")


class Refused(Exception):
    """A row, or a value for one, is not of the one kind that the index holds."""


class BytesDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
    """How keys and values become a row's fields and back: `str` and `bytes` as they are, or not at all."""

    def put(self, key: object) -> tuple[str, bool]:
        """Give the field of a key."""
        if type(key) is not str:
            raise Refused(f"a key is {type(key).__name__}, not str")
        return key, True

    def get(self, key: object, raw: object) -> str:
        """Give the key of a field."""
        if type(key) is not str or not raw:
            raise Refused("a row's key is not str")
        return key

    def store(self, value: object, read: object, key: object = None) -> tuple[int, int, None, sqlite3.Binary]:  # noqa: ARG002 - diskcache's signature
        """Give the fields of a value."""
        if type(value) is not bytes or read:
            raise Refused(f"a value is {type(value).__name__}, not bytes")
        return 0, MODE_RAW, None, sqlite3.Binary(value)

    def fetch(self, mode: object, filename: object, value: object, read: object) -> bytes:
        """Give the value of a row's fields."""
        if mode != MODE_RAW or filename is not None or type(value) is not bytes or read:
            raise Refused("a row's value is not bytes")
        return value

    def filename(self, key: object = None, value: object = None) -> NoReturn:  # noqa: ARG002 - as above
        """Name no file: there are none."""
        raise Refused("the index keeps no files")

    def remove(self, file_path: object) -> None:
        """Remove nothing: there are no files, and a planted row must not name one."""


class Index:
    """Records by key. Reading and writing have a thread each, so that no reader waits for a writer's disk."""

    def __init__(self, directory: Path, *, size: int = 1 << 30) -> None:
        """Keep up to about `size` bytes of records in `directory`; the least recently stored go first."""
        self._directory = directory
        self._size = size
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="index-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="index-write")
        self._turn = asyncio.Lock()
        self._batch: dict[str, _Row] = {}
        self._being_written: dict[str, _Row] = {}
        self._cache: Any = None
        self._inode = 0

    async def __aenter__(self) -> Self:
        """Open the database, or start anew where it is broken."""
        await self._run(self._writer, self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what those who left meant to keep, and close the database."""
        if self._batch:
            await self._run(self._writer, self._write, [*self._batch.values()])
        for thread in (self._reader, self._writer):
            if self._cache is not None:
                await self._run(thread, self._cache.close)
            thread.shutdown(wait=False)

    async def get(self, key: str) -> bytes | None:
        """Give the record of `key`, or `None` where there is none; what is about to be written is there already."""
        soon = self._batch.get(key) or self._being_written.get(key)
        return await self._run(self._reader, self._read, key) if soon is None else soon[1]

    async def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Give the records that are there of `keys`, those that are about to be written too."""
        wanted = list(keys)
        soon = self._being_written | self._batch
        found = {key: soon[key][1] for key in wanted if key in soon}
        rest = [key for key in wanted if key not in found]
        return found | (await self._run(self._reader, self._read_many, rest) if rest else {})

    async def put(self, key: str, value: bytes, *, expire: float | None = None, at_leisure: bool = False) -> None:
        """Keep `value` as the record of `key`, for at most `expire` seconds; done when it is on the disk.

        What comes while others are being written is written at once after them: a transaction costs as much as
        twenty records. `at_leisure`, for where nobody waits, gives others time to come.
        """
        batch = self._batch
        batch[key] = (key, value, expire)
        if at_leisure:
            await asyncio.sleep(LEISURE)
        async with self._turn:
            if batch is self._batch:
                self._batch, self._being_written = {}, batch
                rows = [*batch.values()]
                writing = asyncio.get_running_loop().run_in_executor(self._writer, self._write, rows)
                writing.add_done_callback(lambda _: self._written(batch))
                # Whoever leaves takes nobody else's record along.
                await asyncio.shield(writing)

    async def delete(self, key: str) -> None:
        """Forget the record of `key`."""
        self._batch.pop(key, None)
        self._being_written.pop(key, None)
        await self._run(self._writer, self._remove, key)

    def _written(self, batch: dict[str, _Row]) -> None:
        if self._being_written is batch:
            self._being_written = {}

    async def _run(self, thread: ThreadPoolExecutor, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, work, *args)

    def _read(self, key: str) -> bytes | None:
        try:
            return self._attempt(lambda cache: cache.get(key))
        except Refused:
            log.warning("index: a foreign record was removed", key=key)
            self._writer.submit(self._remove, key)
            return None

    def _read_many(self, keys: list[str]) -> dict[str, bytes]:
        found = ((key, self._read(key)) for key in keys)
        return {key: value for key, value in found if value is not None}

    def _write(self, batch: Sequence[_Row]) -> None:
        def write(cache: Any) -> None:  # noqa: ANN401 - diskcache has no types
            if len(batch) == 1:
                key, value, expire = batch[0]
                cache.set(key, value, expire=expire)
                return
            with cache.transact():
                for key, value, expire in batch:
                    cache.set(key, value, expire=expire)

        self._attempt(write)

    def _remove(self, key: str) -> None:
        self._attempt(lambda cache: cache.delete(key))

    def _attempt(self, work: Callable[[Any], T]) -> T | None:
        """Work on the database; a broken one is replaced, any other trouble is logged."""
        cache = self._cache
        if cache is None:
            return None
        try:
            return work(cache)
        except (sqlite3.Error, diskcache.Timeout, OSError) as error:
            # What failed in the middle (a full disk on COMMIT) would leave the transaction open for ever.
            with suppress(sqlite3.Error):
                cache.close()
            log.warning("index: trouble with the disk", reason=str(error) or type(error).__name__)
            if _is_broken(error):
                self._writer.submit(self._replace, cache)
        return None

    def _replace(self, cache: object) -> None:
        """Start anew, unless somebody did since `cache` was opened."""
        if cache is self._cache:
            self._set_aside()
            self._open()

    def _open(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._directory.chmod(0o700)
            self._inode = _inode_of(self._directory / DBNAME)
            try:
                self._cache = self._connect()
            # Besides a broken file: settings in it that diskcache chokes on.
            except (sqlite3.DatabaseError, TypeError, AttributeError, ValueError) as error:
                log.warning("index: broken, starting anew", reason=str(error))
                self._set_aside()
                self._cache = self._connect()
            self._inode = _inode_of(self._directory / DBNAME)
        except (sqlite3.Error, OSError) as error:
            log.warning("index: going without, nothing is remembered on disk", reason=str(error))
            self._cache = None

    def _connect(self) -> diskcache.Cache:
        return diskcache.Cache(
            str(self._directory),
            timeout=_BUSY,
            disk=BytesDisk,
            size_limit=self._size,
            # Of each connection: diskcache's own 32 MiB would be most of the process.
            sqlite_cache_size=512,
            sqlite_mmap_size=0,
        )

    def _set_aside(self) -> None:
        """Move the broken files away, over those of last time; another process may have been quicker."""
        if not self._inode or _inode_of(self._directory / DBNAME) != self._inode:
            return
        for side in _SIDES:
            with suppress(FileNotFoundError):
                os.replace(self._directory / f"{DBNAME}{side}", self._directory / f"broken.db{side}")  # noqa: PTH105
        log.warning("index: set aside", file="broken.db")


def _is_broken(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in _BROKEN or _GONE in str(error)


def _inode_of(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
