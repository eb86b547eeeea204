"""A private container, in the real emulator: what is put there, replaced and deleted there is what clients get."""

from __future__ import annotations

import asyncio
import hashlib

import aiohttp
import pytest

from tests.fakes.asking import Said, ask, ask_until
from tests.fakes.azurite import ACCOUNT, KEY
from tests.fakes.every_place import CORE, EveryPlace, leaks
from tests.fakes.process import ServerProcess, StartServer
from tests.fakes.wheels import build_wheel

pytestmark = pytest.mark.azurite
BIG = "acme_big-1.0-py3-none-any.whl"


@pytest.fixture
def server(start_server: StartServer, places: EveryPlace) -> ServerProcess:
    return start_server(places.config())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def has_digest(said: Said) -> bool:
    return said.status == 200 and all("sha256" in file["hashes"] for file in said.json["files"])


async def test_a_digest_is_computed_behind_and_listed_from_then_on(server: ServerProcess) -> None:
    wheel = build_wheel("acme-core", "1.0", requires=["acme-feed>=2"])

    said = await ask_until(f"{server.index_url}acme-core/", has_digest)
    html = await ask(f"{server.index_url}acme-core/", accept="text/html")

    assert said.files[CORE]["hashes"] == {"sha256": sha256(wheel)}
    assert said.files[CORE]["size"] == len(wheel)
    assert f"#sha256={sha256(wheel)}".encode() in html.body


async def test_a_digest_in_the_metadata_of_a_blob_is_listed_at_once(server: ServerProcess, places: EveryPlace) -> None:
    wheel = build_wheel("acme-told", "1.0")
    places.container.upload_blob("acme_told-1.0-py3-none-any.whl", wheel, metadata={"sha256": sha256(wheel)})

    said = await ask(f"{server.index_url}acme-told/")

    assert said.files["acme_told-1.0-py3-none-any.whl"]["hashes"] == {"sha256": sha256(wheel)}


async def test_a_replaced_file_changes_as_a_whole(server: ServerProcess, places: EveryPlace) -> None:
    """Digest, size, metadata and bytes are always those of one and the same file."""
    before = await ask_until(f"{server.index_url}acme-core/", has_digest)
    wheel = build_wheel("acme-core", "1.0", requires=["leaf"], size_padding=1000)
    places.container.upload_blob(CORE, wheel, overwrite=True)

    page = await ask_until(
        f"{server.index_url}acme-core/",
        lambda said: has_digest(said) and said.files[CORE]["hashes"] != before.files[CORE]["hashes"],
    )
    file = await ask(f"{server.url}/files/acme-core/{CORE}", accept="*/*")
    metadata = await ask_until(
        f"{server.url}/files/acme-core/{CORE}.metadata", lambda said: b"Requires-Dist: leaf" in said.body
    )

    assert page.files[CORE]["hashes"] == {"sha256": sha256(wheel)}
    assert page.files[CORE]["size"] == len(wheel)
    assert file.body == wheel
    assert file.headers["ETag"] == f'"{sha256(wheel)}"'
    assert b"acme-feed" not in metadata.body


async def test_a_file_that_is_replaced_in_the_middle_of_its_download_is_never_mixed(
    server: ServerProcess, places: EveryPlace
) -> None:
    old = build_wheel("acme-big", "1.0", size_padding=48 << 20)
    new = build_wheel("acme-big", "1.0", size_padding=48 << 20, extra_files={"acme_big/new.py": b"# new\n" * 9})
    places.container.upload_blob(BIG, old)
    assert (await ask(f"{server.index_url}acme-big/")).status == 200

    async def download() -> bytes:
        async with aiohttp.ClientSession() as client:
            try:
                async with client.get(f"{server.url}/files/acme-big/{BIG}") as response:
                    return await response.read() if response.status == 200 else b""
            except aiohttp.ClientError:
                return b""

    async def replace() -> None:
        await asyncio.to_thread(places.container.upload_blob, BIG, new, overwrite=True)

    bodies = await asyncio.gather(download(), replace(), download())
    after = await ask_until(
        f"{server.index_url}acme-big/",
        lambda said: has_digest(said) and said.files[BIG]["hashes"] == {"sha256": sha256(new)},
    )
    last = await download()

    # Whole, or broken off, or an error: never the beginning of one and the end of the other.
    assert {sha256(body) for body in bodies if body} <= {sha256(old), sha256(new)}
    assert after.files[BIG]["size"] == len(new)
    assert last == new


async def test_a_deleted_file_goes_from_the_page(server: ServerProcess, places: EveryPlace) -> None:
    places.container.upload_blob("acme_core-1.1-py3-none-any.whl", build_wheel("acme-core", "1.1"))
    both = await ask(f"{server.index_url}acme-core/")
    places.container.delete_blob("acme_core-1.1-py3-none-any.whl")

    one = await ask(f"{server.index_url}acme-core/")

    assert (len(both.files), len(one.files)) == (2, 1)


async def test_a_project_whose_last_file_is_deleted_is_free_for_the_next_source(
    server: ServerProcess, places: EveryPlace
) -> None:
    """That is what `claims` are for: without one, the name is the public index's now."""
    assert CORE in (await ask(f"{server.index_url}acme-core/")).files
    places.container.delete_blob(CORE)

    said = await ask(f"{server.index_url}acme-core/")

    assert list(said.files) == ["acme_core-99-py3-none-any.whl"]


async def test_a_claimed_project_whose_last_file_is_deleted_is_nobodys(
    start_server: StartServer, places: EveryPlace
) -> None:
    server = start_server(places.config(more='claims = { curated = ["acme-*"] }\n'))
    assert CORE in (await ask(f"{server.index_url}acme-core/")).files
    places.container.delete_blob(CORE)

    said = await ask(f"{server.index_url}acme-core/")

    assert said.status == 404
    assert places.strangers() == []


async def test_what_is_listed_is_no_older_than_refresh_says(start_server: StartServer, places: EveryPlace) -> None:
    server = start_server(places.config(('refresh = "0 s"\ntimeout', 'refresh = "2 s"\ntimeout')))
    page = f"{server.index_url}acme-core/"
    assert len((await ask(page)).files) == 1
    places.container.upload_blob("acme_core-1.1-py3-none-any.whl", build_wheel("acme-core", "1.1"))

    soon = await ask(page)
    later = await ask_until(page, lambda said: len(said.files) == 2, seconds=10)

    assert len(soon.files) == 1
    assert "acme_core-1.1-py3-none-any.whl" in later.files


async def test_a_restart_without_the_container_serves_what_is_remembered_with_its_files(
    start_server: StartServer, places: EveryPlace
) -> None:
    server = start_server(places.config())
    before = await ask_until(f"{server.index_url}acme-core/", lambda said: b"core-metadata" in said.body)
    assert (await ask(f"{server.url}/files/acme-core/{CORE}", accept="*/*")).status == 200
    assert (await ask(f"{server.url}/simple/")).status == 200
    server.stop()
    places.container.delete_container()
    server.start()

    page = await ask(f"{server.index_url}acme-core/")
    file = await ask(f"{server.url}/files/acme-core/{CORE}", accept="*/*")
    metadata = await ask(f"{server.url}/files/acme-core/{CORE}.metadata", accept="*/*")
    absent = await ask(f"{server.index_url}acme-nothing/")

    assert page.files[CORE]["hashes"] == before.files[CORE]["hashes"]
    assert (file.status, metadata.status) == (200, 200)
    assert absent.status == 404


@pytest.mark.parametrize("credential", ["account_key", "connection_string"])
async def test_an_account_key_and_a_connection_string_open_the_container(
    start_server: StartServer, places: EveryPlace, credential: str
) -> None:
    account = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={places.account_url}"
    places.keep("sas", KEY if credential == "account_key" else f"DefaultEndpointsProtocol=http;{account};")
    server = start_server(places.config(("{ sas = {", "{ " + credential + " = {")))

    said = await ask(f"{server.index_url}acme-core/")

    assert CORE in said.files
    assert leaks(places, said.body, server.log.encode()) == []


async def test_the_folder_that_azure_ml_keeps_private_wheels_in_is_an_index(
    start_server: StartServer, places: EveryPlace
) -> None:
    folder = "Environment/azureml-private-packages/"
    places.container.upload_blob(f"{folder}acme_sdk-1.2-py3-none-any.whl", build_wheel("acme-sdk", "1.2"))
    server = start_server(places.config(('kind = "azure-blob"', f'kind = "azure-blob"\nprefix = "{folder}"')))

    page = await ask_until(f"{server.index_url}acme-sdk/", has_digest)
    file = await ask(f"{server.url}/files/acme-sdk/acme_sdk-1.2-py3-none-any.whl", accept="*/*")
    other = await ask(f"{server.index_url}acme-core/")

    assert page.files["acme_sdk-1.2-py3-none-any.whl"]["hashes"] == {"sha256": sha256(file.body)}
    assert CORE not in other.files, "what lies outside of the folder is not in the source"
