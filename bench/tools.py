"""The programs that measuring needs, found on this machine or unpacked into `bench/.cache`; nothing is installed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
CACHE = ROOT / "bench" / ".cache"
FASTER, CALLED = "BENCH_FASTER_PYTHON", "BENCH_CALLED_PYTHON"
"""Set where a faster interpreter than the one that was called has taken over: how much faster, and that one."""
_DEBIAN = {"wrk": ("wrk", "libluajit-5.1-2"), "nginx": ("nginx",)}
"""The packages of Debian that have each program."""
_LIBRARIES = ("aiohttp", "msgspec", "zstandard", "selectolax")


@dataclass(frozen=True, slots=True)
class Tools:
    """What there is; `None`: it could not be had, and what needs it is not measured."""

    wrk: Path | None
    nginx: Path | None
    uv: Path | None
    pip: Path | None
    """A Python whose pip is of today."""


def say(text: str) -> None:
    """Tell whoever waits what is going on."""
    click.echo(f"bench: {text}", err=True)


def find(*, bare: bool = False, with_clients: bool = True) -> Tools:
    """Find all tools, fetching what is missing; with `bare`, do without any."""
    if bare:
        return Tools(None, None, None, None)
    uv = shutil.which("uv", path=str(called_python().parent)) or shutil.which("uv")
    return Tools(_debian("wrk"), _debian("nginx"), Path(uv) if uv else None, _pip() if with_clients else None)


def called_python() -> Path:
    """Give the Python of the project's own environment, which has pip and what developing needs."""
    return Path(os.environ.get(CALLED, sys.executable))


def virtual_environment(name: str, requirements: Sequence[str]) -> Path | None:
    """Make an environment of its own in the cache, once, and give its Python; `None` where that fails."""
    folder = CACHE / "environments" / name
    python, done = folder / "bin" / "python", folder / "installed.txt"
    if done.exists() and done.read_text() == "\n".join(requirements):
        return python
    say(f"installing {' '.join(requirements)} into {folder.relative_to(ROOT)}")
    made = _run(str(called_python()), "-m", "venv", "--clear", str(folder), patience=120) is not None
    if made and _run(str(python), "-m", "pip", "install", "-qU", *requirements, patience=600) is not None:
        done.write_text("\n".join(requirements))
        return python
    say(f"could not install {' '.join(requirements)}: it is left out")
    return None


def versions(tools: Tools) -> dict[str, str]:
    """Give the versions of everything that takes part."""
    found = {"machine": f"{platform.machine()}, {_processor()}", "Linux": platform.release()}
    how = f" ({os.environ[FASTER]})" if FASTER in os.environ else ""
    found |= {"Python": f"{platform.python_version()}{how}"}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    for name, path, option in (("nginx", tools.nginx, "-v"), ("wrk", tools.wrk, "-v"), ("uv", tools.uv, "--version")):
        said = "" if path is None else _said(path, option)
        found[name] = match[0] if (match := re.search(r"\d+\.\d+\S*", said)) else "none"
    pip = "" if tools.pip is None else _said(tools.pip, "-m", "pip", "--version")
    found["pip"] = match[0] if (match := re.search(r"\d+\.\d+\S*", pip)) else "none"
    commit = _said(Path("git"), "-C", str(ROOT), "describe", "--always", "--dirty").strip()
    # Outside a checkout git says a sentence instead.
    with suppress(PackageNotFoundError):
        found["Wheelgate"] = commit if re.fullmatch(r"[\w.-]+", commit) else version("wheelgate")
    return found


def _pip() -> Path | None:
    return virtual_environment("pip", ["pip"])


def _debian(program: str) -> Path | None:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found:
        return Path(found)
    folder = CACHE / "debian"
    for place in ("usr/bin", "usr/sbin"):
        if (folder / place / program).exists():
            return folder / place / program
    say(f"{program} is not here: unpacking Debian's package into {folder.relative_to(ROOT)}")
    folder.mkdir(parents=True, exist_ok=True)
    for package in _DEBIAN[program]:
        if _run("apt-get", "download", package, patience=120, cwd=folder) is None:
            say(f"could not get {package}; `apt-get update && apt-get install {program}` may help. Going on without.")
            return None
        archive = max(folder.glob(f"{package}_*.deb"))
        if _run("dpkg-deb", "-x", str(archive), str(folder), patience=60) is None:
            return None
    return _debian(program)


def _run(*command: str, patience: float, cwd: Path | None = None) -> str | None:
    """Give what a command said; `None` where it failed."""
    try:
        done = subprocess.run(  # noqa: S603 - our own command lines
            command, cwd=cwd, capture_output=True, text=True, timeout=patience, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout + done.stderr if done.returncode == 0 else None


def environment_of(program: Path) -> dict[str, str]:
    """Give the environment of a program that was unpacked beside its libraries rather than installed."""
    libraries = ":".join(map(str, (program.parents[1] / "lib").glob("*-linux-gnu")))
    return {**os.environ, "LD_LIBRARY_PATH": libraries} if libraries else dict(os.environ)


def _said(program: Path, *options: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own command lines
            [program, *options],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env=environment_of(program) if program.is_absolute() else None,
        )
    except OSError:
        return ""
    return done.stdout + done.stderr


def _processor() -> str:
    names = re.findall(r"(?m)^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text())
    return f"{len(names)} x {names[0]}" if names else "processor unknown"
