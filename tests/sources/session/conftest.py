"""A session with a clock of its own, what it reports, and two indexes it may meet."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from proxy.sources.session import Session, Upstream
from tests.fakes.clock import FakeClock
from tests.fakes.fetching import WHEEL
from tests.fakes.index import FakeIndex


@pytest.fixture
def observed() -> list[tuple[str, int | str]]:
    return []


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def session(observed: list[tuple[str, int | str]], clock: FakeClock) -> AsyncIterator[Session]:
    def observe(source: str, outcome: int | str, seconds: float) -> None:
        assert seconds >= 0
        observed.append((source, outcome))

    async with Session(user_agent="wheelgate/test", observe=observe, clock=clock) as session:
        yield session


@pytest.fixture
async def index() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        index.has(WHEEL)
        yield index


@pytest.fixture
async def other() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as other:
        yield other


@pytest.fixture
def upstream(session: Session) -> Upstream:
    return Upstream(session, name="feed", timeout=2)
