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


async def test_a_version_that_is_too_young_is_refused_to_a_lock_file(
    uv: Client, gated: FakeIndex, start_server: StartServer, tmp_path: Path
) -> None:
    free = start_server(config(tmp_path / "a", gated.url, ""))
    home = tmp_path / "home"
    home.mkdir()
    (home / "requirements.in").write_text("leaf")
    compiled = ("pip", "compile", "--generate-hashes", "requirements.in", "-o", "locked.txt")
    await uv.run(*compiled, "--default-index", free.index_url, home=home)
    assert "leaf==2.0" in (home / "locked.txt").read_text()
    gate = start_server(config(tmp_path / "b", gated.url, 'min_age = "7 d"'))

    install = ("pip", "install", "--target", tmp_path / "target", "-r", "locked.txt")
    refused = await uv.attempt(*install, "--default-index", gate.index_url, home=home)

    assert refused.status != 0
    assert "leaf" in refused.output


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
