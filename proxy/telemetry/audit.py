"""The audit: one line for each artifact that was served and each request that a rule refused.

It goes to the log, or to a file of its own that is rotated by size. The file is shared by all processes: a batch is
appended in one write, under the lock of the file, so that no line is torn and nobody writes into one rotated away.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import structlog

from proxy.telemetry.lines import Batches, are_json, moment, scrubbed, write_json

log = structlog.get_logger(__name__)

AGENT = 100
"""How much of a client's User-Agent is kept, in characters."""


class Subject(msgspec.Struct, frozen=True, gc=False):
    """What a request was about."""

    feed: str
    project: str
    version: str = ""
    filename: str = ""
    sha256: str = ""
    source: str = ""
    rule: str = ""
    """The rule that refused it; empty where it was served."""
    reason: str = ""


class Line(msgspec.Struct, gc=False, omit_defaults=True):
    """One line of the audit."""

    timestamp: str
    event: str
    """`served`, `refused`, or `broken off`: the client has not got all of it."""
    status: int
    client: str
    feed: str
    project: str
    version: str = ""
    filename: str = ""
    sha256: str = ""
    source: str = ""
    rule: str = ""
    reason: str = ""
    agent: str = ""
    request_id: str = ""


class _Noted(msgspec.Struct, frozen=True, gc=False):
    """What is known of an answer when it is given; lines are made of many at once, behind the answers."""

    subject: Subject
    at: float
    status: int
    client: str
    agent: str
    request_id: str


_encode = msgspec.json.Encoder().encode


class Audit:
    """Collects lines, and writes them behind the answers."""

    def __init__(self, file: Path | None = None, *, size: int = 100 << 20, keep: int = 10, is_on: bool = True) -> None:
        """Write to `file`, rotated at `size` bytes with `keep` old ones; `None`: to the log."""
        # What the log does not show is not collected for it.
        self.is_on = is_on and (file is not None or log.is_enabled_for(logging.INFO))
        self._file = file
        self._size = size
        self._keep = keep
        self._batches: Batches[_Noted] = Batches(self._write)
        worker = structlog.contextvars.get_contextvars().get("worker")
        self._own = {} if worker is None else {"worker": worker}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="audit")

    async def __aenter__(self) -> Self:
        """Give itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is still waiting."""
        self.flush()
        await asyncio.to_thread(self._writer.shutdown)

    def note(self, subject: Subject, *, at: float, status: int, client: str, agent: str, request_id: str) -> None:
        """Take note of an answer; status 0: it was broken off. What was neither served nor refused is no matter."""
        if not self.is_on or not (subject.rule or status in _EVENTS):
            return
        self._batches.add(_Noted(subject, at, status, client, agent, request_id))

    def flush(self) -> None:
        """Write what is waiting."""
        self._batches.flush()

    def _write(self, waiting: list[_Noted]) -> None:
        if self._file is not None:
            self._writer.submit(self._append_all, self._file, waiting)
            return
        events = [_fields(_line(noted)) for noted in waiting]
        if are_json():
            write_json(
                {"timestamp": one["at"], "level": "info", "event": "audit", **one, **self._own} for one in events
            )
            return
        for one in events:
            log.info("audit", **one)

    def _append_all(self, file: Path, waiting: list[_Noted]) -> None:
        self._append(file, b"".join(_encode(_line(noted)) + b"\n" for noted in waiting))

    def _append(self, file: Path, lines: bytes) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            while not self._append_to(file, lines):
                pass
        except OSError as error:
            log.error(  # noqa: TRY400 - the lines are what matters
                "audit cannot be written",
                file=str(file),
                reason=error.strerror,
                remedy="name a file that the server's user may write, as audit.file; these lines are only here",
                lines=lines.decode(),
            )

    def _append_to(self, file: Path, lines: bytes) -> bool:
        """Append to the file that has the name now; `False`: another process has rotated it meanwhile."""
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            about = os.fstat(handle)
            if about.st_nlink == 0 or not _is_at(file, about):
                return False
            if about.st_size and about.st_size + len(lines) > self._size:
                self._rotate(file)
                return False
            while lines:
                lines = lines[os.write(handle, lines) :]
        finally:
            os.close(handle)
        return True

    def _rotate(self, file: Path) -> None:
        for number in range(self._keep, 0, -1):
            older = file if number == 1 else file.with_name(f"{file.name}.{number - 1}")
            with suppress(FileNotFoundError):
                older.rename(file.with_name(f"{file.name}.{number}"))
        if self._keep == 0:
            file.unlink()


_EVENTS = {200: "served", 206: "served", 0: "broken off"}


def _line(noted: _Noted) -> Line:
    subject = noted.subject
    return Line(
        timestamp=moment(noted.at),
        event="refused" if subject.rule else _EVENTS[noted.status],
        status=noted.status,
        client=noted.client,
        feed=subject.feed,
        project=subject.project,
        version=subject.version,
        filename=subject.filename,
        sha256=subject.sha256,
        source=subject.source,
        rule=subject.rule,
        reason=subject.reason,
        agent=scrubbed(noted.agent[:AGENT]),
        request_id=noted.request_id,
    )


def _fields(line: Line) -> dict[str, Any]:
    """Give the line as the fields of one in the log, which has an event and a timestamp of its own."""
    fields = {key: value for key, value in msgspec.structs.asdict(line).items() if value != ""}
    return {"what": fields.pop("event"), "at": fields.pop("timestamp"), **fields}


def _is_at(file: Path, about: os.stat_result) -> bool:
    try:
        return os.path.samestat(about, file.stat())
    except FileNotFoundError:
        return False
