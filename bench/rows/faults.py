"""Row 17: a page that is past its time, when the upstream is dead or says nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from bench import load, servers
from bench.machine import Running
from bench.model import OURS, Finding, Goal
from bench.stage import Contender, Stage
from bench.upstream.contents import JSON

_ASKING = {"Accept": JSON, "Accept-Encoding": "gzip"}
_PAGE = "simple/small-17/"
_TIMES = 30
_WINDOWS = {
    "stale": ('fresh = "0 s"', 'stale = "1 h"'),
    "rescue": ('fresh = "0 s"', 'stale = "0 s"'),
}
"""Served at once and asked for behind; asked for first."""


def expired_pages(stage: Stage) -> list[Finding]:
    """Row 17."""
    found = []
    for fault, number in (("dead", signal.SIGKILL), ("hanging", signal.SIGSTOP)):
        for window, settings in _WINDOWS.items():
            with _remembered(stage, settings) as (ours, upstream):
                upstream.send(number)
                time.sleep(0.2)
                with load.client(ours.server.port) as client:
                    first = client.get(ours.path(_PAGE), _ASKING)
                    later = [client.get(ours.path(_PAGE), _ASKING) for _ in range(_TIMES)]
            passed = median(answer.milliseconds for answer in later)
            wrong = {answer.status for answer in (first, *later)} - {200}
            note = f"the first one took {first.milliseconds:.1f} ms" + (f"; statuses {sorted(wrong)}" if wrong else "")
            what = f"upstream {fault}, in the {window} window"
            found.append(Finding(what, None if wrong else passed, Goal(10.0, 1.0, "ms"), {OURS: passed}, "ms", note))
    return found


@contextmanager
def _remembered(stage: Stage, settings: tuple[str, ...]) -> Iterator[tuple[Contender, Running]]:
    upstream = servers.upstream(stage.new_folder("doomed"), stage.load_core)
    url = f"{upstream.url}/plain/simple/"
    try:
        with stage.ours(config=lambda folder: servers.proxied(url, folder, settings=settings)) as ours:
            load.get(ours.server.port, ours.path(_PAGE), _ASKING)
            yield ours, upstream
    finally:
        upstream.stop()
