"""What of a requirements or lock file the rules would hide, before anybody installs it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.index import FakeIndex
from tests.feed.command import wheelgate

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


async def check(config: Path, text: str, *options: str, name: str = "requirements.txt") -> tuple[int, str]:
    file = config.parent / name
    file.write_text(text)
    return await wheelgate("check-rules", "--requirements", str(file), "--config", str(config), *options)


async def test_all_is_well_where_everything_that_is_needed_is_served(config: Path) -> None:
    code, told = await check(config, "foo\nbar==1.0\n")

    assert code == 0
    assert "partly foo" in told
    assert "1.0 of public; 2 of 3 files are hidden, newer ones like 2.0 by deny" in told
    assert "1 of 2 requirements are served in full by feed default" in told


async def test_what_is_hidden_or_absent_fails_with_its_reason(config: Path) -> None:
    code, told = await check(config, "foo==2.0\nevil\nabsent\nbar>1\n", "--json")

    report = json.loads(told)
    findings = report["requirements"]
    assert (code, report["good"]) == (1, False)
    assert [finding["state"] for finding in findings] == ["hidden", "hidden", "absent", "absent"]
    assert all(finding["said"] for finding in findings)
    assert [finding["hidden"][0]["rule"] for finding in findings[:2]] == ["deny", "deny"]


async def test_a_lock_file_is_judged_by_the_files_that_it_names(config: Path) -> None:
    lock = (
        'version = 1\n[[package]]\nname = "{}"\nversion = "{}"\nsource = {{ registry = "x" }}\n'
        'wheels = [{{ url = "https://f.example/{}" }}]\n'
    )

    assert (await check(config, lock.format("foo", "1.0", FILES[0]), name="uv.lock"))[0] == 0
    code, told = await check(config, lock.format("foo", "2.0", FILES[1]), name="uv.lock")
    assert code == 1
    assert "hidden foo==2.0" in told
    code, told = await check(config, lock.format("foo", "1.0", "foo-1.0-other.whl"), name="uv.lock")
    assert code == 1
    assert "none of the files that are locked" in told


@pytest.mark.parametrize("is_right", [True, False])
async def test_a_digest_that_is_locked_has_to_be_there(config: Path, upstream: FakeIndex, is_right: bool) -> None:
    digest = upstream.files[FILES[0]].sha256 if is_right else "0" * 64
    uv_lock = (
        'version = 1\n[[package]]\nname = "foo"\nversion = "1.0"\nsource = { registry = "x" }\n'
        f'wheels = [{{ url = "https://f.example/{FILES[0]}", hash = "sha256:{digest}" }}]\n'
    )
    pylock = (
        'lock-version = "1.0"\n[[packages]]\nname = "foo"\nversion = "1.0"\n'
        f'[[packages.wheels]]\nname = "{FILES[0]}"\nhashes = {{ sha256 = "{digest}" }}\n'
    )
    pinned = f"foo==1.0 \\\n  --hash=sha256:{digest} \\\n  --hash=sha256:{'f' * 64}\n"

    for text, name in ((uv_lock, "uv.lock"), (pylock, "pylock.toml"), (pinned, "requirements.txt")):
        code, told = await check(config, text, name=name)

        assert (code == 0) is is_right
        assert ("no file with a digest that is locked" in told) is not is_right


async def test_an_outage_is_no_pass(config: Path, upstream: FakeIndex) -> None:
    upstream.is_down()

    code, told = await check(config, "foo\n")

    assert code == 1
    assert "unknown foo" in told


async def test_a_wrong_file_or_feed_is_said_with_exit_code_2(config: Path) -> None:
    code, told = await check(config, "not a requirement\n")
    assert code == 2
    assert "requirements.txt:1" in told
    code, told = await check(config, "foo\n", "--feed", "defualt")
    assert code == 2
    assert "did you mean default?" in told
