"""Rows 5, 8, 9 and 10: files, warm and cold, for one client and for many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from itertools import count
from statistics import median

from bench import load
from bench.load import Read, slowest
from bench.model import OURS, Finding, Goal, interleaved, ratio
from bench.stage import FAILURES, STATIC, Contender, Stage
from bench.tools import say
from bench.upstream.contents import HTML

CAPPED = "l30_r100"
"""The upstream answers after 30 ms, and gives each connection 100 MB/s."""
MEDIUM, BIG = 50_000_000, 500_000_000
_QUICK_BIG = 200_000_000
_names = count()


def warm_files(stage: Stage) -> list[Finding]:
    """Row 5."""
    found = []
    for size in (MEDIUM, _big(stage)):
        path = _path(size, 0)
        contenders = {
            name: contender
            for name, contender in stage.warm(static=[path] if size == MEDIUM else []).items()
            if _has(contender, path)
        }
        for clients in (1, 8):
            found += _warm(stage, contenders, path, size, clients)
    return found


def _warm(stage: Stage, contenders: dict[str, Contender], path: str, size: int, clients: int) -> list[Finding]:
    # A 50 MB file passes within a few ticks of the clock that counts CPU time.
    times = max(1, stage.options.pick(2_000_000_000, 400_000_000) // (size * clients))
    used: dict[str, list[float]] = {name: [] for name in contenders}

    def measure(name: str) -> float:
        contender = contenders[name]
        where = contender.path(path)
        before = contender.server.cpu_seconds()
        passed = sum(slowest(load.read(contender.server.port, where, clients=clients)) for _ in range(times))
        moved = size * clients * times
        used[name].append((contender.server.cpu_seconds() - before) / moved * 1e9)
        return moved / passed / 1e6

    rates = interleaved(stage.options.rounds, {name: lambda name=name: measure(name) for name in contenders})  # type: ignore[misc]
    cpu = {name: max(median(values), 0.01) for name, values in used.items()}
    what = f"{size // 1_000_000} MB, {clients} client{'s' * (clients > 1)}"
    return [
        Finding(f"{what}: rate", ratio(rates), Goal(0.85, 1.0, "of nginx-cache"), rates, "MB/s"),
        Finding(f"{what}: CPU per GB", ratio(cpu), Goal(1.25, 1.0, "of nginx-cache"), cpu, "CPU s per GB"),
    ]


def cold_files(stage: Stage) -> list[Finding]:
    """Row 8."""
    found = []
    for size in (MEDIUM,) if stage.options.quick else (MEDIUM, BIG):
        reads = _cold(stage, CAPPED, size, clients=1, rounds=stage.options.rounds)
        first = {name: median(read.first for read in each) * 1e3 for name, each in reads.items()}
        total = {name: median(read.total for read in each) for name, each in reads.items()}
        later = {name: value - first["direct"] for name, value in first.items() if name != "direct"}
        what = f"{size // 1_000_000} MB"
        found += [
            Finding(f"{what}: first byte after direct", later[OURS], Goal(5.0, 2.0, "ms"), first, "ms to first byte"),
            Finding(f"{what}: total", ratio(total, to="direct"), Goal(1.05, 1.02, "of direct"), total, "s"),
        ]
    return found


def uncapped(stage: Stage) -> list[Finding]:
    """Row 9."""
    size = _big(stage)
    reads = _cold(stage, "plain", size, clients=1, rounds=stage.options.rounds)
    rates = {name: size / median(read.total for read in each) / 1e6 for name, each in reads.items()}
    what = f"{size // 1_000_000} MB: rate, checked and kept"
    return [Finding(what, ratio(rates), Goal(2.0, 3.0, "of nginx-cache"), rates, "MB/s", "nginx checks nothing")]


def herds(stage: Stage) -> list[Finding]:
    """Row 10."""
    found = []
    for clients in (16, 100):
        asked: dict[str, list[int]] = {}
        rounds = 1 if stage.options.quick else stage.options.rounds
        reads = _cold(stage, CAPPED, MEDIUM, clients=clients, rounds=rounds, asked=asked)
        first = {name: median(read.first for read in each) * 1e3 for name, each in reads.items()}
        total = {name: slowest(each) for name, each in reads.items()}
        requests = {name: float(max(each)) for name, each in asked.items()}
        later = first[OURS] - first["direct"]
        what = f"{clients} clients"
        found += [
            Finding(f"{what}: upstream requests", requests[OURS], Goal(1, 1), requests, "requests"),
            Finding(
                f"{what}: median first byte after direct", later, Goal(20.0, 10.0, "ms"), first, "ms to first byte"
            ),
            Finding(f"{what}: slowest total", ratio(total, to="direct"), Goal(1.2, 1.1, "of direct"), total, "s"),
        ]
    return found


def _cold(
    stage: Stage, profile: str, size: int, *, clients: int, rounds: int, asked: dict[str, list[int]] | None = None
) -> dict[str, list[Read]]:
    """Read a new file in each round with several clients at once: directly, through ours, and through nginx.

    `asked` is told how many requests for the file reached the upstream in each round.
    """
    with _contenders(stage, profile) as contenders:
        reads: dict[str, list[Read]] = {contender.name: [] for contender in contenders}
        for _ in range(rounds):
            path = _path(size, 1000 + next(_names))
            for contender in contenders:
                _learn(contender, path)
            for contender in contenders:
                before = _requests(stage, profile)
                reads[contender.name] += load.read(contender.server.port, contender.path(path), clients=clients)
                if asked is not None:
                    asked.setdefault(contender.name, []).append(_requests(stage, profile) - before)
    return reads


@contextmanager
def _contenders(stage: Stage, profile: str) -> Iterator[list[Contender]]:
    with stage.ours(profile) as ours, stage.limit(profile) as limit:
        yield [contender for contender in (stage.direct(profile), ours, limit) if contender is not None]


def _learn(contender: Contender, path: str) -> None:
    """Ask for the page of a file, as every client does before; nginx over files may have none."""
    if contender.name != STATIC:
        load.get(contender.server.port, contender.path(f"simple/{path.split('/')[1]}/"), {"Accept": HTML})


def _has(contender: Contender, path: str) -> bool:
    """Warm a file up; say whether a server has it at all."""
    try:
        _learn(contender, path)
        return load.read(contender.server.port, contender.path(path))[0].status == HTTPStatus.OK
    except FAILURES as error:
        if contender.name == OURS:
            raise
        say(f"{contender.name} takes no part: {error}")
        return False


def _requests(stage: Stage, profile: str) -> int:
    """Give how many requests for files the upstream of this profile has had."""
    said = load.get(stage.upstream.port, "/stats").json()
    return int(said["files"].get(profile, 0))


def _path(size: int, number: int) -> str:
    return f"files/file-{size}-{number}/file_{size}_{number}-1.0-py3-none-any.whl"


def _big(stage: Stage) -> int:
    return stage.options.pick(BIG, _QUICK_BIG)
