"""The interpreter that is measured: the fastest of this version on the machine, as one would deploy.

CPython built without `--enable-optimizations`, which is what its own `configure` and pyenv do unless told otherwise,
takes a third more time for everything than Debian's or the image's. How an interpreter was built cannot be asked of
all of them, so a small loop tells. Where another one is clearly faster than the one that runs this, it measures, in an
environment of its own in `bench/.cache`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.tools import CACHE, CALLED, FASTER, ROOT, say

_LOCK = ROOT / "requirements.lock"
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_CLEARLY = 1.15
_PATIENCE = 600
_TURNS = 3
_LOOP = f"""
import sys, time
def work():
    kept = {{}}
    for number in range(60_000):
        kept[number] = f"{{number}}x".upper()
        if number % 3 == 0:
            kept.pop(number)
def once():
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
is_alike = sys.implementation.name == "cpython" and "{_VERSION}" == "%d.%d" % sys.version_info[:2]
print(min(once() for _ in range(5)) if is_alike else "another")
"""


def hand_over() -> None:
    """Go on as the same command in a faster interpreter of this version, where there is one; else return."""
    if FASTER in os.environ:
        return
    ours = Path(sys.executable)
    times = _times([ours, *_others()])
    best = min(times, key=times.__getitem__, default=ours)
    ratio = times[ours] / times[best] if ours in times else 1.0
    python = _prepare(best) if ratio >= _CLEARLY else None
    if python is None:
        return
    said = f"{ratio:.1f} times as fast as the one that bench/run was started with"
    say(f"measuring with {best}, which is {said}")
    sys.stdout.flush()
    os.chdir(ROOT)
    environment = {**os.environ, FASTER: said, CALLED: sys.executable}
    os.execve(python, [str(python), "-m", "bench", *sys.argv[1:]], environment)  # noqa: S606 - our own command line


def _others() -> list[Path]:
    """Find what may be an interpreter of the same version."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    found = [shutil.which(name, path=folder) for folder in folders for name in (f"python{_VERSION}", "python3")]
    # Each once, whatever leads to it; environments are links to one that is here already.
    return list({path.resolve(): path for path in map(Path, filter(None, found))})


def _times(interpreters: Sequence[Path]) -> dict[Path, float]:
    """Let each do the same, in turns, and give the seconds of its best one; those of another version are left out."""
    times: dict[Path, float] = {}
    for _ in range(_TURNS):
        for python in interpreters:
            said = _run(str(python), "-I", "-c", _LOOP).strip()
            if said.replace(".", "", 1).isdecimal():
                times[python] = min(times.get(python, float("inf")), float(said))
    return times


def _prepare(base: Path) -> Path | None:
    """Make an environment with what the server needs, once, and give its Python; `None` where that fails."""
    folder = CACHE / "environments" / f"fastest-{_VERSION}"
    python, done = folder / "bin" / "python", folder / "installed.txt"
    wanted = f"{base}\n{_LOCK.read_text()}"
    if done.exists() and done.read_text() == wanted:
        return python
    say(f"installing what {_LOCK.name} names into {folder.relative_to(ROOT)}")
    # Debian's Python cannot give an environment a pip of its own unless python3-venv is installed: ours serves it.
    _run(str(base), "-m", "venv", "--clear", "--without-pip", str(folder))
    install = ("install", "-q", "--no-deps", "--require-hashes", "-r", str(_LOCK))
    _run(sys.executable, "-m", "pip", "--python", str(python), *install)
    if not _run(str(python), "-c", "import proxy.assembly; print('ready')"):
        say("that failed: the Python that runs this measures")
        return None
    done.write_text(wanted)
    return python


def _run(*command: str) -> str:
    """Give what a command printed; nothing where it failed."""
    try:
        done = subprocess.run(  # noqa: S603 - our own command lines
            command, cwd=ROOT, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
