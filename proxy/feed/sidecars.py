"""What belongs to a file beside its bytes: core metadata and provenance, checked and kept.

A published sidecar that is missing or wrong is replaced by the wheel's own METADATA where that has the
published digest; else it is an error that names the source, and it is advertised no longer.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from proxy.errors import ArtifactWrong, FileAbsent, FileGone, SourceError, SourceNonsense, SourceUnavailable
from proxy.feed.feed import Entry, Feed
from proxy.mirror.notebook import metadata_key
from proxy.mirror.reading import NoRanges, read_metadata
from proxy.rules.wheel import WheelUnreadable, fields_of, is_version
from proxy.simple.filename import normalize
from proxy.simple.model import File, NormalizedName
from proxy.sources.base import Opener
from proxy.store.artifacts import Artifacts
from proxy.store.index import Index
from proxy.store.neighbours import Neighbours
from proxy.tasks import Background, Flights

log = structlog.get_logger(__name__)

LANDED = 1.0
"""Seconds for which core metadata that has just been received is at hand without a look at the index."""
LARGE = 16 << 10
"""Bytes of METADATA from which on it is looked at in a thread."""
PROVENANCE_LIFE = 600.0
"""Seconds for which a provenance object, which may change, is remembered."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Bytes that belong to a file, and their digest."""

    body: bytes
    sha256: str
    replaceable: bool


class Sidecars:
    """Gives core metadata and provenance of files."""

    def __init__(
        self, index: Index, artifacts: Artifacts, background: Background, *, neighbours: Neighbours | None = None
    ) -> None:
        """Remember them in `index`; read METADATA out of `artifacts` where the file is here."""
        self._neighbours = neighbours or Neighbours(None)
        self._index = index
        self._artifacts = artifacts
        self._background = background
        self._flights: Flights[str, Sidecar] = Flights(background)
        self._landed: dict[str, Sidecar] = {}

    async def metadata(
        self, feed: Feed, project: NormalizedName, entry: Entry, *, whole: Callable[[], Awaitable[Path]]
    ) -> Sidecar:
        """Give the core metadata of a wheel, which `whole` receives where its source refuses ranges.

        Raises: FileAbsent where none is advertised; SourceError.
        """
        if entry.file.core_metadata is False and entry.file.is_wheel:
            # Another process may advertise it already, and what is advertised is never missing.
            entry = await feed.inspected(project, entry)
        file, mirror = entry.file, feed.mirrors[entry.source]
        if file.core_metadata is False:
            raise FileAbsent(project, f"{file.filename}.metadata", feed.name)
        expected = file.core_metadata if isinstance(file.core_metadata, str) else None
        key = metadata_key(expected or f"{entry.source}|{file.url}|{file.etag}|{file.sha256}")
        # A look costs a thread's turn, and nothing was ever kept of most that is asked for the first time.
        kept = None if self._neighbours.never_told(key) else await self._kept(key, expected)
        if kept is not None:
            return Sidecar(*kept, mirror.private)

        async def fetch() -> Sidecar:
            # Another flight may have landed between the look above and the start of this one.
            landed = self._landed.get(key)
            if landed is not None:
                return landed
            try:
                body = await self._obtain(mirror.opener, project, file, expected=expected, whole=whole)
            except SourceError:
                # The board does not outlive a disk's trouble: nobody may have told of what is kept all the same.
                kept = await self._kept(key, expected)
                if kept is None:
                    raise
                body, _ = kept
            found = Sidecar(body, hashlib.sha256(body).hexdigest(), mirror.private)
            self._landed[key] = found
            # Nobody here waits for the disk: what is lost with the process is asked again.
            self._neighbours.tell(key)
            self._background.start(self._keep(key, body), name=f"keep the metadata of {file.filename}")
            return found

        try:
            return await self._flights.join(key, fetch)
        except SourceNonsense as error:
            await mirror.distrust(project, file, error.reason)
            raise

    async def provenance(self, feed: Feed, project: NormalizedName, entry: Entry) -> Sidecar:
        """Give the provenance object of a file. Raises: FileAbsent where the source has none; SourceError."""
        file, mirror = entry.file, feed.mirrors[entry.source]
        if file.provenance is None:
            raise FileAbsent(project, f"{file.filename}.provenance", feed.name)
        key = f"provenance:{entry.source}:{file.provenance}"
        kept = await self._index.get(key)
        if kept is None:

            async def fetch() -> Sidecar:
                body = await mirror.opener.read_provenance(file)
                if body is None:
                    raise FileAbsent(project, f"{file.filename}.provenance", feed.name)
                if not await asyncio.to_thread(_is_object, body):
                    raise SourceNonsense(
                        entry.source,
                        f"the provenance that it lists for {file.filename} is no JSON object",
                        remedy="check the credential: a sign-in page looks like this; the file itself can still be had",
                    )
                await self._index.put(key, body, expire=PROVENANCE_LIFE)
                return Sidecar(body, hashlib.sha256(body).hexdigest(), replaceable=True)

            return await self._flights.join(key, fetch)
        return Sidecar(kept, hashlib.sha256(kept).hexdigest(), replaceable=True)

    async def _keep(self, key: str, body: bytes) -> None:
        try:
            await self._index.put(key, body, at_leisure=True)
            # Those who had looked before it was there come to the flight within that time.
            await asyncio.sleep(LANDED)
        finally:
            self._landed.pop(key, None)

    async def _kept(self, key: str, expected: str | None) -> tuple[bytes, str] | None:
        """Give what is remembered, and its digest, where that is the expected one."""
        kept = await self._index.get(key)
        if kept is None:
            return None
        digest = hashlib.sha256(kept).hexdigest()
        return (kept, digest) if expected in {None, digest} else None

    async def _obtain(
        self,
        opener: Opener,
        project: NormalizedName,
        file: File,
        *,
        expected: str | None,
        whole: Callable[[], Awaitable[Path]],
    ) -> bytes:
        """Get METADATA from the source, or out of the wheel where what the source has is missing or wrong."""
        published, trouble = None, None
        try:
            published = await opener.read_metadata(file)
        except SourceError as error:
            trouble = error
        if published is not None:
            args = published, project, file, expected
            if await asyncio.to_thread(_is_right, *args) if len(published) > LARGE else _is_right(*args):
                return published
        try:
            own = await self._extract(opener, file, whole)
        except (SourceError, FileGone, ArtifactWrong, WheelUnreadable) as error:
            # What may be over in a moment says nothing against the wheel or its source.
            passing = next((one for one in (trouble, error) if isinstance(one, SourceUnavailable)), None)
            if passing is not None:
                raise passing from error
            raise SourceNonsense(
                opener.name,
                f"the core metadata it lists for {file.filename} is {'wrong' if published else 'not there'}, "
                "and none could be read out of the wheel",
                remedy="tell the people who run the source",
            ) from error
        if expected is not None and hashlib.sha256(own).hexdigest() != expected:
            raise SourceNonsense(
                opener.name,
                f"the core metadata of {file.filename} has not the digest that it lists",
                remedy="tell the people who run the source; the file itself can still be had",
            )
        log.warning("published core metadata replaced by the wheel's own", source=opener.name, filename=file.filename)
        return own

    async def _extract(self, opener: Opener, file: File, whole: Callable[[], Awaitable[Path]]) -> bytes:
        artifact = self._artifacts.find(file.sha256) if file.sha256 else None
        try:
            body, _ = await read_metadata(opener, file, artifact.path if artifact is not None else None)
        except NoRanges:
            body, _ = await read_metadata(opener, file, await whole())
        return body


def _is_right(published: bytes, project: NormalizedName, file: File, expected: str | None) -> bool:
    """Whether published core metadata is what its page lists, or, where that is no digest, at all this file's."""
    if expected is not None:
        return hashlib.sha256(published).hexdigest() == expected
    # A sign-in page comes with status 200 too, and clients take what they get here for the truth.
    said = fields_of(published)
    is_named = said.name is not None and normalize(said.name) == project
    return is_named and said.version is not None and is_version(said.version, file.version)


def _is_object(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return False
    return True
