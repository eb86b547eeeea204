"""Other servers, each in an environment of its own in `bench/.cache`, with the settings that their makers advise."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.machine import HOST, NotStarted, Running, free_port
from bench.stage import FAILURES, PROFILE, Contender, Stage
from bench.tools import say, virtual_environment
from bench.upstream.contents import SMALL

Command = list[str | Path]
_DEVPI_INDEX = "root/upstream"


@dataclass(frozen=True, slots=True)
class Peer:
    """How a server is installed and run."""

    name: str
    requirements: tuple[str, ...]
    command: Callable[[Path, Path, int, str], Command]
    """From the folder of its programs, a folder, the port and the upstream's index URL."""
    environment: Callable[[Path, str], Mapping[str, str]] = lambda _folder, _url: {}
    pages: str = "/simple"
    ready: str = "/"
    set_up: Callable[[Path, Path, str], list[Command]] = lambda _programs, _folder, _url: []
    """Commands before it starts."""


def _devpi_set_up(programs: Path, folder: Path, _: str) -> list[Command]:
    return [[programs / "devpi-init", "--serverdir", folder / "devpi", "--no-root-pypi"]]


def _devpi(programs: Path, folder: Path, port: int, _: str) -> Command:
    options = ["--host", HOST, "--port", str(port), "--absolute-urls"]
    return [programs / "devpi-server", "--serverdir", folder / "devpi", *options]


def _proxpi(programs: Path, _: Path, port: int, __: str) -> Command:
    return [programs / "gunicorn", "--threads=16", f"--bind={HOST}:{port}", "proxpi.server:app"]


def _proxpi_environment(folder: Path, url: str) -> Mapping[str, str]:
    # Without the time-out it redirects to the upstream when a download takes a second.
    said = {"PROXPI_INDEX_URL": url, "PROXPI_INDEX_TTL": "86400", "PROXPI_CACHE_DIR": str(folder / "files")}
    return said | {"PROXPI_DOWNLOAD_TIMEOUT": "60", "PROXPI_CACHE_SIZE": "50000000000"}


def _simple_repository(programs: Path, _: Path, port: int, url: str) -> Command:
    return [programs / "python", "-m", "simple_repository_server", "--port", str(port), url]


def _pypiserver_set_up(_: Path, folder: Path, url: str) -> list[Command]:
    """Fill its folder: it has its own files only."""
    (folder / "files").mkdir()
    port, root = int(url.split(":")[2].split("/", maxsplit=1)[0]), f"/{PROFILE}/files"
    for project, count in (("small-0", SMALL), ("file-50000000-0", 1), ("file-64000-0", 1)):
        for number in range(count):
            filename = f"{project.replace('-', '_')}-1.{number}-py3-none-any.whl"
            (folder / "files" / filename).write_bytes(load.get(port, f"{root}/{project}/{filename}").body)
    return []


def _pypiserver(programs: Path, folder: Path, port: int, _: str) -> Command:
    options = ["--port", str(port), "--interface", HOST, "--server", "gunicorn", "--backend", "cached-dir"]
    return [programs / "pypi-server", "run", *options, "--disable-fallback", folder / "files"]


PEERS = (
    Peer(
        "devpi",
        ("devpi-server==6.20.3", "devpi-client"),
        _devpi,
        pages=f"/{_DEVPI_INDEX}/+simple",
        ready="/+api",
        set_up=_devpi_set_up,
    ),
    Peer("proxpi", ("proxpi==1.3.1", "gunicorn"), _proxpi, _proxpi_environment, pages="/index", ready="/health"),
    Peer("simple-repo", ("simple-repository-server==0.10.0",), _simple_repository, ready="/simple/small-0/"),
    Peer("pypiserver", ("pypiserver[cache]==2.4.2", "gunicorn"), _pypiserver, set_up=_pypiserver_set_up),
)


def join(stage: Stage) -> None:
    """Let every peer that can be installed and started take part in the warm rows; say which cannot."""
    for peer in PEERS:
        python = virtual_environment(peer.name, peer.requirements)
        if python is None:
            continue
        try:
            server = _start(stage, peer, python.parent)
        except (*FAILURES, NotStarted) as error:
            say(f"{peer.name} does not start and is left out: {str(error)[-300:]}")
            continue
        stage.add(Contender(peer.name, server, peer.pages, None), server.stop)


def _start(stage: Stage, peer: Peer, programs: Path) -> Running:
    folder, url, port = stage.new_folder(peer.name), stage.upstream_url(), free_port()
    for command in peer.set_up(programs, folder, url):
        _run(command, folder)
    server = Running(
        peer.command(programs, folder, port, url),
        folder=folder,
        on=[stage.server_core],
        port=port,
        ready=peer.ready,
        environment=peer.environment(folder, url),
    )
    if peer.name == "devpi":
        try:
            _configure_devpi(programs, folder, server, url)
        except BaseException:
            server.stop()
            raise
    return server


def _configure_devpi(programs: Path, folder: Path, server: Running, url: str) -> None:
    """Make its index that mirrors the upstream."""
    client: Command = [programs / "devpi"]
    state: Command = ["--clientdir", folder / "client"]
    _run([*client, "use", *state, server.url], folder)
    _run([*client, "login", *state, "root", "--password="], folder)
    index = [_DEVPI_INDEX, "type=mirror", f"mirror_url={url}", "mirror_cache_expiry=86400", "volatile=False"]
    _run([*client, "index", *state, "-c", *index], folder)
    time.sleep(1)


def _run(command: Command, folder: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own command lines
        list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise NotStarted(f"{Path(command[0]).name}: {done.stdout[-200:]} {done.stderr[-300:]}")
