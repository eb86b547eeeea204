"""Row 19: what a request and a change cost when everything else grows; `docs/scale.md` reckons with it."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from bench import load, servers
from bench.model import Finding, Goal, interleaved
from bench.rows.warm import SMALL, UNIT
from bench.stage import Contender, Stage
from bench.upstream.contents import JSON
from bench.upstream.wheels import links, wheel

_ASKING = {"Accept": JSON, "Accept-Encoding": "gzip"}
_SAME = Goal(0.85, 0.95)
_SOURCES = 16
_CHANGES = 5


def growth(stage: Stage) -> list[Finding]:
    """Row 19."""
    return [_projects(stage), _sources(stage), *_changes(stage)]


def _projects(stage: Stage) -> Finding:
    others = stage.options.pick(10_000, 1_000)
    settings = ['fresh = "1 d"']
    with stage.ours(settings=settings) as few, stage.ours(settings=settings) as many:
        with load.client(many.server.port) as client:
            for number in range(others):
                client.get(many.path(f"simple/small-{20_000 + number}/"), _ASKING)
        values = _loads(stage, {"few": few, "many": many})
    what = f"warm page with {others:,} other pages, to with none"
    return Finding(what, values["many"] / values["few"], _SAME, values, UNIT)


def _sources(stage: Stage) -> Finding:
    url = stage.upstream_url()
    with (
        stage.ours(settings=['fresh = "1 d"']) as few,
        stage.ours(config=lambda folder: _many_sources(url, folder)) as many,
    ):
        values = _loads(stage, {"few": few, "many": many})
    what = f"warm page of the last of {_SOURCES} sources, to of the only one"
    return Finding(what, values["many"] / values["few"], _SAME, values, UNIT)


def _many_sources(url: str, folder: Path) -> str:
    """Give a configuration whose last source alone has projects."""
    names = [f"source-{number}" for number in range(_SOURCES)]
    empty = url.replace("/simple/", "/nothing/")
    lines = ["[cache]", f'directory = "{folder}/cache"']
    for name in names:
        at = url if name == names[-1] else empty
        lines += [f"[sources.{name}]", 'kind = "simple"', f'url = "{at}"', 'fresh = "1 d"', 'absent = "1 d"']
    listed = ", ".join(f'"{name}"' for name in names)
    return "\n".join([*lines, "[feeds.default]", f"sources = [{listed}]", ""])


def _changes(stage: Stage) -> list[Finding]:
    """Measure what a new file in a folder costs when the folder has few and many others."""
    sizes = {"few": 1_000, "many": stage.options.pick(100_000, 10_000)}
    cpu, passed = {}, {}
    for name, count in sizes.items():
        shelf = stage.new_folder("growing")
        links(shelf, count=count)
        with stage.ours(config=lambda folder, shelf=shelf: _watched(shelf, folder)) as ours:  # type: ignore[misc]
            load.get(ours.server.port, "/simple/acme-part-00007/")
            load.rest(ours.server)
            before = ours.server.cpu_seconds()
            seconds = [_change(ours, shelf, number) for number in range(_CHANGES)]
            used = ours.server.cpu_seconds() - before
            # What looking at the folder costs anyway is in it: it is part of noticing.
            cpu[name] = used / _CHANGES * 1e3
            passed[name] = median(seconds) * 1e3
    what = f"a new file in a folder of {sizes['many']:,}, to one of {sizes['few']:,}"
    return [
        Finding(f"{what}: CPU", cpu["many"] / max(cpu["few"], 1.0), None, cpu, "CPU ms"),
        Finding(f"{what}: until it is on its page", passed["many"] / passed["few"], None, passed, "ms"),
    ]


def _watched(shelf: Path, folder: Path) -> str:
    return servers.directory(shelf, folder).replace('refresh = "1 h"', 'refresh = "0 s"')


def _change(ours: Contender, shelf: Path, number: int) -> float:
    """Put a new version of a project there, and give the seconds until its page has it."""
    filename = f"acme_part_00007-2.{number}-py3-none-any.whl"
    (shelf / filename).write_bytes(wheel("acme_part_00007", f"2.{number}")[0])
    started = time.perf_counter()
    while filename.encode() not in load.get(ours.server.port, "/simple/acme-part-00007/").body:
        if time.perf_counter() - started > load.LONGEST:
            raise load.WrongAnswer(f"{filename} does not appear")
        time.sleep(0.005)
    return time.perf_counter() - started


def _loads(stage: Stage, contenders: dict[str, Contender]) -> dict[str, float]:
    for contender in contenders.values():
        stage.can_be_had(contender, SMALL, _ASKING)
    measures = {
        name: lambda contender=contender: stage.load(contender, SMALL, _ASKING).per_cpu
        for name, contender in contenders.items()
    }
    return interleaved(stage.options.rounds, measures)
