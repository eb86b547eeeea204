"""The real server as its user runs it: a process of its own, on a free port."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds that a server may take to get ready, or to stop."""


def free_port() -> int:
    """Give a port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """One `wheelgate serve`, started and stopped as often as a test likes, always on the same port.

    Everything it writes stands in `log`. Its caches are below `folder`, which is its working directory too.
    """

    def __init__(self, folder: Path, config: str | None, environment: Mapping[str, str]) -> None:
        """Serve by the configuration `config` (TOML), or by the embedded default where it is `None`."""
        self.folder = folder
        self.port = free_port()
        self._environment = dict(environment)
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def index_url(self) -> str:
        """What a client is given."""
        return f"{self.url}/simple/"

    @property
    def log(self) -> str:
        """Everything it has written so far."""
        path = self.folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        """The process that was started."""
        if self._process is None:
            raise AssertionError("the server does not run")
        return self._process.pid

    def configure(self, config: str) -> None:
        """Serve by another configuration from the next start on."""
        self._config = config

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "proxy", "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        if self._config is not None:
            config = self.folder / "wheelgate.toml"
            config.write_text(self._config)
            command += ["--config", str(config)]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=self._variables(), stdout=log, stderr=log, start_new_session=True
            )
        self._wait_until_ready(self._process)

    def wait(self) -> int:
        """Wait until it has ended by itself, and give its exit code."""
        if self._process is None:
            raise AssertionError("the server does not run")
        return self._process.wait(PATIENCE)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command to its end, in the same surroundings."""
        command = [sys.executable, "-m", "proxy", *arguments]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self._variables(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def stop(self) -> None:
        """End it as an operator would, and by force what does not obey."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            kill_group(process.pid)
            process.wait(PATIENCE)
            raise AssertionError(f"the server did not stop when it was told to:\n{self.log}") from None
        finally:
            kill_group(process.pid)

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        if self._process is not None:
            process, self._process = self._process, None
            kill_group(process.pid)
            process.wait(PATIENCE)

    def _variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WHEELGATE_")}
        return (
            kept
            | {"XDG_CACHE_HOME": str(self.folder / "user-cache"), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
            | self._environment
        )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if process.poll() is not None:
                self._process = None
                raise AssertionError(f"the server ended with {process.returncode} instead of starting:\n{self.log}")
            if self._is_ready():
                return
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"the server was not ready within {PATIENCE:.0f} s:\n{self.log}")

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def kill_group(leader: int) -> None:
    """End the process `leader`, which this test started, and those that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


class StartServer(Protocol):
    """What the fixture `start_server` gives."""

    def __call__(self, config: str | None = None, *, environment: Mapping[str, str] | None = None) -> ServerProcess:
        """Start a server, which is ready when this returns."""
