"""What tests of sources share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.azurite import Azurite, run_azurite


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Give the storage emulator, one for all tests of this process: each makes a container of its own."""
    with run_azurite() as running:
        yield running
