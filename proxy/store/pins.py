"""The pin ledger: what digest a file name had when it was first served, by source; kept for good.

It is no cache: what it knows cannot be found out again, so it is a database of its own, shared by the processes of
this machine, and goes from one machine to another by `wheelgate pins export` and `import`.

What is in it and cannot be read is not "nothing": then nobody can say whether bytes have changed, and that is an error
for whoever asks. What cannot be written down costs pins and raises an alarm, but never an answer.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import structlog

from proxy.errors import LedgerUnreadable
from proxy.rules.pins import Pin

log = structlog.get_logger(__name__)

T = TypeVar("T")

_BUSY = 5.0
"""Seconds to wait for another process that writes."""
_TURN = 0.01
"""Seconds between two attempts to open one that another process has to itself."""
_TAKEN = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
"""The primary error codes of a database that is another's for a moment; the extended ones keep them in the low byte."""
AGAIN = 5.0
"""Seconds after which one that could not be opened is tried again."""
_REMEDY = "restore the file (from wheelgate pins export), or move it away to begin anew; no restart is needed"
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
    """The ledger."""

    def __init__(self, file: Path, *, tell: Callable[[bool], None] | None = None, again: float = AGAIN) -> None:
        """Keep it in `file`; `tell` is told whether it is out of order, and `again` is how soon it is tried again."""
        self.file = file
        self._tell = tell or _nobody
        self._again = again
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pins")
        self._database: sqlite3.Connection | None = None
        self._is_frozen = False
        self._reason = ""
        self._tried_at = 0.0

    async def __aenter__(self) -> Self:
        """Open it."""
        await self._run(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    @property
    def is_open(self) -> bool:
        """Whether there is a ledger that can be read and written; what is wrong where not, the log has said."""
        return self._database is not None and not self._is_frozen

    @property
    def trouble(self) -> str:
        """What was wrong the last time; empty where nothing was."""
        return self._reason

    def of(self, source: str, project: str) -> asyncio.Future[list[Pin]]:
        """Give what was served of a project from a source; it is read from now on, whoever waits for it.

        Raises: LedgerUnreadable.
        """
        where = "source = ? AND project = ?"
        return self._begin(self._select, where, (source, project))

    async def all(self, project: str | None = None) -> list[Pin]:
        """Give all pins, or those of a project. Raises: LedgerUnreadable."""
        return await self._run(self._select, "1" if project is None else "project = ?", (project,) if project else ())

    async def projects(self) -> set[tuple[str, str]] | None:
        """Give the projects that have pins, each with its source; `None` where that cannot be read."""
        return await self._run(self._projects)

    async def put(self, pin: Pin) -> Pin:
        """Keep a pin unless there is one, and give the one that counts. Raises: LedgerUnreadable."""
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
        return await self._begin(work, *args)

    def _begin(self, work: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _open(self) -> None:
        self._tried_at = time.monotonic()
        self._close()
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = _opened(self.file)
        except (sqlite3.Error, OSError) as error:
            self._database, self._is_frozen = _frozen(self.file), True
            used = "what it has is held to, nothing is added" if self._database else "what it has cannot be known"
            self._complain("pin ledger cannot be opened", error, file=str(self.file), used=used, remedy=_REMEDY)
            return
        self._is_frozen, self._reason = False, ""
        self._tell(False)

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _select(self, where: str, values: tuple[object, ...]) -> list[Pin]:
        if not self.is_open and time.monotonic() - self._tried_at >= self._again:
            self._open()
        if self._database is None:
            if _is_there(self.file):
                raise LedgerUnreadable(str(self.file), self._reason)
            return []
        try:
            rows = self._database.execute(f"SELECT {_FIELDS} FROM pins WHERE {where} ORDER BY 2, 3, 1", values)  # noqa: S608 - both are ours
            return [Pin(*row) for row in rows]
        except sqlite3.Error as error:
            self._complain("pins cannot be read", error, file=str(self.file), remedy=_REMEDY)
            self._tried_at = time.monotonic()
            self._close()
            raise LedgerUnreadable(str(self.file), str(error)) from error

    def _projects(self) -> set[tuple[str, str]] | None:
        if self._database is None or self._is_frozen:
            return None
        try:
            return set(self._database.execute("SELECT DISTINCT source, project FROM pins"))
        except sqlite3.Error:
            return None

    def _put(self, pin: Pin) -> Pin:
        try:
            if self._database is not None:
                self._database.execute(
                    f"INSERT OR IGNORE INTO pins ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - ours
                    (pin.source, pin.project, pin.filename, pin.sha256, pin.first_served, pin.found, pin.found_at),
                )
                self._reason = ""
                self._tell(False)
        except sqlite3.Error as error:
            self._complain("pin cannot be kept", error, filename=pin.filename)
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
            self._complain("pins cannot be changed", error)
            return 0
        return changed

    def _version(self) -> int:
        if self._database is None:
            return 0
        try:
            return int(self._database.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.Error:
            return 0

    def _complain(self, what: str, error: Exception, **more: str) -> None:
        self._tell(True)
        # While it stays as it is, it is tried again and again: once is enough to say so.
        if str(error) != self._reason:
            self._reason = str(error)
            log.error(what, reason=self._reason, **more)


def _nobody(is_out_of_order: bool) -> None:
    """Tell nobody."""


def _opened(file: Path) -> sqlite3.Connection:
    """Open one for writing, however many processes do so at this moment.

    SQLite does not wait itself: of two that turn a new one to WAL, or find one being closed, one is refused at once.
    """
    until = time.monotonic() + _BUSY
    while True:
        try:
            return _connected(file)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _TAKEN or time.monotonic() >= until:
                raise
        time.sleep(_TURN)


def _connected(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(_TABLE)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _frozen(file: Path) -> sqlite3.Connection | None:
    """Open a ledger as it lies there, for reading: its disk is full, or may not be written."""
    if not _is_there(file):
        return None
    where = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        database = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)
    except sqlite3.Error:
        return None
    try:
        database.execute(f"SELECT {_FIELDS} FROM pins LIMIT 1").fetchall()  # noqa: S608 - ours
    except sqlite3.Error:
        database.close()
        return None
    return database


def _is_there(file: Path) -> bool:
    """Say whether there is a file; one in a folder that may not be looked into may well be there."""
    try:
        return file.exists()
    except OSError:
        return True
