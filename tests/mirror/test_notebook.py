"""What files have told is at hand at once, and on the disk a moment later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.mirror.facts import Facts
from proxy.mirror.notebook import Notebook, metadata_key
from proxy.simple.filename import normalize
from proxy.simple.model import NormalizedName
from proxy.store.index import Index
from proxy.store.neighbours import Neighbours
from proxy.tasks import Background

PROJECT = normalize("bar") or NormalizedName("")
FACTS = {"bar-1.0-py3-none-any.whl": Facts("sha", metadata="digest")}


@dataclass
class Process:
    """One of the processes that share a folder."""

    index: Index
    neighbours: Neighbours
    notebook: Notebook


async def _process(stack: AsyncExitStack, folder: Path) -> Process:
    index = await stack.enter_async_context(Index(folder / "index"))
    neighbours = await stack.enter_async_context(Neighbours(folder))
    background = await stack.enter_async_context(Background())
    notebook = Notebook(index, neighbours, background, source="public", place="https://index.example/simple/")
    return Process(index, neighbours, notebook)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Process, Process]]:
    async with AsyncExitStack() as stack:
        yield await _process(stack, tmp_path), await _process(stack, tmp_path)


async def test_metadata_can_be_had_before_it_is_on_the_disk(two: tuple[Process, Process]) -> None:
    """uv asks for it within a millisecond of the page that names it: it would be read out of the wheel once more."""
    here, _ = two

    await here.notebook.keep("digest", b"Name: bar\n")

    assert not here.neighbours.never_told(metadata_key("digest"))
    await asyncio.sleep(0)
    assert await here.index.get(metadata_key("digest")) == b"Name: bar\n"


async def test_what_is_written_behind_is_held_until_others_can_read_it(two: tuple[Process, Process]) -> None:
    here, there = two
    assert await there.notebook.read(PROJECT) == {}

    async with AsyncExitStack() as held:
        await held.enter_async_context(here.notebook.hold(PROJECT))
        here.notebook.write_behind(PROJECT, FACTS, held.pop_all())
    async with here.notebook.hold(PROJECT):
        news = await there.notebook.news(PROJECT)

    assert news == FACTS


async def test_nothing_new_is_no_news(two: tuple[Process, Process]) -> None:
    here, _ = two

    await here.notebook.write(PROJECT, FACTS)

    assert await here.notebook.news(PROJECT) == {}


async def test_what_was_read_for_a_page_on_its_way_is_not_read_again(two: tuple[Process, Process]) -> None:
    here, there = two
    await here.notebook.write(PROJECT, FACTS)

    key = there.notebook.begin(PROJECT)
    there.notebook.prepare(PROJECT, await there.index.get(key))

    assert await there.notebook.read(PROJECT) == FACTS
    assert await there.notebook.news(PROJECT) == {}
