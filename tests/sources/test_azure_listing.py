"""Listing and looking: complete, and no dearer than it must be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import SourceNonsense
from proxy.simple.filename import normalize
from proxy.simple.model import NormalizedName
from proxy.sources import azure_look
from proxy.sources.azure_blob import AzureBlob
from proxy.sources.azure_listing import Blob, ListedBlobs, iter_listing
from proxy.sources.azure_spelling import Beginning, lengthen
from proxy.sources.base import Listing
from proxy.sources.session import Session
from tests.fakes.azure import build_source, shown
from tests.fakes.blob_service import FakeBlobService

FOO = NormalizedName("foo-bar")
WHEEL = "foo_bar-1.0-py3-none-any.whl"
MANY = 12_000
CONTENT = b"the bytes of a wheel"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
async def service() -> AsyncIterator[FakeBlobService]:
    async with FakeBlobService() as running:
        yield running


@pytest.fixture
async def source(service: FakeBlobService) -> AsyncIterator[AzureBlob]:
    async with Session() as session:
        yield build_source(session, service.url)


def has_many(service: FakeBlobService, *, in_folders: bool = False) -> None:
    """Fill it so that it takes more than two requests to list."""
    for number in range(MANY):
        name = f"project_{number // 10}-1.{number % 10}.tar.gz"
        service.has(f"project-{number // 10}/{name}" if in_folders else name)


def filenames(files: tuple[object, ...] | None) -> list[str]:
    assert files is not None
    return [getattr(file, "filename", "") for file in files]


async def read_all(body: bytes) -> ListedBlobs:
    blobs: list[Blob] = []
    marker = ""
    async for some in iter_listing([body]):
        blobs += some.blobs
        marker = some.marker
    return ListedBlobs(blobs, [], marker)


class TestAListing:
    async def test_short_and_empty_answers_are_not_the_end(self, service: FakeBlobService, source: AzureBlob) -> None:
        service.page_size, service.empty_pages = 3, 2
        names = [f"foo_bar-{number}.0.tar.gz" for number in range(10)]
        for name in names:
            service.has(name)

        assert shown(await source.list(None)) == {"foo-bar": names}

    async def test_a_list_that_goes_in_circles_is_nonsense(self, service: FakeBlobService, source: AzureBlob) -> None:
        service.answer_with(b"<EnumerationResults><Blobs /><NextMarker>again</NextMarker></EnumerationResults>")

        with pytest.raises(SourceNonsense, match="circles"):
            await source.list(None)

    async def test_names_that_xml_cannot_hold_are_decoded(self) -> None:
        body = b"<EnumerationResults><Blobs><Blob><Name Encoded='true'>a%EF%BF%BEb</Name><Properties>"
        body += (
            b'<Content-Length>7</Content-Length><Etag>"0x8D"</Etag></Properties></Blob></Blobs></EnumerationResults>'
        )

        (blob,) = (await read_all(body)).blobs

        assert (blob.name, blob.size, blob.etag) == ("a\ufffeb", 7, "0x8D")

    async def test_any_word_may_be_a_key_of_metadata(self) -> None:
        body = b"<EnumerationResults><Blobs><Blob><Name>a</Name><Properties><Etag>1</Etag></Properties><Metadata>"
        body += b"<Metadata>x</Metadata><Name>b</Name><Etag>2</Etag><Blob>y</Blob><SHA256>z</SHA256></Metadata>"
        body += b"</Blob></Blobs><NextMarker/></EnumerationResults>"

        (blob,) = (await read_all(body)).blobs

        assert (blob.name, blob.etag, dict(blob.metadata)) == ("a", "1", {"sha256": "z"})

    async def test_a_folder_of_a_hierarchical_account_is_no_file(
        self, service: FakeBlobService, source: AzureBlob
    ) -> None:
        service.has("foo_bar-2.0.tar.gz").properties["ResourceType"] = "directory"
        service.has("foo_bar-3.0.tar.gz", hdi_isfolder="true")
        service.has(WHEEL)

        assert shown(await source.list(None)) == {"foo-bar": [WHEEL]}

    @pytest.mark.parametrize(
        "name", [f"../{WHEEL}", f"a/../{WHEEL}", f"a\\{WHEEL}", f"./{WHEEL}", f"a/..\\..\\{WHEEL}", f".hidden/{WHEEL}"]
    )
    async def test_a_name_that_leads_elsewhere_is_passed_over(
        self, service: FakeBlobService, source: AzureBlob, name: str
    ) -> None:
        service.has(name)

        assert (await source.list(None)).projects == {}

    async def test_what_did_not_change_is_not_read_again(self, service: FakeBlobService, source: AzureBlob) -> None:
        has_many(service)
        first = await source.list(None)

        assert await source.list(first) is first

        service.has("zzz-1.0.tar.gz")
        second = await source.list(first)
        assert second is not first
        assert set(second.projects) - set(first.projects) == {"zzz"}
        assert all(second.projects[project] is files for project, files in first.projects.items())

    async def test_what_only_moved_is_held_once(self, service: FakeBlobService, source: AzureBlob) -> None:
        service.page_size = 100
        for number in range(1000):
            service.has(f"foo_bar-1.{number}.tar.gz")
        first = await source.list(None)
        service.has("aaa-1.0.tar.gz")
        service.blobs.pop("foo_bar-1.500.tar.gz")

        second = await source.list(first)

        before = {id(file) for file in first.projects[FOO]}
        assert {id(file) for file in second.projects[FOO]} < before


class TestALook:
    async def test_a_small_container_is_listed_instead(self, service: FakeBlobService, source: AzureBlob) -> None:
        service.has(WHEEL)
        listing = await source.list(None)

        assert await source.look(FOO, None) is None
        assert await source.look(FOO, listing) is None

    @pytest.mark.parametrize("in_folders", [False, True])
    async def test_one_project_of_a_large_container_is_asked_for_alone(
        self, service: FakeBlobService, source: AzureBlob, *, in_folders: bool
    ) -> None:
        has_many(service, in_folders=in_folders)
        listing = await source.list(None)
        project = NormalizedName("project-123")

        for known in (None, listing):
            service.requests.clear()
            assert await source.look(project, known) == listing.projects[project]
            whole = [target for target in service.asked("comp=list") if "prefix" not in target]
            assert len(whole) <= (2 if known is None else 0)

    @pytest.mark.parametrize(
        "name",
        [WHEEL, "Foo.Bar-1.0.tar.gz", "FOO_BAR-1.0.zip", "foo-bar-1.0.tar.gz", "foo--bar-1.0.tar.gz",
         "foo_.bar-1.0.zip", "Foo-Bar/foo_bar-1.0.zip", "foo_bar/1.0/fOO-bAr-1.0.zip"],
    )  # fmt: skip
    async def test_every_spelling_is_found(self, service: FakeBlobService, source: AzureBlob, name: str) -> None:
        has_many(service)
        for number in range(600):
            service.has(f"foo_{number}-1.0.tar.gz")
        service.has(name)
        listing = await source.list(None)

        for known in (None, listing):
            assert filenames(await source.look(FOO, known)) == [name.rpartition("/")[2]]

    async def test_what_came_and_what_went_is_seen(self, service: FakeBlobService, source: AzureBlob) -> None:
        has_many(service)
        service.has(WHEEL)
        listing = await source.list(None)
        service.has("foo_bar-2.0.tar.gz")

        assert filenames(await source.look(FOO, listing)) == [WHEEL, "foo_bar-2.0.tar.gz"]

        service.blobs = {name: blob for name, blob in service.blobs.items() if "foo" not in name}
        assert await source.look(FOO, listing) == ()

    async def test_finding_nothing_proves_nothing_before_the_first_listing(
        self, service: FakeBlobService, source: AzureBlob
    ) -> None:
        """Its wheel may be in a folder of any name; "not here" would let another source answer."""
        has_many(service)
        service.has(f"misc/{WHEEL}")

        assert await source.look(FOO, None) is None
        assert filenames(await source.look(FOO, await source.list(None))) == [WHEEL]

    async def test_too_many_folders_of_other_names_take_a_listing(
        self, service: FakeBlobService, source: AzureBlob
    ) -> None:
        has_many(service)
        for number in range(azure_look.MOST_PLACES + 1):
            service.has(f"shelf-{number}/{WHEEL}")

        assert await source.look(FOO, await source.list(None)) is None

    async def test_a_project_of_a_mirror_s_tree_is_its_page(self, service: FakeBlobService, source: AzureBlob) -> None:
        for number in range(MANY):
            service.has(f"web/packages/{number % 256:02x}/{number}/README")
        for name in (WHEEL, "foo_bar-6.6.6.tar.gz"):
            service.has(f"web/packages/aa/bb/{name}", CONTENT)
        entry = {
            "filename": WHEEL,
            "url": f"../../packages/aa/bb/{WHEEL}",
            "hashes": {"sha256": SHA256},
            "yanked": True,
        }
        page = {"meta": {"api-version": "1.1"}, "name": "foo-bar", "files": [entry]}
        service.has("web/simple/foo-bar/index.v1_json", json.dumps(page).encode())
        listing = await source.list(None)

        for known in (None, listing):
            service.requests.clear()
            assert await source.look(FOO, known) == listing.projects[FOO]
            assert len(service.requests) < 45
        assert listing.projects[FOO][0].sha256 == SHA256

    async def test_a_workspace_s_own_container_is_not_listed_for_one_wheel(
        self, service: FakeBlobService, source: AzureBlob
    ) -> None:
        """Azure ML keeps the logs of every run beside the private wheels."""
        for number in range(MANY):
            service.has(f"ExperimentRun/dcid.{number}/logs/azureml.log")
        service.has(f"Environment/azureml-private-packages/{WHEEL}")
        listing = await source.list(None)

        for known in (None, listing):
            assert filenames(await source.look(FOO, known)) == [WHEEL]

    async def test_a_project_of_many_answers_is_read_to_its_end(
        self, service: FakeBlobService, source: AzureBlob
    ) -> None:
        has_many(service)
        service.page_size = 400
        names = [f"foo_bar-1.{number:04}.tar.gz" for number in range(1000)]
        for name in names:
            service.has(name)
        listing = await source.list(None)

        assert filenames(await source.look(FOO, listing)) == names
        service.page_size = 20
        assert await source.look(FOO, listing) is None

    async def test_an_empty_answer_that_is_not_the_last_is_no_absence(
        self, service: FakeBlobService, source: AzureBlob
    ) -> None:
        has_many(service)
        self.has_tree(service)
        listing = await source.list(None)
        service.empty_pages = 1

        files = await source.look(FOO, listing)

        assert files is None or filenames(files) == [WHEEL]

    async def test_a_tree_with_files_that_no_page_lists_takes_a_listing(
        self, service: FakeBlobService, source: AzureBlob
    ) -> None:
        has_many(service)
        self.has_tree(service)
        service.has("web/packages/dd/ee/baz-1.0.tar.gz")

        listing = await source.list(None)

        assert filenames(listing.projects[NormalizedName("baz")]) == ["baz-1.0.tar.gz"]
        assert await source.look(NormalizedName("baz"), listing) is None

    async def test_a_page_of_a_tree_that_cannot_be_read_takes_a_listing(
        self, service: FakeBlobService, source: AzureBlob
    ) -> None:
        has_many(service)
        self.has_tree(service)
        listing = await source.list(None)
        service.has("web/simple/foo-bar/index.v1_json", b"nonsense")

        assert await source.look(FOO, listing) is None
        assert filenames((await source.list(listing)).projects[FOO]) == [WHEEL]

    def has_tree(self, service: FakeBlobService) -> None:
        service.has(f"web/packages/aa/bb/{WHEEL}", CONTENT)
        entry = {"filename": WHEEL, "url": f"../../packages/aa/bb/{WHEEL}", "hashes": {"sha256": SHA256}}
        page = {"meta": {"api-version": "1.1"}, "name": "foo-bar", "files": [entry]}
        service.has("web/simple/foo-bar/index.v1_json", json.dumps(page).encode())

    async def test_a_token_of_another_release_is_no_knowledge(
        self, service: FakeBlobService, source: AzureBlob
    ) -> None:
        service.has(WHEEL)

        assert await source.look(FOO, Listing({}, b"\x93nonsense")) is None


@given(
    name=st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,12}[A-Za-z0-9])?", fullmatch=True),
    end=st.sampled_from(["-1.0.tar.gz", "/x-1.0.tar.gz"]),
)
def test_every_spelling_of_a_name_begins_like_one_of_its_beginnings(name: str, end: str) -> None:
    project = normalize(name)
    assert project is not None
    beginnings = [Beginning("", 0)]

    for _ in range(60):
        matching = [each for each in beginnings if (name + end).startswith(each.text)]
        assert len(matching) == 1
        if matching[0].is_whole(project):
            return
        beginnings = lengthen(matching[0], project)
    pytest.fail("it never ends")
