"""What tests of `wheelgate check` share: a configuration as text, and a report to look at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from proxy.config import load
from proxy.doctor import Report
from proxy.doctor.examination import examine
from tests.fakes.azure_devops import FakeAzureDevOps
from tests.fakes.blob_service import FakeBlobService
from tests.fakes.github import FakeGitHub
from tests.fakes.identity import FakeIdentity
from tests.fakes.index import FakeIndex
from tests.fakes.key_vault import FakeKeyVault
from tests.fakes.management import FakeManagement

Check = Callable[..., Awaitable[Report]]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"]
    names += ["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"]
    for name in names:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Give what examines all sources and workspaces of a configuration (TOML)."""

    async def run(text: str, *, bound: float = 20.0, ahead: float = 0.0) -> Report:
        file = tmp_path / "wheelgate.toml"
        file.write_text(text)
        return await examine(await asyncio.to_thread(load, file), bound=bound, clock=lambda: time.time() + ahead)

    return run


@pytest.fixture
async def index() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as running:
        running.has("bar-1.0-py3-none-any.whl", metadata=True)
        yield running


@pytest.fixture
async def feed() -> AsyncIterator[FakeAzureDevOps]:
    async with FakeAzureDevOps() as running:
        running.has("bar-1.0-py3-none-any.whl", b"content of a wheel")
        yield running


@pytest.fixture
async def github() -> AsyncIterator[FakeGitHub]:
    async with FakeGitHub() as running:
        running.release("my-org/models", "v1", {"model-1.0-py3-none-any.whl": b"content of a wheel"})
        yield running


@pytest.fixture
async def service() -> AsyncIterator[FakeBlobService]:
    async with FakeBlobService() as running:
        running.has("foo-1.0-py3-none-any.whl", b"content of a wheel", sha256="ab" * 32)
        yield running


@pytest.fixture
async def vault() -> AsyncIterator[FakeKeyVault]:
    async with FakeKeyVault() as running:
        yield running


@pytest.fixture
async def management() -> AsyncIterator[FakeManagement]:
    async with FakeManagement() as running:
        yield running


@pytest.fixture
async def identity(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeIdentity]:
    async with FakeIdentity() as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running
