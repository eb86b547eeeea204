"""What the contracts need to play with a source: the place behind it, as a stage."""

from __future__ import annotations

from typing import Protocol, TypeVar

from proxy.sources.base import ListedSource, PagedSource

S_co = TypeVar("S_co", bound=PagedSource | ListedSource, covariant=True)


class Stage(Protocol[S_co]):
    """A place that tests fill and break, and the source that reads it."""

    @property
    def source(self) -> S_co:
        """Give the source, already entered where it has to be."""

    async def put(self, filename: str, content: bytes) -> None:
        """Put a file there, or other bytes in its place; its identity changes with the bytes."""

    async def delete(self, filename: str) -> None:
        """Take a file away."""

    async def break_down(self) -> None:
        """Let the place be unreachable, or answer nothing but errors, until `mend`."""

    async def mend(self) -> None:
        """Let the place work again, with what was in it before."""
