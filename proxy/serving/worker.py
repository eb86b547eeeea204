"""One of many processes that serve: a copy of the supervisor, which ends when that one says so or is gone."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import structlog

from proxy.assembly import Readiness
from proxy.config import Config
from proxy.serving.generation import GRACE, serving
from proxy.serving.listening import close
from proxy.serving.memory import settle
from proxy.serving.reloading import Orders
from proxy.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

READY = b"ready"
REPLACED = signal.SIGUSR1
"""Ends a worker whose successor serves already: the server as a whole stays ready."""
AT_ONCE = 1
"""How many connections are taken in one go: the next ones are for whichever process is free first, and none of them
is lost with this one before it asks."""


@dataclass(frozen=True, slots=True)
class Duty:
    """What a worker is given."""

    number: int
    config: Config
    sockets: list[socket.socket]
    lifeline: int
    """Ends when the supervisor does."""
    ready: Connection
    """Is told once that it serves, or why it does not."""
    not_ours: Callable[[], None]
    """Closes what only the supervisor needs."""
    orders: Orders


def work(duty: Duty) -> None:
    """Do a worker's duty, in a process of its own."""
    # The supervisor alone decides: a terminal sends SIGINT and SIGHUP to all of its processes.
    signal.set_wakeup_fd(-1)
    for number, action in ((signal.SIGINT, signal.SIG_IGN), (signal.SIGHUP, signal.SIG_IGN)):
        signal.signal(number, action)
    for number in (signal.SIGTERM, REPLACED):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    duty.not_ours()
    settle()
    supervisor = os.getppid()
    structlog.contextvars.bind_contextvars(worker=duty.number)
    try:
        asyncio.run(_serve(duty))
    except Exception as error:
        sentence, code = duty.orders.describe(error)
        if duty.ready.closed:
            log.exception("worker failed")
        else:
            duty.ready.send_bytes(f"{code} {sentence}".encode())
        sys.exit(code)
    finally:
        if os.getppid() != supervisor:
            # Nobody else is left to tidy up.
            shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


async def _serve(duty: Duty) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    readiness = Readiness()
    loop.add_signal_handler(REPLACED, stop.set)
    loop.add_signal_handler(signal.SIGTERM, _end, readiness, stop)
    loop.add_reader(duty.lifeline, _bereft, loop, duty.lifeline, readiness, stop)
    file = duty.orders.file
    async with serving(duty.config, duty.sockets, metrics=Metrics(), readiness=readiness, file=file, at_once=AT_ONCE):
        log.info("worker serves", pid=os.getpid())
        duty.ready.send_bytes(READY)
        duty.ready.close()
        await stop.wait()
        log.info("worker stops", grace_seconds=GRACE)
        close(duty.sockets)


def _end(readiness: Readiness, stop: asyncio.Event) -> None:
    readiness.is_ready = False
    stop.set()


def _bereft(loop: asyncio.AbstractEventLoop, lifeline: int, readiness: Readiness, stop: asyncio.Event) -> None:
    log.error("the supervisor is gone")
    loop.remove_reader(lifeline)
    _end(readiness, stop)
