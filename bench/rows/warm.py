"""Rows 1 to 4: what is remembered already, by CPU second of the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from bench import load
from bench.model import Finding, Goal, interleaved, ratio
from bench.stage import Contender, Stage
from bench.upstream.contents import HTML, JSON

UNIT = "requests per CPU second"
Headers = Mapping[str, str]

SMALL = "simple/small-0/"
LARGE = "simple/large-0/"
METADATA = "files/small-0/small_0-1.0-py3-none-any.whl.metadata"
_FORMS = ((HTML, "identity"), (HTML, "gzip"), (JSON, "identity"), (JSON, "gzip"), (JSON, "zstd"))
_QUICK_FORMS = ((HTML, "identity"), (JSON, "gzip"), (JSON, "zstd"))


def small_pages(stage: Stage) -> list[Finding]:
    """Row 1."""
    return [
        _page(stage, SMALL, media_type, coding, goal=Goal(0.75, 1.0, "of nginx-cache"))
        for media_type, coding in _forms(stage)
    ]


def large_pages(stage: Stage) -> list[Finding]:
    """Row 3."""
    goals = {"identity": Goal(1.2, 1.5, "of nginx-cache")}
    packed = Goal(1.0, 4.0, "of nginx-cache")
    return [
        _page(stage, LARGE, media_type, coding, goal=goals.get(coding, packed), connections=8)
        for media_type, coding in _forms(stage)
    ]


def unchanged_pages(stage: Stage) -> list[Finding]:
    """Row 2."""
    goal = Goal(0.6, 1.0, "of nginx-cache")
    found = []
    for media_type, coding in ((HTML, "gzip"), (JSON, "gzip")):
        asking = {"Accept": media_type, "Accept-Encoding": coding}
        contenders = _willing(stage, SMALL, lambda _, asking=asking: asking)  # type: ignore[misc]
        conditional = {
            name: asking | {"If-None-Match": tag}
            for name, contender in contenders.items()
            if (tag := load.get(contender.server.port, contender.path(SMALL), asking).headers.get("etag"))
        }
        willing = {
            name: contender
            for name, contender in contenders.items()
            if name in conditional and stage.can_be_had(contender, SMALL, conditional[name], status=304)
        }
        values = _measure(stage, willing, SMALL, conditional, status=304)
        found.append(Finding(f"304 of {_form(media_type)}, {coding}", ratio(values), goal, values, UNIT))
    return found


def small_files(stage: Stage) -> list[Finding]:
    """Row 4."""
    sizes = {"10 kB": "small-0/small_0-1.1", "64 kB": "file-64000-0/file_64000_0-1.0"}
    paths = {"core metadata, 2.6 kB": METADATA}
    paths |= {f"file of {size}": f"files/{name}-py3-none-any.whl" for size, name in sizes.items()}
    return [small(stage, what, path, goal=Goal(0.5, 1.0, "of nginx-cache")) for what, path in paths.items()]


def small(stage: Stage, what: str, path: str, *, goal: Goal) -> Finding:
    """Measure something small that has one form."""
    asking = {"Accept-Encoding": "identity"}
    contenders = _willing(stage, path, lambda _: asking)
    values = _measure(stage, contenders, path, dict.fromkeys(contenders, asking))
    return Finding(what, ratio(values), goal, values, UNIT)


def _forms(stage: Stage) -> tuple[tuple[str, str], ...]:
    return _QUICK_FORMS if stage.options.quick else _FORMS


def _page(stage: Stage, path: str, media_type: str, coding: str, *, goal: Goal, connections: int = 16) -> Finding:
    def asked(name: str) -> Headers:
        # nginx has no zstd; what is small for one who knows it is gzip for the other.
        known = "gzip" if coding == "zstd" and name.startswith("nginx") else coding
        return {"Accept": media_type, "Accept-Encoding": known}

    contenders = _willing(stage, path, asked)
    values = _measure(stage, contenders, path, {name: asked(name) for name in contenders}, connections=connections)
    note = "nginx: gzip" if coding == "zstd" else ""
    return Finding(f"{_form(media_type)}, {coding}", ratio(values), goal, values, UNIT, note)


def _willing(stage: Stage, path: str, asked: Callable[[str], Headers]) -> dict[str, Contender]:
    contenders = stage.warm(static=[path])
    return {name: contender for name, contender in contenders.items() if stage.can_be_had(contender, path, asked(name))}


def _measure(
    stage: Stage,
    contenders: Mapping[str, Contender],
    path: str,
    headers: Mapping[str, Headers],
    *,
    connections: int = 16,
    status: int = 200,
) -> dict[str, float]:
    def one(name: str) -> float:
        return stage.load(contenders[name], path, headers[name], connections=connections, status=status).per_cpu

    return interleaved(stage.options.rounds, {name: partial(one, name) for name in contenders})


def _form(media_type: str) -> str:
    return "JSON" if media_type == JSON else "HTML"
