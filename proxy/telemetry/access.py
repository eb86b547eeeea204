"""One line for each request, written in batches: a line of its own costs more than many an answer."""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import Self

import msgspec
import structlog

from proxy.telemetry.audit import Audit, Subject
from proxy.telemetry.lines import Batches, are_json, moment, scrubbed, write_json

log = structlog.get_logger(__name__)

AGENT = 40
"""How much of a client's User-Agent is shown, in characters."""


class Noted(msgspec.Struct, gc=False):
    """One answered request."""

    method: str
    path: str
    route: str
    status: int
    """0: its answer was broken off."""
    seconds: float
    client: str
    agent: str
    request_id: str = ""
    subject: Subject | None = None
    """What the audit has to know of it."""
    at: float = 0.0


class Line(msgspec.Struct, gc=False):
    """One answered request, as the log has it."""

    timestamp: str
    level: str
    event: str
    method: str
    path: str
    route: str
    status: int | str
    ms: float
    client: str
    agent: str
    request_id: str = ""
    worker: int | msgspec.UnsetType = msgspec.UNSET
    """Which of many processes has answered."""


class AccessLog:
    """Collects the lines of requests, and writes them behind their answers."""

    def __init__(self, audit: Audit | None = None) -> None:
        """Write as the other logs do: the same level, form and stream; hand on to `audit` what it has to know."""
        self._audit = audit or Audit(is_on=False)
        self._batches: Batches[Noted] = Batches(self._write)
        self._worker: int | msgspec.UnsetType = structlog.contextvars.get_contextvars().get("worker", msgspec.UNSET)
        self._is_logging = log.is_enabled_for(logging.INFO)
        self.is_on = self._is_logging or self._audit.is_on

    async def __aenter__(self) -> Self:
        """Give itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is still waiting."""
        self.flush()

    def note(self, request: Noted) -> None:
        """Take note of an answered request."""
        request.at = time.time()
        if request.subject is not None:
            self._audit.note(
                request.subject,
                at=request.at,
                status=request.status,
                client=request.client,
                agent=request.agent,
                request_id=request.request_id,
            )
        if not self._is_logging:
            return
        self._batches.add(request)

    def flush(self) -> None:
        """Write what is waiting."""
        self._batches.flush()

    def _write(self, waiting: list[Noted]) -> None:
        lines = [_line(noted, self._worker) for noted in waiting]
        if are_json():
            write_json(lines)
            return
        for line in lines:
            fields = {
                key: value for key, value in msgspec.structs.asdict(line).items() if value not in {"", msgspec.UNSET}
            }
            log.info(fields.pop("event"), **{key: fields[key] for key in fields if key not in {"timestamp", "level"}})


def _line(noted: Noted, worker: int | msgspec.UnsetType) -> Line:
    return Line(
        timestamp=moment(noted.at),
        level="info",
        event="request",
        method=noted.method,
        path=scrubbed(noted.path),
        route=noted.route,
        status=noted.status or "aborted",
        ms=round(noted.seconds * 1000, 1),
        client=noted.client,
        agent=scrubbed(noted.agent[:AGENT]),
        request_id=noted.request_id,
        worker=worker,
    )
