from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path

import pytest

from proxy.store.artifacts import Artifact, Artifacts
from proxy.store.partial import open_partial


async def keep(artifacts: Artifacts, content: bytes, *, used: float = 0.0) -> Artifact:
    """Receive `content`, last used `used` seconds ago."""
    temporary = artifacts.partials / "temporary"
    await asyncio.to_thread(temporary.write_bytes, content)
    artifact = await artifacts.run(artifacts.adopt, temporary, hashlib.sha256(content).hexdigest())
    then = time.time() - used
    os.utime(artifact.path, (then, then))
    return artifact


async def test_what_was_adopted_is_found_and_opened(artifacts: Artifacts) -> None:
    kept = await keep(artifacts, b"bytes")

    assert artifacts.find(kept.digest) == kept
    opened = artifacts.open(kept.digest)
    assert opened is not None
    with opened:
        assert opened.artifact == kept
        assert opened.read(1, 4) == b"yte"


@pytest.mark.parametrize("digest", ["", "ab", "../../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", "/" * 64])
async def test_what_is_no_digest_is_not_found(artifacts: Artifacts, digest: str) -> None:
    assert artifacts.find(digest) is None
    assert artifacts.open(digest) is None


async def test_a_file_deleted_behind_our_back_is_a_miss(artifacts: Artifacts) -> None:
    kept = await keep(artifacts, b"bytes")
    os.unlink(kept.path)  # noqa: PTH108 - Path.unlink would be flagged as blocking all the same

    assert artifacts.find(kept.digest) is None
    assert artifacts.open(kept.digest) is None


async def test_an_empty_file_a_folder_and_a_link_are_misses(artifacts: Artifacts, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"x")
    empty, folder, link = ("0" * 64, "1" * 64, "2" * 64)
    for digest in (empty, folder, link):
        artifacts.place(digest).parent.mkdir()
    artifacts.place(empty).touch()
    artifacts.place(folder).mkdir()
    artifacts.place(link).symlink_to(elsewhere)

    for digest in (empty, folder, link):
        assert artifacts.find(digest) is None
        assert artifacts.open(digest) is None


async def test_a_use_is_noted_at_most_once_a_minute(artifacts: Artifacts) -> None:
    kept = await keep(artifacts, b"old", used=3600)
    artifacts.find(kept.digest)
    first = kept.path.stat().st_mtime_ns
    artifacts.find(kept.digest)

    assert time.time() - first / 1e9 < 60
    assert kept.path.stat().st_mtime_ns == first


async def test_the_least_recently_used_go_first_and_no_reader_is_broken(tmp_path: Path) -> None:
    async with Artifacts(tmp_path / "a", size=1000) as artifacts:
        old = await keep(artifacts, b"1" * 300, used=3000)
        older = await keep(artifacts, b"2" * 300, used=4000)
        new = await keep(artifacts, b"3" * 300, used=100)
        reader = artifacts.open(older.digest)
        assert reader is not None
        then = time.time() - 4000
        os.utime(older.path, (then, then))
        newest = await keep(artifacts, b"4" * 300)
        await artifacts.settled()

    with reader:
        assert reader.read(0, 300) == b"2" * 300
    assert [kept.path.exists() for kept in (older, old, new, newest)] == [False, True, True, True]


async def test_processes_count_together(tmp_path: Path) -> None:
    async with Artifacts(tmp_path / "a", size=1000) as one, Artifacts(tmp_path / "a", size=1000) as other:
        for number in range(10):
            await keep(one, f"one {number}".encode() * 30, used=100 - number)
            await keep(other, f"two {number}".encode() * 30, used=100 - number)
        for store in (one, other, one):
            await store.settled()

    assert sum(path.stat().st_size for path in (tmp_path / "a").glob("??/*")) <= 1000


async def test_a_lost_count_is_corrected_at_the_start(tmp_path: Path) -> None:
    async with Artifacts(tmp_path / "a", size=10_000) as artifacts:
        for number in range(10):
            await keep(artifacts, f"{number}".encode() * 300, used=1000 - number)
    (tmp_path / "a" / "usage").write_bytes(b"torn")

    async with Artifacts(tmp_path / "a", size=1000) as artifacts:
        await artifacts.settled()

    assert sum(path.stat().st_size for path in (tmp_path / "a").glob("??/*")) <= 900


async def test_the_same_bytes_twice_count_once(tmp_path: Path) -> None:
    async with Artifacts(tmp_path / "a", size=1000) as artifacts:
        await artifacts.settled()
        for _ in range(5):
            await keep(artifacts, b"x" * 400)
        await artifacts.settled()

        assert int((tmp_path / "a" / "usage").read_text()) == 400


async def test_old_partial_files_go_unless_somebody_writes_them(tmp_path: Path) -> None:
    async with Artifacts(tmp_path / "a", size=1000) as artifacts:
        left, written, fresh = (artifacts.partials / name for name in ("left", "written", "fresh"))
        for path in (left, written, fresh):
            path.write_bytes(b"x")
        (artifacts.partials / "gone.json").write_bytes(b"{}")
        for path in (left, written, artifacts.partials / "gone.json"):
            os.utime(path, (0, 0))
        writer = await artifacts.run(open_partial, written)
        assert writer.locked

    async with Artifacts(tmp_path / "a", size=1000) as artifacts:
        await artifacts.settled()

    assert sorted(path.name for path in (tmp_path / "a" / "partial").iterdir()) == ["fresh", "written"]
    writer.unlock()
