from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proxy.sources.directory import Directory
from tests.contracts.listed import ListedSourceContract


class FolderStage:
    """A folder, which breaks down by vanishing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = Directory("shelf", path)

    async def put(self, filename: str, content: bytes) -> None:
        await asyncio.to_thread((self.path / filename).write_bytes, content)

    async def delete(self, filename: str) -> None:
        await asyncio.to_thread((self.path / filename).unlink)

    async def break_down(self) -> None:
        await asyncio.to_thread(self.path.rename, self.path.with_name("elsewhere"))

    async def mend(self) -> None:
        await asyncio.to_thread(self.path.with_name("elsewhere").rename, self.path)


class TestDirectory(ListedSourceContract):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> FolderStage:
        (tmp_path / "shelf").mkdir()
        return FolderStage(tmp_path / "shelf")
