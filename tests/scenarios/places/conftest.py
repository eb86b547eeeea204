"""What these scenarios share: the storage emulator, the real clients, and all places."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.clients.environments import Client, environment
from tests.fakes.azurite import Azurite, run_azurite
from tests.fakes.every_place import EveryPlace


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Give the storage emulator, one for all tests of this process: each makes a container of its own."""
    with run_azurite() as running:
        yield running


@pytest.fixture
async def places(tmp_path: Path, azurite: Azurite) -> AsyncIterator[EveryPlace]:
    """Give every kind of place, filled."""
    async with EveryPlace(tmp_path, azurite) as running:
        yield running


@pytest.fixture(scope="session")
def new_pip() -> Client:
    """Give the newest pip."""
    return Client("pip", (str(environment("pip") / "python"), "-m", "pip"))


@pytest.fixture(scope="session")
def old_pip() -> Client:
    """Give a pip of 2020, as image builds of Azure Machine Learning may have it."""
    if sys.version_info >= (3, 12):
        pytest.skip("pip 20 needs Python 3.11 or older")
    return Client("pip of 2020", (str(environment("pip==20.2.4") / "python"), "-m", "pip"))


@pytest.fixture(scope="session")
def uv() -> Client:
    """Give the uv that the project's own lock names."""
    return Client("uv", (sys.executable, "-m", "uv"))
