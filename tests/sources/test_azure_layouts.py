"""Wheels are found however they were put there, against the real emulator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping

import pytest
from azure.storage.blob import ContainerClient

from proxy.simple.model import File, NormalizedName
from proxy.sources.azure_access import KeyAccess
from proxy.sources.azure_blob import AzureBlob
from proxy.sources.session import Session
from tests.fakes.azure import HeldKey, build_source, read, shown
from tests.fakes.azurite import KEY, Azurite

pytestmark = pytest.mark.azurite

FOO = NormalizedName("foo-bar")
WHEEL = "foo_bar-1.0-py3-none-any.whl"
CONTENT = b"the bytes of a wheel"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as entered:
        yield entered


@pytest.fixture
def container(azurite: Azurite) -> ContainerClient:
    return azurite.make_container()


@pytest.fixture
def source(azurite: Azurite, container: ContainerClient, session: Session) -> AzureBlob:
    access = KeyAccess(HeldKey(KEY), owner="curated")
    return build_source(session, azurite.url, container.container_name, access=access)


def put(container: ContainerClient, *names: str, content: bytes = CONTENT, **metadata: str) -> None:
    for name in names:
        container.upload_blob(name, content, metadata=metadata, overwrite=True)


def page(*files: Mapping[str, object]) -> bytes:
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "foo-bar", "files": files}).encode()


def tree_file(folder: str = "aa/bb/cc") -> str:
    return f"web/packages/{folder}/{WHEEL}"


async def only(source: AzureBlob, project: NormalizedName = FOO) -> File:
    (file,) = (await source.list(None)).projects[project]
    return file


async def test_a_flat_wheelhouse(source: AzureBlob, container: ContainerClient) -> None:
    put(container, WHEEL, "Foo.Bar-0.9.tar.gz", "baz-1.0-py3-none-any.whl")

    assert shown(await source.list(None)) == {
        "foo-bar": ["Foo.Bar-0.9.tar.gz", WHEEL],
        "baz": ["baz-1.0-py3-none-any.whl"],
    }


@pytest.mark.parametrize("folder", ["foo-bar", "Foo_Bar", "FOO.bar", "something else", "a+b/deep/er", "caf\u00e9"])
async def test_a_folder_of_any_name_and_the_file_name_decides(
    source: AzureBlob, container: ContainerClient, folder: str
) -> None:
    put(container, f"{folder}/{WHEEL}")

    file = await only(source)

    assert file.filename == WHEEL
    assert await read(source, file) == CONTENT


async def test_what_azure_ml_wrote(source: AzureBlob, container: ContainerClient) -> None:
    put(container, f"Environment/azureml-private-packages/{WHEEL}", "ExperimentRun/dcid.1/logs/azureml.log")

    assert shown(await source.list(None)) == {"foo-bar": [WHEEL]}


async def test_only_what_is_in_the_folder_that_was_configured(
    azurite: Azurite, container: ContainerClient, session: Session
) -> None:
    put(container, f"curated/{WHEEL}", "curated-old/baz-1.0.tar.gz", "qux-1.0.tar.gz")
    access = KeyAccess(HeldKey(KEY), owner="curated")

    for prefix in ("curated", "/curated/"):
        source = build_source(session, azurite.url, container.container_name, access=access, prefix=prefix)
        assert shown(await source.list(None)) == {"foo-bar": [WHEEL]}
        assert await read(source, await only(source)) == CONTENT


@pytest.mark.parametrize(
    "name",
    [
        "foo_bar-1.0+cu118-py3-none-any.whl",
        "sub dir/foo_bar-1.0.tar.gz",
        "100%/foo_bar-1.0.zip",
        "a#b/foo_bar-1.0.zip",
        "a?b=c&d/foo_bar-1.0.zip",
        "%2B/foo_bar-1!1.0.tar.gz",
        "a~'()/foo_bar-1.0.zip",
    ],
)
async def test_an_odd_name_is_read_back(source: AzureBlob, container: ContainerClient, name: str) -> None:
    put(container, name)

    assert await read(source, await only(source)) == CONTENT


async def test_what_is_no_distribution_or_empty_or_a_folder_is_skipped(
    source: AzureBlob, container: ContainerClient
) -> None:
    put(container, WHEEL, "README.md", f"{WHEEL}.metadata", f"{WHEEL}.asc", "foo.whl", f".tmp/{WHEEL}", "-x", "x/")
    put(container, "foo_bar-2.0-py3-none-any.whl", content=b"")
    put(container, "foo_bar-3.0-py3-none-any.whl", content=b"", hdi_isfolder="true")
    put(container, "foo_bar-4.0-py3-none-any.whl/x", content=b"y")

    assert shown(await source.list(None)) == {"foo-bar": [WHEEL]}


async def test_metadata_says_what_names_cannot(source: AzureBlob, container: ContainerClient) -> None:
    put(container, WHEEL, sha256=SHA256.upper(), Requires_Python=">=3.9,<4", upload_time="2025-01-02T03:04:05Z")

    file = await only(source)

    assert file.hashes == {"sha256": SHA256}
    assert file.requires_python == ">=3.9,<4"
    assert file.upload_time == "2025-01-02T03:04:05Z"


async def test_metadata_that_cannot_be_is_not_believed(source: AzureBlob, container: ContainerClient) -> None:
    put(container, WHEEL, sha256="not a digest", requires_python="three", upload_time="yesterday")

    file = await only(source)

    assert file.hashes == {}
    assert file.requires_python is None
    assert file.upload_time is not None
    assert file.upload_time.startswith("20")


async def test_of_two_blobs_with_one_name_the_page_shows_one(source: AzureBlob, container: ContainerClient) -> None:
    put(container, f"a/{WHEEL}", content=b"deep")
    put(container, WHEEL, content=b"shallow")

    file = await only(source)

    assert file.size == len(b"shallow")
    assert await read(source, file) == b"shallow"


async def test_a_computed_digest_is_written_back_beside_the_other_metadata(
    source: AzureBlob, container: ContainerClient
) -> None:
    put(container, WHEEL, team="research", requires_python=">=3.9")
    before = await only(source)

    said = await source.record_digest(before, SHA256)

    after = await only(source)
    assert after == said
    assert after.etag != before.etag
    assert after.upload_time == before.upload_time
    properties = container.get_blob_client(WHEEL).get_blob_properties()
    assert properties.metadata["team"] == "research"
    assert properties.metadata["sha256"] == SHA256
    assert await read(source, after) == CONTENT


class TestTheTreeOfAMirroringTool:
    async def test_its_pages_say_what_names_cannot(self, source: AzureBlob, container: ContainerClient) -> None:
        put(container, tree_file())
        put(
            container,
            "web/simple/foo-bar/index.v1_json",
            content=page(
                {
                    "filename": WHEEL,
                    "url": f"../../packages/aa/bb/cc/{WHEEL}",
                    "hashes": {"sha256": SHA256},
                    "size": len(CONTENT),
                    "requires-python": ">=3.8",
                    "yanked": "broken",
                    "upload-time": "2024-05-06T07:08:09.123456Z",
                }
            ),
        )
        put(container, "web/simple/index.html", "web/simple/foo-bar/index.html", "web/json/foo-bar", content=b"{}")

        file = await only(source)

        assert file.hashes == {"sha256": SHA256}
        assert file.requires_python == ">=3.8"
        assert file.yanked == "broken"
        assert file.upload_time == "2024-05-06T07:08:09.123456Z"
        assert await read(source, file) == CONTENT

    @pytest.mark.parametrize("name", ["web/json/foo-bar", "web/pypi/foo-bar/json", "json/foo-bar"])
    async def test_the_index_s_own_json_will_do(self, source: AzureBlob, container: ContainerClient, name: str) -> None:
        tree = "web/" if name.startswith("web/") else ""
        put(container, f"{tree}packages/aa/bb/cc/{WHEEL}")
        release = {
            "filename": WHEEL,
            "url": f"https://files.index.example/packages/aa/bb/cc/{WHEEL}",
            "digests": {"sha256": SHA256, "md5": "0" * 32},
            "size": len(CONTENT),
            "yanked": True,
            "yanked_reason": None,
            "upload_time_iso_8601": "2024-05-06T07:08:09.123456Z",
            "requires_python": ">=3.8",
        }
        put(
            container,
            name,
            content=json.dumps({"info": {}, "releases": {"1.0": [release], "0.9": []}, "urls": []}).encode(),
        )

        file = await only(source)

        assert (file.sha256, file.yanked, file.requires_python) == (SHA256, True, ">=3.8")
        assert file.upload_time == "2024-05-06T07:08:09.123456Z"

    async def test_html_is_better_than_nothing(self, source: AzureBlob, container: ContainerClient) -> None:
        put(container, tree_file())
        anchor = f'<a href="../../packages/aa/bb/cc/{WHEEL}#sha256={SHA256}">{WHEEL}</a>'
        html = f"<!DOCTYPE html><html><body>{anchor}</body></html>"
        put(container, "web/simple/foo-bar/index.html", content=html.encode())

        assert (await only(source)).sha256 == SHA256

    async def test_without_any_page_the_names_say_it(self, source: AzureBlob, container: ContainerClient) -> None:
        put(container, tree_file())

        assert (await only(source)).hashes == {}

    async def test_a_page_that_cannot_be_read_hides_nothing(
        self, source: AzureBlob, container: ContainerClient
    ) -> None:
        put(container, tree_file())
        put(container, "web/simple/foo-bar/index.v1_json", content=b"<nonsense")

        assert shown(await source.list(None)) == {"foo-bar": [WHEEL]}

    async def test_what_the_page_leaves_out_is_not_shown(self, source: AzureBlob, container: ContainerClient) -> None:
        """The index took it back, or the mirror filters it; its bytes may stay for years."""
        put(container, tree_file(), "web/packages/dd/ee/ff/foo_bar-6.6.6.tar.gz")
        put(
            container,
            "web/simple/foo-bar/index.v1_json",
            content=page({"filename": WHEEL, "url": f"../../packages/aa/bb/cc/{WHEEL}", "hashes": {"sha256": SHA256}}),
        )

        assert shown(await source.list(None)) == {"foo-bar": [WHEEL]}

    async def test_what_the_page_names_and_is_not_there_is_not_shown(
        self, source: AzureBlob, container: ContainerClient
    ) -> None:
        put(container, tree_file())
        put(
            container,
            "web/simple/foo-bar/index.v1_json",
            content=page(
                {"filename": WHEEL, "url": f"../../packages/aa/bb/cc/{WHEEL}", "hashes": {}},
                {"filename": "foo_bar-2.0.tar.gz", "url": "../../packages/x/y/z/foo_bar-2.0.tar.gz", "hashes": {}},
            ),
        )

        assert shown(await source.list(None)) == {"foo-bar": [WHEEL]}

    async def test_a_wheel_that_somebody_put_beside_the_tree_is_shown(
        self, source: AzureBlob, container: ContainerClient
    ) -> None:
        put(container, tree_file(), "foo_bar-9.0.tar.gz", "bar-1.0.tar.gz")
        put(
            container,
            "web/simple/foo-bar/index.v1_json",
            content=page({"filename": WHEEL, "url": f"../../packages/aa/bb/cc/{WHEEL}", "hashes": {}}),
        )

        assert shown(await source.list(None)) == {"bar": ["bar-1.0.tar.gz"], "foo-bar": [WHEEL, "foo_bar-9.0.tar.gz"]}

    async def test_a_page_is_read_again_only_when_it_changed(
        self, source: AzureBlob, container: ContainerClient, session: Session
    ) -> None:
        asked: list[int | str] = []
        session.observe = lambda _, outcome, __: asked.append(outcome)
        put(container, tree_file())
        entry = {"filename": WHEEL, "url": f"../../packages/aa/bb/cc/{WHEEL}", "hashes": {"sha256": SHA256}}
        put(container, "web/simple/foo-bar/index.v1_json", content=page(entry))
        first = await source.list(None)
        put(container, "other-1.0.tar.gz")
        asked.clear()

        second = await source.list(first)

        assert len(asked) == 1
        assert second.projects[FOO] is first.projects[FOO]
        put(container, "web/simple/foo-bar/index.v1_json", content=page({**entry, "yanked": True}))
        (file,) = (await source.list(second)).projects[FOO]
        assert file.yanked is True
