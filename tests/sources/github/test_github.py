from __future__ import annotations

import hashlib

import pytest

from proxy.errors import FileGone, SourceUnavailable
from proxy.simple.model import File
from proxy.sources.base import Listing
from proxy.sources.github import GitHubReleases
from proxy.sources.session import Session
from tests.fakes.github import FakeGitHub
from tests.fakes.releases import ACME, REPOSITORY, WHEEL, make


async def read(source: GitHubReleases, file: File, start: int = 0, end: int | None = None) -> bytes:
    async with source.open(file, start=start, end=end) as body:
        content = b"".join([chunk async for chunk in body.chunks])
        return content[start - body.start :] if body.start < start else content


async def test_assets_of_releases_are_files(source: GitHubReleases, github: FakeGitHub) -> None:
    release = github.release(REPOSITORY, "v1", {WHEEL: b"wheel", "acme-model-1.0.tar.gz": b"sdist"})

    listing = await source.list(None)

    wheel = {file.filename: file for file in listing.projects[ACME]}[WHEEL]
    assert list(listing.projects) == [ACME]
    assert wheel.version == "1.0"
    assert wheel.sha256 == hashlib.sha256(b"wheel").hexdigest()
    assert wheel.size == 5
    assert wheel.upload_time == "2026-01-02T03:04:05Z"
    assert wheel.etag == f"{release.assets[0].id}-2026-01-02T03:04:05Z"


async def test_requests_are_introduced_and_carry_the_token_as_github_documents_it(
    source: GitHubReleases, github: FakeGitHub
) -> None:
    await source.list(None)

    headers = github.requests[0].headers
    assert headers["Authorization"] == f"Bearer {github.token}"
    assert headers["Accept"] == "application/vnd.github+json"
    assert headers["X-GitHub-Api-Version"] == "2022-11-28"


async def test_drafts_unfinished_uploads_and_other_files_are_not_listed(
    source: GitHubReleases, github: FakeGitHub
) -> None:
    github.release(REPOSITORY, "v3", {"acme_model-3.0-py3-none-any.whl": b"x"}, draft=True)
    unfinished = github.release(REPOSITORY, "v2", {"acme_model-2.0-py3-none-any.whl": b"x"})
    unfinished.assets[0].state = "starter"
    github.release(REPOSITORY, "v1", {WHEEL: b"wheel", "SHA256SUMS": b"x", "README.md": b"x"}, prerelease=True)

    listing = await source.list(None)

    assert [file.filename for file in listing.projects[ACME]] == [WHEEL]


async def test_an_old_asset_has_no_digest(source: GitHubReleases, github: FakeGitHub) -> None:
    github.release(REPOSITORY, "v1", {WHEEL: b"wheel"}).assets[0].has_digest = False

    listing = await source.list(None)

    assert listing.projects[ACME][0].hashes == {}


async def test_all_pages_are_read(source: GitHubReleases, github: FakeGitHub) -> None:
    github.largest_page = 2
    for number in range(5):
        github.release(REPOSITORY, f"v{number}", {f"acme_model-{number}.0-py3-none-any.whl": b"x"})

    listing = await source.list(None)

    assert len(listing.projects[ACME]) == 5


async def test_a_release_published_while_pages_are_read_hides_nothing(
    source: GitHubReleases, github: FakeGitHub
) -> None:
    """Pages are cut by number: one more release at the front pushes another over the edge."""
    github.largest_page = 2
    for number in range(4):
        github.release(REPOSITORY, f"v{number}", {f"acme_model-{number}.0-py3-none-any.whl": b"x"})
    github.before_page[2] = lambda: github.repositories[REPOSITORY].releases.pop(0)

    listing = await source.list(None)

    assert [file.version for file in listing.projects[ACME]] == ["0.0", "1.0", "2.0"]


async def test_nothing_new_gives_the_same_listing_and_costs_no_quota(
    source: GitHubReleases, github: FakeGitHub
) -> None:
    github.largest_page = 1
    github.release(REPOSITORY, "v1", {WHEEL: b"wheel"})
    github.release(REPOSITORY, "v2", {"acme_model-2.0-py3-none-any.whl": b"x"})
    first = await source.list(None)
    before = github.remaining

    assert await source.list(first) is first
    assert github.remaining == before


async def test_a_page_that_has_not_changed_may_have_got_a_successor(source: GitHubReleases, github: FakeGitHub) -> None:
    """A release of an old tag is listed last, although it is new."""
    github.largest_page = 1
    github.release(REPOSITORY, "v1", {WHEEL: b"wheel"})
    first = await source.list(None)
    old = github.release(REPOSITORY, "v0", {"acme_model-0.1-py3-none-any.whl": b"x"})
    github.repositories[REPOSITORY].releases.sort(key=lambda release: release is old)

    second = await source.list(first)

    assert [file.version for file in second.projects[ACME]] == ["0.1", "1.0"]


async def test_a_restart_costs_no_quota_either(
    source: GitHubReleases, github: FakeGitHub, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.release(REPOSITORY, "v1", {WHEEL: b"wheel"})
    first = await source.list(None)
    before = github.remaining
    again = make(github, session, monkeypatch, REPOSITORY)

    assert await again.list(Listing(dict(first.projects), first.token)) == first
    assert github.remaining == before


async def test_a_listing_remembered_by_another_release_is_read_anew(source: GitHubReleases, github: FakeGitHub) -> None:
    github.release(REPOSITORY, "v1", {WHEEL: b"wheel"})

    listing = await source.list(Listing({}, b"of another shape"))

    assert list(listing.projects) == [ACME]


async def test_a_counter_of_downloads_is_no_news(source: GitHubReleases, github: FakeGitHub) -> None:
    github.release(REPOSITORY, "v1", {WHEEL: b"wheel"})
    first = await source.list(None)
    github.downloads_counted += 1

    assert await source.list(first) is first
    before = github.remaining
    assert await source.list(first) is first
    assert github.remaining == before, "the new entity tag is remembered"


async def test_a_new_release_is_seen(source: GitHubReleases, github: FakeGitHub) -> None:
    github.release(REPOSITORY, "v1", {WHEEL: b"wheel"})
    first = await source.list(None)
    github.release(REPOSITORY, "v2", {"acme_model-2.0-py3-none-any.whl": b"x"})

    second = await source.list(first)

    assert [file.version for file in second.projects[ACME]] == ["1.0", "2.0"]


async def test_of_two_uploads_of_a_file_the_later_one_is_listed(source: GitHubReleases, github: FakeGitHub) -> None:
    github.release(REPOSITORY, "v1", {WHEEL: b"later"}).assets[0].updated_at = "2026-03-01T00:00:00Z"
    github.release(REPOSITORY, "v1-again", {WHEEL: b"earlier"}).assets[0].updated_at = "2026-02-01T00:00:00Z"

    listing = await source.list(None)

    assert [file.sha256 for file in listing.projects[ACME]] == [hashlib.sha256(b"later").hexdigest()]


async def test_of_two_repositories_the_first_one_wins(
    github: FakeGitHub, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.release("my-org/b", "v1", {WHEEL: b"second", "other-1.0.tar.gz": b"x"}).assets[
        0
    ].updated_at = "2026-03-01T00:00:00Z"
    github.release("my-org/a", "v1", {WHEEL: b"first"})

    listing = await make(github, session, monkeypatch, "my-org/a", "my-org/b").list(None)

    assert [file.sha256 for file in listing.projects[ACME]] == [hashlib.sha256(b"first").hexdigest()]
    assert "other" in listing.projects


async def test_a_moved_repository_is_followed(source: GitHubReleases, github: FakeGitHub) -> None:
    github.largest_page = 1
    github.release("new-org/models", "v1", {WHEEL: b"wheel"})
    github.release("new-org/models", "v2", {"acme_model-2.0-py3-none-any.whl": b"x"})
    github.moved[REPOSITORY] = "new-org/models"

    listing = await source.list(None)

    assert len(listing.projects[ACME]) == 2


async def test_bytes_come_over_a_redirect_that_is_told_no_token(source: GitHubReleases, github: FakeGitHub) -> None:
    github.release(REPOSITORY, "v1", {WHEEL: b"0123456789"})
    file = (await source.list(None)).projects[ACME][0]

    assert await read(source, file) == b"0123456789"
    assert await read(source, file, 2, 5) == b"234"
    assert await read(source, file, 7) == b"789"
    assert all("Authorization" not in seen.headers for seen in github.downloads)
    assert all("X-GitHub-Api-Version" not in seen.headers for seen in github.downloads)


async def test_bytes_that_the_api_sends_itself_are_taken(source: GitHubReleases, github: FakeGitHub) -> None:
    github.release(REPOSITORY, "v1", {WHEEL: b"0123456789"})
    github.serves_bytes_itself = True
    file = (await source.list(None)).projects[ACME][0]

    assert await read(source, file, 2, 5) == b"234"


async def test_a_body_has_the_identity_that_was_listed(source: GitHubReleases, github: FakeGitHub) -> None:
    github.release(REPOSITORY, "v1", {WHEEL: b"0123456789"})
    file = (await source.list(None)).projects[ACME][0]

    async with source.open(file, start=4) as body:
        assert body.etag == file.etag
        assert body.size == 10


async def test_a_download_that_is_cut_is_an_outage(source: GitHubReleases, github: FakeGitHub) -> None:
    github.release(REPOSITORY, "v1", {WHEEL: b"0123456789"})
    file = (await source.list(None)).projects[ACME][0]
    github.cut_after = 4

    with pytest.raises(SourceUnavailable):
        await read(source, file)


async def test_an_asset_that_was_deleted_is_gone(source: GitHubReleases, github: FakeGitHub) -> None:
    github.release(REPOSITORY, "v1", {WHEEL: b"wheel"})
    file = (await source.list(None)).projects[ACME][0]
    github.repositories[REPOSITORY].releases.clear()

    with pytest.raises(FileGone):
        await read(source, file)


async def test_what_belongs_to_a_file_is_not_published(source: GitHubReleases) -> None:
    file = File(WHEEL, "unused")

    assert await source.read_metadata(file) is None
    assert await source.read_provenance(file) is None
    assert await source.look(ACME, None) is None
