"""Many lines at once, as cheaply as they can be made: what requests leave in the log."""

from __future__ import annotations

import asyncio
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Generic, TypeVar

import msgspec
import structlog

from proxy.telemetry.logs import scrub

T = TypeVar("T")

EVERY = 0.25
"""Seconds between two batches: so much is lost where the process is killed."""

_encode = msgspec.json.Encoder().encode


class Batches(Generic[T]):
    """Collects what was noted, and has it written at once, behind the answers."""

    def __init__(self, write: Callable[[list[T]], None]) -> None:
        """Let `write` have each batch, on the event loop."""
        self._write = write
        self._waiting: list[T] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, noted: T) -> None:
        """Take note of one more."""
        self._waiting.append(noted)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY, self.flush)

    def flush(self) -> None:
        """Have what is waiting written now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._write(waiting)


def moment(at: float) -> str:
    """Give a time in seconds since the epoch as the log has it."""
    return f"{_second(int(at))}.{int(at % 1 * 1_000_000):06d}Z"


@lru_cache(maxsize=4096)
def scrubbed(text: str) -> str:
    """Give a text without secrets; clients and paths recur."""
    return scrub(text)


def are_json() -> bool:
    """Say whether the log's lines are JSON."""
    return isinstance(structlog.get_config()["processors"][-1], structlog.processors.JSONRenderer)


def write_json(lines: Iterable[object]) -> None:
    """Write lines to the log's stream, past the processors that each single event goes through."""
    for batch in _batches(_encode(line) for line in lines):
        sys.stderr.write(batch.decode())
        sys.stderr.flush()


def _batches(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Put lines together as far as a pipe takes them in one piece, so that no other process writes in between."""
    batch = bytearray()
    for line in lines:
        if batch and len(batch) + len(line) + 1 > select.PIPE_BUF:
            yield bytes(batch)
            batch.clear()
        batch += line + b"\n"
    if batch:
        yield bytes(batch)


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
