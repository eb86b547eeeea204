"""One configuration being served: it begins when everything is built, and ends when its last stream has.

The end, in this order: connections are taken no more; each answer from now on is its connection's last; what was
connected just now gets a moment to ask; idle connections are closed; streams have the grace period.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiohttp import web

from proxy.assembly import Machine, Readiness, build
from proxy.config import Config
from proxy.serving.listening import BACKLOG
from proxy.telemetry.metrics import Metrics
from proxy.web.edge import Server

GRACE = 30.0
"""Seconds that streams have to finish."""
KEEP_ALIVE = 90.0
"""Seconds that an idle connection is kept: longer than clients and front ends keep theirs (75 s)."""
LINGER = 0.5
"""Seconds in which a client that has just connected may still ask."""


@asynccontextmanager
async def serving(
    config: Config,
    sockets: Sequence[socket.socket],
    *,
    metrics: Metrics,
    readiness: Readiness,
    file: Path | None,
    at_once: int = BACKLOG,
) -> AsyncIterator[Machine]:
    """Serve `config` on `sockets`, which stay open; at the end, finish what has begun.

    `readiness` is what `/readyz` says: it stays true while a generation drains of which the next one serves already.
    `file` is where `config` was read from.
    `at_once`: how many connections are taken in one go, before another process may take the next.
    """
    async with build(config, readiness=readiness, metrics=metrics, file=file) as machine:
        server = Server(machine.app.handle, shelf=machine.shelf, access=machine.access, keepalive_timeout=KEEP_ALIVE)
        runner = web.ServerRunner(server, shutdown_timeout=GRACE)
        await runner.setup()
        try:
            for one in sockets:
                await web.SockSite(runner, one.dup(), backlog=at_once).start()
                # The same number is the length of the kernel's queue to asyncio.
                one.listen(BACKLOG)
            yield machine
        finally:
            # aiohttp waits the time given once for a handler's end, and once more for what it cancelled.
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER + GRACE + 2):
                    await _drain(runner, server)


async def _drain(runner: web.ServerRunner, server: Server) -> None:
    for site in list(runner.sites):
        await site.stop()
    server.is_draining = True
    loop = asyncio.get_running_loop()
    until = loop.time() + LINGER
    while server.connections and loop.time() < until:  # noqa: ASYNC110 - as below
        await asyncio.sleep(0.02)  # there is no word of the last connection's end
    await runner.cleanup()
