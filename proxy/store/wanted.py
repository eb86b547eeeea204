"""What a download is told: which file, and how patient to be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from proxy.sources.base import Chunk


class Body(Protocol):
    """What the store needs to know of a body that a source sends (`sources.base.Body` is one)."""

    @property
    def chunks(self) -> AsyncIterator[Chunk]:
        """The bytes; raises `SourceUnavailable` when the source breaks off early."""

    @property
    def start(self) -> int:
        """The offset of the first byte; 0 where the source ignored the range that was asked for."""

    @property
    def size(self) -> int | None:
        """The whole file's size in bytes, where the source tells."""

    @property
    def etag(self) -> str | None:
        """The object's identity, where the source tells."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that is wanted, and how its bytes are had."""

    key: str
    """Equal for equal bytes: the sha256 where the page has it, else of the object's identity at its source."""
    filename: str
    source: str
    size: int | None
    """In bytes, where the page has it."""
    hashes: Mapping[str, str]
    """Digests in hex by algorithm, as on the page."""
    open: Callable[[int], AbstractAsyncContextManager[Body]]
    """`Source.open` of the file, from an offset."""
    silence: float | None = None
    """Seconds without a byte after which an attempt is given up; `None`: the store's own."""

    @property
    def sha256(self) -> str | None:
        """The digest to keep it under, where the page has it."""
        return self.hashes.get("sha256", "").lower() or None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a fill puts up with its source, in seconds."""

    silence: float
    backoff: float
