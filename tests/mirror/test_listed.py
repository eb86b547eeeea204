"""A listing is as new as promised, comes to the rescue, outlives the process, and is no absence by mistake."""

from __future__ import annotations

import pytest
from packaging.utils import canonicalize_name

from proxy.errors import SourceUnavailable
from proxy.mirror.base import Known, Setting
from proxy.mirror.inspector import Inspector
from proxy.mirror.listed import ListedMirror
from proxy.rules.freshness import Windows
from proxy.simple.model import File
from proxy.store.index import Index
from proxy.tasks import Background
from tests.fakes.clock import FakeClock
from tests.fakes.listed import FakeListed

BAR, FOO = canonicalize_name("bar"), canonicalize_name("foo")


def sdist(project: str, version: str) -> File:
    name = f"{project}-{version}.tar.gz"
    return File(name, name, version, {"sha256": "a" * 64}, 10, etag=version)


@pytest.fixture
def source() -> FakeListed:
    source = FakeListed()
    source.projects = {BAR: (sdist("bar", "1.0"),)}
    return source


@pytest.fixture
def mirror(source: FakeListed, index: Index, background: Background, clock: FakeClock) -> ListedMirror:
    return make(source, index, background, clock)


def make(
    source: FakeListed, index: Index, background: Background, clock: FakeClock, *, offline: bool = False
) -> ListedMirror:
    inspector = Inspector(
        source,
        place="here",
        digests=True,
        offline=offline,
        find=lambda _: None,
        index=index,
        background=background,
        clock=clock,
    )
    setting = Setting(Windows(30, 30, 3600, 30), 0, offline, "here")
    return ListedMirror(source, setting, index=index, inspector=inspector, background=background, clock=clock)


def filenames(known: Known) -> list[str]:
    return [] if known.page is None else [file.filename for file in known.page.files]


async def names(mirror: ListedMirror) -> list[str]:
    return [name async for name in mirror.names()]


async def test_one_listing_tells_of_every_project(mirror: ListedMirror, source: FakeListed) -> None:
    assert filenames(await mirror.get(BAR)) == ["bar-1.0.tar.gz"]
    assert (await mirror.get(FOO)).page is None
    assert await names(mirror) == ["bar"]
    assert source.listed == 1


async def test_a_listing_that_is_too_old_is_looked_at_anew(
    mirror: ListedMirror, source: FakeListed, clock: FakeClock
) -> None:
    await mirror.get(BAR)
    source.projects = {BAR: (sdist("bar", "2.0"),), FOO: (sdist("foo", "1.0"),)}
    assert filenames(await mirror.get(BAR)) == ["bar-1.0.tar.gz"]

    clock.pass_by(30)

    assert filenames(await mirror.get(BAR)) == ["bar-2.0.tar.gz"]
    assert filenames(await mirror.get(FOO)) == ["foo-1.0.tar.gz"]
    assert source.looked >= 2


async def test_where_nothing_can_be_looked_at_the_whole_is_listed(
    mirror: ListedMirror, source: FakeListed, clock: FakeClock
) -> None:
    source.can_look = False
    await mirror.get(BAR)
    clock.pass_by(30)
    source.projects = {}

    assert (await mirror.get(BAR)).page is None
    assert source.listed == 2


async def test_an_unchanged_project_keeps_its_page(mirror: ListedMirror, clock: FakeClock) -> None:
    before = await mirror.get(BAR)
    clock.pass_by(30)
    after = await mirror.get(BAR)

    assert after.page is before.page
    assert after.asked_at > before.asked_at


async def test_what_is_remembered_comes_to_the_rescue_and_absence_is_told(
    mirror: ListedMirror, source: FakeListed, clock: FakeClock
) -> None:
    await mirror.get(BAR)
    source.is_down = True
    clock.pass_by(3599)

    rescued, absent = await mirror.get(BAR), await mirror.get(FOO)

    assert filenames(rescued) == ["bar-1.0.tar.gz"]
    assert rescued.rescued_from is not None
    assert absent.page is None
    assert await names(mirror) == ["bar"]


async def test_after_the_rescue_window_an_outage_is_an_outage(
    mirror: ListedMirror, source: FakeListed, clock: FakeClock
) -> None:
    await mirror.get(BAR)
    source.is_down = True
    clock.pass_by(3600)

    for asked in (mirror.get(BAR), mirror.get(FOO), names(mirror), mirror.refresh(BAR)):
        with pytest.raises(SourceUnavailable):
            await asked


async def test_a_source_that_is_back_is_believed_at_once(
    mirror: ListedMirror, source: FakeListed, clock: FakeClock
) -> None:
    await mirror.get(BAR)
    source.is_down = True
    clock.pass_by(60)
    assert (await mirror.get(BAR)).rescued_from is not None

    source.is_down = False
    source.projects = {BAR: (sdist("bar", "2.0"),)}
    clock.pass_by(3)
    known = await mirror.get(BAR)

    assert filenames(known) == ["bar-2.0.tar.gz"]
    assert known.rescued_from is None


async def test_a_listing_outlives_the_process(
    mirror: ListedMirror, source: FakeListed, index: Index, background: Background, clock: FakeClock
) -> None:
    await mirror.get(BAR)
    source.is_down = True

    again = make(source, index, background, clock)

    assert filenames(await again.get(BAR)) == ["bar-1.0.tar.gz"]
    assert await again.recall(FOO) is not None


async def test_offline_knows_what_is_remembered_and_asks_nobody(
    mirror: ListedMirror, source: FakeListed, index: Index, background: Background, clock: FakeClock
) -> None:
    offline = make(source, index, background, clock, offline=True)
    assert await offline.recall(BAR) is None
    for asked in (offline.get(BAR), names(offline)):
        with pytest.raises(SourceUnavailable, match="offline"):
            await asked
    await mirror.get(BAR)
    asked_before = (source.listed, source.looked)
    clock.pass_by(1_000_000)

    offline = make(source, index, background, clock, offline=True)
    await offline.refresh(BAR)

    assert filenames(await offline.get(BAR)) == ["bar-1.0.tar.gz"]
    assert (await offline.get(FOO)).page is None
    assert await names(offline) == ["bar"]
    with pytest.raises(SourceUnavailable, match="not cached"):
        async with offline.opener.open(sdist("bar", "1.0")):
            pass
    for sidecar in (offline.opener.read_metadata, offline.opener.read_provenance):
        with pytest.raises(SourceUnavailable, match="not cached"):
            await sidecar(sdist("bar", "1.0"))
    assert (source.listed, source.looked) == asked_before


async def test_a_record_of_another_release_is_forgotten(
    mirror: ListedMirror, source: FakeListed, index: Index, background: Background, clock: FakeClock
) -> None:
    await mirror.get(BAR)
    key = mirror._key  # noqa: SLF001 - to spoil what stands there
    await index.put(key, b"\x93\x01\x02\x03")

    again = make(source, index, background, clock)

    assert filenames(await again.get(BAR)) == ["bar-1.0.tar.gz"]
    assert source.listed == 2


async def test_a_digest_that_is_not_listed_is_computed_and_remembered(mirror: ListedMirror, source: FakeListed) -> None:
    source.projects = {BAR: (File("bar-1.0.tar.gz", "x", "1.0", size=1400, etag="e1"),)}

    known = await mirror.get(BAR)

    assert known.page is not None
    assert len(known.page.files[0].hashes["sha256"]) == 64


async def test_all_pages_are_given_for_the_flat_page(mirror: ListedMirror, source: FakeListed) -> None:
    source.projects[FOO] = (sdist("foo", "1.0"),)

    assert [page.name async for page in mirror.files()] == [BAR, FOO]
