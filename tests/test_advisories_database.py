"""A database of advisories is read as a whole or not at all, and what was read before goes on being used."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from proxy.advisories import Database, Unreadable, read

ENTRY = '{"id": "X-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "foo"}, "versions": ["1"]}]}'


def zipped(file: Path, **members: str) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in members.items():
            archive.writestr(f"{name}.json", text)
        archive.writestr("README.txt", "no advisory")
    return file


def test_a_folder_is_read_with_what_is_below_it(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.json").write_text(ENTRY)
    (tmp_path / "b.json").write_text(ENTRY.replace("foo", "bar"))
    (tmp_path / "c.txt").write_text("no advisory")

    assert set(read(tmp_path).by_project) == {"foo", "bar"}


@pytest.mark.parametrize("name", ["empty", "empty.zip", "broken.zip", "wrong.zip"])
def test_what_is_no_database_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    zipped(tmp_path / "empty.zip")
    zipped(tmp_path / "wrong.zip", a=ENTRY, b="[]")
    (tmp_path / "broken.zip").write_bytes(zipped(tmp_path / "whole.zip", a=ENTRY).read_bytes()[:-30])

    with pytest.raises(Unreadable, match=name):
        read(tmp_path / name)


async def test_a_database_is_read_again_only_when_it_looks_different(tmp_path: Path) -> None:
    file = zipped(tmp_path / "all.zip", a=ENTRY)
    database = Database(file)

    assert await database.refresh() is True
    first = database.advisories
    assert await database.refresh() is False
    assert database.advisories is first
    zipped(file, a=ENTRY, b=ENTRY.replace("foo", "bar"))
    assert await database.refresh() is True
    assert database.advisories is not None
    assert len(database.advisories) == 2


async def test_one_that_breaks_or_vanishes_keeps_what_was_read(tmp_path: Path) -> None:
    file = zipped(tmp_path / "all.zip", a=ENTRY)
    database = Database(file)
    await database.refresh()

    zipped(file, a="{")
    assert await database.refresh() is True
    assert "a.json is no advisory" in database.trouble
    assert await database.refresh() is False
    assert "a.json is no advisory" in database.trouble
    vanish(file)
    assert await database.refresh() is True
    assert "No such file" in database.trouble
    assert await database.refresh() is False
    assert database.advisories is not None
    zipped(file, a=ENTRY)
    assert await database.refresh() is True
    assert database.trouble == ""


def vanish(file: Path) -> None:
    file.unlink()
