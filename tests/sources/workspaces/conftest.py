"""A workspace of Azure Machine Learning, and a keyring that has its connections."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from proxy.config.models import Workspace
from proxy.sources.credentials import Keyring
from proxy.sources.session import Session
from proxy.sources.workspaces import WorkspaceConnections
from tests.fakes.clock import FakeClock
from tests.fakes.identity import FakeTokens
from tests.fakes.management import WORKSPACE, FakeManagement


@pytest.fixture
async def management() -> AsyncIterator[FakeManagement]:
    async with FakeManagement() as management:
        yield management


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as session:
        yield session


@pytest.fixture
def tokens() -> FakeTokens:
    return FakeTokens()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def workspace(
    management: FakeManagement, session: Session, tokens: FakeTokens, clock: FakeClock
) -> WorkspaceConnections:
    config = Workspace.model_validate({"id": WORKSPACE, "management_url": management.url})
    return WorkspaceConnections("research", config, session=session, tokens_of=lambda _: tokens, clock=clock)


@pytest.fixture
def keyring(workspace: WorkspaceConnections) -> Keyring:
    return Keyring([], [workspace])
