"""What uv gets from a server: installs, and lock files that stay true."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.clients.environments import Client
from tests.fakes.index import FakeIndex
from tests.fakes.process import ServerProcess

PROJECT = """
[project]
name = "consumer"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["acme-tool"]

[[tool.uv.index]]
url = "{url}"
default = true
"""


def consumer(folder: Path, server: ServerProcess) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT.format(url=server.index_url))
    return folder


async def lock(uv: Client, folder: Path, server: ServerProcess) -> str:
    """Lock in a new project with a cold client, and give the lock file."""
    await uv.run("lock", home=folder.with_suffix(".home"), cwd=consumer(folder, server))
    return (folder / "uv.lock").read_text()


def forget_everything(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "server-cache")


async def test_uv_installs_private_and_public_projects_from_one_url(
    uv: Client, server: ServerProcess, tmp_path: Path
) -> None:
    target = tmp_path / "target"

    await uv.run(
        "pip", "install", "--default-index", server.index_url, "--target", target, "acme-tool", home=tmp_path / "home"
    )

    assert (target / "acme_tool-1.1.dist-info").is_dir()
    assert (target / "leaf-2.0.dist-info").is_dir()


async def test_a_lock_file_is_the_same_after_a_restart_and_after_the_loss_of_the_cache(
    uv: Client, server: ServerProcess, tmp_path: Path
) -> None:
    first = await lock(uv, tmp_path / "first", server)
    server.stop()
    server.start()
    after_restart = await lock(uv, tmp_path / "second", server)
    server.stop()
    forget_everything(tmp_path)
    server.start()
    after_loss = await lock(uv, tmp_path / "third", server)

    assert after_restart == first
    assert after_loss == first
    assert re.findall(r'url = "([^"]+)"', first), "the lock file names the files"


async def test_a_lock_file_names_files_without_a_query(uv: Client, server: ServerProcess, tmp_path: Path) -> None:
    """A query in a lock file would be a token in somebody's repository."""
    locked = await lock(uv, tmp_path / "project", server)

    urls = re.findall(r'url = "([^"]+)"', locked)

    assert {url.rpartition("/")[2] for url in urls} == {"acme_tool-1.1-py3-none-any.whl", "leaf-2.0-py3-none-any.whl"}
    assert all(url.startswith(f"{server.url}/files/") for url in urls)


async def test_a_lock_file_is_enough_for_a_server_that_remembers_nothing(
    uv: Client, server: ServerProcess, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    await lock(uv, project, server)
    server.stop()
    forget_everything(tmp_path)
    server.start()

    await uv.run("sync", "--frozen", home=tmp_path / "cold-home", cwd=project)

    assert list((project / ".venv").glob("lib/*/site-packages/leaf-2.0.dist-info"))


async def test_uv_is_served_while_the_upstream_is_unreachable(
    uv: Client, server: ServerProcess, upstream: FakeIndex, tmp_path: Path
) -> None:
    install = ("pip", "install", "--default-index", server.index_url, "--target")
    await uv.run(*install, tmp_path / "first", "acme-tool", home=tmp_path / "first-home")
    upstream.is_down()

    await uv.run(*install, tmp_path / "second", "acme-tool", home=tmp_path / "second-home")

    assert (tmp_path / "second" / "leaf-2.0.dist-info").is_dir()


async def test_uv_goes_to_no_other_index_while_the_owner_cannot_be_asked(
    uv: Client, server: ServerProcess, upstream: FakeIndex, tmp_path: Path
) -> None:
    upstream.is_down()

    async with FakeIndex() as stranger:
        stranger.has("leaf-3.0-py3-none-any.whl")
        indexes = ("--index", server.index_url, "--default-index", stranger.url)
        ran = await uv.attempt("pip", "install", *indexes, "--target", tmp_path / "t", "leaf", home=tmp_path / "home")

    assert ran.status != 0
    assert "503" in ran.output
    assert stranger.requests == []


async def test_uv_reads_the_core_metadata_of_private_wheels_and_not_the_wheels(
    uv: Client, server: ServerProcess, tmp_path: Path
) -> None:
    requirements = tmp_path / "requirements.in"
    requirements.write_text("acme-tool\n")

    compiled = await uv.run(
        "pip", "compile", "--default-index", server.index_url, "--no-build", "-v", requirements, home=tmp_path / "home"
    )

    assert "acme-tool==1.1" in compiled
    assert "leaf==2.0" in compiled
    assert re.search(r"acme_tool-1\.1-py3-none-any\.whl\.metadata", compiled)


async def test_a_date_limit_works_for_the_private_files(uv: Client, server: ServerProcess, tmp_path: Path) -> None:
    """`--exclude-newer` leaves out what has no upload time."""
    install = ("pip", "install", "--default-index", server.index_url, "--no-deps", "acme-tool", "--target")

    await uv.run(*install, tmp_path / "new", "--exclude-newer", "2099-01-01", home=tmp_path / "home")
    ran = await uv.attempt(*install, tmp_path / "old", "--exclude-newer", "2001-01-01", home=tmp_path / "home")

    assert (tmp_path / "new" / "acme_tool-1.1.dist-info").is_dir()
    assert ran.status != 0
