"""A listed source that says what a test wants, and counts how it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from proxy.errors import SourceUnavailable
from proxy.simple.model import File, NormalizedName
from proxy.sources.base import Body, Listing


class FakeListed:
    """A place that is read as a whole, out of a dictionary."""

    def __init__(self, name: str = "shelf") -> None:
        """Begin with nothing, and in good health."""
        self.name = name
        self.projects: dict[NormalizedName, tuple[File, ...]] = {}
        self.can_look = True
        self.is_down = False
        self.listed = 0
        self.looked = 0

    async def list(self, known: Listing | None) -> Listing:
        self.listed += 1
        self._check()
        if known is not None and known.projects == self.projects:
            return known
        return Listing(dict(self.projects), b"token")

    async def look(self, project: NormalizedName, known: Listing | None) -> tuple[File, ...] | None:
        self.looked += 1
        self._check()
        return self.projects.get(project, ()) if self.can_look and known is not None else None

    @asynccontextmanager
    async def open(self, file: File, *, start: int = 0, end: int | None = None) -> AsyncIterator[Body]:
        self._check()
        content = file.filename.encode() * 100

        async def chunks() -> AsyncIterator[bytes]:
            yield content[start:end]

        yield Body(chunks(), start, len(content), file.etag)

    async def read_metadata(self, file: File) -> bytes | None:  # noqa: ARG002 - of the interface
        return None

    async def read_provenance(self, file: File) -> bytes | None:  # noqa: ARG002 - of the interface
        return None

    def _check(self) -> None:
        if self.is_down:
            raise SourceUnavailable(self.name, "it is down")
