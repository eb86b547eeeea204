"""Rows 6 and 7: pages that nobody has asked for before, over the upstream's own time."""

from __future__ import annotations

from statistics import median

from bench import load
from bench.model import LIMIT, OURS, Finding, Goal
from bench.stage import Contender, Stage
from bench.upstream.contents import HTML, JSON

SLOW = "l30"
"""The upstream answers after 30 ms."""
_ASKING = {"Accept": JSON, "Accept-Encoding": "gzip"}
_FORMS = tuple({"Accept": form, "Accept-Encoding": coding} for form in (JSON, HTML) for coding in ("gzip", "identity"))


def small_pages(stage: Stage) -> list[Finding]:
    """Row 6."""
    return [_pages(stage, "small", stage.options.pick(100, 25), Goal(1.5, 1.0, "ms"))]


def large_pages(stage: Stage) -> list[Finding]:
    """Row 7."""
    return [_pages(stage, "large", stage.options.pick(15, 5), Goal(25.0, 12.0, "ms"))]


def _pages(stage: Stage, kind: str, count: int, goal: Goal) -> Finding:
    projects = [f"{kind}-{number}" for number in range(1000, 1000 + count)]
    direct = stage.direct(SLOW)
    _make(stage, [*projects, f"{kind}-999"])
    with stage.ours(SLOW) as ours, stage.limit(SLOW) as limit:
        contenders = [contender for contender in (direct, ours, limit) if contender is not None]
        times: dict[str, list[float]] = {contender.name: [] for contender in contenders}
        # The connection to the upstream is no part of it.
        for contender in contenders:
            _ask(contender, f"{kind}-999")
        for project in projects:
            for contender in contenders:
                times[contender.name].append(_ask(contender, project))
    base = median(times.pop("direct"))
    values = {name: median(passed) - base for name, passed in times.items()}
    note = f"{count} pages; the upstream's own time is {base:.1f} ms"
    return Finding(
        "added", values[OURS], goal, {name: values[name] for name in (OURS, LIMIT) if name in values}, "ms", note
    )


def _make(stage: Stage, projects: list[str]) -> None:
    """Let the upstream make the pages, so that its making them is in nobody's time."""
    plain = stage.direct()
    with load.client(plain.server.port) as client:
        for project in projects:
            for headers in _FORMS:
                client.get(plain.path(f"simple/{project}/"), headers)


def _ask(contender: Contender, project: str) -> float:
    answer = load.get(contender.server.port, contender.path(f"simple/{project}/"), _ASKING)
    return answer.milliseconds
