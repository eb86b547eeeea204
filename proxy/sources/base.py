"""What every source promises to the layers above.

Two kinds of places exist. A *paged* source (an upstream index) is asked project by project.
A *listed* source (a folder, a container, the releases of a repository) is read as a whole, and
knows from that listing which projects it does not have. Both open files the same way.

"Does not have it" is a value (`None`); "could not be asked" is a `SourceError`. A source remembers
no answers: that is the mirror's part. It may remember what makes asking cheap (a validator, the
size of a folder), and it never holds a client's request back for longer than its `timeout`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from proxy.simple.model import File, NormalizedName, Page

CHUNK = 1 << 20
"""How much of a file is read at a time, in bytes, where the reader can choose."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A paged source has the project, and this is its page now."""

    page: Page
    validator: str | None = None
    """Opaque; given back with the next `ask`, it lets the source answer `Unchanged`."""
    max_age: float | None = None
    """Seconds for which the source itself called its answer fresh; only a hint."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The page is still the one that the validator stood for."""


Chunk = bytes | memoryview
"""Some bytes of a file; a view is of memory that nobody writes again."""


@dataclass(slots=True)
class Body:
    """Bytes of a file on their way from its source."""

    chunks: AsyncIterator[Chunk]
    """Ends after the last byte; raises `SourceUnavailable` when the source breaks off early."""
    start: int
    """The offset of the first byte; 0 where the source ignored the range that was asked for."""
    size: int | None
    """The whole file's size in bytes, where the source tells."""
    etag: str | None = None
    """The object's identity, where the source tells: bytes of two identities never belong together."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of a listed source at one moment, by project.

    `token` is opaque and the source's own: what it needs to list again cheaply.
    """

    projects: Mapping[NormalizedName, tuple[File, ...]]
    token: bytes = field(default=b"")


class Opener(Protocol):
    """How the bytes of a listed file, and what belongs to it, are had."""

    name: str

    def open(self, file: File, *, start: int = 0, end: int | None = None) -> AbstractAsyncContextManager[Body]:
        """Open the bytes of `file` from `start` to before `end`.

        Entering it waits for the source's answer (headers, not bytes).

        Raises: FileGone where the source no longer has the file, or has other bytes than those listed
        (`File.etag`); SourceError where it could not be asked.
        """

    async def read_metadata(self, file: File) -> bytes | None:
        """Give the core metadata that the source publishes for `file`, or `None` where it has none."""

    async def read_provenance(self, file: File) -> bytes | None:
        """Give the provenance object that the source publishes for `file`, or `None`."""


class PagedSource(Opener, Protocol):
    """A place that is asked project by project."""

    async def ask(self, project: NormalizedName, validator: str | None = None) -> Answer | Unchanged | None:
        """Ask for one project's page. `None`: the source answered that it does not have it.

        Raises: SourceError where the source could not be asked.
        """

    def ask_names(self) -> AsyncIterator[str]:
        """Give the project list, name by name, as the source spells them.

        Raises: SourceError, also where the source has no list.
        """


class ListedSource(Opener, Protocol):
    """A place that is read as a whole."""

    async def list(self, known: Listing | None) -> Listing:
        """Give all files now; `known` itself (the same object) where nothing changed.

        Raises: SourceError where the source could not be asked.
        """

    async def look(self, project: NormalizedName, known: Listing | None) -> tuple[File, ...] | None:
        """Give one project's files now, at much less cost than a listing; `()`: it has none.

        `None`: this cannot be told without a listing.

        Raises: SourceError where the source could not be asked.
        """


Source = PagedSource | ListedSource
