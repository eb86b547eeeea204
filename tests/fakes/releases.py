"""A source of releases, with a token for its repositories."""

from __future__ import annotations

import pytest

from proxy.config.models import Connection, GithubSource
from proxy.simple.model import NormalizedName
from proxy.sources.credentials import keyring_of
from proxy.sources.github import GitHubReleases, github_source
from proxy.sources.session import Session
from tests.fakes.github import FakeGitHub
from tests.fakes.identity import FakeTokens

REPOSITORY = "my-org/models"
WHEEL = "acme_model-1.0-py3-none-any.whl"
ACME = NormalizedName("acme-model")


def make(
    github: FakeGitHub, session: Session, monkeypatch: pytest.MonkeyPatch, *repositories: str, token: str | None = None
) -> GitHubReleases:
    monkeypatch.setenv("GITHUB_PAT", github.token if token is None else token)
    connection = Connection.model_validate({"target": github.url, "auth_type": "PAT", "value": {"env": "GITHUB_PAT"}})
    keyring = keyring_of({"connection-1": connection}, {}, session=session, tokens_of=lambda _: FakeTokens())
    config = GithubSource.model_validate({"kind": "github", "repositories": repositories, "api_url": github.url})
    return github_source("models", config, session=session, keyring=keyring)
