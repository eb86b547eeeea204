"""Clients: many small questions (wrk, or a plain loop where it is not there), single ones, and readers of files."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import selectors
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.machine import HOST, Running
from bench.tools import environment_of

LONGEST = 120.0
"""Seconds after which reading is given up."""
_REST = 0.02
"""CPU seconds of a second in which a server does nothing."""
_HEAD = 1 << 16
_PIECE = 1 << 20
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


class WrongAnswer(Exception):
    """A server that did not answer what is being measured."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    milliseconds: float

    def json(self) -> Any:  # noqa: ANN401 - as JSON is
        """Give what the body says."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Load:
    """What many questions in a row gave."""

    requests: int
    seconds: float
    cpu: float
    """CPU seconds of the server."""
    busiest: float
    """CPU seconds of its busiest process."""
    p50: float
    """Milliseconds."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def per_cpu(self) -> float:
        """Requests for each CPU second of the server. Less than a tick of it cannot be told."""
        return self.requests / max(self.cpu, 0.01)


@dataclass(frozen=True, slots=True)
class Read:
    """One file as one client got it: seconds from the question on."""

    status: int
    first: float
    total: float
    size: int


class Client:
    """One connection, kept open."""

    def __init__(self, port: int, *, timeout: float = LONGEST) -> None:
        """Connect on first use."""
        self._connection = http.client.HTTPConnection(HOST, port, timeout=timeout)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask, and read the answer to its end."""
        started = time.perf_counter()
        self._connection.request("GET", path, headers={"Accept-Encoding": "identity"} | dict(headers or {}))
        response = self._connection.getresponse()
        body = response.read()
        passed = (time.perf_counter() - started) * 1e3
        return Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, body, passed)

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()


@contextmanager
def client(port: int, *, timeout: float = LONGEST) -> Iterator[Client]:
    """Give a client of the server at `port`."""
    made = Client(port, timeout=timeout)
    try:
        yield made
    finally:
        made.close()


def get(port: int, path: str, headers: Mapping[str, str] | None = None, *, status: int = 200) -> Answer:
    """Ask once. Raises: WrongAnswer where the status is another one."""
    with client(port) as asking:
        answer = asking.get(path, headers)
    if answer.status != status:
        raise WrongAnswer(f"{path} answers {answer.status} instead of {status}: {answer.body[:200]!r}")
    return answer


def median_milliseconds(port: int, path: str, headers: Mapping[str, str], *, times: int) -> float:
    """Ask `times` times over one connection, and give the median."""
    with client(port) as asking:
        return median(asking.get(path, headers).milliseconds for _ in range(times))


def ask(  # noqa: PLR0913 - each says one thing of the load
    server: Running,
    path: str,
    headers: Mapping[str, str],
    *,
    seconds: float,
    wrk: Path | None,
    connections: int = 16,
    status: int = 200,
) -> Load:
    """Ask for `path` for some seconds over several connections. Raises: WrongAnswer."""
    get(server.port, path, headers, status=status)
    before = server.cpu_seconds_each()
    if wrk is None:
        requests, passed, p50 = _loop(server.port, path, headers, seconds=seconds, connections=connections)
    else:
        requests, passed, p50 = _wrk(wrk, server.url + path, headers, seconds=seconds, connections=connections)
    used = [cpu - before.get(pid, 0.0) for pid, cpu in server.cpu_seconds_each().items()]
    return Load(requests, passed, sum(used), max(used, default=0.0), p50)


def read(port: int, path: str, *, clients: int = 1, wait: Callable[[], None] = lambda: None) -> list[Read]:
    """Read a file with several clients at once, throwing its bytes away where the kernel has them."""
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        readers = [stack.enter_context(contextlib.closing(_Reader(port, path))) for _ in range(clients)]
        for reader in readers:
            selector.register(reader.socket, selectors.EVENT_READ, reader)
        deadline = time.perf_counter() + LONGEST
        left = clients
        while left:
            if time.perf_counter() > deadline:
                raise WrongAnswer(f"{path}: {left} of {clients} clients had no whole file after {LONGEST:.0f} s")
            for key, _ in selector.select(1.0):
                if key.data.take():
                    selector.unregister(key.fileobj)
                    left -= 1
            wait()
        return [reader.result() for reader in readers]


class _Reader:
    """A client that wants one file."""

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=LONGEST)
        self._path = path
        self._started = time.perf_counter()
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: identity\r\n\r\n".encode())
        self.socket.setblocking(False)
        self._head = b""
        self._status = 0
        self._size = -1
        self._got = 0
        self._first = 0.0
        self._ended = 0.0
        self._piece = bytearray(_PIECE)

    def take(self) -> bool:
        """Take what is there; say whether that was the end."""
        if self._size < 0:
            some = self.socket.recv(_HEAD)
            self._head += some
            head, found, body = self._head.partition(b"\r\n\r\n")
            if not found:
                self._check(len(some))
                return False
            self._status = int(head.split(b" ", 2)[1])
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            if length is None:
                raise WrongAnswer(f"{self._path}: no length")
            self._size = int(length[1])
            self._count(len(body))
        else:
            # MSG_TRUNC on a TCP socket throws the bytes away without copying them. Source: tcp(7).
            got = self.socket.recv_into(self._piece, _PIECE, socket.MSG_TRUNC)
            self._check(got)
            self._count(got)
        if self._got < self._size:
            return False
        self._ended = time.perf_counter()
        return True

    def result(self) -> Read:
        return Read(self._status, self._first - self._started, self._ended - self._started, self._got)

    def close(self) -> None:
        self.socket.close()

    def _check(self, got: int) -> None:
        if not got:
            raise WrongAnswer(f"{self._path}: broken off after {self._got} bytes: {self._head[:200]!r}")

    def _count(self, got: int) -> None:
        if got and not self._got:
            self._first = time.perf_counter()
        self._got += got


def _wrk(
    wrk: Path, url: str, headers: Mapping[str, str], *, seconds: float, connections: int
) -> tuple[int, float, float]:
    # wrk knows whole seconds only.
    options = ["--threads=1", f"--connections={connections}", f"--duration={max(1, round(seconds))}s", "--latency"]
    given = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    environment = environment_of(wrk)
    done = subprocess.run(  # noqa: S603 - our own command line
        [wrk, *options, *given, url], capture_output=True, text=True, timeout=seconds + 30, check=True, env=environment
    )
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", done.stdout)
    if failed:
        raise WrongAnswer(f"{url}: {failed[0]}")
    counted = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", done.stdout)
    middle = re.search(r"50%\s+([\d.]+)(us|ms|s|m)\b", done.stdout)
    if counted is None or middle is None:
        raise WrongAnswer(f"wrk said something new: {done.stdout}")
    passed = float(counted[2]) * _UNITS[counted[3]] / 1e3
    return int(counted[1]), passed, float(middle[1]) * _UNITS[middle[2]]


def _loop(
    port: int, path: str, headers: Mapping[str, str], *, seconds: float, connections: int
) -> tuple[int, float, float]:
    """Ask in turn over several connections: slow, but the server's CPU time tells all the same."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    question = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n{lines}\r\n".encode()
    passed: list[float] = []
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_connection((HOST, port), timeout=30)) for _ in range(connections)]
        started = time.perf_counter()
        while (now := time.perf_counter()) - started < seconds:
            for each in sockets:
                each.sendall(question)
            for each in sockets:
                _skip(each)
            passed.append(time.perf_counter() - now)
    return len(passed) * connections, time.perf_counter() - started, median(passed) * 1e3


def _skip(connection: socket.socket) -> None:
    taken = b""
    while b"\r\n\r\n" not in taken:
        some = connection.recv(_HEAD)
        if not some:
            raise WrongAnswer("the server disconnected")
        taken += some
    head, _, body = taken.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    left = (int(length[1]) if length and b" 304 " not in head[:14] else 0) - len(body)
    while left > 0:
        left -= len(connection.recv(_PIECE)) or left


def rest(server: Running, *, longest: float = LONGEST) -> bool:
    """Wait until a server has nothing to do any more; say whether it came to rest."""
    deadline, used = time.monotonic() + longest, -1.0
    while server.cpu_seconds() - used > _REST:
        if time.monotonic() > deadline:
            return False
        used = server.cpu_seconds()
        time.sleep(1.0)
    return True


def slowest(reads: Sequence[Read]) -> float:
    """Give the seconds of the client that had its file last."""
    return max(read.total for read in reads)
