"""A repository with releases, and the source that reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from proxy.sources.github import GitHubReleases
from proxy.sources.session import Session
from tests.fakes.github import FakeGitHub
from tests.fakes.releases import REPOSITORY, make


@pytest.fixture
async def github() -> AsyncIterator[FakeGitHub]:
    async with FakeGitHub(prefix="/api/v3") as github:
        github.has(REPOSITORY)
        yield github


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as session:
        yield session


@pytest.fixture
def source(github: FakeGitHub, session: Session, monkeypatch: pytest.MonkeyPatch) -> GitHubReleases:
    return make(github, session, monkeypatch, REPOSITORY)
