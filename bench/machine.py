"""Processes on this machine: started on a core, watched in /proc, and ended for certain. Linux only."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
PATIENCE = 60.0
"""Seconds that a process may take to get ready, or to end."""
_TICKS = os.sysconf("SC_CLK_TCK")
_SESSION, _USER_TICKS, _SYSTEM_TICKS = 3, 11, 12
"""Fields of /proc/PID/stat behind the command's name. Source: proc_pid_stat(5)."""


class NotStarted(Exception):
    """A process that did not get ready; the message says what it wrote."""


def cores() -> tuple[int, int]:
    """Give the core for servers and the core for everything else; one and the same where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def free_port() -> int:
    """Give a port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process occupies, in MiB."""

    now: float
    peak: float


class Running:
    """One process and those it starts, on the given cores; everything it writes stands in `log`."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        folder: Path,
        on: Sequence[int],
        port: int,
        ready: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start `command` in `folder`; it is ready when `ready` (a path) answers on `port` with a status below 500."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self.log = folder / f"{Path(command[0]).name}-{port}.log"
        pinned = ["taskset", "--cpu-list", ",".join(map(str, on)), *map(str, command)]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("WHEELGATE_")}
        started = time.perf_counter()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command lines
                pinned,
                cwd=folder,
                env=variables | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self._process.pid
        try:
            self._wait(ready)
        except BaseException:
            self.stop()
            raise
        self.seconds_to_ready = time.perf_counter() - started

    def stop(self) -> None:
        """End it and all that it started."""
        for number in (signal.SIGCONT, signal.SIGTERM):
            self.send(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self.send(signal.SIGKILL)
        self._process.wait(PATIENCE)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def cpu_seconds(self) -> float:
        """Give the CPU time that it and its children have used so far."""
        return sum(self.cpu_seconds_each().values())

    def cpu_seconds_each(self) -> dict[int, float]:
        """Give the same by process."""
        return {
            pid: (int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])) / _TICKS for pid, fields in self._processes()
        }

    def memory(self) -> Memory:
        """Give what its largest process occupies."""
        return max((_memory(pid) for pid, _ in self._processes()), key=lambda memory: memory.now)

    def forget_peak(self) -> None:
        """Let the peak of its memory begin at what it occupies now."""
        for pid, _ in self._processes():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def _processes(self) -> Iterator[tuple[int, list[str]]]:
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                # A command's name may hold anything, so the fields are counted from behind its last bracket.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[_SESSION]) == self.pid and fields[0] != "Z":
                    yield int(folder.name), fields

    def _wait(self, ready: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise NotStarted(f"ended with {self._process.returncode}: {self._last_words()}")
            if _answers(self.port, ready):
                return
            time.sleep(0.01)
        raise NotStarted(f"not ready within {PATIENCE:.0f} s: {self._last_words()}")

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-600:].strip()


def _memory(pid: int) -> Memory:
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(line.split(":", 1) for line in status.splitlines())
    return Memory(*(int(found[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")))


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
