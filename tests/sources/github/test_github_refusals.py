from __future__ import annotations

import pytest

from proxy.errors import SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from proxy.sources.github import GitHubReleases
from proxy.sources.session import Session
from tests.fakes.github import FakeGitHub
from tests.fakes.releases import ACME, REPOSITORY, WHEEL, make


async def refusal(source: GitHubReleases) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await source.list(None)
    return caught.value


async def test_a_hidden_repository_is_a_refusal_that_names_it_and_the_scope(
    source: GitHubReleases, github: FakeGitHub
) -> None:
    """GitHub hides private repositories behind a 404: it must never read as "no such project"."""
    github.repositories[REPOSITORY].tokens = {"somebody-elses"}

    error = await refusal(source)

    assert isinstance(error, SourceRefused)
    assert REPOSITORY in error.reason
    assert "Contents: read" in error.remedy


async def test_a_bad_token_is_a_refusal_that_says_so(
    github: FakeGitHub, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = await refusal(make(github, session, monkeypatch, REPOSITORY, token="ghp_expired"))

    assert isinstance(error, SourceRefused)
    assert "expired" in error.reason
    assert "ghp_expired" not in f"{error} {error.remedy}"


@pytest.mark.parametrize(("why", "words"), [("sso", "Configure SSO"), ("scope", "Contents: read")])
async def test_a_token_that_lacks_something_is_told_what(
    source: GitHubReleases, github: FakeGitHub, why: str, words: str
) -> None:
    github.forbids = why

    error = await refusal(source)

    assert isinstance(error, SourceRefused)
    assert words in error.remedy
    assert "SECRET" not in f"{error} {error.remedy}"


async def test_a_blocked_repository_is_a_refusal(source: GitHubReleases, github: FakeGitHub) -> None:
    github.answers_with = (451, '{"message": "Repository access blocked"}')

    assert isinstance(await refusal(source), SourceRefused)


async def test_a_used_up_quota_leaves_github_alone_until_it_is_reset(
    source: GitHubReleases, github: FakeGitHub
) -> None:
    github.remaining = 0
    github.reset_in = 600

    error = await refusal(source)

    assert isinstance(error, SourceUnavailable)
    assert error.retry_after is not None
    assert 500 < error.retry_after <= 600
    await refusal(source)
    assert len(github.requests) == 1


async def test_a_secondary_limit_leaves_github_alone_for_as_long_as_it_says(
    source: GitHubReleases, github: FakeGitHub
) -> None:
    github.secondary_limit = 30

    error = await refusal(source)

    assert isinstance(error, SourceUnavailable)
    assert error.retry_after == 30
    await refusal(source)
    assert len(github.requests) == 1


async def test_a_secondary_limit_without_a_time_leaves_github_alone_for_a_minute(
    source: GitHubReleases, github: FakeGitHub
) -> None:
    github.answers_with = (403, '{"message": "You have exceeded a secondary rate limit."}')

    error = await refusal(source)

    assert error.retry_after == 60
    await refusal(source)
    assert len(github.requests) == 1


@pytest.mark.parametrize("body", ["<html>sign in</html>", '{"not": "a list"}', "[1]", "", '[{"assets": null}]'])
async def test_nonsense_is_never_an_empty_repository(source: GitHubReleases, github: FakeGitHub, body: str) -> None:
    github.answers_with = (200, body)

    assert isinstance(await refusal(source), SourceNonsense)


@pytest.mark.parametrize("status", [403, 404])
async def test_a_refusal_without_words_is_one_all_the_same(
    source: GitHubReleases, github: FakeGitHub, status: int
) -> None:
    github.answers_with = (status, "not json")

    assert isinstance(await refusal(source), SourceRefused)


async def test_a_list_that_goes_on_elsewhere_is_not_followed(source: GitHubReleases, github: FakeGitHub) -> None:
    github.foreign_link = "https://evil.example/releases?page=2"

    assert isinstance(await refusal(source), SourceNonsense)


async def test_a_list_that_does_not_end_is_given_up(source: GitHubReleases, github: FakeGitHub) -> None:
    github.foreign_link = f"{github.url}/repos/{REPOSITORY}/releases?per_page=100"

    assert "does not end" in (await refusal(source)).reason


async def test_an_asset_without_times_has_no_upload_time(source: GitHubReleases, github: FakeGitHub) -> None:
    github.answers_with = (200, f'[{{"assets": [{{"id": 1, "name": "{WHEEL}", "state": "uploaded"}}]}}]')

    listing = await source.list(None)

    assert listing.projects[ACME][0].upload_time is None
    assert listing.projects[ACME][0].etag == "1-"
