"""What tests of every part share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from tests.fakes.process import ServerProcess, StartServer


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> Iterator[None]:
    """Let whatever blocks the event loop from inside `proxy` fail."""
    with blockbuster_ctx("proxy") as blockers:
        # One look at one file costs less than the way to a thread.
        blockers.functions["os.stat"].can_block_in("proxy/store/artifacts.py", "find")
        # A piece at a time, into a connection that never waits, as asyncio's own does.
        blockers.functions["os.sendfile"].can_block_in("proxy/web/outflow.py", "_send_pieces")
        # Measuring coverage takes a lock wherever a line is met for the first time.
        blockers.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        yield


@pytest.fixture
def cache_directory(tmp_path: Path) -> Path:
    """Give an empty folder for a cache, gone after the test."""
    directory = tmp_path / "cache"
    directory.mkdir()
    return directory


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Give what starts real servers; they are stopped after the test, and it shows what they wrote if it failed."""
    with ExitStack() as servers:

        def start(config: str | None = None, *, environment: Mapping[str, str] | None = None) -> ServerProcess:
            server = ServerProcess(tmp_path / f"server-{next(numbers)}", config, environment or {})
            # The last one to go in comes out first: stopped, then shown.
            servers.callback(lambda: print(f"--- {server.url}\n{server.log}"))  # noqa: T201 - for pytest's report
            servers.callback(server.stop)
            server.start()
            return server

        numbers = itertools.count()
        yield start


@pytest.fixture
def running_server(start_server: StartServer) -> ServerProcess:
    """Give one real server with the embedded default: the folder `packages` below `server.folder`, then pip's index."""
    return start_server()
