"""What poetry gets from a server."""

from __future__ import annotations

from pathlib import Path

from tests.clients.environments import Client
from tests.fakes.index import FakeIndex
from tests.fakes.process import ServerProcess

PROJECT = """
[project]
name = "consumer"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["acme-tool (>=1)"]

[tool.poetry]
package-mode = false

[[tool.poetry.source]]
name = "wheelgate"
url = "{url}"
priority = "primary"
"""


def consumer(folder: Path, server: ServerProcess) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT.format(url=server.index_url))
    return folder


async def test_poetry_locks_and_installs_private_and_public_projects_from_one_url(
    poetry: Client, server: ServerProcess, tmp_path: Path
) -> None:
    project = consumer(tmp_path / "project", server)

    await poetry.run("lock", home=tmp_path / "home", cwd=project)
    await poetry.run("install", home=tmp_path / "home", cwd=project)

    assert list((project / ".venv").glob("lib/*/site-packages/acme_tool-1.1.dist-info"))
    assert list((project / ".venv").glob("lib/*/site-packages/leaf-2.0.dist-info"))


async def test_poetry_installs_a_lock_with_a_cold_client_while_the_upstream_is_unreachable(
    poetry: Client, server: ServerProcess, upstream: FakeIndex, tmp_path: Path
) -> None:
    first = consumer(tmp_path / "first", server)
    await poetry.run("lock", home=tmp_path / "home", cwd=first)
    await poetry.run("install", home=tmp_path / "home", cwd=first)
    second = consumer(tmp_path / "second", server)
    (second / "poetry.lock").write_bytes((first / "poetry.lock").read_bytes())
    upstream.is_down()

    await poetry.run("install", home=tmp_path / "cold-home", cwd=second)

    assert list((second / ".venv").glob("lib/*/site-packages/leaf-2.0.dist-info"))
