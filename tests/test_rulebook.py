"""Rules are read again when they change; what fails to load keeps the old ones, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from proxy.assembly import Machine, build
from proxy.config import load
from proxy.errors import Hidden
from proxy.feed.explain import explain
from proxy.simple.filename import normalize
from tests.fakes.index import FakeIndex

FOO = normalize("foo")
Start = Callable[[str], Awaitable[Machine]]


@pytest.fixture
async def upstream() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        index.has("foo-1.0-py3-none-any.whl")
        index.has("foo-2.0-py3-none-any.whl")
        yield index


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "wheelgate.toml"


@pytest.fixture
def write(file: Path, cache_directory: Path, upstream: FakeIndex) -> Callable[[str], None]:
    def written(rules: str) -> None:
        file.write_text(
            f'cache.directory = "{cache_directory}"\nsources.public = {{ kind = "simple", url = "{upstream.url}" }}\n'
            f'[feeds.default]\nsources = ["public"]\n[feeds.default.rules]\n{rules}\n'
        )

    return written


@pytest.fixture
async def start(file: Path, write: Callable[[str], None]) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def started(rules: str) -> Machine:
            write(rules)
            return await stack.enter_async_context(build(await asyncio.to_thread(load, file), file=file))

        yield started


async def shown(machine: Machine) -> list[str]:
    assert FOO is not None
    page = await machine.feeds["default"].page(FOO)
    return [file.version for file in page.page.files]


async def test_a_rule_that_is_written_holds_without_a_restart(start: Start, write: Callable[[str], None]) -> None:
    machine = await start("")
    assert await shown(machine) == ["1.0", "2.0"]

    write('deny = ["foo==2.0"]')
    await machine.rulebook.look()
    assert await shown(machine) == ["1.0"]

    write('deny = ["foo"]')
    await machine.rulebook.look()
    with pytest.raises(Hidden):
        await shown(machine)


@pytest.mark.parametrize("wrong", ['deny = ["foo=="]', "deny = [", 'denied = ["foo"]'])
async def test_rules_that_are_wrong_keep_the_old_ones_and_are_told(
    start: Start, write: Callable[[str], None], wrong: str
) -> None:
    machine = await start('deny = ["foo==2.0"]')

    write(wrong)
    await machine.rulebook.look()

    assert FOO is not None
    assert await shown(machine) == ["1.0"]
    explained = await explain(machine.feeds["default"], FOO)
    assert isinstance(explained.warnings, tuple)
    assert "cannot be used" in explained.warnings[0]
    assert b'wheelgate_rules_stale{feed="default"} 1.0' in await asyncio.to_thread(machine.metrics.render)

    write("")
    await machine.rulebook.look()
    assert await shown(machine) == ["1.0", "2.0"]
    assert b'wheelgate_rules_stale{feed="default"} 0.0' in await asyncio.to_thread(machine.metrics.render)


async def test_a_file_or_a_feed_that_vanished_keeps_the_old_rules(start: Start, file: Path) -> None:
    machine = await start('deny = ["foo==2.0"]')
    rename(file, "feeds.default", "feeds.other")
    await machine.rulebook.look()
    assert await shown(machine) == ["1.0"]
    assert "no feed default" in machine.feeds["default"].trouble

    remove(file)
    await machine.rulebook.look()
    assert await shown(machine) == ["1.0"]
    assert "no such file" in machine.feeds["default"].trouble


async def test_what_was_finished_under_the_old_rules_is_forgotten(start: Start, write: Callable[[str], None]) -> None:
    machine = await start("")
    epoch = machine.shelf.epoch

    await machine.rulebook.look()
    assert machine.shelf.epoch == epoch
    write('deny = ["foo==2.0"]')
    await machine.rulebook.look()

    assert machine.shelf.epoch == epoch + 1


async def test_an_answer_says_what_serves_a_version_or_what_hides_it(
    start: Start,
) -> None:
    assert FOO is not None
    machine = await start('deny = ["foo>=2"]')
    feed = machine.feeds["default"]

    async def answer(text: str) -> str:
        return str((await explain(feed, FOO, SpecifierSet(text))).answer)

    assert await answer("==1") == "foo 1.0 is what serves foo==1: 1 file of public"
    assert await answer("==2") == (
        "nothing serves foo==2: deny: version 2.0 is denied by 'foo>=2'; the newest version that is served is 1.0"
    )
    assert await answer("==3") == (
        "nothing serves foo==3: public has no such version; the newest version that is served is 1.0"
    )
    text = (await explain(feed, FOO, SpecifierSet("==2"))).as_text()
    assert "foo in feed default: owned by public" in text
    assert "hidden  foo-2.0-py3-none-any.whl  (public)" in text
    assert "what to do: choose another version or project" in text


def rename(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text().replace(old, new))


def remove(file: Path) -> None:
    file.unlink()
