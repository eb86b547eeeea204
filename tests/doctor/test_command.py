"""`wheelgate check` as its users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.index import FakeIndex

ROOT = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def upstream() -> Iterator[FakeIndex]:
    with FakeIndex.in_thread() as running:
        running.has("bar-1.0-py3-none-any.whl", metadata=True)
        running.require_auth(None, "a-valid-token")
        yield running


@pytest.fixture
def check(tmp_path: Path, upstream: FakeIndex) -> Run:
    text = f"""
    [sources.team]
    kind = "simple"
    url = "{upstream.url}"

    [sources.shelf]
    kind = "directory"
    path = "wheels"

    [connections.devops]
    target = "{upstream.origin}"
    auth_type = "PAT"
    value = {{ env = "FEED_PAT" }}

    [feeds.default]
    sources = ["shelf", "team"]
    """
    (tmp_path / "wheelgate.toml").write_text(text)
    (tmp_path / "wheels").mkdir()

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("WHEELGATE_", "FEED_"))}
        command = [sys.executable, "-m", "proxy", "check", "--config", "wheelgate.toml", *arguments]
        environment = kept | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "caches")} | variables
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True, timeout=60
        )
        assert "Traceback" not in done.stderr
        return done

    return run


def test_all_good_is_0_and_a_row_for_each_source(check: Run) -> None:
    done = check(FEED_PAT="a-valid-token")

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[1].split()[:9] == [
        "team",
        "simple",
        "yes",
        "yes",
        "JSON/HTML",
        "yes",
        "yes",
        "yes",
        lines[1].split()[8],
    ]
    assert lines[2].split()[:4] == ["shelf", "directory", "yes", "yes"]
    assert "a-valid-token" not in done.stdout


def test_a_pin_ledger_that_cannot_be_used_is_1_with_the_remedy(check: Run, tmp_path: Path) -> None:
    config = tmp_path / "wheelgate.toml"
    config.write_text('cache.pins = "pins.db"\n' + config.read_text())
    (tmp_path / "pins.db").write_text("no database")

    done = check(FEED_PAT="a-valid-token")

    assert done.returncode == 1
    assert "the pin ledger cannot be used: file is not a database" in done.stdout
    assert "cache.pins" in done.stdout


def test_a_token_that_expired_is_1_with_the_remedy_below(check: Run) -> None:
    done = check(FEED_PAT="an-expired-token")

    assert done.returncode == 1
    assert done.stdout.splitlines()[1].split()[:4] == ["team", "simple", "yes", "no"]
    assert "  → check that connection devops is valid, not expired" in done.stdout
    assert "an-expired-token" not in done.stdout + done.stderr


def test_a_secret_that_is_missing_is_named(check: Run) -> None:
    done = check()

    assert done.returncode == 1
    assert "team: the environment variable FEED_PAT is not set" in done.stdout
    assert done.stdout.splitlines()[2].split()[:3] == ["shelf", "directory", "yes"]


def test_for_machines_it_is_json(check: Run) -> None:
    done = check("--json")

    found = json.loads(done.stdout)
    assert (done.returncode, found["good"]) == (1, False)
    assert [(row["name"], row["kind"], row["authorised"]) for row in found["sources"]] == [
        ("team", "simple", False),
        ("shelf", "directory", True),
    ]
    assert "FEED_PAT" in found["sources"][0]["remedies"][0]


@pytest.mark.parametrize("arguments", [["--offline"], ["--offline", "--json"]])
def test_offline_asks_nothing(check: Run, upstream: FakeIndex, arguments: list[str]) -> None:
    done = check(*arguments)

    assert done.returncode == 0
    assert "team" in done.stdout
    assert upstream.requests == []


def test_a_database_of_advisories_that_cannot_be_read_is_told(check: Run, tmp_path: Path) -> None:
    """As long as it cannot, the feed hides every file."""
    with (tmp_path / "wheelgate.toml").open("a") as file:
        file.write('rules.vulnerabilities.database = "osv"\n')

    done = check(FEED_PAT="a-valid-token")

    assert done.returncode == 1
    assert "osv: the database of advisories cannot be read: no such file or directory" in done.stdout
    assert "  → put a whole OSV database there" in done.stdout


def test_a_database_of_advisories_that_can_be_read_is_a_good_row(check: Run, tmp_path: Path) -> None:
    (tmp_path / "osv").mkdir()
    entry = {"id": "X-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "foo"}, "versions": ["1.0"]}]}
    (tmp_path / "osv" / "X-1.json").write_text(json.dumps(entry))
    with (tmp_path / "wheelgate.toml").open("a") as file:
        file.write('rules.vulnerabilities.database = "osv"\n')

    done = check(FEED_PAT="a-valid-token")

    assert done.returncode == 0
    assert "advisories for 1 project" in done.stdout
