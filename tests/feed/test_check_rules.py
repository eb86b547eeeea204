"""What of a requirements or lock file the rules would hide, before anybody installs it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy import cli
from tests.fakes.index import FakeIndex

FILES = ("foo-1.0-py3-none-any.whl", "foo-2.0-py3-none-any.whl", "foo-2.0.tar.gz", "bar-1.0-py3-none-any.whl")


@pytest.fixture
async def upstream() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        for name in FILES:
            index.has(name)
        yield index


@pytest.fixture
def config(tmp_path: Path, cache_directory: Path, upstream: FakeIndex) -> Path:
    file = tmp_path / "wheelgate.toml"
    file.write_text(
        f'cache.directory = "{cache_directory}"\nsources.public = {{ kind = "simple", url = "{upstream.url}" }}\n'
        'feeds.default = { sources = ["public"], rules = { deny = ["foo>=2", "evil"], kinds = ["wheel"] } }\n'
    )
    return file


async def check(config: Path, text: str, *options: str, name: str = "requirements.txt") -> int:
    file = config.parent / name
    file.write_text(text)
    return await asyncio.to_thread(
        cli.run, ["check-rules", "--requirements", str(file), "--config", str(config), *options]
    )


async def test_all_is_well_where_everything_that_is_needed_is_served(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await check(config, "foo\nbar==1.0\n") == 0

    told = capsys.readouterr().out
    assert "partly foo" in told
    assert "1.0 of public; 2 of 3 files are hidden, newer ones like 2.0 by deny" in told
    assert "1 of 2 requirements are served in full by feed default" in told


@pytest.mark.parametrize(
    ("text", "state"),
    [("foo==2.0\n", "hidden"), ("evil\n", "hidden"), ("absent\n", "absent"), ("bar>1\n", "absent")],
)
async def test_what_is_hidden_or_absent_fails_with_its_reason(
    config: Path, capsys: pytest.CaptureFixture[str], text: str, state: str
) -> None:
    assert await check(config, text, "--json") == 1

    told = json.loads(capsys.readouterr().out)
    (finding,) = told["requirements"]
    assert told["good"] is False
    assert finding["state"] == state
    assert finding["said"]
    assert state == "absent" or finding["hidden"][0]["rule"] == "deny"


async def test_a_lock_file_is_judged_by_the_files_that_it_names(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = (
        'version = 1\n[[package]]\nname = "{}"\nversion = "{}"\nsource = {{ registry = "x" }}\n'
        'wheels = [{{ url = "https://f.example/{}" }}]\n'
    )

    assert await check(config, lock.format("foo", "1.0", FILES[0]), name="uv.lock") == 0
    assert await check(config, lock.format("foo", "2.0", FILES[1]), name="uv.lock") == 1
    assert "hidden foo==2.0" in capsys.readouterr().out
    assert await check(config, lock.format("foo", "1.0", "foo-1.0-other.whl"), name="uv.lock") == 1
    assert "none of the files that are locked" in capsys.readouterr().out


async def test_an_outage_is_no_pass(config: Path, upstream: FakeIndex, capsys: pytest.CaptureFixture[str]) -> None:
    upstream.is_down()

    assert await check(config, "foo\n") == 1
    assert "unknown foo" in capsys.readouterr().out


async def test_a_wrong_file_or_feed_is_said_with_exit_code_2(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await check(config, "not a requirement\n") == 2
    assert "requirements.txt:1" in capsys.readouterr().err
    assert await check(config, "foo\n", "--feed", "defualt") == 2
    assert "did you mean default?" in capsys.readouterr().err
