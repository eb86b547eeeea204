"""The clients, and a server with a private folder and an upstream index behind it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.environments import Client, environment
from tests.fakes.index import FakeIndex
from tests.fakes.process import ServerProcess, StartServer
from tests.fakes.wheels import build_wheel

CONFIG = """
[cache]
directory = "{cache}"

[sources.shelf]
kind = "directory"
path = "{shelf}"

[sources.upstream]
kind = "simple"
url = "{upstream}"
fresh = "0 s"
stale = "0 s"

[feeds.default]
sources = ["shelf", "upstream"]
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test in this folder."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.clients)
            # The first test of a client also makes its environment.
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def new_pip() -> Client:
    """Give the newest pip."""
    return Client("pip", (str(environment("pip") / "python"), "-m", "pip"))


@pytest.fixture(scope="session")
def old_pip() -> Client:
    """Give a pip of 2020, which knows HTML pages only and no core metadata."""
    if sys.version_info >= (3, 12):
        pytest.skip("pip 20 needs Python 3.11 or older")
    return Client("pip of 2020", (str(environment("pip==20.2.4") / "python"), "-m", "pip"))


@pytest.fixture(params=["new_pip", "old_pip"])
def pip(request: pytest.FixtureRequest) -> Client:
    """Give each pip in turn."""
    client: Client = request.getfixturevalue(request.param)
    return client


@pytest.fixture(scope="session")
def uv() -> Client:
    """Give the uv that the project's own lock names."""
    return Client("uv", (sys.executable, "-m", "uv"))


@pytest.fixture(scope="session")
def poetry() -> Client:
    """Give the newest poetry."""
    return Client("poetry", (str(environment("poetry") / "poetry"),))


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Give a folder with the private `acme-tool`, which needs the public `leaf`."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for version in ("1.0", "1.1"):
        wheel = build_wheel("acme-tool", version, requires=["leaf>=1"], requires_python=">=3.8")
        (folder / f"acme_tool-{version}-py3-none-any.whl").write_bytes(wheel)
    return folder


@pytest.fixture
async def upstream() -> AsyncIterator[FakeIndex]:
    """Give an upstream index with `leaf`, and with a stranger's `acme-tool` of a higher version."""
    async with FakeIndex() as index:
        for version in ("1.0", "1.5", "2.0"):
            index.has(f"leaf-{version}-py3-none-any.whl", content=build_wheel("leaf", version))
        index.has("acme_tool-99.0-py3-none-any.whl", content=build_wheel("acme-tool", "99.0"))
        yield index


@pytest.fixture
def server(start_server: StartServer, shelf: Path, upstream: FakeIndex, tmp_path: Path) -> ServerProcess:
    """Give a server whose feed is the folder, and after it the upstream index."""
    return start_server(CONFIG.format(cache=tmp_path / "server-cache", shelf=shelf, upstream=upstream.url))
