"""What the scenarios share: two upstream indexes, a folder of private files, and servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.index import FakeIndex
from tests.fakes.server import LocalServer

Run = Callable[..., Awaitable[LocalServer]]


@pytest.fixture
async def private() -> AsyncIterator[FakeIndex]:
    """Give the upstream index that owns names."""
    async with FakeIndex() as index:
        yield index


@pytest.fixture
async def public() -> AsyncIterator[FakeIndex]:
    """Give the upstream index that strangers may upload to."""
    async with FakeIndex() as index:
        yield index


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Give an empty folder for private files."""
    path = tmp_path / "shelf"
    path.mkdir()
    return path


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock that stands at a round moment of 2026 until it is moved."""
    return FakeClock(1_767_225_600.0)


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Give what runs a whole server for a configuration; all of them end with the test."""
    async with AsyncExitStack() as servers:

        async def start(config: Mapping[str, Any], **given: Any) -> LocalServer:
            return await servers.enter_async_context(LocalServer(config, **given))

        yield start


def toml(cache: Path, upstream: str, *, more: str = "", rules: str = "") -> str:
    """Give the configuration of a server process with one upstream index."""
    return f"""
[cache]
directory = "{cache}"

[sources.public]
kind = "simple"
url = "{upstream}"
fresh = "0 s"
stale = "0 s"
{more}

[feeds.default]
sources = ["public"]
{rules}
"""
