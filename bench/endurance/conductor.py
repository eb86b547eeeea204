"""One run: the upstream and the server are started, the load goes on, and everything else happens to them in time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bench import load, servers
from bench.endurance import crew, timeline, watch
from bench.endurance.ask import World
from bench.endurance.journal import Journal
from bench.endurance.verdict import Run
from bench.endurance.watch import Sample
from bench.machine import HOST, Running, cores, free_port
from bench.tools import ROOT, say

EVERY = 2.0
"""Seconds between two looks at the server."""
LIMIT = 400 << 20
"""Bytes of the cache: less than a minute of big files, so that something is evicted all the time."""
MIN_AGE = 15
_QUIET = 90.0
"""Seconds that the server has to come to rest: idle connections to sources are kept for 15, partial downloads tried
again for a while, and a generation that ends has 30."""
_RELOADING = 4.0
"""Seconds that a reload takes when there is nothing to finish."""
_ENDING = 40.0
"""Seconds that it has to end: what streams has 30."""
_FILLING = 0.15
"""The part of the run in which the caches are filled."""

Minute = Callable[[int, Counter[str], Counter[str], Sample], None]

_CONFIG = """\
[server]
processes = {processes}
[cache]
directory = "{folder}/cache"
size = "{limit} MiB"
[sources.shelf]
kind = "directory"
path = "{shelf}"
[sources.bare]
kind = "simple"
url = "{upstream}/nometa/simple/"
{windows}
[sources.upstream]
kind = "simple"
url = "{upstream}/plain/simple/"
max_age = "{max_age} s"
{windows}
[feeds.default]
sources = ["shelf", "upstream", "bare"]
claims = {{ shelf = ["shelf-*"], bare = ["bare-*"] }}
[feeds.aged]
sources = ["upstream"]
[feeds.aged.rules]
min_age = "{min_age} s"
"""
_WINDOWS = 'fresh = "5 s"\nstale = "15 s"\nrescue = "30 d"\nabsent = "2 s"\ntimeout = "4 s"'


class Conductor:
    """Conducts one run in a folder of its own."""

    def __init__(self, folder: Path, *, seconds: float, processes: int) -> None:
        """Prepare a run of so many seconds."""
        self._folder = folder
        self._seconds = seconds
        self._processes = processes
        self._shelf = folder / "shelf"
        self._artifacts = folder / "cache" / "artifacts"
        self._control = free_port()
        self._port = free_port()
        self._start = time.time()
        self._faults = timeline.Faults()
        self._samples: list[Sample] = []
        self._reloads = 0

    def run(self, minute: Minute) -> Run:
        """Run, and give what was seen; `minute` is told of every minute."""
        server_core, load_core = cores()
        self._shelf.mkdir(parents=True)
        upstream = self._upstream(load_core)
        try:
            on = [server_core] if self._processes == 1 else sorted({server_core, load_core})
            server = servers.wheelgate(self._config(600), self._folder / "server", on)
            os.sched_setaffinity(0, {load_core})
            try:
                return asyncio.run(self._conduct(server, minute))
            finally:
                server.stop()
        finally:
            upstream.stop()

    def _upstream(self, core: int) -> Running:
        given = map(str, (self._port, self._control, self._start, self._folder / "wheels"))
        return Running(
            [sys.executable, "-m", "bench.endurance.moody", *given],
            folder=self._folder / "upstream",
            on=[core],
            port=self._control,
            ready="/",
            environment={"PYTHONPATH": str(ROOT)},
        )

    def _config(self, max_age: int) -> str:
        return _CONFIG.format(
            processes=self._processes,
            folder=self._folder,
            limit=LIMIT >> 20,
            shelf=self._shelf,
            windows=_WINDOWS,
            upstream=f"http://{HOST}:{self._port}",
            max_age=max_age,
            min_age=MIN_AGE,
        )

    async def _conduct(self, server: Running, minute: Minute) -> Run:
        world = World(self._start, server.port, MIN_AGE, self._faults)
        journal = Journal(server.log)
        say("everything once, then a look at the server at rest")
        await crew.exercise(world)
        for _ in range(2):
            # SQLite keeps a closed file open as long as the next generation has it open too, and uses it again.
            self._reload(server)
            await asyncio.sleep(_RELOADING)
        await crew.exercise(world)
        before = await self._at_rest(server, None, 25.0)
        targets = watch.targets(server)
        say(f"the load begins: {self._seconds / 60:.0f} minutes")
        began = time.time()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds), asyncio.TaskGroup() as group:
                for work in (
                    crew.load(world),
                    crew.fill(world, self._seconds * _FILLING),
                    crew.stock(self._shelf, world.chance),
                    self._moods(began),
                    self._events(server, began),
                    self._watch(server, world, journal, began, minute),
                ):
                    group.create_task(work)
        await self._set_mood("calm")
        world.tally.take()
        say("the load is over: waiting for the server to come to rest")
        after = await self._at_rest(server, before, _QUIET)
        grown = watch.targets(server) - targets
        locked = watch.locked(self._artifacts)
        return Run(
            seconds=self._seconds,
            samples=self._samples,
            before=before,
            after=after,
            tally=world.tally,
            journal=journal,
            faults=self._faults,
            limit=LIMIT,
            grown=grown,
            locked=locked,
            ended_by_itself=await asyncio.to_thread(_end, server, journal),
        )

    async def _at_rest(self, server: Running, like: Sample | None, longest: float) -> Sample:
        return await asyncio.to_thread(watch.wait, server, self._artifacts, like=like, longest=longest)

    async def _moods(self, began: float) -> None:
        for phase in timeline.phases(self._seconds):
            await asyncio.sleep(max(0.0, began + phase.begin - time.time()))
            if phase.mood != self._faults.mood:
                await self._set_mood(phase.mood)

    async def _set_mood(self, mood: str) -> None:
        # A fault counts from before it begins until after it has ended.
        if mood != "calm":
            self._faults.change(mood, time.time())
        await asyncio.to_thread(load.get, self._control, f"/mood/{mood}")
        if mood == "calm":
            self._faults.change(mood, time.time())

    async def _events(self, server: Running, began: float) -> None:
        happenings = [(at, self._reload) for at in timeline.reloads(self._seconds)]
        if self._processes > 1:
            happenings.append((timeline.kill(self._seconds), self._kill))
        for at, happen in sorted(happenings, key=lambda each: each[0]):
            await asyncio.sleep(max(0.0, began + at - time.time()))
            happen(server)

    def _reload(self, server: Running) -> None:
        self._reloads += 1
        (server.log.parent / "wheelgate.toml").write_text(self._config(600 + self._reloads % 2))
        server.send(signal.SIGHUP)

    def _kill(self, server: Running) -> None:
        workers = [pid for pid in server.cpu_seconds_each() if pid != server.pid]
        self._faults.strike("kill", time.time())
        os.kill(max(workers), signal.SIGKILL)

    async def _watch(self, server: Running, world: World, journal: Journal, began: float, minute: Minute) -> None:
        passed = 0
        while True:
            at = time.time() - began
            sample = await asyncio.to_thread(watch.look, server, self._artifacts, at=at, mood=self._faults.mood)
            self._samples.append(sample)
            await asyncio.to_thread(journal.read)
            if at >= (passed + 1) * 60:
                passed += 1
                minute(passed, *world.tally.take(), sample)
            await asyncio.sleep(EVERY)


def _end(server: Running, journal: Journal) -> bool:
    """Tell the server to end, and say whether it did so by itself."""
    server.send(signal.SIGTERM)
    deadline = time.monotonic() + _ENDING
    while server.cpu_seconds_each() and time.monotonic() < deadline:
        time.sleep(0.2)
    has_ended = not server.cpu_seconds_each()
    journal.read()
    return has_ended
