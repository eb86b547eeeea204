"""The pin ledger keeps what it knows, and never takes "cannot be read" for "nothing"."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from proxy.errors import LedgerUnreadable
from proxy.rules.pins import Pin
from proxy.store.pins import Pins

PIN = Pin("public", "foo", "foo-1.0.tar.gz", "a" * 64, 1.0)
OTHER = Pin("public", "foo", "foo-2.0.tar.gz", "b" * 64, 2.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pins.db"


async def test_one_that_cannot_be_read_is_not_an_empty_one(file: Path) -> None:
    spoil(file)
    told: list[bool] = []

    async with Pins(file, tell=told.append) as pins:
        with pytest.raises(LedgerUnreadable):
            await pins.of("public", "foo")

        assert not pins.is_open
    assert told == [True]


async def test_many_begin_one_at_the_same_moment(tmp_path: Path) -> None:
    for turn in range(100):
        async with AsyncExitStack() as stack:
            ledgers = [Pins(tmp_path / f"{turn}.db") for _ in range(8)]

            await asyncio.gather(*(stack.enter_async_context(pins) for pins in ledgers))

            assert [pins.trouble for pins in ledgers] == [""] * 8
            assert [await pins.of("public", "foo") for pins in ledgers] == [[]] * 8


async def test_it_is_used_again_once_it_is_mended(file: Path) -> None:
    async with Pins(file) as pins:
        await pins.put(PIN)
    kept = spoil(file)
    told: list[bool] = []

    async with Pins(file, tell=told.append, again=0) as pins:
        with pytest.raises(LedgerUnreadable):
            await pins.of("public", "foo")
        mend(file, kept)

        assert await pins.of("public", "foo") == [PIN]
        assert pins.is_open
    assert told[-1] is False


async def test_one_that_was_moved_away_begins_anew(file: Path) -> None:
    spoil(file)
    async with Pins(file, again=0) as pins:
        mend(file, None)

        assert await pins.of("public", "foo") == []
        assert await pins.put(PIN) == PIN
        assert await pins.of("public", "foo") == [PIN]


async def test_one_that_cannot_be_written_is_held_to_all_the_same(file: Path) -> None:
    """Its disk is full, say: nothing can be added, and what it has still counts."""
    async with Pins(file) as pins:
        await pins.put(PIN)
    file.with_name("pins.db-wal").mkdir()
    told: list[bool] = []

    async with Pins(file, tell=told.append) as pins:
        assert await pins.of("public", "foo") == [PIN]
        assert await pins.put(OTHER) == OTHER
        assert await pins.of("public", "foo") == [PIN]
        assert not pins.is_open
    assert told
    assert all(told)


async def test_one_that_cannot_be_made_knows_nothing(tmp_path: Path) -> None:
    (tmp_path / "afile").touch()
    told: list[bool] = []

    async with Pins(tmp_path / "afile" / "pins.db", tell=told.append) as pins:
        assert await pins.of("public", "foo") == []
        assert await pins.put(PIN) == PIN

    assert told == [True]


def spoil(file: Path) -> bytes | None:
    """Put something else in its place, and give what was there."""
    kept = file.read_bytes() if file.exists() else None
    file.write_text("this is no database at all" * 50)
    return kept


def mend(file: Path, kept: bytes | None) -> None:
    """Put back what was there."""
    file.unlink()
    if kept is not None:
        file.write_bytes(kept)
