"""What the files of one source have told, as the index keeps it: by project, for all processes of this machine."""

from __future__ import annotations

import hashlib
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from proxy.mirror.facts import Facts, decode, encode
from proxy.simple.model import NormalizedName
from proxy.store.index import Index
from proxy.store.neighbours import Neighbours
from proxy.tasks import Background

__all__ = ["Notebook", "metadata_key"]

NUMBERS_IN_MEMORY = 2048
"""Of how many projects it is known what was written last."""
LARGE = 64 << 10
"""Bytes of METADATA that do not wait in memory for the disk: small wheels may hold megabytes of it, many at once."""
PREPARED = 512
"""How many projects may have been read before their page is here."""


def metadata_key(digest: str) -> str:
    """Give the index's key of the METADATA with this sha256."""
    return f"metadata:{digest}"


class Notebook:
    """Reads and writes facts, and keeps the METADATA that they name. Nobody who asks for a page waits for the disk."""

    def __init__(
        self, index: Index, neighbours: Neighbours, background: Background, *, source: str, place: str
    ) -> None:
        """Keep in `index` what is known of the files of `source`, as long as it is at `place`."""
        self._index = index
        self._neighbours = neighbours
        self._background = background
        self._prefix = f"facts:{source}:{hashlib.sha256(place.encode()).hexdigest()[:16]}:"
        self._numbers: dict[NormalizedName, int] = {}
        self._prepared: dict[NormalizedName, dict[str, Facts]] = {}

    def begin(self, project: NormalizedName) -> str:
        """Give the index's key of what is known of a project, for who reads it right now for `prepare`."""
        if len(self._numbers) > NUMBERS_IN_MEMORY:
            self._numbers.clear()
        self._numbers[project] = self._neighbours.number(self._prefix + project)
        return self._prefix + project

    def prepare(self, project: NormalizedName, raw: bytes | None) -> None:
        """Take what the index has of a project's files, before its page is here."""
        if len(self._prepared) >= PREPARED:
            # Those of projects that turned out not to be there.
            self._prepared.pop(next(iter(self._prepared)))
        self._prepared[project] = decode(raw)

    async def read(self, project: NormalizedName) -> dict[str, Facts]:
        """Give what is known of a project's files."""
        prepared = self._prepared.pop(project, None)
        return prepared if prepared is not None else await self._read(project)

    def hold(self, project: NormalizedName) -> AbstractAsyncContextManager[None]:
        """Be the only one, in all processes, who reads the files of a project."""
        return self._neighbours.hold(self._prefix + project)

    async def news(self, project: NormalizedName) -> dict[str, Facts]:
        """Give what other processes have found out since this one looked or wrote last; empty where that is nothing."""
        if self._numbers.get(project, 0) == self._neighbours.number(self._prefix + project):
            return {}
        return await self._read(project)

    async def write(self, project: NormalizedName, facts: dict[str, Facts], *, at_leisure: bool = False) -> None:
        """Keep what is known of a project's files, and let the others know of it."""
        await self._index.put(self._prefix + project, encode(facts), at_leisure=at_leisure)
        self._numbers[project] = self._neighbours.tell(self._prefix + project)

    def write_behind(self, project: NormalizedName, facts: dict[str, Facts], held: AsyncExitStack) -> None:
        """Do so without keeping anybody waiting; other processes wait on, by what is `held`, rather than read again."""
        # What is on its way counts: who reads meanwhile must not take it that nothing is known.
        self._neighbours.tell(self._prefix + project)

        async def work() -> None:
            async with held:
                await self.write(project, facts, at_leisure=True)

        self._background.start(work(), name=f"keep what is known of {project}")

    async def keep(self, digest: str, metadata: bytes) -> None:
        """Keep METADATA, which can be had at once, and is written behind; what is large is waited for."""
        # Before it is there: the page that names it may be asked for it at once, and another process looks in vain.
        self._neighbours.tell(metadata_key(digest))
        put = self._index.put(metadata_key(digest), metadata, at_leisure=len(metadata) <= LARGE)
        if len(metadata) <= LARGE:
            self._background.start(put, name=f"keep metadata {digest}")
        else:
            await put

    async def _read(self, project: NormalizedName) -> dict[str, Facts]:
        key = self.begin(project)
        # Mostly nothing is known, and to be told so costs a thread's turn.
        return {} if self._neighbours.is_none(self._numbers[project]) else decode(await self._index.get(key))
