"""What a download is told: which file, and how patient to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from proxy.sources.base import Body


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
