"""`write_back = true`: a computed digest is kept with its blob, so that no other replica computes it again."""

from __future__ import annotations

import hashlib

import pytest

from tests.fakes.asking import Said, ask, ask_until
from tests.fakes.azurite import KEY
from tests.fakes.every_place import CORE, EveryPlace
from tests.fakes.process import ServerProcess, StartServer
from tests.fakes.wheels import build_wheel

pytestmark = pytest.mark.azurite
DIGEST = hashlib.sha256(build_wheel("acme-core", "1.0", requires=["acme-feed>=2"])).hexdigest()
WRITES = ('kind = "azure-blob"', 'kind = "azure-blob"\nwrite_back = true')
BY_KEY = ("{ sas = {", "{ account_key = {")


def has_digest(said: Said) -> bool:
    return said.status == 200 and DIGEST.encode() in said.body


@pytest.fixture
def server(start_server: StartServer, places: EveryPlace) -> ServerProcess:
    places.keep("sas", KEY)
    return start_server(places.config(WRITES, BY_KEY))


def metadata_of(places: EveryPlace) -> dict[str, str]:
    return dict(places.container.get_blob_client(CORE).get_blob_properties().metadata)


async def test_the_digest_is_written_to_the_blob_beside_what_is_there(
    server: ServerProcess, places: EveryPlace
) -> None:
    places.container.get_blob_client(CORE).set_blob_metadata({"owner": "research"})

    page = await ask_until(f"{server.index_url}acme-core/", has_digest)
    await ask_until(f"{server.index_url}acme-core/", lambda _: "sha256" in metadata_of(places))

    metadata = metadata_of(places)
    assert (metadata["sha256"], metadata["owner"]) == (DIGEST, "research")
    after = await ask(f"{server.index_url}acme-core/")
    assert after.files[CORE]["upload-time"] == page.files[CORE]["upload-time"], "the file is as old as it was"


async def test_everything_still_works_after_the_blob_got_another_identity(
    server: ServerProcess, places: EveryPlace
) -> None:
    await ask_until(f"{server.index_url}acme-core/", lambda _: "sha256" in metadata_of(places))

    page = await ask(f"{server.index_url}acme-core/")
    file = await ask(f"{server.url}/files/acme-core/{CORE}", accept="*/*")
    metadata = await ask(f"{server.url}/files/acme-core/{CORE}.metadata", accept="*/*")

    assert page.files[CORE]["hashes"] == {"sha256": DIGEST}
    assert page.files[CORE]["core-metadata"] == {"sha256": hashlib.sha256(metadata.body).hexdigest()}
    assert hashlib.sha256(file.body).hexdigest() == DIGEST


async def test_another_replica_lists_the_digest_at_once(
    server: ServerProcess, start_server: StartServer, places: EveryPlace
) -> None:
    await ask_until(f"{server.index_url}acme-core/", lambda _: "sha256" in metadata_of(places))
    places.cache = places.cache.with_name("another-cache")
    other = start_server(places.config(WRITES, BY_KEY))

    said = await ask(f"{other.index_url}acme-core/")

    assert said.files[CORE]["hashes"] == {"sha256": DIGEST}


async def test_a_role_that_may_only_read_costs_a_warning_and_nothing_else(
    start_server: StartServer, places: EveryPlace
) -> None:
    server = start_server(places.config(WRITES))

    page = await ask_until(f"{server.index_url}acme-core/", has_digest)
    await ask_until(f"{server.url}/livez", lambda _: "digest cannot be written back" in server.log)

    assert page.files[CORE]["hashes"] == {"sha256": DIGEST}
    assert "sha256" not in metadata_of(places)
    assert (await ask(f"{server.url}/files/acme-core/{CORE}", accept="*/*")).status == 200


async def test_nothing_is_written_unless_it_is_wanted(start_server: StartServer, places: EveryPlace) -> None:
    places.keep("sas", KEY)
    server = start_server(places.config(BY_KEY))

    await ask_until(f"{server.index_url}acme-core/", has_digest)
    await ask(f"{server.url}/files/acme-core/{CORE}", accept="*/*")

    assert metadata_of(places) == {}
