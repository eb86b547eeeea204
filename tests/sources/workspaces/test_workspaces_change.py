from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from proxy.errors import SourceError, SourceRefused
from proxy.sources.credentials import Keyring
from proxy.sources.session import Session, Upstream
from proxy.sources.workspaces import WorkspaceConnections
from proxy.tasks import Background
from tests.fakes.authorising import FEED, TARGET, pair
from tests.fakes.clock import FakeClock
from tests.fakes.management import FakeManagement


async def refusal(workspace: WorkspaceConnections) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await workspace.read()
    return caught.value


async def test_a_rotated_secret_is_read_at_once_after_a_refusal(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement
) -> None:
    management.has_pat("my-feed", TARGET, "old")
    await workspace.read()
    management.has_pat("my-feed", TARGET, "new")
    credentials = keyring.for_source("team")

    assert await asyncio.gather(*(credentials.refused(FEED) for _ in range(4))) == [True] * 4
    assert (await pair(keyring)).endswith(":new")
    assert len(management.requests) == 4


async def test_a_secret_that_is_still_the_same_is_not_tried_again(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement, clock: FakeClock
) -> None:
    management.has_pat("my-feed", TARGET, "old")
    await workspace.read()
    credentials = keyring.for_source("team")

    assert not await credentials.refused(FEED)
    management.has_pat("my-feed", TARGET, "new")
    assert not await credentials.refused(FEED), "at most every ten seconds"
    clock.pass_by(10)
    assert await credentials.refused(FEED)


async def test_a_connection_that_was_added_since_is_found_by_a_refusal(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement
) -> None:
    await workspace.read()
    management.has_pat("my-feed", TARGET, "new")

    assert await keyring.for_source("team").refused(FEED)
    assert (await pair(keyring)).endswith(":new")


async def test_an_outage_of_azure_takes_no_connection_away(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement
) -> None:
    management.has_pat("my-feed", TARGET, "old")
    await workspace.read()
    management.throttled_for = 30

    assert not await keyring.for_source("team").refused(FEED)
    assert (await pair(keyring)).endswith(":old")


async def test_a_connection_that_cannot_be_read_now_stays_as_it_was(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement
) -> None:
    management.has_pat("my-feed", TARGET, "old")
    await workspace.read()
    management.throttles_secrets = True

    await workspace.read()

    assert (await pair(keyring)).endswith(":old")


async def test_a_connection_that_was_removed_is_used_no_more(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement
) -> None:
    management.has_pat("my-feed", TARGET, "old")
    await workspace.read()
    management.connections.clear()

    await workspace.read()

    assert await keyring.for_source("team").authorise(FEED) is None


async def test_a_connection_that_is_removed_meanwhile_is_left_out(
    workspace: WorkspaceConnections, management: FakeManagement
) -> None:
    management.has_pat("my-feed", TARGET, "old")
    management.forgets_secrets = True

    await workspace.read()

    assert workspace.held == ()


async def test_while_a_workspace_was_never_read_no_absence_is_believed(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement, session: Session
) -> None:
    """A feed may tell strangers that it does not have what it has, and the next source would answer for it."""
    management.lacks_reader = True
    await refusal(workspace)
    upstream = Upstream(session, name="team", credentials=keyring.for_source("team"))

    with pytest.raises(SourceRefused) as caught:
        async with upstream.get(f"{management.url}/simple/bar/", expect=(200, 401, 404)):
            pass

    assert caught.value.source == "team"
    assert "workspace research" in caught.value.reason


async def test_what_a_place_says_to_everybody_is_believed_all_the_same(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement, session: Session
) -> None:
    management.lacks_reader = True
    await refusal(workspace)
    management.answers_with = (200, "hello")
    upstream = Upstream(session, name="public", credentials=keyring.for_source("public"))

    async with upstream.get(f"{management.url}/simple/bar/") as response:
        assert await response.text() == "hello"


async def test_a_workspace_that_can_be_read_again_serves_without_a_restart(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement, clock: FakeClock
) -> None:
    management.has_pat("my-feed", TARGET, "late")
    management.lacks_reader = True
    await refusal(workspace)
    with pytest.raises(SourceRefused, match="source team"):
        await keyring.for_source("team").refused(FEED)
    management.lacks_reader = False
    clock.pass_by(10)

    assert await keyring.for_source("team").refused(FEED)
    assert (await pair(keyring)).endswith(":late")


async def test_requests_wait_for_the_first_reading(keyring: Keyring, management: FakeManagement) -> None:
    management.has_pat("my-feed", TARGET, "slow")
    management.delay = 0.05

    async with Background() as background:
        keyring.start(background)
        assert (await pair(keyring)).endswith(":slow")


async def test_the_watch_survives_what_it_cannot_read(keyring: Keyring, management: FakeManagement) -> None:
    management.lacks_reader = True

    async with Background() as background:
        keyring.start(background)
        authorisation = await keyring.for_source("team").authorise(FEED)
        assert len(background) == 1

    assert authorisation is not None
    assert isinstance(authorisation.doubt, SourceRefused)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-01-01T00:00:00.1234567Z", "personal access token expired on 2026-01-01"),
        ("2026-01-01T00:00:00", "personal access token expired on 2026-01-01"),
        ("2026-06-10T00:00:00Z", "personal access token expires soon, on 2026-06-10"),
        ("2027-01-01T00:00:00Z", ""),
        ("soon", ""),
    ],
)
async def test_the_end_of_a_stored_token_is_told(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement, text: str, words: str
) -> None:
    management.has_pat("my-feed", TARGET, "x", expiryTime=text)
    await workspace.read()

    standing = await keyring.describe(FEED)

    assert standing is not None
    assert standing.connection == "connection my-feed of workspace research"
    assert standing.judge(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) == words


async def test_a_refusal_of_an_expired_token_says_that_it_is(
    keyring: Keyring, workspace: WorkspaceConnections, management: FakeManagement, session: Session
) -> None:
    management.has_pat("my-feed", management.url, "x", expiryTime="2026-01-01T00:00:00Z")
    await workspace.read()
    upstream = Upstream(session, name="team", credentials=keyring.for_source("team"))

    with pytest.raises(SourceRefused) as caught:
        async with upstream.get(f"{management.url}/simple/bar/"):
            pass

    assert "connection my-feed of workspace research (expired on 2026-01-01)" in caught.value.remedy


async def test_no_secret_is_in_what_a_workspace_shows(
    workspace: WorkspaceConnections, management: FakeManagement
) -> None:
    management.has_pat("my-feed", TARGET, "hush-hush")
    await workspace.read()

    assert "hush-hush" not in f"{vars(workspace)!r} {workspace.held!r}"
