"""A feed of Azure DevOps behaves better through the server than on its own."""

from __future__ import annotations

import hashlib
import re

import pytest

from tests.fakes.asking import ask, ask_until
from tests.fakes.azure_devops import FEED_ID, PROJECT_ID, SIGNED
from tests.fakes.every_place import FEED, EveryPlace
from tests.fakes.process import ServerProcess, StartServer
from tests.fakes.wheels import build_wheel

pytestmark = pytest.mark.azurite


@pytest.fixture
def server(start_server: StartServer, places: EveryPlace) -> ServerProcess:
    return start_server(places.config())


async def test_files_are_links_of_ours_and_not_ids_of_the_feed(server: ServerProcess) -> None:
    for accept in ("text/html", "application/vnd.pypi.simple.v1+json"):
        said = await ask(f"{server.index_url}acme-feed/", accept=accept)

        assert f"../../files/acme-feed/{FEED}".encode() in said.body
        assert FEED_ID.encode() not in said.body
        assert PROJECT_ID.encode() not in said.body


async def test_head_works_although_the_feed_refuses_it(server: ServerProcess, places: EveryPlace) -> None:
    wheel = build_wheel("acme-feed", "2.0.0", requires=["acme-model"])

    said = await ask(f"{server.url}/files/acme-feed/{FEED}", accept="*/*", method="HEAD")

    assert said.status == 200
    assert said.headers["Content-Length"] == str(len(wheel))
    assert said.headers["ETag"] == f'"{hashlib.sha256(wheel).hexdigest()}"'
    assert [seen for seen in places.devops.requests if seen.method == "HEAD"] == []


async def test_the_redirect_to_storage_is_followed_without_the_credential_and_never_passed_on(
    server: ServerProcess, places: EveryPlace
) -> None:
    said = await ask(f"{server.url}/files/acme-feed/{FEED}", accept="*/*", Authorization="Basic Y2xpZW50OnNlY3JldA==")

    assert said.status == 200
    assert places.devops.downloads
    assert all("Authorization" not in seen.headers for seen in places.devops.downloads)
    assert all(seen.target.endswith(f"?{SIGNED}") for seen in places.devops.downloads)
    assert all("Y2xpZW50" not in str(seen.headers) for seen in places.devops.requests)


async def test_core_metadata_is_read_through_the_redirect_by_ranges(server: ServerProcess, places: EveryPlace) -> None:
    """The feed has none; without it every resolution downloads whole wheels."""
    big = build_wheel("acme-big", "1.0", requires=["leaf>=1"], requires_python=">=3.9", size_padding=3 << 20)
    places.devops.has("acme_big-1.0-py3-none-any.whl", big)

    page = await ask_until(f"{server.index_url}acme-big/", lambda said: b"core-metadata" in said.body)
    metadata = await ask(f"{server.url}/files/acme-big/acme_big-1.0-py3-none-any.whl.metadata", accept="*/*")
    html = await ask(f"{server.index_url}acme-big/", accept="text/html")

    listed = page.files["acme_big-1.0-py3-none-any.whl"]
    assert listed["core-metadata"] == {"sha256": hashlib.sha256(metadata.body).hexdigest()}
    assert (listed["size"], listed["requires-python"]) == (len(big), ">=3.9")
    assert b"Requires-Dist: leaf>=1" in metadata.body
    assert b"data-core-metadata" in html.body
    assert places.devops.downloads
    assert all("Range" in seen.headers for seen in places.devops.downloads)


async def test_a_download_that_the_feed_cuts_short_arrives_whole(server: ServerProcess, places: EveryPlace) -> None:
    big = build_wheel("acme-big", "1.0", size_padding=3 << 20)
    places.devops.has("acme_big-1.0-py3-none-any.whl", big)
    await ask_until(f"{server.index_url}acme-big/", lambda said: b"core-metadata" in said.body)
    places.devops.truncates_next = 1

    said = await ask(f"{server.url}/files/acme-big/acme_big-1.0-py3-none-any.whl", accept="*/*")

    assert said.body == big


async def test_a_delay_that_comes_with_an_answer_is_obeyed_without_an_error(
    server: ServerProcess, places: EveryPlace
) -> None:
    """Azure says `Retry-After` with a 200, too: the next questions wait, the clients get what is remembered."""
    places.devops.delays_told = 30
    first = await ask(f"{server.index_url}acme-feed/")
    asked = len(places.devops.requests)

    second = await ask(f"{server.index_url}acme-feed/")

    assert (first.status, second.status) == (200, 200)
    assert len(places.devops.requests) == asked


async def test_both_spellings_of_a_zero_in_a_version_are_one_file(server: ServerProcess, places: EveryPlace) -> None:
    """The feed's own links say /2/ where the file is 2.0.0."""
    said = await ask(f"{server.index_url}acme-feed/")

    assert said.json["versions"] == ["2.0.0"]
    assert (await ask(f"{server.url}/files/acme-feed/{FEED}", accept="*/*")).status == 200
    assert any(re.search(r"/download/acme-feed/2/", seen.path) for seen in places.devops.requests)
