"""Rows 14 and 15: real clients that resolve 140 projects, with the upstream 30 ms away."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median

from bench import load
from bench.load import WrongAnswer
from bench.machine import HOST
from bench.model import OURS, Finding, Goal, ratio
from bench.stage import Contender, Stage
from bench.tools import CACHE
from bench.upstream.wheels import PROJECTS, prepare, wanted

SLOW = "l30"
BARE = "l30_nometa"
_LONGEST = 300
_COLD = "cold"


def with_metadata(stage: Stage) -> list[Finding]:
    """Row 14."""
    if stage.tools.uv is None:
        return [Finding("uv", None, note="uv is not here")]
    times = _uv(stage, SLOW)
    return [
        Finding("uv, warm", ratio(times), Goal(1.05, 1.0, "of nginx-cache"), times, "s"),
        Finding("uv, cold", _to_direct(times, _COLD), Goal(1.15, 1.0, "of direct"), times, "s"),
    ]


def without_metadata(stage: Stage) -> list[Finding]:
    """Row 15."""
    found = []
    if stage.tools.uv is None:
        found.append(Finding("uv", None, note="uv is not here"))
    else:
        times = _uv(stage, BARE)
        found += [
            Finding("uv, cold", _to_direct(times, _COLD), Goal(1.1, 0.9, "of direct"), times, "s"),
            Finding("uv, warm", _to_direct(times, OURS), Goal(0.6, 0.4, "of direct"), times, "s"),
        ]
    return [*found, *_pip(stage)]


def _uv(stage: Stage, profile: str) -> dict[str, float]:
    """Give how long uv takes: directly, with ours warm and cold (an empty cache each time), with nginx warm."""
    prepare(CACHE)
    rounds = 1 if stage.options.quick else stage.options.rounds
    times: dict[str, list[float]] = {}
    with stage.ours(profile, settings=['fresh = "1 d"']) as ours, stage.limit(profile) as limit:
        known = [contender for contender in (ours, limit) if contender is not None]
        for contender in known:
            _resolve(stage, contender)
        _settle(ours)
        for _ in range(rounds):
            for contender in (stage.direct(profile), *known):
                times.setdefault(contender.name, []).append(_resolve(stage, contender))
            with stage.ours(profile) as empty:
                times.setdefault(_COLD, []).append(_resolve(stage, empty))
    return {name: median(passed) for name, passed in times.items()}


def _resolve(stage: Stage, contender: Contender) -> float:
    folder = stage.new_folder("uv")
    (folder / "requirements.in").write_text("\n".join(wanted()) + "\n")
    options = ["--no-config", "--quiet", "--no-header", "--no-annotate", "--python-version=3.11", "--no-progress"]
    options += [f"--cache-dir={folder / 'cache'}", f"--default-index={_index(contender)}"]
    command = [str(stage.tools.uv), "pip", "compile", "requirements.in", *options]
    passed, said = _timed(command, folder)
    if said.count("==") != PROJECTS:
        raise WrongAnswer(f"uv found {said.count('==')} of {PROJECTS} projects at {contender.name}")
    return passed


def _pip(stage: Stage) -> list[Finding]:
    if stage.tools.pip is None:
        return [Finding("pip", None, note="no pip of its own could be installed")]
    direct = stage.direct(BARE)
    with stage.ours(BARE, settings=['fresh = "1 d"']) as ours:
        # uv asks for the same, in a tenth of the time.
        (_download if stage.tools.uv is None else _resolve)(stage, ours)
        _settle(ours)
        times = {}
        moved = {}
        counters: Mapping[str, tuple[Contender, Callable[[], float]]] = {
            "direct": (direct, partial(_sent_by_upstream, stage)),
            OURS: (ours, partial(_sent_by_us, ours)),
        }
        for name, (contender, sent) in counters.items():
            before = sent()
            times[name] = _download(stage, contender)
            moved[name] = max(1.0, sent() - before) / 1e6
    return [
        Finding("pip, warm: time", ratio(times, to="direct"), Goal(0.3, 0.1, "of direct"), times, "s"),
        Finding("pip, warm: bytes", ratio(moved, to="direct"), Goal(1 / 50, 1 / 100, "of direct"), moved, "MB"),
    ]


def _download(stage: Stage, contender: Contender) -> float:
    """Let pip resolve, which without core metadata means to fetch every wheel."""
    folder = stage.new_folder("pip")
    options = ["--dry-run", "--ignore-installed", "--no-cache-dir", "--quiet", "--disable-pip-version-check"]
    options += ["--isolated", "--no-input", f"--index-url={_index(contender)}", "--report=report.json"]
    passed, _ = _timed([str(stage.tools.pip), "-m", "pip", "install", *options, *wanted()], folder)
    said = (folder / "report.json").read_text().count('"metadata_version"')
    if said != PROJECTS:
        raise WrongAnswer(f"pip found {said} of {PROJECTS} projects at {contender.name}")
    return passed


def _timed(command: list[str], folder: Path) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own command lines
        command, cwd=folder, capture_output=True, text=True, timeout=_LONGEST, check=False
    )
    passed = time.perf_counter() - started
    if done.returncode:
        raise WrongAnswer(f"{Path(command[0]).name} failed: {done.stderr[-400:]}")
    return passed, done.stdout


def _settle(ours: Contender) -> None:
    """Wait until nothing is read behind any more: the page of one project stays as it is for a second."""
    deadline, seen, since = time.monotonic() + 30, "", time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - since < 1:
        tag = load.get(ours.server.port, ours.path("simple/part-000/")).headers.get("etag", "")
        if tag != seen:
            seen, since = tag, time.monotonic()
        time.sleep(0.1)


def _sent_by_upstream(stage: Stage) -> float:
    return float(load.get(stage.upstream.port, "/stats").json()["sent"].get(BARE, 0))


def _sent_by_us(ours: Contender) -> float:
    """Give the bytes of bodies that our server has counted."""
    # What was answered by the shortcut is counted once a second.
    time.sleep(1.5)
    lines = load.get(ours.server.port, "/metrics").body.decode().splitlines()
    counted = [line.rpartition(" ")[2] for line in lines if line.startswith("wheelgate_sent_bytes_total{")]
    return sum(map(float, counted))


def _index(contender: Contender) -> str:
    return f"http://{HOST}:{contender.server.port}{contender.pages}/"


def _to_direct(times: Mapping[str, float], name: str) -> float | None:
    return ratio(times, to="direct", of=name)
