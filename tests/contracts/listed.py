"""The contract of sources that are read as a whole.

Subclass `ListedSourceContract` in a test module as `Test…` and give it a fixture `stage`.
"""

from __future__ import annotations

import asyncio

import pytest

from proxy.errors import FileGone, SourceError
from proxy.simple.model import File, NormalizedName, Page, decode_page, encode
from proxy.sources.base import ListedSource, Listing
from tests.contracts.opening import CONTENT, FOO, WHEEL, OpeningContract, assert_says_what_to_do, read
from tests.contracts.stage import Stage

ABSENT = NormalizedName("not-there")
OTHER = b"other bytes " + CONTENT


async def look(stage: Stage[ListedSource], project: NormalizedName, known: Listing | None) -> tuple[File, ...]:
    """Give a project's files now: by a look, or by a listing where the source asks for one."""
    files = await stage.source.look(project, known)
    return (await stage.source.list(known)).projects.get(project, ()) if files is None else files


def names(files: tuple[File, ...]) -> list[str]:
    """Give file names."""
    return [file.filename for file in files]


class ListedSourceContract(OpeningContract[ListedSource]):
    """What every listed source promises."""

    async def file(self, stage: Stage[ListedSource], filename: str) -> File:
        """Give a file as a listing has it now."""
        listing = await stage.source.list(None)
        return next(file for files in listing.projects.values() for file in files if file.filename == filename)

    async def test_files_are_gathered_into_projects(self, stage: Stage[ListedSource]) -> None:
        for filename in ("foo-1.1.tar.gz", WHEEL, "Foo_Bar-2.0-py3-none-any.whl", "foo.bar-2.0.tar.gz"):
            await stage.put(filename, CONTENT)

        listing = await stage.source.list(None)

        assert {project: names(files) for project, files in listing.projects.items()} == {
            "foo": [WHEEL, "foo-1.1.tar.gz"],
            "foo-bar": ["Foo_Bar-2.0-py3-none-any.whl", "foo.bar-2.0.tar.gz"],
        }

    async def test_a_file_is_described(self, stage: Stage[ListedSource]) -> None:
        await stage.put(WHEEL, CONTENT)

        file = await self.file(stage, WHEEL)

        assert file.version == "1.0"
        assert file.size == len(CONTENT)
        assert file.upload_time is not None
        assert file.upload_time.endswith("Z")
        assert file.etag
        assert decode_page(encode(Page(FOO, (file,)))) == Page(FOO, (file,))

    async def test_an_empty_place_has_nothing(self, stage: Stage[ListedSource]) -> None:
        listing = await stage.source.list(None)

        assert dict(listing.projects) == {}
        assert await look(stage, FOO, listing) == ()

    async def test_absence_is_an_answer(self, stage: Stage[ListedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        listing = await stage.source.list(None)

        assert ABSENT not in listing.projects
        assert await look(stage, ABSENT, listing) == ()

    async def test_without_a_listing_a_look_is_right_or_refused(self, stage: Stage[ListedSource]) -> None:
        await stage.put(WHEEL, CONTENT)

        files = await stage.source.look(FOO, None)

        assert files is None or names(files) == [WHEEL]

    async def test_what_did_not_change_is_the_same_object(self, stage: Stage[ListedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        listing = await stage.source.list(None)

        assert await stage.source.list(listing) is listing
        assert await look(stage, FOO, listing) == listing.projects[FOO]

    async def test_a_listing_of_an_earlier_run_is_gone_on_with(self, stage: Stage[ListedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        listing = await stage.source.list(None)
        remembered = Listing(dict(listing.projects), listing.token)
        await stage.put("foo-2.0.tar.gz", CONTENT)

        assert names(await look(stage, FOO, remembered)) == [WHEEL, "foo-2.0.tar.gz"]
        assert names((await stage.source.list(remembered)).projects[FOO]) == [WHEEL, "foo-2.0.tar.gz"]

    async def test_a_token_that_cannot_be_read_does_no_harm(self, stage: Stage[ListedSource]) -> None:
        """Another release may have written it."""
        await stage.put(WHEEL, CONTENT)

        for token in (b"", b"\xc1nonsense", b"{}"):
            assert names(await look(stage, FOO, Listing({}, token))) == [WHEEL]
            assert names((await stage.source.list(Listing({}, token))).projects[FOO]) == [WHEEL]

    async def test_what_came_is_seen(self, stage: Stage[ListedSource]) -> None:
        await stage.put("bar-1.0.tar.gz", CONTENT)
        before = await stage.source.list(None)
        await stage.put(WHEEL, CONTENT)

        assert names(await look(stage, FOO, before)) == [WHEEL]
        after = await stage.source.list(before)
        assert set(after.projects) == {"foo", "bar"}
        assert after is not before
        assert FOO not in before.projects

    async def test_what_was_deleted_disappears(self, stage: Stage[ListedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        await stage.put("foo-2.0.tar.gz", CONTENT)
        before = await stage.source.list(None)
        await stage.delete(WHEEL)

        assert names(await look(stage, FOO, before)) == ["foo-2.0.tar.gz"]
        assert names((await stage.source.list(before)).projects[FOO]) == ["foo-2.0.tar.gz"]

    async def test_a_project_without_files_is_no_project(self, stage: Stage[ListedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        before = await stage.source.list(None)
        await stage.delete(WHEEL)

        assert await look(stage, FOO, before) == ()
        assert FOO not in (await stage.source.list(before)).projects

    async def test_other_bytes_are_another_file(self, stage: Stage[ListedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        before = await stage.source.list(None)
        await stage.put(WHEEL, OTHER)

        (seen,) = await look(stage, FOO, before)
        (listed,) = (await stage.source.list(before)).projects[FOO]

        assert seen.etag == listed.etag != before.projects[FOO][0].etag
        assert seen.size == len(OTHER)
        assert await read(stage.source, seen) == OTHER

    async def test_bytes_of_the_same_length_are_another_file(self, stage: Stage[ListedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        before = await stage.source.list(None)
        await stage.put(WHEEL, CONTENT[::-1])

        (seen,) = await look(stage, FOO, before)

        assert seen.etag != before.projects[FOO][0].etag

    async def test_a_replaced_file_is_gone(self, stage: Stage[ListedSource]) -> None:
        """Its digest is that of the old bytes; the new ones under it would be refused, or worse, taken."""
        await stage.put(WHEEL, CONTENT)
        old = await self.file(stage, WHEEL)
        await stage.put(WHEEL, OTHER)

        with pytest.raises(FileGone):
            await read(stage.source, old)
        with pytest.raises(FileGone):
            await read(stage.source, old, start=5, end=10)

    @pytest.mark.parametrize(
        "filename", ["README.txt", "foo.whl", "foo-1.0.exe", "foo-1.0-py3-none-any.whl.metadata", "SHA256SUMS", "foo-1"]
    )
    async def test_what_is_no_distribution_is_skipped(self, stage: Stage[ListedSource], filename: str) -> None:
        await stage.put(WHEEL, CONTENT)
        await stage.put(filename, CONTENT)

        listing = await stage.source.list(None)

        assert {project: names(files) for project, files in listing.projects.items()} == {"foo": [WHEEL]}

    @pytest.mark.parametrize("filename", ["foo-1.0+cu118-py3-none-any.whl", "foo-1.0+local.tar.gz", "Foo-1!2.0.tar.gz"])
    async def test_odd_names_are_one_object(self, stage: Stage[ListedSource], filename: str) -> None:
        await stage.put(filename, CONTENT)

        (file,) = (await stage.source.list(None)).projects[FOO]

        assert file.filename == filename
        assert await read(stage.source, file) == CONTENT

    @pytest.mark.parametrize(
        "filename", ["foo 1.0.tar.gz", "foo-1.0 (1).tar.gz", "f\u00f6o-1.0.tar.gz", "foo-1.0#.zip"]
    )
    async def test_names_that_cannot_be_told_disturb_nobody(self, stage: Stage[ListedSource], filename: str) -> None:
        await stage.put(filename, CONTENT)
        await stage.put(WHEEL, CONTENT)

        assert names((await stage.source.list(None)).projects[FOO]) == [WHEEL]

    async def test_an_empty_object_is_right_or_skipped(self, stage: Stage[ListedSource]) -> None:
        await stage.put(WHEEL, b"")

        files = (await stage.source.list(None)).projects.get(FOO, ())

        assert [await read(stage.source, file) for file in files] in ([], [b""])

    async def test_an_outage_is_never_absence(self, stage: Stage[ListedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        listing = await stage.source.list(None)
        await stage.break_down()

        for known in (None, listing, Listing({}, b"")):
            with pytest.raises(SourceError) as raised:
                await stage.source.list(known)
            assert_says_what_to_do(raised.value, stage.source.name)
        for project in (FOO, ABSENT):
            # `None` asks for a listing, which then raises.
            with pytest.raises(SourceError):
                await look(stage, project, listing)

    async def test_after_an_outage_it_goes_on(self, stage: Stage[ListedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        listing = await stage.source.list(None)
        await stage.break_down()
        with pytest.raises(SourceError):
            await stage.source.list(listing)
        await stage.mend()

        assert names(await look(stage, FOO, listing)) == [WHEEL]
        assert names((await stage.source.list(listing)).projects[FOO]) == [WHEEL]

    async def test_a_cancelled_listing_leaves_a_source_that_answers(self, stage: Stage[ListedSource]) -> None:
        await stage.put(WHEEL, CONTENT)

        for turns in range(12):
            async with asyncio.TaskGroup() as group:
                listing = group.create_task(stage.source.list(None))
                for _ in range(turns):
                    await asyncio.sleep(0)
                listing.cancel()

        assert names((await stage.source.list(None)).projects[FOO]) == [WHEEL]
