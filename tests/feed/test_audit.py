"""One line for each artifact that was served and each request that a rule refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.telemetry.audit import Audit, Subject
from tests.fakes.index import FakeIndex
from tests.fakes.server import LocalServer, settings, simple

FILE = "foo-1.0-py3-none-any.whl"


@pytest.fixture
async def upstream() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        index.has(FILE)
        index.has("foo-2.0-py3-none-any.whl")
        yield index


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_who_got_what_and_who_was_refused_by_which_rule_is_written_down(
    cache_directory: Path, upstream: FakeIndex, tmp_path: Path
) -> None:
    file = tmp_path / "audit" / "audit.jsonl"
    config = settings(
        cache_directory, {"public": simple(upstream.url)}, rules={"deny": ["foo>=2"]}, audit={"file": str(file)}
    )
    async with LocalServer(config) as server:
        await server.get(f"/files/foo/{FILE}", user_agent="pip/26")
        await server.get(f"/files/foo/{FILE}", range="bytes=0-9")
        await server.head(f"/files/foo/{FILE}")
        await server.get("/files/foo/foo-2.0-py3-none-any.whl")
        await server.get("/files/foo/foo-2.0-py3-none-any.whl.metadata")
        await server.get("/files/foo/foo-3.0-py3-none-any.whl")
        await server.page("/simple/foo/")

    found = lines(file)
    assert [line["event"] for line in found] == ["served", "served", "refused", "refused"]
    first, part, refused, _ = found
    assert first["sha256"] == part["sha256"] == upstream.files[FILE].sha256
    assert {key: first[key] for key in ("project", "version", "filename", "source", "feed", "client", "agent")} == {
        "project": "foo",
        "version": "1.0",
        "filename": FILE,
        "source": "public",
        "feed": "default",
        "client": "127.0.0.1",
        "agent": "pip/26",
    }
    assert (part["status"], refused["status"], refused["rule"], refused["version"]) == (206, 403, "deny", "2.0")
    assert refused["reason"]
    assert refused["request_id"]


async def test_by_default_the_log_has_it(
    cache_directory: Path, upstream: FakeIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    async with LocalServer(settings(cache_directory, {"public": simple(upstream.url)})) as server:
        await server.get(f"/files/foo/{FILE}")

    written = capsys.readouterr()
    assert "audit" in written.out + written.err
    assert upstream.files[FILE].sha256 in written.out + written.err


async def test_it_can_be_switched_off(
    cache_directory: Path, upstream: FakeIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(cache_directory, {"public": simple(upstream.url)}, audit={"enabled": False})
    async with LocalServer(config) as server:
        await server.get(f"/files/foo/{FILE}")

    written = capsys.readouterr()
    assert upstream.files[FILE].sha256 not in written.out + written.err


async def test_the_file_is_rotated_and_no_line_is_lost_between_processes(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    async with Audit(file, size=2000, keep=30) as one, Audit(file, size=2000, keep=30) as other:
        for number in range(100):
            audit = one if number % 2 else other
            audit.note(Subject("default", f"p{number}"), at=0.0, status=200, client="c", agent="", request_id="")
            audit.flush()

    files = [file, *tmp_path.glob("audit.jsonl.*")]  # noqa: ASYNC240 - nothing else runs
    assert len(files) > 3
    assert all(each.stat().st_size <= 2000 for each in files)
    found = {line["project"] for each in files for line in lines(each)}
    assert found == {f"p{number}" for number in range(100)}


async def test_only_so_many_old_files_are_kept(tmp_path: Path) -> None:
    for keep in (0, 2):
        file = tmp_path / str(keep) / "audit.jsonl"
        async with Audit(file, size=100, keep=keep) as audit:
            for number in range(9):
                audit.note(Subject("default", f"p{number}"), at=0.0, status=200, client="c", agent="", request_id="")
                audit.flush()
        assert len(list(file.parent.iterdir())) == keep + 1
        assert lines(file)[-1]["project"] == "p8"


async def test_a_file_that_cannot_be_written_loses_no_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Audit(tmp_path) as audit:
        audit.note(Subject("default", "foo"), at=0.0, status=200, client="c", agent="", request_id="")

    written = capsys.readouterr()
    assert "audit cannot be written" in written.out + written.err
    assert "foo" in written.out + written.err
