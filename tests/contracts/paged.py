"""The contract of sources that are asked project by project.

Subclass `PagedSourceContract` in a test module as `Test…` and give it a fixture `stage`.
"""

from __future__ import annotations

import asyncio

import pytest

from proxy.errors import SourceError
from proxy.simple.model import File, NormalizedName
from proxy.sources.base import Answer, PagedSource, Unchanged
from tests.contracts.opening import CONTENT, FOO, WHEEL, OpeningContract, assert_says_what_to_do
from tests.contracts.stage import Stage

ABSENT = NormalizedName("not-there")


async def files_of(stage: Stage[PagedSource], project: NormalizedName) -> dict[str, File]:
    """Give the files of a project that the source has, by name."""
    answer = await stage.source.ask(project)
    assert isinstance(answer, Answer)
    return {file.filename: file for file in answer.page.files}


class PagedSourceContract(OpeningContract[PagedSource]):
    """What every paged source promises."""

    async def file(self, stage: Stage[PagedSource], filename: str) -> File:
        """Give a file of the project `foo` as its page has it now."""
        return (await files_of(stage, FOO))[filename]

    async def test_a_project_has_its_files(self, stage: Stage[PagedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        await stage.put("foo-1.1.tar.gz", CONTENT)
        await stage.put("bar-1.0.tar.gz", CONTENT)

        answer = await stage.source.ask(FOO)

        assert isinstance(answer, Answer)
        assert answer.page.name == FOO
        assert {file.filename: file.version for file in answer.page.files} == {WHEEL: "1.0", "foo-1.1.tar.gz": "1.1"}
        assert {"1.0", "1.1"} <= set(answer.page.versions)

    async def test_absence_is_an_answer(self, stage: Stage[PagedSource]) -> None:
        await stage.put(WHEEL, CONTENT)

        assert await stage.source.ask(ABSENT) is None

    async def test_an_outage_is_never_absence(self, stage: Stage[PagedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        answer = await stage.source.ask(FOO)
        assert isinstance(answer, Answer)
        await stage.break_down()

        for project, validator in ((FOO, None), (ABSENT, None), (FOO, answer.validator)):
            with pytest.raises(SourceError) as raised:
                await stage.source.ask(project, validator)
            assert_says_what_to_do(raised.value, stage.source.name)

    async def test_after_an_outage_it_answers_again(self, stage: Stage[PagedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        await stage.break_down()
        with pytest.raises(SourceError):
            await stage.source.ask(FOO)
        await stage.mend()

        assert WHEEL in await files_of(stage, FOO)

    async def test_what_did_not_change_is_not_sent_again(self, stage: Stage[PagedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        answer = await stage.source.ask(FOO)
        assert isinstance(answer, Answer)

        again = await stage.source.ask(FOO, answer.validator)

        if answer.validator is not None:
            assert isinstance(again, Unchanged)
        else:
            assert again == answer

    async def test_what_changed_is_sent(self, stage: Stage[PagedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        answer = await stage.source.ask(FOO)
        assert isinstance(answer, Answer)
        await stage.put("foo-2.0.tar.gz", CONTENT)

        again = await stage.source.ask(FOO, answer.validator)

        assert isinstance(again, Answer)
        assert [file.version for file in again.page.files] == ["1.0", "2.0"]

    async def test_a_deleted_file_disappears(self, stage: Stage[PagedSource]) -> None:
        await stage.put(WHEEL, CONTENT)
        await stage.put("foo-2.0.tar.gz", CONTENT)
        await stage.delete(WHEEL)

        assert list(await files_of(stage, FOO)) == ["foo-2.0.tar.gz"]

    async def test_names_with_a_plus_are_one_object(self, stage: Stage[PagedSource]) -> None:
        filename = "foo-1.0+cu118-py3-none-any.whl"
        await stage.put(filename, CONTENT)

        file = (await files_of(stage, FOO))[filename]

        assert file.version == "1.0+cu118"
        async with stage.source.open(file) as body:
            assert b"".join([chunk async for chunk in body.chunks]) == CONTENT

    async def test_a_cancelled_question_leaves_a_source_that_answers(self, stage: Stage[PagedSource]) -> None:
        await stage.put(WHEEL, CONTENT)

        for turns in range(12):
            async with asyncio.TaskGroup() as group:
                question = group.create_task(stage.source.ask(FOO))
                for _ in range(turns):
                    await asyncio.sleep(0)
                question.cancel()

        assert WHEEL in await files_of(stage, FOO)

    async def test_the_project_list_names_it(self, stage: Stage[PagedSource]) -> None:
        await stage.put(WHEEL, CONTENT)

        assert "foo" in [name async for name in stage.source.ask_names()]

    async def test_a_list_that_cannot_be_asked_for_is_an_outage(self, stage: Stage[PagedSource]) -> None:
        await stage.break_down()

        with pytest.raises(SourceError):
            [name async for name in stage.source.ask_names()]
