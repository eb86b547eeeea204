"""Row 16: one project of a container of 100,000 blobs, beside a page and a sidecar of an ordinary upstream."""

from __future__ import annotations

import time

from bench import load, servers
from bench.model import LIMIT, OURS, Finding, Goal, interleaved, ratio
from bench.rows.warm import METADATA, SMALL, UNIT
from bench.stage import Contender, Stage
from bench.upstream.container import BLOBS, VERSIONS, project
from bench.upstream.contents import JSON

_CHOSEN = project(BLOBS // VERSIONS // 2)
_LONGEST = 60.0
"""Seconds that reading the list may take."""


def container(stage: Stage) -> list[Finding]:
    """Row 16."""
    asking = {"Accept": JSON, "Accept-Encoding": "gzip"}
    account = f"{stage.upstream.url}/account"
    with stage.ours(config=lambda folder: servers.container(account, folder)) as ours:
        started = time.monotonic()
        load.get(ours.server.port, f"/simple/{_CHOSEN}/", asking)
        first = time.monotonic() - started
        entry = _settled(ours)
        at_rest = load.rest(ours.server, longest=_LONGEST)
        note = "" if at_rest else f"not at rest after {_LONGEST:.0f} s: reads on behind"
        contenders = {OURS: (ours, f"simple/{_CHOSEN}/", f"files/{_CHOSEN}/{entry['filename']}.metadata")}
        limit = stage.warm().get(LIMIT)
        if limit is not None:
            contenders[LIMIT] = (limit, SMALL, METADATA)

        def page(name: str) -> float:
            contender, path, _ = contenders[name]
            return stage.load(contender, path, asking).per_cpu

        def sidecar(name: str) -> float:
            contender, _, path = contenders[name]
            return stage.load(contender, path, {"Accept-Encoding": "identity"}).per_cpu

        rounds = stage.options.rounds
        pages = interleaved(rounds, {name: lambda name=name: page(name) for name in contenders})  # type: ignore[misc]
        found = [
            Finding("page, JSON, gzip", ratio(pages), Goal(0.75, 1.0, "of nginx-cache"), pages, UNIT, note),
            Finding("first page of a new server", first * 1e3, values={OURS: first * 1e3}, unit="ms"),
        ]
        if "core-metadata" not in entry:
            return [*found, Finding("core metadata", None, note="not advertised")]
        sidecars = interleaved(rounds, {name: lambda name=name: sidecar(name) for name in contenders})  # type: ignore[misc]
        return [
            *found,
            Finding("core metadata", ratio(sidecars), Goal(0.5, 1.0, "of nginx-cache"), sidecars, UNIT, note),
        ]


def _settled(ours: Contender) -> dict[str, object]:
    """Wait until the list is read and the page stays as it is, and give its last file."""
    deadline, seen, since = time.monotonic() + _LONGEST, "", time.monotonic()
    while time.monotonic() < deadline:
        answer = load.get(ours.server.port, f"/simple/{_CHOSEN}/", {"Accept": JSON})
        if answer.headers.get("etag", "") != seen:
            seen, since = answer.headers.get("etag", ""), time.monotonic()
        entry: dict[str, object] = answer.json()["files"][-1]
        if time.monotonic() - since > 2 and "core-metadata" in entry:  # noqa: PLR2004 - seconds
            return entry
        time.sleep(0.2)
    return entry
