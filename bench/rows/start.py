"""Row 18: how long one waits for the command, and for a server with much to look after."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from bench import load, servers
from bench.model import Finding, Goal
from bench.stage import Stage
from bench.tools import ROOT
from bench.upstream.wheels import links

_FILES = 100_000


def starts(stage: Stage) -> list[Finding]:
    """Row 18."""
    count = stage.options.pick(_FILES, _FILES // 10)
    helped = median(_help() for _ in range(max(3, stage.options.rounds)))
    cached = median(_with_cache(stage, count) for _ in range(1 if stage.options.quick else stage.options.rounds))
    shelf = stage.new_folder("shelf")
    links(shelf, count=count)
    ready, page = _with_folder(stage, shelf)
    return [
        Finding("wheelgate --help", helped, Goal(0.4, 0.2, "s")),
        Finding(f"start to ready with {count:,} cached files", cached, Goal(2.0, 1.0, "s")),
        Finding(
            f"start to ready with a folder of {count:,} files",
            ready,
            Goal(2.0, 1.0, "s"),
            note=f"and {page:.2f} s until its first page",
        ),
    ]


def _help() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "proxy", "--help"], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started


def _with_cache(stage: Stage, count: int) -> float:
    def config(folder: Path) -> str:
        _fill(folder / "cache" / "artifacts", count)
        return servers.proxied(stage.upstream_url(), folder)

    with stage.ours(config=config) as ours:
        return ours.server.seconds_to_ready


def _with_folder(stage: Stage, shelf: Path) -> tuple[float, float]:
    with stage.ours(config=lambda folder: servers.directory(shelf, folder)) as ours:
        started = time.perf_counter()
        load.get(ours.server.port, "/simple/acme-part-00007/")
        return ours.server.seconds_to_ready, time.perf_counter() - started


def _fill(artifacts: Path, count: int) -> None:
    """Write artifacts as the server keeps them: files named by their digests."""
    for first in range(256):
        (artifacts / f"{first:02x}").mkdir(parents=True)
    for number in range(count):
        body = str(number).encode()
        digest = hashlib.sha256(body).hexdigest()
        (artifacts / digest[:2] / digest[2:]).write_bytes(body)
