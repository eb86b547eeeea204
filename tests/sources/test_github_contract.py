from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from proxy.sources.github import GitHubReleases
from proxy.sources.session import Session, Upstream
from tests.contracts.listed import ListedSourceContract
from tests.fakes.github import FakeGitHub, Release

REPOSITORY = "my-org/models"


@dataclass
class GitHubStage:
    """One release of one repository, whose assets come and go."""

    source: GitHubReleases
    github: FakeGitHub
    release: Release

    async def put(self, filename: str, content: bytes) -> None:
        """Upload an asset; one of the same name must be deleted before, as on GitHub."""
        await self.delete(filename)
        self.release.assets.append(self.github.make_asset(filename, content))

    async def delete(self, filename: str) -> None:
        """Delete an asset."""
        self.release.assets[:] = [asset for asset in self.release.assets if asset.name != filename]

    async def break_down(self) -> None:
        """Answer everything with an error that asking again does not mend."""
        self.github.answers_with = (451, "")

    async def mend(self) -> None:
        """Answer again."""
        self.github.answers_with = None


class TestGitHubReleases(ListedSourceContract):
    @pytest.fixture
    async def stage(self) -> AsyncIterator[GitHubStage]:
        async with FakeGitHub() as github, Session() as session:
            github.has(REPOSITORY, tokens=set())
            source = GitHubReleases(Upstream(session, name="models"), [REPOSITORY], api_url=github.url)
            yield GitHubStage(source, github, github.release(REPOSITORY, "v1", {}))
