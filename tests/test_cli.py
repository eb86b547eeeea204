"""The real command, as its users run it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GOOD = """
[sources.shelf]
kind = "directory"
path = "wheels"
create = true

[feeds.default]
sources = ["shelf"]
"""
BAD = """
[server]
prot = 1

[sources.shelf]
kind = "directory"

[feeds.default]
sources = ["shlef"]
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WHEELGATE_")}
    return kept | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "caches"), "COLUMNS": "120"}


@pytest.fixture
def wheelgate(tmp_path: Path, environment: dict[str, str]) -> Run:
    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "proxy", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment | variables, check=False, capture_output=True, text=True, timeout=60
        )
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def good(tmp_path: Path) -> str:
    (tmp_path / "good.toml").write_text(GOOD)
    return "good.toml"


@pytest.fixture
def bad(tmp_path: Path) -> str:
    (tmp_path / "bad.toml").write_text(BAD)
    return "bad.toml"


@pytest.mark.parametrize("command", [[], ["serve"], ["check"], ["explain"]])
def test_every_option_has_help_and_an_environment_variable(wheelgate: Run, command: list[str]) -> None:
    done = wheelgate(*command, "--help")

    options = re.split(r"\n  (?=-)", done.stdout)[1:]
    assert done.returncode == 0
    for option in options:
        name = re.match(r"(?:-h, )?--([a-z-]+)", option)
        assert name is not None
        if name[1] not in {"help", "version"}:
            variable = "WHEELGATE_" + name[1].upper().replace("-", "_")
            assert f"env var: {variable}" in re.sub(r"\s+", " ", option)
        assert len(option.split()) > 2


def test_help_imports_nothing_slow(environment: dict[str, str]) -> None:
    ask = "import sys, proxy.cli as c; c.run(['serve', '--help']); print(sorted(sys.modules))"

    done = subprocess.run([sys.executable, "-c", ask], env=environment, check=True, capture_output=True, text=True)

    loaded = {name.partition(".")[0] for name in re.findall(r"'([\w.]+)'", done.stdout.splitlines()[-1])}
    assert loaded.isdisjoint({"aiohttp", "asyncio", "azure", "pydantic", "rich", "structlog", "msgspec", "diskcache"})


def test_the_version_is_printed(wheelgate: Run) -> None:
    done = wheelgate("--version")

    assert (done.returncode, done.stdout.startswith("wheelgate ")) == (0, True)


@pytest.mark.parametrize("command", [["serve"], ["check"], ["check", "--offline"], ["explain", "numpy"]])
def test_a_configuration_with_mistakes_ends_with_2_and_all_of_them_on_stderr(
    wheelgate: Run, bad: str, command: list[str]
) -> None:
    done = wheelgate(*command, "--config", bad)

    assert done.returncode == 2
    assert done.stdout == ""
    for path in ("server.prot", "sources.shelf.path", "feeds.default.sources[0]"):
        assert f"{path}: " in done.stderr
    assert "did you mean port?" in done.stderr


@pytest.mark.parametrize("command", [["serve"], ["check"], ["check", "--offline"], ["explain", "numpy"]])
def test_a_configuration_that_is_not_there_ends_with_2_and_one_sentence(wheelgate: Run, command: list[str]) -> None:
    done = wheelgate(*command, "--config", "missing.toml")

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "missing.toml: there is no such file" in done.stderr
    assert "--config" in done.stderr


def test_the_configuration_may_be_named_in_the_environment(wheelgate: Run, bad: str) -> None:
    assert wheelgate("check", "--offline", WHEELGATE_CONFIG=bad).returncode == 2
    assert wheelgate("check", WHEELGATE_CONFIG="missing.toml").returncode == 2


def test_the_configuration_that_lies_here_is_used(wheelgate: Run, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "wheelgate.toml").write_text(BAD)

    assert wheelgate("check", "--offline").returncode == 2


def test_check_offline_says_that_a_configuration_is_valid(wheelgate: Run, good: str) -> None:
    done = wheelgate("check", "--offline", "--config", good)

    assert done.returncode == 0
    assert "good.toml is valid: 1 source (shelf), 1 feed (default)" in done.stdout


def test_check_offline_without_a_configuration_checks_what_is_built_in(wheelgate: Run) -> None:
    done = wheelgate("check", "--offline")

    assert (done.returncode, "packages, public" in done.stdout) == (0, True)


def test_check_gives_mistakes_as_json_too(wheelgate: Run, bad: str) -> None:
    done = wheelgate("check", "--offline", "--json", "--config", bad)

    found = json.loads(done.stdout)
    assert (done.returncode, found["good"]) == (2, False)
    assert {problem["path"] for problem in found["problems"]} == {
        "server.prot",
        "sources.shelf.path",
        "feeds.default.sources[0]",
    }


def test_a_cache_that_cannot_be_written_is_one_sentence_with_the_remedy(
    wheelgate: Run, tmp_path: Path, good: str
) -> None:
    (tmp_path / "afile").touch()
    (tmp_path / good).write_text(f'cache.directory = "afile"\nserver.port = 0\n{GOOD}')

    done = wheelgate("serve", "--config", good, "--log-level", "error")

    assert done.returncode == 1
    assert done.stderr == (
        "wheelgate: the cache cannot be in afile/artifacts: not a directory "
        "(name a folder on a local disk that the server's user may write, as cache.directory)\n"
    )


@pytest.mark.parametrize("command", [["show"], ["export"], ["accept", "foo", "foo-1.0-py3-none-any.whl"]])
def test_a_ledger_that_cannot_be_opened_is_no_empty_one(
    wheelgate: Run, tmp_path: Path, good: str, command: list[str]
) -> None:
    (tmp_path / "afile").touch()
    (tmp_path / good).write_text(f'cache.pins = "afile/pins.db"\n{GOOD}')

    done = wheelgate("pins", *command, "--config", good)

    assert (done.returncode, done.stdout) == (1, "")
    assert "wheelgate: there is no ledger in afile/pins.db (check cache.pins, and who may use it)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["explain", "numpy<<3"], "not a requirement"),
        (["explain", "numpy @ https://feed.example/numpy.whl"], "address"),
        (["explain", "numpy", "--feed", "defualt"], "did you mean default?"),
        (["serve", "--port", "http"], "valid port"),
        (["serve", "--port", "70000"], "range"),
        (["serve", "--processes", "many"], "--processes"),
        (["serve", "--log-level", "loud"], "warning"),
        (["serv"], "serve"),
    ],
)
def test_wrong_options_end_with_2_and_say_what_is_right(
    wheelgate: Run, good: str, arguments: list[str], said: str
) -> None:
    done = wheelgate(*arguments, WHEELGATE_CONFIG=good)

    assert done.returncode == 2
    assert said in done.stderr


def test_a_process_without_a_home_directory_is_told_where_to_name_the_cache(wheelgate: Run) -> None:
    done = wheelgate("check", "--offline", XDG_CACHE_HOME="", HOME="~")

    assert done.returncode == 2
    assert "cache.directory" in done.stderr


class TestServer:
    def test_a_port_in_use_is_named_with_what_to_do(self, wheelgate: Run, good: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])

            done = wheelgate("serve", "--config", good, "--port", port)

        assert done.returncode == 1
        assert f"port {port} on 127.0.0.1 is in use" in done.stderr
        assert "--port" in done.stderr

    def test_a_host_that_is_not_of_this_machine_is_named(self, wheelgate: Run, good: str) -> None:
        done = wheelgate("serve", "--config", good, "--port", "0", "--host", "192.0.2.1")

        assert done.returncode == 1
        assert "--host" in done.stderr

    def test_the_variable_that_kubernetes_sets_for_a_service_is_not_taken_for_a_port(
        self, tmp_path: Path, environment: dict[str, str], good: str
    ) -> None:
        """A Service named wheelgate would otherwise keep the server from starting in every pod."""
        out = self.start_and_interrupt(tmp_path, environment | {"WHEELGATE_PORT": "tcp://10.0.0.1:80"}, good)

        assert "pip install --index-url http://127.0.0.1:" in out

    def start_and_interrupt(self, folder: Path, environment: dict[str, str], config: str) -> str:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        file = folder / config
        file.write_text(f"server.port = {port}\n" + file.read_text())
        command = [sys.executable, "-m", "proxy", "serve", "--config", config]
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and server.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            server.send_signal(signal.SIGINT)
            out, err = server.communicate(timeout=40)
        finally:
            server.kill()
        assert "Traceback" not in err
        assert server.returncode in {0, 130}
        return out
