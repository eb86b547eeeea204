"""Serving in this process alone. On SIGHUP a second generation is built beside the first, which then drains."""

from __future__ import annotations

import asyncio
import signal
import socket
from dataclasses import dataclass, field

import structlog

from proxy.assembly import Machine, Readiness
from proxy.config import Config
from proxy.errors import WheelgateError
from proxy.serving.generation import GRACE, serving
from proxy.serving.listening import close, port_of
from proxy.serving.memory import give_back, settle
from proxy.serving.reloading import Orders, rebind, refuse, reload, tell
from proxy.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Generation:
    config: Config
    sockets: list[socket.socket]
    ready: asyncio.Future[Machine]
    stop: asyncio.Event = field(default_factory=asyncio.Event)


class Alone:
    """One process that serves."""

    def __init__(self, orders: Orders) -> None:
        """Serve as `orders` say."""
        self._orders = orders
        self._metrics = Metrics()
        self._readiness = Readiness()
        self._signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
        self._running: set[asyncio.Task[None]] = set()
        self._in_peace = True

    async def serve(self, config: Config, sockets: list[socket.socket]) -> bool:
        """Serve until SIGTERM or SIGINT, and finish what streams; a second one ends it at once.

        Gives whether it ended in peace. Raises: what building raises.
        """
        settle()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._signals.put_nowait, number)
        async with asyncio.TaskGroup() as group:
            current = await self._start(group, config, sockets)
            give_back()
            host = config.server.host
            port = port_of(sockets)
            self._orders.announce(config, host, port)
            log.info("serving", host=host, port=port, feeds=list(config.feeds))
            while await self._signals.get() is signal.SIGHUP:
                current = await self._renew(group, current)
            log.info("stopping", grace_seconds=GRACE)
            self._readiness.is_ready = False
            close(current.sockets)
            current.stop.set()
            impatience = group.create_task(self._hurry())
            await asyncio.wait(self._running)
            impatience.cancel()
        log.info("stopped")
        return self._in_peace

    async def _start(self, group: asyncio.TaskGroup, config: Config, sockets: list[socket.socket]) -> _Generation:
        """Start a generation and wait until it serves. Raises: what building it raises."""
        generation = _Generation(config, sockets, asyncio.get_running_loop().create_future())
        task = group.create_task(self._run(generation))
        self._running.add(task)
        task.add_done_callback(self._bury)
        await generation.ready
        return generation

    async def _run(self, generation: _Generation) -> None:
        try:
            file = self._orders.file
            async with serving(
                generation.config, generation.sockets, metrics=self._metrics, readiness=self._readiness, file=file
            ) as machine:
                generation.ready.set_result(machine)
                await generation.stop.wait()
        except (WheelgateError, OSError) as error:
            if generation.ready.done():
                raise
            generation.ready.set_exception(error)

    def _bury(self, task: asyncio.Task[None]) -> None:
        """Let go of a generation that has ended."""
        self._running.discard(task)
        if self._running:
            give_back()

    async def _renew(self, group: asyncio.TaskGroup, current: _Generation) -> _Generation:
        """Give the generation of the new configuration; `current` itself where that one does not do."""
        config = await asyncio.to_thread(reload, self._orders)
        if config is None:
            return current
        sockets = rebind(config, current.config, current.sockets)
        if sockets is None:
            return current
        try:
            successor = await self._start(group, config, sockets)
        except (WheelgateError, OSError) as error:
            if sockets is not current.sockets:
                close(sockets)
            refuse(self._orders.describe(error)[0])
            return current
        current.stop.set()
        if sockets is not current.sockets:
            close(current.sockets)
        tell(config, current.config, sockets, processes=1)
        if config.server.processes != 1:
            log.warning(
                "one process serves, whatever server.processes says, until the next start",
                configured=config.server.processes,
                remedy="restart the server",
            )
        return successor

    async def _hurry(self) -> None:
        while await self._signals.get() is signal.SIGHUP:
            pass
        log.warning("stopped at once, as told twice")
        self._in_peace = False
        for task in self._running:
            task.cancel()
