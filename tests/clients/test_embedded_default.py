"""The first run: no configuration, and the index that pip on this machine is set to."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.clients.environments import Client
from tests.fakes.process import ServerProcess
from tests.fakes.wheels import build_wheel

SMALL = ("idna", "iniconfig", "pluggy")
"""Real projects, pure and small, that have been there for years."""


async def test_pip_installs_from_its_own_index_through_the_server(
    pip: Client, running_server: ServerProcess, tmp_path: Path
) -> None:
    target = tmp_path / "target"

    await pip.run(
        "install", "--index-url", running_server.index_url, "--target", target, *SMALL, home=tmp_path / "home"
    )

    for name in SMALL:
        assert list(target.glob(f"{name}-*.dist-info")), name


async def test_uv_installs_from_pips_index_through_the_server(
    uv: Client, running_server: ServerProcess, tmp_path: Path
) -> None:
    target = tmp_path / "target"

    await uv.run(
        "pip",
        "install",
        "--default-index",
        running_server.index_url,
        "--target",
        target,
        *SMALL,
        home=tmp_path / "home",
    )

    for name in SMALL:
        assert list(target.glob(f"{name}-*.dist-info")), name


async def test_a_wheel_in_the_folder_packages_wins_over_the_index(
    new_pip: Client, running_server: ServerProcess, tmp_path: Path
) -> None:
    wheel = build_wheel("idna", "0.0.1")
    running_server.stop()
    packages = running_server.folder / "packages"
    packages.mkdir(exist_ok=True)
    (packages / "idna-0.0.1-py3-none-any.whl").write_bytes(wheel)
    running_server.start()

    await new_pip.run("download", "--index-url", running_server.index_url, "idna", home=tmp_path / "home")

    downloaded = (tmp_path / "home" / "idna-0.0.1-py3-none-any.whl").read_bytes()
    assert hashlib.sha256(downloaded).digest() == hashlib.sha256(wheel).digest()


def test_the_folder_packages_is_there_from_the_start(running_server: ServerProcess) -> None:
    assert (running_server.folder / "packages").is_dir()


def test_the_server_prints_the_line_to_give_pip(running_server: ServerProcess) -> None:
    assert f"pip install --index-url {running_server.index_url} " in running_server.log
