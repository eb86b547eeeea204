"""The supervisor: starts the workers, replaces those that end, renews all on SIGHUP, and lets them finish on SIGTERM.

It serves nothing itself, and it runs no event loop and no thread, so that a worker can be a plain copy of it (`fork`):
everything is imported once, and in memory once. Workers share its listening sockets.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from types import TracebackType
from typing import Self

import structlog
from prometheus_client.multiprocess import mark_process_dead

from proxy.config import Config
from proxy.serving.generation import GRACE
from proxy.serving.listening import close, port_of
from proxy.serving.reloading import Orders, rebind, refuse, reload, tell
from proxy.serving.vacancies import Vacancies
from proxy.serving.worker import REPLACED
from proxy.serving.workers import Started, Worker, start

log = structlog.get_logger(__name__)

STARTING = 60.0
"""Seconds that a worker may take until it serves."""
PATIENCE = GRACE + 5.0
"""Seconds after which a worker that was to stop is killed."""
FAILED = 1


class NotStarted(Exception):
    """A first worker could not start."""

    def __init__(self, sentence: str, code: int) -> None:
        """Keep what it said, and its exit code."""
        super().__init__(sentence)
        self.code = code


@dataclass(slots=True)
class Generation:
    """The workers of one configuration."""

    config: Config
    sockets: list[socket.socket]
    workers: list[Worker] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        """Whether all of them serve."""
        return all(worker.is_ready for worker in self.workers)


class Supervisor:
    """Keeps as many workers serving as the configuration says."""

    def __init__(self, orders: Orders) -> None:
        """Serve as `orders` say."""
        self._orders = orders
        self._context = multiprocessing.get_context("fork")
        self._lifeline, self._held = os.pipe()
        self._ears, self._mouth = socket.socketpair()
        self._current: Generation
        self._next: Generation | None = None
        self._leaving: list[Worker] = []
        self._vacancies = Vacancies()
        self._is_stopping = False
        self._code = 0

    def __enter__(self) -> Self:
        """Listen to signals, which are read where the loop waits: none is lost, and none interrupts anything."""
        self._ears.setblocking(False)
        self._mouth.setblocking(False)
        signal.set_wakeup_fd(self._mouth.fileno())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End whoever is left."""
        for worker in self._all():
            worker.process.kill()
            worker.process.join()
        signal.set_wakeup_fd(-1)
        for number in (self._lifeline, self._held):
            os.close(number)
        self._ears.close()
        self._mouth.close()

    def run(self, config: Config, sockets: list[socket.socket]) -> int:
        """Serve until SIGTERM or SIGINT, and give the exit code. Raises: NotStarted."""
        self._current = Generation(config, sockets)
        self._fill(self._current)
        is_announced = False
        while any(True for _ in self._all()) or not self._is_stopping:
            self._wait()
            if not is_announced and self._current.is_ready:
                is_announced = True
                self._tell()
            self._hear()
            self._reap(is_first=not is_announced)
            self._kill_the_late()
            self._change_over()
            self._replace()
        log.info("stopped")
        return self._code

    def _all(self) -> Iterable[Worker]:
        yield from self._current.workers
        yield from self._next.workers if self._next else ()
        yield from self._leaving

    def _tell(self) -> None:
        config, port = self._current.config, port_of(self._current.sockets)
        self._orders.announce(config, config.server.host, port)
        log.info(
            "serving",
            host=config.server.host,
            port=port,
            feeds=list(config.feeds),
            processes=len(self._current.workers),
        )

    def _wait(self) -> None:
        """Wait until something happens, or it is time for something."""
        moments = [worker.deadline for worker in self._all() if worker.deadline is not None]
        moments += self._vacancies.moments()
        timeout = max(0.0, min(moments) - time.monotonic()) if moments else None
        sentinels = [worker.process.sentinel for worker in self._all()]
        starting = [worker.ready for worker in self._all() if not worker.ready.closed]
        wait([self._ears, *sentinels, *starting], timeout)
        for worker in self._all():
            worker.look()

    def _hear(self) -> None:
        """Obey the signals that came."""
        try:
            heard = self._ears.recv(4096)
        except BlockingIOError:
            return
        for number in heard:
            if number in {signal.SIGTERM, signal.SIGINT}:
                self._stop()
            elif number == signal.SIGHUP and not self._is_stopping:
                self._reload()

    def _stop(self) -> None:
        if self._is_stopping:
            log.warning("stopped at once, as told twice")
            self._code = FAILED
            for worker in self._all():
                worker.process.kill()
            return
        log.info("stopping", grace_seconds=GRACE)
        self._is_stopping = True
        self._vacancies.clear()
        close(self._current.sockets)
        self._drop_next()
        self._dismiss(self._current.workers)

    def _reload(self) -> None:
        config = reload(self._orders)
        if config is None:
            return
        self._drop_next()
        sockets = rebind(config, self._current.config, self._current.sockets)
        if sockets is None:
            return
        self._next = Generation(config, sockets)
        self._fill(self._next)

    def _fill(self, generation: Generation) -> None:
        for number in range(1, how_many(generation.config) + 1):
            generation.workers.append(self._start(number, generation))

    def _start(self, number: int, generation: Generation) -> Worker:
        generations = [self._current] if self._next is None else [self._current, self._next]
        foreign = {id(one): one for each in generations for one in each.sockets if one not in generation.sockets}
        return start(
            self._context,
            Started(
                number,
                generation.config,
                generation.sockets,
                self._lifeline,
                self._orders,
                close_in_worker=[self._held, self._ears.fileno(), self._mouth.fileno()],
                foreign=list(foreign.values()),
                deadline=time.monotonic() + STARTING,
            ),
        )

    def _change_over(self) -> None:
        """Let the next generation take the current one's place, once all of it serves."""
        successor = self._next
        if successor is None or not successor.is_ready:
            return
        old, self._current, self._next = self._current, successor, None
        self._vacancies.clear()
        if old.sockets is not successor.sockets:
            close(old.sockets)
        self._dismiss(old.workers, REPLACED)
        tell(successor.config, old.config, successor.sockets, processes=len(successor.workers))

    def _drop_next(self) -> None:
        if self._next is None:
            return
        dropped, self._next = self._next, None
        if dropped.sockets is not self._current.sockets:
            close(dropped.sockets)
        self._dismiss(dropped.workers)

    def _dismiss(self, workers: list[Worker], number: signal.Signals = signal.SIGTERM) -> None:
        """Let workers finish what they have begun, and end."""
        for worker in workers:
            worker.tell(number)
            worker.deadline = time.monotonic() + PATIENCE
        self._leaving += workers
        workers.clear()

    def _reap(self, *, is_first: bool) -> None:
        """Take note of workers that have ended. Raises: NotStarted."""
        for worker in list(self._all()):
            if worker.process.exitcode is None:
                continue
            worker.process.join()
            mark_process_dead(worker.process.pid)  # type: ignore[no-untyped-call]
            if worker in self._leaving:
                self._leaving.remove(worker)
            elif self._next is not None and worker in self._next.workers:
                self._next.workers.remove(worker)
                refuse(worker.why)
                self._drop_next()
            else:
                self._current.workers.remove(worker)
                if is_first:
                    raise NotStarted(worker.why, worker.code)
                again = self._vacancies.add(worker.number)
                log.error("worker ended", worker=worker.number, reason=worker.why, again_in_seconds=round(again, 2))

    def _replace(self) -> None:
        if not self._is_stopping:
            self._current.workers += [self._start(number, self._current) for number in self._vacancies.due()]

    def _kill_the_late(self) -> None:
        """Kill who neither served nor ended in time."""
        now = time.monotonic()
        for worker in self._all():
            if worker.deadline is not None and now >= worker.deadline:
                log.error("worker killed, it took too long", worker=worker.number, pid=worker.process.pid)
                worker.process.kill()
                worker.deadline = None


def how_many(config: Config) -> int:
    """Give the number of processes that a configuration wants."""
    if config.server.processes != "auto":
        return config.server.processes
    # A container may be given less than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _heard(_number: int, _frame: object) -> None:
    """Do nothing: the number stands in the wake-up socket."""
