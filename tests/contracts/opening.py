"""What every source promises about the bytes of its files."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

import pytest

from proxy.errors import FileGone, SourceError
from proxy.simple.model import File, NormalizedName
from proxy.sources.base import ListedSource, Opener, PagedSource
from tests.contracts.stage import Stage

CONTENT = bytes(range(256)) * 4 + b"the end"
WHEEL = "foo-1.0-py3-none-any.whl"
FOO = NormalizedName("foo")

S = TypeVar("S", bound=PagedSource | ListedSource)


async def read(source: Opener, file: File, *, start: int = 0, end: int | None = None) -> bytes:
    """Read a part of a file; the whole of it before the part where the source ignores the range."""
    async with source.open(file, start=start, end=end) as body:
        got = b"".join([chunk async for chunk in body.chunks])
        assert body.start in {0, start}
        return got[start - body.start : None if end is None else end - body.start]


class OpeningContract(Generic[S]):
    """A base of the two contracts; not collected itself."""

    async def file(self, stage: Stage[S], filename: str) -> File:
        """Give a file as the source lists it now."""
        raise NotImplementedError

    async def test_the_bytes_are_exact_and_the_size_is_told(self, stage: Stage[S]) -> None:
        await stage.put(WHEEL, CONTENT)
        file = await self.file(stage, WHEEL)

        async with stage.source.open(file) as body:
            got = b"".join([chunk async for chunk in body.chunks])

        assert got == CONTENT
        assert body.start == 0
        assert body.size in {len(CONTENT), None}

    async def test_no_chunk_is_empty(self, stage: Stage[S]) -> None:
        """An empty chunk ends a response that is written in chunks."""
        await stage.put(WHEEL, CONTENT)

        async with stage.source.open(await self.file(stage, WHEEL)) as body:
            assert all([len(chunk) > 0 async for chunk in body.chunks])

    @pytest.mark.parametrize(
        ("start", "end"), [(0, 1), (5, 9), (5, None), (0, len(CONTENT)), (len(CONTENT) - 1, None), (0, None)]
    )
    async def test_a_part_is_exact(self, stage: Stage[S], start: int, end: int | None) -> None:
        await stage.put(WHEEL, CONTENT)
        file = await self.file(stage, WHEEL)

        assert await read(stage.source, file, start=start, end=end) == CONTENT[start:end]

    async def test_two_read_the_same_file_at_once(self, stage: Stage[S]) -> None:
        await stage.put(WHEEL, CONTENT)
        file = await self.file(stage, WHEEL)

        parts = await asyncio.gather(*(read(stage.source, file, start=start, end=start + 100) for start in range(8)))

        assert parts == [CONTENT[start : start + 100] for start in range(8)]

    async def test_a_deleted_file_is_gone(self, stage: Stage[S]) -> None:
        await stage.put(WHEEL, CONTENT)
        file = await self.file(stage, WHEEL)
        await stage.delete(WHEEL)

        with pytest.raises(FileGone) as raised:
            await read(stage.source, file)

        assert raised.value.source == stage.source.name
        assert raised.value.filename == WHEEL

    async def test_a_file_that_cannot_be_asked_for_is_an_outage_and_not_gone(self, stage: Stage[S]) -> None:
        await stage.put(WHEEL, CONTENT)
        file = await self.file(stage, WHEEL)
        await stage.break_down()

        with pytest.raises(SourceError) as raised:
            await read(stage.source, file)

        assert_says_what_to_do(raised.value, stage.source.name)

    async def test_after_an_outage_the_file_is_there_again(self, stage: Stage[S]) -> None:
        await stage.put(WHEEL, CONTENT)
        file = await self.file(stage, WHEEL)
        await stage.break_down()
        with pytest.raises(SourceError):
            await read(stage.source, file)
        await stage.mend()

        assert await read(stage.source, file) == CONTENT

    async def test_a_reader_that_leaves_in_the_middle_takes_nothing_with_it(self, stage: Stage[S]) -> None:
        content = CONTENT * 4000
        await stage.put(WHEEL, content)
        file = await self.file(stage, WHEEL)

        for _ in range(3):
            async with stage.source.open(file) as body:
                await anext(aiter(body.chunks))

        assert await read(stage.source, file) == content

    async def test_a_cancelled_reader_takes_nothing_with_it(self, stage: Stage[S]) -> None:
        content = CONTENT * 4000
        await stage.put(WHEEL, content)
        file = await self.file(stage, WHEEL)

        for turns in range(12):
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(read(stage.source, file))
                for _ in range(turns):
                    await asyncio.sleep(0)
                reader.cancel()

        assert await read(stage.source, file) == content

    async def test_metadata_is_bytes_or_nothing(self, stage: Stage[S]) -> None:
        await stage.put(WHEEL, CONTENT)
        file = await self.file(stage, WHEEL)

        if not file.core_metadata:
            assert await stage.source.read_metadata(file) is None
        if not file.provenance:
            assert await stage.source.read_provenance(file) is None


def assert_says_what_to_do(error: SourceError, source: str) -> None:
    """Hold an error to naming its source, its reason and its remedy."""
    assert error.source == source
    assert source in str(error)
    assert error.reason
    assert error.remedy
    assert "\n" not in str(error)
