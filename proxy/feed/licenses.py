"""Which licenses a project's files have: read out of core metadata, one wheel for each version.

A wheel whose own core metadata was never read counts as licensed like another wheel of its version from the same
source. What is missing is read from the source, the newest versions first; until then the rule calls it unknown.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from packaging.version import Version

from proxy.errors import FileGone, SourceError
from proxy.feed.feed import Feed
from proxy.mirror.base import SOON, Clock
from proxy.mirror.facts import identity_of
from proxy.mirror.notebook import metadata_key
from proxy.rules.licenses import License, license_of
from proxy.rules.merge import Merged
from proxy.rules.patterns import parse_version
from proxy.simple.model import File, NormalizedName
from proxy.store.index import Index
from proxy.store.neighbours import Neighbours
from proxy.tasks import Background, Flights

log = structlog.get_logger(__name__)

PATIENCE = 1.0
"""Seconds that the first answer for a page waits for the licenses of its newest versions."""
AT_ONCE = 6
AGAIN = 60.0
"""Seconds after which what could not be read is tried again."""
IN_MEMORY = 50_000
"""How much of each kind is remembered here; of more, the oldest is read, waited for or tried once again."""
_LARGE = 64 << 10
"""Bytes of METADATA from which on it is read in a thread."""

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(License)
_Listed = tuple[File, str]
_OLDEST = Version("0")


class Licenses:
    """Reads and remembers licenses."""

    def __init__(
        self, index: Index, background: Background, *, clock: Clock, neighbours: Neighbours | None = None
    ) -> None:
        """Remember them in `index`."""
        self._index = index
        self._neighbours = neighbours or Neighbours(None)
        self._clock = clock
        self._known: OrderedDict[str, License] = OrderedDict()
        self._flights: Flights[tuple[str, NormalizedName], None] = Flights(background)
        self._not_before: OrderedDict[str, float] = OrderedDict()
        self._awaited: OrderedDict[tuple[str, NormalizedName], None] = OrderedDict()

    async def of(self, feed: Feed, merged: Merged) -> tuple[dict[str, License], float]:
        """Give licenses by file name, and until when nothing more is known."""
        found = await self._recall(merged.files)
        missing = self._missing(merged.files, found)
        if missing:
            key = (feed.name, merged.name)
            flight = self._flights.launch(key, lambda: self._read_all(feed, missing))
            if key not in self._awaited:
                self._awaited[key] = None
                _bound(self._awaited)
                await asyncio.wait([flight], timeout=PATIENCE)
                found = await self._recall(merged.files)
        until = self._clock() + SOON if self._missing(merged.files, found) else float("inf")
        return _spread(merged.files, found), until

    async def _recall(self, files: Sequence[_Listed]) -> dict[str, License]:
        """Give what is known already, by file name."""
        keys = {file.filename: _key(file, source) for file, source in files if file.is_wheel}
        unknown = [key for key in keys.values() if key not in self._known]
        for key, raw in (await self._index.get_many(f"license:{key}" for key in unknown)).items() if unknown else ():
            try:
                self._keep(key.removeprefix("license:"), _decoder.decode(raw))
            except msgspec.DecodeError:
                continue
        return {filename: self._known[key] for filename, key in keys.items() if key in self._known}

    def _missing(self, files: Sequence[_Listed], found: dict[str, License]) -> list[_Listed]:
        """Give one wheel to read for each version of each source without a license, the newest version first."""
        has = {(source, file.version) for file, source in files if file.filename in found}
        wanted: dict[tuple[str, str], _Listed] = {}
        for file, source in files:
            place = (source, file.version)
            readable = file.is_wheel and file.core_metadata is not False
            if readable and place not in has and self._clock() >= self._not_before.get(_key(file, source), 0.0):
                wanted.setdefault(place, (file, source))
        return sorted(wanted.values(), key=lambda one: parse_version(one[0].version) or _OLDEST, reverse=True)

    async def _read_all(self, feed: Feed, missing: Sequence[_Listed]) -> None:
        for start in range(0, len(missing), AT_ONCE):
            await asyncio.gather(*(self._read(feed, *one) for one in missing[start : start + AT_ONCE]))

    async def _read(self, feed: Feed, file: File, source: str) -> None:
        key = _key(file, source)
        try:
            metadata = await self._metadata(feed, file, source)
        except (SourceError, FileGone) as error:
            log.info("license could not be read", source=source, filename=file.filename, reason=str(error))
            metadata = None
        if metadata is None:
            self._not_before[key] = self._clock() + AGAIN
            _bound(self._not_before)
            return
        found = await asyncio.to_thread(license_of, metadata) if len(metadata) > _LARGE else license_of(metadata)
        self._keep(key, found)
        await self._index.put(f"license:{key}", _encode(found))

    async def _metadata(self, feed: Feed, file: File, source: str) -> bytes | None:
        """Give the core metadata, from here or from the source; `None` where it is not what was listed."""
        digest = file.core_metadata if isinstance(file.core_metadata, str) else None
        kept = None if digest is None else await self._index.get(metadata_key(digest))
        if kept is not None:
            return kept
        published = await feed.mirrors[source].opener.read_metadata(file)
        if published is None or (digest is not None and hashlib.sha256(published).hexdigest() != digest):
            return None
        if digest is not None:
            self._neighbours.tell(metadata_key(digest))
            await self._index.put(metadata_key(digest), published)
        return published

    def _keep(self, key: str, found: License) -> None:
        self._known[key] = found
        self._not_before.pop(key, None)
        _bound(self._known)


def _bound(kept: OrderedDict[Any, Any]) -> None:
    """Let the oldest go: how many names there are is for the upstream to say."""
    while len(kept) > IN_MEMORY:
        kept.popitem(last=False)


def _key(file: File, source: str) -> str:
    if isinstance(file.core_metadata, str):
        return file.core_metadata
    return f"{source}|{file.filename}|{identity_of(file)}"


def _spread(files: Sequence[_Listed], found: dict[str, License]) -> dict[str, License]:
    """Give each file its own license, else that of a wheel of its version from the same source."""
    of_version = {(source, file.version): found[file.filename] for file, source in files if file.filename in found}
    spread = {}
    for file, source in files:
        known = found.get(file.filename) or of_version.get((source, file.version))
        if known is not None:
            spread[file.filename] = known
    return spread
