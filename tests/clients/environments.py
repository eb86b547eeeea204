"""The real clients: each in an environment of its own, and each run with nothing but what the test gives it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SHELF = Path(tempfile.gettempdir()) / f"wheelgate-test-clients-{os.getuid()}"
"""Environments stay here between runs of the tests: they are the same each time, and slow to make."""

LIMIT = 100.0
"""Seconds that one command of a client may take."""

OTHERS_SETTINGS = ("PIP_", "UV_", "POETRY_", "PYTHON", "VIRTUAL_ENV", "XDG_", "WHEELGATE_", "COV_", "COVERAGE_")
"""What variables of the surroundings begin with that a client must not see."""


@dataclass(frozen=True)
class Ran:
    """A command that came to its end."""

    status: int
    output: str
    """What it wrote, the errors among it."""


@dataclass(frozen=True)
class Client:
    """A client's command."""

    name: str
    command: tuple[str, ...]

    async def run(self, *arguments: str | Path, home: Path, cwd: Path | None = None) -> str:
        """Run it with its caches and settings in `home`, and give what it wrote. It must succeed."""
        ran = await self.attempt(*arguments, home=home, cwd=cwd)
        assert ran.status == 0, f"{self.name} {' '.join(map(str, arguments))} ended with {ran.status}:\n{ran.output}"
        return ran.output

    async def attempt(self, *arguments: str | Path, home: Path, cwd: Path | None = None) -> Ran:
        """Run it as `run` does, whatever comes of it."""
        process = await asyncio.create_subprocess_exec(
            *self.command,
            *map(str, arguments),
            cwd=cwd or home,
            env=surroundings(home),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(LIMIT):
                output, _ = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        return Ran(process.returncode or 0, output.decode(errors="replace"))


def surroundings(home: Path) -> Mapping[str, str]:
    """Make `home`, and give the variables of a client that has never run before, and has no settings."""
    home.mkdir(parents=True, exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS_SETTINGS)}
    return inherited | {
        "HOME": str(home),
        # No sentence of theirs is broken into lines: whoever starts the tests may have a narrow terminal.
        "COLUMNS": "10000",
        "XDG_CACHE_HOME": str(home / "cache"),
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "UV_NO_SYSTEM_CONFIG": "1",
        # An error is seen at once, and not hidden by another try.
        "UV_HTTP_RETRIES": "0",
        "UV_CACHE_DIR": str(home / "uv-cache"),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
        "POETRY_CACHE_DIR": str(home / "poetry-cache"),
        "POETRY_CONFIG_DIR": str(home / "poetry-config"),
        "POETRY_VIRTUALENVS_IN_PROJECT": "1",
        "POETRY_NO_INTERACTION": "1",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }


def environment(requirement: str) -> Path:
    """Give the folder of the commands of an environment that has `requirement`, made where it is not there yet.

    It comes from the index that pip is configured for.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    folder = SHELF / f"{requirement.replace('==', '-')}-python-{version}"
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    # The tests run in several processes, and the first one makes it for all of them.
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "complete"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            made(sys.executable, "-m", "venv", folder)
            made(folder / "bin" / "python", "-m", "pip", "install", "--upgrade", requirement)
            done.touch()
    return folder / "bin"


def made(*command: str | Path) -> None:
    """Run one step of making an environment."""
    ran = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert ran.returncode == 0, f"{' '.join(map(str, command))} failed:\n{ran.stdout}"
