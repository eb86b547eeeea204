"""Promise: what SIGHUP changes, or why it changes nothing, is said once, in words, with the remedy."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.config import Config
from proxy.config.loading import validate
from proxy.serving.listening import bind, close
from proxy.serving.reloading import rebind, tell
from tests.fakes.patience import comes_true
from tests.fakes.process import ServerProcess, StartServer, free_port

REFUSED = "the new configuration is not taken over, the old one stays"
KEPT = "rules are kept as they were"


def configuration(**server: object) -> Config:
    feeds = {"default": {"sources": ["own"]}}
    return validate(
        {"server": server, "sources": {"own": {"kind": "directory", "path": "x"}}, "feeds": feeds}, "the test"
    )


def lines(server: ServerProcess, level: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return [line for line in found if line["level"] == level]


def rewrite(server: ServerProcess, config: str) -> None:
    (server.folder / "wheelgate.toml").write_text(config)
    os.kill(server.pid, signal.SIGHUP)


@pytest.fixture
def config(cache_directory: Path, tmp_path: Path) -> str:
    (tmp_path / "shelf").mkdir()
    return f"""
[server]
processes = 2
[cache]
directory = "{cache_directory}"
[sources.own]
kind = "directory"
path = "{tmp_path}/shelf"
[feeds.default]
sources = ["own"]
"""


async def test_many_mistakes_are_one_line_of_each_process_that_reads_them(
    start_server: StartServer, config: str
) -> None:
    """The supervisor reads the file because it is told to, and each worker for its rules, because it has changed."""
    server = start_server(config)

    rewrite(server, config.replace("path =", "pth =").replace("sources =", "source ="))
    await comes_true(lambda: len([line for line in lines(server, "error") if line["event"] == KEPT]) == 2)

    errors = lines(server, "error")
    assert sorted(line["event"] for line in errors) == [KEPT, KEPT, REFUSED]
    for line in errors:
        assert "sources.own.pth: unknown key (did you mean path?)" in line["reason"]
        assert "feeds.default.source: unknown key (did you mean sources?)" in line["reason"]
        assert "wheelgate check --offline --config" in line["remedy"]


async def test_a_cache_that_cannot_be_is_refused_with_the_remedy(
    start_server: StartServer, config: str, tmp_path: Path
) -> None:
    server = start_server(config.replace("processes = 2", "processes = 1"))
    (tmp_path / "file").write_text("no folder")

    rewrite(
        server,
        config.replace("processes = 2\n", "").replace(
            "[cache]\ndirectory = ", f'[cache]\ndirectory = "{tmp_path}/file" #'
        ),
    )
    await comes_true(lambda: bool(lines(server, "error")))

    [line] = lines(server, "error")
    assert line["event"] == REFUSED
    assert "name a folder" in line["reason"]


async def test_one_process_says_that_it_does_not_become_many(start_server: StartServer, config: str) -> None:
    server = start_server(config.replace("processes = 2", "processes = 1"))

    rewrite(server, config)
    await comes_true(lambda: bool(lines(server, "warning")))

    [line] = lines(server, "warning")
    assert line["event"] == "one process serves, whatever server.processes says, until the next start"
    assert (line["configured"], line["remedy"]) == (2, "restart the server")


def test_a_new_address_is_taken_over_and_said() -> None:
    old, new = configuration(port=free_port()), configuration(port=free_port())
    sockets = bind("127.0.0.1", old.server.port)

    moved = rebind(new, old, sockets)
    assert moved is not None
    try:
        with capture_logs() as logs:
            tell(new, old, moved, processes=2)
            tell(old, old, sockets, processes=2)
    finally:
        close([*sockets, *moved])

    first, warning, second = logs
    assert (first["event"], first["port"], first["processes"]) == ("reloaded", new.server.port, 2)
    assert warning["log_level"] == "warning"
    assert warning["before"] == f"127.0.0.1, port {old.server.port}"
    assert warning["now"] == f"127.0.0.1, port {new.server.port}"
    assert second["event"] == "reloaded"


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_cannot_be_had_leaves_the_old_one(host: str) -> None:
    taken = bind("127.0.0.1", 0)
    taken[0].listen()
    new = configuration(host=host, port=taken[0].getsockname()[1])

    with capture_logs() as logs:
        assert rebind(new, configuration(), []) is None
    close(taken)

    [line] = logs
    assert line["reason"].startswith(f"cannot listen on {host}, port ")
    assert "server.port" in line["remedy"]
