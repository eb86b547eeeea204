"""What tests of the azure-blob source build it from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from proxy.secret import Secret
from proxy.simple.model import File
from proxy.sources.azure_access import Access, Anonymous
from proxy.sources.azure_account import Account
from proxy.sources.azure_blob import AzureBlob
from proxy.sources.base import Listing
from proxy.sources.session import Session, Upstream


class HeldKey:
    """A secret that tests change, and that is read again after a refusal."""

    def __init__(self, value: str, *, then: str | None = None) -> None:
        """Hold `value`; after a refusal, `then`."""
        self.value = value
        self.then = then
        self.refusals = 0

    async def read(self) -> Secret:
        """Give the secret."""
        return Secret(self.value)

    async def refused(self) -> bool:
        """Read it again."""
        self.refusals += 1
        changed = self.then is not None and self.then != self.value
        self.value = self.then or self.value
        return changed


def build_source(
    session: Session,
    url: str | None,
    container: str = "wheels",
    *,
    access: Access | None = None,
    prefix: str = "",
    timeout: float = 5.0,
    ca_file: Path | None = None,
) -> AzureBlob:
    """Build a source named `curated`."""
    account = Account(
        Upstream(session, name="curated", timeout=timeout, ca_file=ca_file),
        session,
        access=access or Anonymous(),
        account_url=url,
        container=container,
        api_version="2024-11-04",
    )
    return AzureBlob(account, prefix=prefix)


def shown(listing: Listing) -> dict[str, list[str]]:
    """Give file names by project."""
    return {project: [file.filename for file in files] for project, files in listing.projects.items()}


async def read(source: AzureBlob, file: File, start: int = 0, end: int | None = None) -> bytes:
    """Give bytes of a file."""
    async with source.open(file, start=start, end=end) as body:
        return b"".join([chunk async for chunk in body.chunks])


async def first_chunk(chunks: AsyncIterator[bytes]) -> bytes:
    """Give the first chunk."""
    return await anext(chunks)
