"""Whatever goes wrong at a private place: clients hear what to do about it, and never get a stranger's file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.fakes.asking import ask
from tests.fakes.blob_service import FakeBlobService
from tests.fakes.every_place import CORE, FEED, MODEL, PAT, EveryPlace, leaks
from tests.fakes.process import StartServer
from tests.fakes.wheels import build_wheel

pytestmark = pytest.mark.azurite

Break = Callable[[EveryPlace], object]


def expire_pat(places: EveryPlace) -> None:
    places.devops.roles = {}


def expire_signature(places: EveryPlace) -> None:
    places.keep("sas", "sv=2022-11-02&sr=c&sp=rl&se=2026-01-01T00%3A00%3A00Z&sig=QUJDREVGR0g%3D")


def empty_secret(places: EveryPlace) -> None:
    (places.secrets / "pat").write_text("\n")


def lose_secret(places: EveryPlace) -> None:
    (places.secrets / "sas").unlink()


def throttle_feed(places: EveryPlace) -> None:
    places.devops.throttled_for = 40


def throttle_github(places: EveryPlace) -> None:
    places.github.remaining = 0
    places.github.reset_in = 120


def revoke_github(places: EveryPlace) -> None:
    places.github.answers_with = (401, '{"message": "Bad credentials"}')


def hide_repository(places: EveryPlace) -> None:
    places.github.repositories["my-org/models"].tokens = {"somebody-elses"}
    places.github.has("my-org/mine")


def want_sso(places: EveryPlace) -> None:
    places.github.forbids = "sso"


def want_scope(places: EveryPlace) -> None:
    places.github.forbids = "scope"


def overload_feed(places: EveryPlace) -> None:
    places.devops.quota_500 = 1000


def delete_container(places: EveryPlace) -> None:
    places.container.delete_container()


FAILURES = [
    pytest.param("acme-feed", expire_pat, 502, "connection devops", id="expired PAT"),
    pytest.param("acme-core", expire_signature, 502, "SAS", id="expired SAS"),
    pytest.param("acme-feed", empty_secret, 502, "secrets/pat", id="empty secret"),
    pytest.param("acme-core", lose_secret, 502, "secrets/sas", id="lost secret"),
    pytest.param("acme-feed", throttle_feed, 503, "", id="throttled feed"),
    pytest.param("acme-feed", overload_feed, 503, "", id="quota of the feed as a 500"),
    pytest.param("acme-model", throttle_github, 503, "", id="GitHub's quota"),
    pytest.param("acme-model", revoke_github, 502, "new token", id="revoked GitHub token"),
    pytest.param("acme-model", hide_repository, 502, "my-org/models", id="repository not seen"),
    pytest.param("acme-model", want_sso, 502, "SSO", id="token not authorised for SSO"),
    pytest.param("acme-model", want_scope, 502, "Contents", id="token without the scope"),
    pytest.param("acme-core", delete_container, 502, "container", id="container gone"),
]


@pytest.mark.parametrize(("project", "broken", "status", "remedy"), FAILURES)
async def test_a_place_that_fails_is_named_with_its_remedy_and_nobody_else_answers(
    start_server: StartServer, places: EveryPlace, project: str, broken: Break, status: int, remedy: str
) -> None:
    broken(places)
    server = start_server(places.config())
    file = {"acme-core": CORE, "acme-feed": FEED, "acme-model": MODEL}[project]

    said = [
        await ask(url)
        for url in (
            f"{server.index_url}{project}/",
            f"{server.url}/files/{project}/{file}",
            f"{server.url}/files/{project}/{file}.metadata",
            f"{server.url}/files/{project}/{project.replace('-', '_')}-99-py3-none-any.whl",
        )
    ]

    assert [each.status for each in said] == [status] * 4
    assert remedy in said[0].remedy
    if status == 503:
        assert int(said[0].headers["Retry-After"]) > 0
    assert places.strangers() == []
    assert leaks(places, *(each.body for each in said), server.log.encode()) == []


async def test_the_time_that_a_feed_asks_to_be_left_alone_is_passed_on_and_kept(
    start_server: StartServer, places: EveryPlace
) -> None:
    places.devops.throttled_for = 40
    server = start_server(places.config())
    page = f"{server.index_url}acme-feed/"
    first = await ask(page)
    asked = len(places.devops.requests)

    second = await ask(page)

    assert (first.status, second.status) == (503, 503)
    assert 30 <= int(second.headers["Retry-After"]) <= 40
    assert len(places.devops.requests) == asked


async def test_a_name_that_only_the_public_index_has_waits_for_the_private_ones_to_answer(
    start_server: StartServer, places: EveryPlace
) -> None:
    """Nobody can say that the feed does not have it."""
    expire_pat(places)
    server = start_server(places.config())

    said = await ask(f"{server.index_url}leaf/")

    assert said.status == 502
    assert places.public.requests == []


async def test_a_name_of_another_place_is_served_from_what_is_remembered(
    start_server: StartServer, places: EveryPlace
) -> None:
    """With the container's listing at hand, its outage is no reason to keep anything else from anybody."""
    server = start_server(places.config())
    assert (await ask(f"{server.url}/links/")).status == 200
    assert (await ask(f"{server.index_url}leaf/")).status == 200
    server.stop()
    places.container.delete_container()
    server.start()

    leaf = await ask(f"{server.index_url}leaf/")
    core = await ask(f"{server.index_url}acme-core/")
    feed = await ask(f"{server.index_url}acme-feed/")

    assert (leaf.status, core.status, feed.status) == (200, 200, 200)
    assert CORE in core.files
    assert b"-99-" not in core.body + feed.body


async def test_downloads_whose_redirect_leads_to_a_dead_host_fail_by_name(
    start_server: StartServer, places: EveryPlace
) -> None:
    places.devops.storage_url = "http://127.0.0.1:9"
    server = start_server(places.config())

    page = await ask(f"{server.index_url}acme-feed/")
    said = await ask(f"{server.url}/files/acme-feed/{FEED}")

    assert FEED in page.files
    assert said.status == 503
    assert "team" in said.json["detail"]
    assert leaks(places, said.body, server.log.encode()) == []


async def test_a_reader_who_may_not_save_from_upstream_is_told_the_role(
    start_server: StartServer, places: EveryPlace
) -> None:
    """A token with Packaging (read) gets no version that the feed has not saved yet."""
    places.devops.roles = {PAT: "reader"}
    places.devops.has("acme_fresh-1.0-py3-none-any.whl", build_wheel("acme-fresh", "1.0"), saved=False)
    server = start_server(places.config())

    said = await ask(f"{server.index_url}acme-fresh/")

    assert said.status == 502
    assert "Collaborator" in said.remedy
    assert places.strangers() == []


@pytest.fixture
async def account() -> AsyncIterator[FakeBlobService]:
    async with FakeBlobService() as running:
        running.has(CORE, build_wheel("acme-core", "1.0"))
        yield running


REFUSALS = [
    ((403, "AuthorizationFailure"), 502, "networking settings"),
    ((403, "AuthorizationPermissionMismatch"), 502, "Storage Blob Data Reader"),
    ((403, "AuthenticationFailed"), 502, ""),
    ((403, "KeyBasedAuthenticationNotPermitted"), 502, "managed-identity"),
    ((404, "ContainerNotFound"), 502, "container"),
    ((409, "ContainerBeingDeleted"), 503, ""),
    ((503, "ServerBusy"), 503, ""),
    ((429, "TooManyRequests"), 503, ""),
]


@pytest.mark.parametrize(("refusal", "status", "remedy"), REFUSALS)
async def test_a_refusal_of_storage_says_what_to_change(
    start_server: StartServer,
    places: EveryPlace,
    account: FakeBlobService,
    refusal: tuple[int, str],
    status: int,
    remedy: str,
) -> None:
    account.refuse(*refusal, headers={"Retry-After": "20"} if status == 503 else {})
    server = start_server(
        places.config((places.account_url, account.url), (str(places.container.container_name), account.container))
    )

    said = await ask(f"{server.index_url}acme-core/")

    assert said.status == status
    assert remedy.lower() in said.remedy.lower()
    assert places.strangers() == []


async def test_a_public_index_that_is_down_takes_no_private_name_with_it(
    start_server: StartServer, places: EveryPlace
) -> None:
    places.public.is_down("close")
    server = start_server(places.config())

    private = [await ask(f"{server.index_url}{name}/") for name in ("acme-core", "acme-feed", "acme-model")]
    public = await ask(f"{server.index_url}leaf/")

    assert [said.status for said in private] == [200, 200, 200]
    assert public.status == 503
    assert public.json["source"] == "public"


async def test_a_project_that_the_feed_answers_401_for_is_404_for_clients(
    start_server: StartServer, places: EveryPlace
) -> None:
    """Some feeds say so of what is not there; with a good credential it is absence, with a bad one an error."""
    places.devops.absent_is = 401
    server = start_server(places.config())

    absent = await ask(f"{server.index_url}acme-nothing/")
    others = await ask(f"{server.index_url}leaf/")
    expire_pat(places)
    refused = await ask(f"{server.index_url}acme-nothing-else/")

    assert absent.status == 404
    assert others.status == 200
    assert refused.status == 502


async def test_a_target_that_covers_the_pages_but_not_the_files_is_told_at_the_file_and_in_the_log(
    start_server: StartServer, places: EveryPlace
) -> None:
    """Feeds link their files outside of their own path."""
    narrow = (f'target = "{places.devops.root}"', f'target = "{places.devops.index_url}"')
    server = start_server(places.config(narrow))

    page = await ask(f"{server.index_url}acme-feed/")
    said = await ask(f"{server.url}/files/acme-feed/{FEED}", accept="*/*")

    assert FEED in page.files
    assert said.status == 502
    assert "no connection covers" in said.remedy
    assert "TaskGroup" not in server.log


async def test_a_hundred_requests_at_once_cost_a_place_a_handful(start_server: StartServer, places: EveryPlace) -> None:
    """A whole virtual network is one address to a feed's quota."""
    server = start_server(places.config())

    pages = await asyncio.gather(*(ask(f"{server.index_url}acme-feed/") for _ in range(50)))
    files = await asyncio.gather(*(ask(f"{server.url}/files/acme-feed/{FEED}", accept="*/*") for _ in range(50)))

    assert {said.status for said in (*pages, *files)} == {200}
    assert len(places.devops.requests) < 20
    assert len([seen for seen in places.devops.downloads if "Range" not in seen.headers]) == 1
