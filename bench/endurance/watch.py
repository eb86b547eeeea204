"""What the server's processes occupy, and what the server says of itself."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench import load
from bench.machine import Running

_GAUGE = re.compile(r"^(wheelgate_tasks|wheelgate_downloads_in_flight)(?:\{.*\})? (\S+)$", re.MULTILINE)
_TASKS, _DOWNLOADS = "wheelgate_tasks", "wheelgate_downloads_in_flight"


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment."""

    pid: int
    resident: float
    """MiB."""
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at one moment."""

    at: float
    """Seconds since the load began."""
    processes: tuple[Process, ...]
    tasks: int
    """-1: the server did not say."""
    downloads: int
    cache: int
    """Bytes of whole artifacts."""
    unfinished: int
    """Files that are not whole."""
    mood: str = field(default="calm")

    @property
    def resident(self) -> float:
        """MiB of all processes."""
        return sum(process.resident for process in self.processes)

    @property
    def descriptors(self) -> int:
        """Open descriptors of all processes."""
        return sum(process.descriptors for process in self.processes)

    @property
    def threads(self) -> int:
        """Threads of all processes."""
        return sum(process.threads for process in self.processes)


def look(server: Running, artifacts: Path, *, at: float, mood: str = "calm") -> Sample:
    """Look at a server whose artifacts are in that folder. Blocks."""
    processes = tuple(_processes(sorted(server.cpu_seconds_each())))
    said: Counter[str] = Counter()
    try:
        text = load.get(server.port, "/metrics").body.decode()
        for name, value in _GAUGE.findall(text):
            said[name] += int(float(value))
    except (OSError, load.WrongAnswer, ValueError):
        said[_TASKS] = -1
    return Sample(at, processes, said[_TASKS], said[_DOWNLOADS], _size(artifacts), len(_partial(artifacts)), mood)


def targets(server: Running) -> Counter[str]:
    """Give what the descriptors of all processes are, and how many of each."""
    found: Counter[str] = Counter()
    for pid in server.cpu_seconds_each():
        with suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    target = re.sub(r"\d{2,}|[0-9a-f]{40,}", "N", str(entry.readlink()))
                    found[target] += 1
    return found


def locked(artifacts: Path) -> list[str]:
    """Give the unfinished files that somebody still writes."""
    found = []
    for path in _partial(artifacts):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(path.name)
            finally:
                os.close(descriptor)
    return found


def wait(server: Running, artifacts: Path, *, like: Sample | None, longest: float) -> Sample:
    """Wait until a server is quiet: nothing on its way, and not more of anything than in `like`."""
    began = time.monotonic()
    while True:
        sample = look(server, artifacts, at=0.0)
        is_quiet = not sample.downloads and sample.tasks >= 0
        if like is not None:
            is_quiet &= sample.tasks <= like.tasks and sample.descriptors <= like.descriptors
        if time.monotonic() - began > longest or (is_quiet and like is not None):
            return sample
        time.sleep(2)


def _processes(pids: Iterable[int]) -> Iterable[Process]:
    for pid in pids:
        with suppress(OSError, KeyError):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            said = {
                name: value.split()[0] for name, _, value in (line.partition(":") for line in lines) if value.split()
            }
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - thousands of them
            yield Process(pid, int(said["VmRSS"]) / 1024, descriptors, int(said["Threads"]))


def _size(artifacts: Path) -> int:
    total = 0
    for number in range(256):
        with suppress(OSError), os.scandir(artifacts / f"{number:02x}") as entries:
            for entry in entries:
                with suppress(OSError):
                    total += entry.stat().st_size
    return total


def _partial(artifacts: Path) -> list[Path]:
    with suppress(OSError):
        return [path for path in (artifacts / "partial").iterdir() if not path.suffix]
    return []
