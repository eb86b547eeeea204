"""What the tests of mirrors share: an index, background work and a clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.store.index import Index
from proxy.tasks import Background
from tests.fakes.clock import FakeClock


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    """Give an empty index."""
    async with Index(tmp_path / "index") as index:
        yield index


@pytest.fixture
async def background(index: Index) -> AsyncIterator[Background]:
    """Give an owner of tasks, who ends them before the index closes."""
    assert index is not None
    async with Background() as background:
        yield background


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock that stands still."""
    return FakeClock()
