"""Rows 11, 12 and 13: processes beside each other, what one of them occupies, and clients that say nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench import load
from bench.machine import HOST
from bench.model import OURS, Finding, Goal, interleaved
from bench.rows.files import BIG
from bench.rows.warm import SMALL
from bench.stage import FAILURES, Contender, Stage
from bench.upstream.contents import HTML, JSON

_ASKING = {"Accept": JSON, "Accept-Encoding": "gzip"}
_PAGE = {"Accept": HTML, "Accept-Encoding": "identity"}
HALF_OPEN = 500
_QUICK_SIZE = 100_000_000


def two_processes(stage: Stage) -> list[Finding]:
    """Row 11.

    Load and servers share two cores here, so requests a second would tell how wrk and they get along. What a set of
    processes can do is bounded by the busiest one: requests for each of its CPU seconds.
    """
    both = sorted({stage.server_core, stage.load_core})
    settings = ['fresh = "1 d"']
    with (
        stage.ours(settings=settings) as one,
        stage.ours(settings=settings, on=both, processes=2) as two,
    ):
        contenders = {"one": one, "two": two}
        for contender in contenders.values():
            # Each process remembers for itself.
            for _ in range(20):
                stage.can_be_had(contender, SMALL, _ASKING)

        def capacity(name: str) -> float:
            given = stage.load(contenders[name], SMALL, _ASKING, connections=64)
            return given.requests / max(given.busiest, 0.01)

        values = interleaved(stage.options.rounds, {name: lambda name=name: capacity(name) for name in contenders})  # type: ignore[misc]
    unit = "requests per CPU second of the busiest process"
    return [Finding("two to one", values["two"] / values["one"], Goal(1.7, 1.9), values, unit)]


def memory(stage: Stage) -> list[Finding]:
    """Row 12."""
    pages = stage.options.pick(10_000, 1_000)
    size = stage.options.pick(BIG, _QUICK_SIZE)
    with stage.ours(settings=['fresh = "1 d"']) as ours:
        idle = ours.server.memory().now
        with load.client(ours.server.port) as client:
            for number in range(pages):
                client.get(ours.path(f"simple/small-{10_000 + number}/"), _ASKING)
        added = ours.server.memory().now - idle
    with stage.ours() as ours:
        path = f"file-{size}-500/file_{size}_500-1.0-py3-none-any.whl"
        load.get(ours.server.port, ours.path(f"simple/file-{size}-500/"))
        before = ours.server.memory().now
        ours.server.forget_peak()
        for _ in ("cold", "warm"):
            load.read(ours.server.port, ours.path(f"files/{path}"), clients=8)
        streaming = ours.server.memory().peak - before
    return [
        Finding("idle", idle, Goal(60, 50, "MiB"), note="resident, libraries included"),
        Finding(f"added by {pages:,} warm pages", added, Goal(60, 40, "MiB")),
        Finding(f"added by 8 x {size // 1_000_000} MB, cold and warm, at the peak", streaming, Goal(32, 10, "MiB")),
    ]


def half_open_clients(stage: Stage) -> list[Finding]:
    """Row 13."""
    with stage.ours(settings=['fresh = "1 d"']) as ours:
        stage.can_be_had(ours, SMALL, _PAGE)

        def p50() -> float:
            return stage.load(ours, SMALL, _PAGE, connections=1).p50

        def p50_among_them() -> float:
            with _half_open(ours):
                return p50()

        try:
            values = interleaved(stage.options.rounds, {"without": p50, "with": p50_among_them})
        except FAILURES as error:
            return [Finding("p50 to without them", None, Goal(1.5, 1.1), note=f"{OURS} did not answer: {error}")]
    return [Finding("p50 to without them", values["with"] / values["without"], Goal(1.5, 1.1), values, "ms")]


@contextmanager
def _half_open(ours: Contender) -> Iterator[None]:
    """Connect clients of which half never finish their question, and half never read the answer."""
    with ExitStack() as stack:
        for number in range(HALF_OPEN):
            connection = stack.enter_context(socket.create_connection((HOST, ours.server.port), timeout=10))
            connection.sendall(b"GET /simple/large-0/ HTTP/1.1\r\nHost: x\r\n")
            if number % 2:
                connection.sendall(b"Accept: text/html\r\n\r\n")
        time.sleep(0.5)
        yield
