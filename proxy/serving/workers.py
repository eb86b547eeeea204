"""A worker as its supervisor sees it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext, ForkProcess

from proxy.config import Config
from proxy.serving.listening import close
from proxy.serving.reloading import Orders
from proxy.serving.worker import READY, Duty, work

_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


@dataclass(slots=True)
class Worker:
    """One process."""

    number: int
    process: ForkProcess
    ready: Connection
    deadline: float | None
    """When it is killed, by the monotonic clock; `None`: never."""
    is_ready: bool = False
    said: str = ""
    """Why it could not start, with the exit code before it."""

    def look(self) -> None:
        """Take note of what it said."""
        if self.ready.closed or not self.ready.poll():
            return
        try:
            message = self.ready.recv_bytes()
        except (EOFError, OSError):
            message = b""
        self.ready.close()
        self.is_ready = message == READY
        if self.is_ready:
            self.deadline = None
        else:
            self.said = message.decode()

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.process.exitcode is None and self.process.pid is not None:
            os.kill(self.process.pid, number)

    @property
    def why(self) -> str:
        """Why it ended."""
        code = self.process.exitcode
        if self.said:
            return self.said.partition(" ")[2]
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"it ended with {code}"

    @property
    def code(self) -> int:
        """Give the exit code of a server whose first worker ended like this."""
        return int(self.said.partition(" ")[0]) if self.said else 1


@dataclass(frozen=True, slots=True)
class Started:
    """How a worker is to be started."""

    number: int
    config: Config
    sockets: list[socket.socket]
    lifeline: int
    orders: Orders
    close_in_worker: Sequence[int]
    """Descriptors that only the supervisor needs."""
    foreign: Sequence[socket.socket]
    """Sockets of another generation: one that stays open here would listen for ever, and nobody would answer."""
    deadline: float


def start(context: ForkContext, wanted: Started) -> Worker:
    """Start a worker."""
    receiver, sender = context.Pipe(duplex=False)

    def shed() -> None:
        receiver.close()
        for number in wanted.close_in_worker:
            os.close(number)
        close(list(wanted.foreign))

    duty = Duty(wanted.number, wanted.config, wanted.sockets, wanted.lifeline, sender, shed, wanted.orders)
    process = context.Process(target=work, args=(duty,), name=f"worker-{wanted.number}", daemon=True)
    # Between the copy and the worker's own handlers, a signal would be taken by the supervisor's, and be lost.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    sender.close()
    return Worker(wanted.number, process, receiver, wanted.deadline)
