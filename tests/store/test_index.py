from __future__ import annotations

import asyncio
import pickle
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from proxy.store.index import Index, Refused


class Bomb:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


async def test_what_was_put_is_got_also_after_a_restart(tmp_path: Path) -> None:
    async with Index(tmp_path / "index") as index:
        await index.put("a", b"1")
        await index.put("b", bytes(2_000_000))
        await index.put("gone", b"3")
        await index.delete("gone")
        await index.delete("never")

    async with Index(tmp_path / "index") as index:
        assert await index.get("a") == b"1"
        assert await index.get("gone") is None
        assert await index.get_many(["a", "b", "c"]) == {"a": b"1", "b": bytes(2_000_000)}


async def test_what_many_put_at_once_is_all_there_as_soon_as_each_is_told(tmp_path: Path) -> None:
    async with Index(tmp_path / "index") as index:

        async def put(number: int) -> bytes | None:
            await index.put(str(number), b"%d" % number)
            return await index.get(str(number))

        assert await asyncio.gather(*map(put, range(50))) == [b"%d" % number for number in range(50)]


async def test_who_leaves_takes_nobody_elses_record_along(tmp_path: Path) -> None:
    async with Index(tmp_path / "index") as index:
        leaving, staying = [asyncio.create_task(index.put(key, b"1")) for key in ("leaving", "staying")]
        await asyncio.sleep(0)
        leaving.cancel()
        await staying

        assert await index.get("staying") == b"1"


async def test_what_somebody_who_left_put_is_there_after_the_end(tmp_path: Path) -> None:
    async with Index(tmp_path) as index:
        first = asyncio.ensure_future(index.put("first", b"1"))
        second = asyncio.ensure_future(index.put("second", b"2"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)

    async with Index(tmp_path) as index:
        assert await index.get("second") == b"2"


async def test_a_record_expires(tmp_path: Path) -> None:
    async with Index(tmp_path / "index") as index:
        await index.put("short", b"1", expire=-1)
        await index.put("long", b"1", expire=1000)

        assert await index.get_many(["short", "long"]) == {"long": b"1"}


async def test_nobody_else_may_look_into_the_folder(tmp_path: Path) -> None:
    async with Index(tmp_path / "index"):
        assert stat.S_IMODE((tmp_path / "index").stat().st_mode) == 0o700


async def test_it_holds_nothing_but_bytes_by_str(tmp_path: Path) -> None:
    async with Index(tmp_path / "index") as index:
        with pytest.raises(Refused):
            await index.put("a", "text")  # type: ignore[arg-type]
        with pytest.raises(Refused):
            await index.put(("a", 1), b"1")  # type: ignore[arg-type]
        await index.put("a", b"still works")
        assert await index.get("a") == b"still works"


@pytest.mark.parametrize("in_a_file", [True, False])
async def test_a_planted_pickle_is_a_miss_and_never_runs(tmp_path: Path, *, in_a_file: bool) -> None:
    """CVE-2025-69872."""
    victim, bomb = tmp_path / "ran", tmp_path / "index" / "bomb.val"
    async with Index(tmp_path / "index") as index:
        await index.put("a", b"1")
    bomb.write_bytes(pickle.dumps(Bomb(victim)))
    plant = (4, "bomb.val", None) if in_a_file else (4, None, bomb.read_bytes())
    with closing(sqlite3.connect(tmp_path / "index" / "cache.db")) as database, database:
        database.execute("UPDATE Cache SET mode = ?, filename = ?, value = ? WHERE key = 'a'", plant)

    async with Index(tmp_path / "index") as index:
        assert await index.get("a") is None
        await index.put("b", b"2")  # after the removal, which is done behind
        assert await index.get("b") == b"2"

    assert not victim.exists()
    assert bomb.exists()
    with closing(sqlite3.connect(tmp_path / "index" / "cache.db")) as database:
        assert database.execute("SELECT key FROM Cache").fetchall() == [("b",)]


@pytest.mark.parametrize("row", [(2, "../secret", None), (1, None, "text"), (1, None, 7), (3, "../secret", None)])
async def test_a_row_of_another_type_is_a_miss_and_names_no_file(tmp_path: Path, row: tuple[object, ...]) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    async with Index(tmp_path / "index") as index:
        await index.put("a", b"1")
        with closing(sqlite3.connect(tmp_path / "index" / "cache.db")) as database, database:
            database.execute("UPDATE Cache SET mode = ?, filename = ?, value = ? WHERE key = 'a'", row)

        assert await index.get("a") is None
        await index.put("a", b"2")
        assert await index.get("a") == b"2"

    assert secret.exists()


async def test_a_broken_database_is_set_aside_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "cache.db").write_bytes(b"nonsense" * 1000)

    async with Index(tmp_path / "index") as index:
        await index.put("a", b"1")
        assert await index.get("a") == b"1"

    assert (tmp_path / "index" / "broken.db").read_bytes().startswith(b"nonsense")


async def test_a_database_that_breaks_meanwhile_is_replaced(tmp_path: Path) -> None:
    async with Index(tmp_path / "index") as index:
        for number in range(200):
            await index.put(f"{number}", bytes(5000))
        with closing(sqlite3.connect(tmp_path / "index" / "cache.db")) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        file = tmp_path / "index" / "cache.db"
        await asyncio.to_thread(file.write_bytes, b"\xff" * file.stat().st_size)

        assert await index.get("199") is None
        await index.put("a", b"1")
        await index.put("a", b"1")

        assert await index.get("a") == b"1"


async def test_without_a_usable_folder_nothing_is_remembered_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "index").write_text("a file where the folder should be")

    async with Index(tmp_path / "index") as index:
        await index.put("a", b"1")
        assert await index.get("a") is None
        assert await index.get_many(["a"]) == {}


async def test_several_share_it(tmp_path: Path) -> None:
    async with Index(tmp_path / "index") as one, Index(tmp_path / "index") as other:
        await asyncio.gather(*(index.put(f"{n}", b"x") for n in range(50) for index in (one, other)))
        await one.put("a", b"1")

        assert await other.get("a") == b"1"


async def test_it_stays_about_its_size(tmp_path: Path) -> None:
    async with Index(tmp_path / "index", size=2_000_000) as index:
        for number in range(400):
            await index.put(f"{number}", bytes(20_000))
        assert await index.get("399") is not None
        assert await index.get("0") is None

    assert (tmp_path / "index" / "cache.db").stat().st_size < 4_000_000
