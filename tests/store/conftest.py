from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from proxy.store.artifacts import Artifacts
from proxy.store.download import Downloads
from proxy.tasks import Background


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> Iterator[None]:
    """Let whatever blocks fail, but for the one `stat` by which an artifact is found: a thread would cost more."""
    with blockbuster_ctx("proxy") as blockbuster:
        blockbuster.functions["os.stat"].can_block_in("proxy/store/artifacts.py", "find")
        yield


@pytest.fixture
def content() -> bytes:
    return random.Random(7).randbytes(3_000_000)  # noqa: S311 - any bytes will do


@pytest.fixture
async def artifacts(tmp_path: Path) -> AsyncIterator[Artifacts]:
    async with Artifacts(tmp_path / "artifacts", size=100_000_000) as store:
        yield store


@pytest.fixture
async def downloads(artifacts: Artifacts) -> AsyncIterator[Downloads]:
    async with Background() as background:
        yield Downloads(artifacts, background, silence=10.0, backoff=0.001)
