"""The pin ledger: what digest a file name had when it was first served, by source; kept for good.

It is no cache: what it knows cannot be found out again, so it is a database of its own, shared by the processes of
this machine, and goes from one machine to another by `wheelgate pins export` and `import`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import structlog

from proxy.rules.pins import Pin

log = structlog.get_logger(__name__)

T = TypeVar("T")

_BUSY = 5.0
"""Seconds to wait for another process that writes."""
_TABLE = """
CREATE TABLE IF NOT EXISTS pins (
    source TEXT NOT NULL, project TEXT NOT NULL, filename TEXT NOT NULL,
    sha256 TEXT NOT NULL, first_served REAL NOT NULL,
    found TEXT NOT NULL DEFAULT '', found_at REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (source, project, filename)
) WITHOUT ROWID
"""
_FIELDS = "source, project, filename, sha256, first_served, found, found_at"


class Pins:
    """The ledger. Trouble with its disk is told in the log, and costs pins, never an answer."""

    def __init__(self, file: Path) -> None:
        """Keep it in `file`."""
        self.file = file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pins")
        self._database: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        """Open it."""
        await self._run(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        if self._database is not None:
            await self._run(self._database.close)
        self._thread.shutdown(wait=False)

    @property
    def is_open(self) -> bool:
        """Whether there is a ledger at all; what is wrong where there is none, the log has said."""
        return self._database is not None

    async def of(self, source: str, project: str) -> list[Pin]:
        """Give what was served of a project from a source."""
        where = "source = ? AND project = ?"
        return await self._run(self._select, where, (source, project))

    async def all(self, project: str | None = None) -> list[Pin]:
        """Give all pins, or those of a project."""
        return await self._run(self._select, "1" if project is None else "project = ?", (project,) if project else ())

    async def put(self, pin: Pin) -> Pin:
        """Keep a pin unless there is one, and give the one that counts."""
        return await self._run(self._put, pin)

    async def alarm(self, pin: Pin) -> bool:
        """Note on a pin what was found instead; say whether that is news."""
        update = (
            "UPDATE pins SET found = ?, found_at = ? WHERE source = ? AND project = ? AND filename = ? AND found != ?"
        )
        row = (pin.found, pin.found_at, pin.source, pin.project, pin.filename, pin.found)
        return await self._run(self._change, [(update, row)]) > 0

    async def accept(self, pins: Iterable[Pin]) -> None:
        """Let what was found count from now on."""
        update = (
            "UPDATE pins SET sha256 = found, found = '', found_at = 0 WHERE source = ? AND project = ? AND filename = ?"
        )
        await self._run(self._change, [(update, (pin.source, pin.project, pin.filename)) for pin in pins])

    async def add(self, pins: Iterable[Pin]) -> list[tuple[Pin, Pin]]:
        """Add pins that are not there yet; give those that disagree with what is, as (offered, kept)."""
        return await self._run(self._add, list(pins))

    async def version(self) -> int:
        """Give a number that changes whenever a pin was changed, though not when one was only added by serving."""
        return await self._run(self._version)

    async def _run(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _open(self) -> None:
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            database = sqlite3.connect(self.file, timeout=_BUSY, isolation_level=None, check_same_thread=False)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(_TABLE)
        except (sqlite3.Error, OSError) as error:
            remedy = "restore the file, or move it away to begin anew"
            _complain("pins: going without, changed bytes are not noticed", error, remedy=remedy)
            return
        self._database = database

    def _select(self, where: str, values: tuple[object, ...]) -> list[Pin]:
        if self._database is None:
            return []
        try:
            rows = self._database.execute(f"SELECT {_FIELDS} FROM pins WHERE {where} ORDER BY 2, 3, 1", values)  # noqa: S608 - both are ours
            return [Pin(*row) for row in rows]
        except sqlite3.Error as error:
            _complain("pins cannot be read", error)
            return []

    def _put(self, pin: Pin) -> Pin:
        if self._database is None:
            return pin
        try:
            self._database.execute(
                f"INSERT OR IGNORE INTO pins ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - ours
                (pin.source, pin.project, pin.filename, pin.sha256, pin.first_served, pin.found, pin.found_at),
            )
        except sqlite3.Error as error:
            _complain("pin cannot be kept", error, filename=pin.filename)
        where = "source = ? AND project = ? AND filename = ?"
        return next(iter(self._select(where, (pin.source, pin.project, pin.filename))), pin)

    def _add(self, pins: list[Pin]) -> list[tuple[Pin, Pin]]:
        kept = [(pin, self._put(pin)) for pin in pins]
        self._change([])
        return [(offered, found) for offered, found in kept if offered.sha256 != found.sha256]

    def _change(self, statements: list[tuple[str, tuple[object, ...]]]) -> int:
        if self._database is None:
            return 0
        try:
            changed = sum(self._database.execute(text, values).rowcount for text, values in statements)
            if changed or not statements:
                self._database.execute(f"PRAGMA user_version = {(self._version() + 1) % (1 << 31)}")
        except sqlite3.Error as error:
            _complain("pins cannot be changed", error)
            return 0
        return changed

    def _version(self) -> int:
        if self._database is None:
            return 0
        try:
            return int(self._database.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.Error:
            return 0


def _complain(what: str, error: Exception, **more: str) -> None:
    log.error(what, reason=str(error), **more)
