from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from azure.storage.blob import ContainerClient

from proxy.secret import Secret
from proxy.sources.azure_access import KeyAccess
from proxy.sources.azure_account import Account
from proxy.sources.azure_blob import AzureBlob
from proxy.sources.session import Session, Upstream
from tests.contracts.listed import ListedSourceContract
from tests.fakes.azurite import KEY, Azurite

WRONG_KEY = "d3Jvbmc="


class Key:
    """A key that can go wrong."""

    def __init__(self) -> None:
        """Start with the right one."""
        self.value = KEY

    async def read(self) -> Secret:
        """Give it."""
        return Secret(self.value)

    async def refused(self) -> bool:
        """Have no other."""
        return False


@dataclass
class AzureStage:
    """A container of the emulator."""

    source: AzureBlob
    container: ContainerClient
    key: Key

    async def put(self, filename: str, content: bytes) -> None:
        """Upload a blob."""
        self.container.upload_blob(filename, content, overwrite=True)

    async def delete(self, filename: str) -> None:
        """Delete a blob."""
        self.container.delete_blob(filename)

    async def break_down(self) -> None:
        """Be refused from now on."""
        self.key.value = WRONG_KEY

    async def mend(self) -> None:
        """Be let in again."""
        self.key.value = KEY


@pytest.mark.azurite
class TestAzureBlob(ListedSourceContract):
    @pytest.fixture
    async def stage(self, azurite: Azurite) -> AsyncIterator[AzureStage]:
        container, key = azurite.make_container(), Key()
        async with Session() as session:
            account = Account(
                Upstream(session, name="curated"),
                session,
                access=KeyAccess(key, owner="curated"),
                account_url=azurite.url,
                container=container.container_name,
                api_version="2024-11-04",
            )
            yield AzureStage(AzureBlob(account), container, key)
