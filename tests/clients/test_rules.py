"""Real pip and uv behind rules: they resolve to the newest version that is allowed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.clients.environments import Client
from tests.fakes.index import FakeIndex
from tests.fakes.process import StartServer
from tests.fakes.wheels import build_wheel

CONFIG = """
[cache]
directory = "{cache}"
[sources.public]
kind = "simple"
url = "{url}"
[feeds.default]
sources = ["public"]
[feeds.default.rules]
{rules}
"""
PROJECT = """
[project]
name = "consumer"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["leaf"]

[[tool.uv.index]]
url = "{url}"
default = true
"""
BY_PIP = ("install", "--no-cache-dir", "--target")
REAL = ("requests", "flask")
"""Real projects, with dependencies that are released often."""


@pytest.fixture
def gated(upstream: FakeIndex) -> FakeIndex:
    for version, days in (("1.0", 400), ("1.5", 30), ("2.0", 2)):
        uploaded = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        upstream.has(f"leaf-{version}-py3-none-any.whl", content=build_wheel("leaf", version), upload_time=uploaded)
    return upstream


def config(tmp_path: Path, url: str, rules: str) -> str:
    return CONFIG.format(cache=tmp_path / "cache", url=url, rules=rules)


async def test_pip_takes_the_newest_version_that_is_old_enough(
    pip: Client, gated: FakeIndex, start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(config(tmp_path, gated.url, 'min_age = "7 d"'))
    target = tmp_path / "target"

    await pip.run("install", "--index-url", server.index_url, "--target", target, "leaf", home=tmp_path / "home")

    assert [path.name for path in target.glob("leaf-*.dist-info")] == ["leaf-1.5.dist-info"]


@pytest.fixture
async def locked(uv: Client, new_pip: Client, gated: FakeIndex, start_server: StartServer, tmp_path: Path) -> Path:
    """Give a folder with lock files that name `leaf` 2.0, made before there was a rule that hides it."""
    server = start_server(config(tmp_path, gated.url, ""))
    folder, home = tmp_path / "locked", tmp_path / "home"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT.format(url=server.index_url))
    await uv.run("lock", home=home, cwd=folder)
    await uv.run("export", "--no-header", "-o", "locked.txt", home=home, cwd=folder)
    await new_pip.run("lock", "--index-url", server.index_url, "-o", "pylock.toml", "leaf", home=home, cwd=folder)
    assert (await new_pip.attempt(*BY_PIP, tmp_path / "free", "-r", "pylock.toml", home=home, cwd=folder)).status == 0

    server.stop()
    server.configure(config(tmp_path, gated.url, 'min_age = "7 d"'))
    server.start()
    (folder / "index-url").write_text(server.index_url)
    return folder


@pytest.mark.parametrize(
    ("client", "command"),
    [("uv", ["sync", "--frozen", "--no-install-project"]), ("new_pip", [*BY_PIP, "target", "-r", "pylock.toml"])],
)
async def test_a_lock_file_of_before_the_rule_is_refused_with_the_reason_and_what_to_do(
    request: pytest.FixtureRequest, client: str, command: list[str], locked: Path
) -> None:
    """It names the file, which had been downloaded and cached, by its URL and its digest."""
    refused = await request.getfixturevalue(client).attempt(*command, home=locked / "cold-home", cwd=locked)

    assert refused.status != 0
    assert "less than 7 d ago" in refused.output
    assert "what to do: choose an older version, or wait until 20" in refused.output


@pytest.mark.parametrize("client", ["uv", "new_pip", "old_pip"])
async def test_pinned_hashes_of_before_the_rule_find_no_such_version(
    request: pytest.FixtureRequest, client: str, locked: Path
) -> None:
    pip = request.getfixturevalue(client)
    install = ["pip", "install"] if client == "uv" else ["install"]
    index = (locked / "index-url").read_text()

    refused = await pip.attempt(
        *install, "--index-url", index, "--require-hashes", "-r", "locked.txt", "--target", "target",
        home=locked / "cold-home", cwd=locked,
    )  # fmt: skip

    assert refused.status != 0
    assert "leaf==2.0" in refused.output
    assert not list((locked / "target").glob("leaf*"))


async def test_pip_and_uv_agree_on_a_real_set_behind_an_age(
    new_pip: Client, uv: Client, start_server: StartServer, tmp_path: Path
) -> None:
    """They are held to what the index itself says, less what is too young."""
    server = start_server(config(tmp_path, "pip", 'min_age = "180 d"\nkinds = ["wheel"]'))
    home = tmp_path / "home"
    home.mkdir()
    (home / "requirements.in").write_text("\n".join(REAL))

    report = home / "report.json"
    wanted = ("install", "--dry-run", "--ignore-installed", "--report", report, "--index-url", server.index_url)
    await new_pip.run(*wanted, *REAL, home=home)
    compile_ = ("pip", "compile", "requirements.in", "-o", "locked.txt", "--no-annotate", "--no-header")
    await uv.run(*compile_, "--default-index", server.index_url, home=home)

    chosen = by_pip(json.loads(report.read_text()))
    assert chosen == by_uv((home / "locked.txt").read_text())
    limit = datetime.now(UTC) - timedelta(days=180)
    for project, version in chosen.items():
        explained = json.loads((await fetch(f"{server.url}/explain/{project}")).decode())
        files = [file for file in explained["files"] if file["version"] == version]
        assert any(file["served"] for file in files), project
        young = [file for file in explained["files"] if file.get("upload_time") and file["rule"] == "min_age"]
        assert all(datetime.fromisoformat(file["upload_time"]) > limit for file in young)


def by_pip(report: dict[str, Any]) -> dict[str, str]:
    found = (one["metadata"] for one in report["install"])
    return {one["name"].lower().replace("_", "-"): one["version"] for one in found}


def by_uv(locked: str) -> dict[str, str]:
    pairs = (line.partition(" ;")[0].split("==") for line in locked.splitlines() if "==" in line)
    return {name.strip(): version.strip() for name, version in pairs}


async def fetch(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.read()
