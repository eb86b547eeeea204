"""A page is fresh, stale, to the rescue or dead; what the scenarios do not reach is here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from proxy.errors import SourceUnavailable
from proxy.mirror import paged
from proxy.mirror.base import Known, Setting, within
from proxy.mirror.inspector import Inspector
from proxy.mirror.paged import PagedMirror
from proxy.rules.freshness import Windows
from proxy.simple.model import File, NormalizedName, Page
from proxy.sources.base import Answer, Body, Unchanged
from proxy.store.index import Index
from proxy.store.neighbours import Neighbours
from proxy.tasks import Background
from tests.fakes.clock import FakeClock

BAR = canonicalize_name("bar")


class FakePaged:
    """An index that says what a test wants."""

    def __init__(self) -> None:
        """Begin as one that has nothing."""
        self.name = "public"
        self.answers: dict[NormalizedName, Answer | Unchanged | None] = {}
        self.is_down = False
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self, project: NormalizedName, validator: str | None = None) -> Answer | Unchanged | None:
        self.asked.append(f"{project} {validator}")
        await self.gate.wait()
        if self.is_down:
            raise SourceUnavailable(self.name, "down")
        return self.answers.get(project)

    async def ask_names(self) -> AsyncIterator[str]:
        for name in self.answers:
            yield name

    @asynccontextmanager
    async def open(self, file: File, *, start: int = 0, end: int | None = None) -> AsyncIterator[Body]:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"x" * 10

        yield Body(chunks(), start, end, file.etag)

    async def read_metadata(self, file: File) -> bytes | None:  # noqa: ARG002 - of the interface
        return None

    async def read_provenance(self, file: File) -> bytes | None:  # noqa: ARG002 - of the interface
        return None


def page(*versions: str) -> Answer:
    files = tuple(
        File(f"bar-{version}.tar.gz", f"there/{version}", version, {"sha256": "a" * 64}, 10) for version in versions
    )
    return Answer(Page(BAR, files, versions), validator=f"v{len(versions)}")


@pytest.fixture
def source() -> FakePaged:
    source = FakePaged()
    source.answers[BAR] = page("1.0")
    return source


@pytest.fixture
def mirror(source: FakePaged, index: Index, background: Background, clock: FakeClock) -> PagedMirror:
    return make(source, index, background, clock)


def make(
    source: FakePaged,
    index: Index,
    background: Background,
    clock: FakeClock,
    *,
    place: str = "there",
    neighbours: Neighbours | None = None,
) -> PagedMirror:
    inspector = Inspector(
        source,
        place=place,
        digests=False,
        offline=False,
        find=lambda _: None,
        index=index,
        background=background,
        clock=clock,
    )
    setting = Setting(Windows(10, 60, 3600, 5), 600, offline=False, place=place)
    return PagedMirror(
        source,
        setting,
        index=index,
        inspector=inspector,
        background=background,
        clock=clock,
        neighbours=neighbours,
    )


async def settled(background: Background) -> None:
    """Wait until all is written."""
    while len(background):  # noqa: ASYNC110 - whatever is under way
        await asyncio.sleep(0.005)


def versions(known: Known | None) -> list[str]:
    return [] if known is None or known.page is None else list(known.page.versions)


async def test_many_who_ask_at_once_are_one_question(mirror: PagedMirror, source: FakePaged) -> None:
    source.gate.clear()
    asking = [asyncio.create_task(mirror.get(BAR)) for _ in range(20)]
    await asyncio.sleep(0.05)
    source.gate.set()

    assert all(versions(known) == ["1.0"] for known in await asyncio.gather(*asking))
    assert source.asked == ["bar None"]


async def test_what_another_process_asked_meanwhile_is_taken_over(
    mirror: PagedMirror, source: FakePaged, index: Index, background: Background, clock: FakeClock
) -> None:
    await mirror.get(BAR)
    clock.pass_by(11)
    source.answers[BAR] = page("1.0", "2.0")
    other = make(source, index, background, clock)
    await other.refresh(BAR)
    await settled(background)
    asked = len(source.asked)

    assert versions(await mirror.get(BAR)) == ["1.0", "2.0"]
    assert len(source.asked) == asked


async def test_what_was_remembered_of_another_place_does_not_count(
    mirror: PagedMirror, source: FakePaged, index: Index, background: Background, clock: FakeClock
) -> None:
    await mirror.get(BAR)

    other = make(source, index, background, clock, place="elsewhere")

    assert await other.recall(BAR) is None
    assert versions(await mirror.recall(BAR)) == ["1.0"]


async def test_unchanged_makes_the_remembered_page_young_again(
    mirror: PagedMirror, source: FakePaged, clock: FakeClock
) -> None:
    before = await mirror.get(BAR)
    source.answers[BAR] = Unchanged()
    clock.pass_by(61)

    after = await mirror.get(BAR)

    assert after.page is before.page
    assert after.asked_at == clock.now
    assert source.asked[-1] == "bar v1"


async def test_unchanged_with_nothing_remembered_is_an_error(mirror: PagedMirror, source: FakePaged) -> None:
    source.answers[BAR] = Unchanged()

    with pytest.raises(SourceUnavailable, match="nothing is remembered"):
        await mirror.get(BAR)


async def test_a_record_of_another_release_is_asked_for_anew(
    mirror: PagedMirror, source: FakePaged, index: Index
) -> None:
    await index.put(f"{mirror._prefix}bar", b"\x93nothing")  # noqa: SLF001 - to spoil what stands there

    assert versions(await mirror.get(BAR)) == ["1.0"]
    assert source.asked == ["bar None"]


async def test_memory_is_bounded_and_the_index_has_the_rest(
    mirror: PagedMirror, source: FakePaged, background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paged, "FILES_IN_MEMORY", 4)
    names = [canonicalize_name(f"p{number}") for number in range(5)]
    for name in names:
        source.answers[name] = page("1.0")
        await mirror.get(name)
    await settled(background)

    again = [await mirror.get(name) for name in names]

    assert all(versions(known) == ["1.0"] for known in again)
    assert len(source.asked) == len(names)


async def test_a_slow_source_is_waited_for_so_long_and_no_longer() -> None:
    with pytest.raises(SourceUnavailable, match="no answer within"):
        await within(0.01, "public", asyncio.sleep(1))


async def test_names_are_those_of_the_source(mirror: PagedMirror) -> None:
    assert [name async for name in mirror.names()] == ["bar"]


async def test_what_nobody_told_of_is_asked_without_a_look_at_what_is_kept(
    source: FakePaged, index: Index, background: Background, clock: FakeClock, tmp_path: Path
) -> None:
    async with Neighbours(tmp_path / "one") as board:
        await make(source, index, background, clock, neighbours=board).get(BAR)
        await settled(background)

        remembered = make(source, index, background, clock, neighbours=board)
        assert versions(await remembered.get(BAR)) == ["1.0"]
        assert source.asked == ["bar None"]

    async with Neighbours(tmp_path / "another") as board:
        assert versions(await make(source, index, background, clock, neighbours=board).get(BAR)) == ["1.0"]
        assert source.asked == ["bar None"] * 2
        await settled(background)


async def test_a_lost_board_costs_a_question_but_no_page(
    source: FakePaged, index: Index, background: Background, clock: FakeClock, tmp_path: Path
) -> None:
    """What is on the disk still comes to the rescue."""
    await make(source, index, background, clock).get(BAR)
    await settled(background)
    source.is_down = True

    async with Neighbours(tmp_path / "lost") as board:
        mirror = make(source, index, background, clock, neighbours=board)

        known = await mirror.get(BAR)
        clock.pass_by(3700)
        with pytest.raises(SourceUnavailable):
            await make(source, index, background, clock, neighbours=board).get(BAR)

    assert versions(known) == ["1.0"]
    assert isinstance(known.rescued_from, SourceUnavailable)
