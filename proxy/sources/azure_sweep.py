"""A whole listing of a container, at the cost of what changed.

It is one request for each 5000 blobs. What an answer says is kept by its digest, so that listing what has not changed
costs its bytes and nothing else; the pages of a mirroring tool's tree are read once for each change.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field

import msgspec
import structlog

from proxy.errors import FileGone, SourceNonsense
from proxy.simple.model import File, NormalizedName
from proxy.simple.tolerance import PageUnreadable
from proxy.sources.azure_account import Account
from proxy.sources.azure_layouts import TreePage, best_pages, each_once, read_file, read_tree_page
from proxy.sources.azure_look import LARGEST_PAGE, Shape, shape_of, together
from proxy.sources.azure_tree import complete, fingerprint, read_tree_files
from proxy.sources.base import Listing

log = structlog.get_logger(__name__)

_PAGES_AT_A_TIME = 12
_TURN = 100
"""How many projects are sorted between two turns of the event loop."""
_MANY = 1000
"""Files of one project from which sorting them is left to a thread."""


class Token(msgspec.Struct, frozen=True, array_like=True):
    """What makes the next listing, or a look, cheap."""

    digest: bytes
    """Of all answers: the same digest is the same listing."""
    shape: Shape
    pages: dict[str, bytes] = {}
    """By blob of a tree's page, the fingerprint of it and of the files that it was read for."""


@dataclass(slots=True)
class _Part:
    """One answer of a listing, as it was understood."""

    digest: bytes
    marker: str
    blobs: int = 0
    projects: list[NormalizedName] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    """One for each of `projects`."""
    pages: list[TreePage] = field(default_factory=list)


class Sweep:
    """Lists one folder of a container again and again."""

    def __init__(self, account: Account, root: str) -> None:
        """List what is in `root`; nothing is remembered yet."""
        self.name = account.name
        self._account = account
        self._root = root
        self._parts: list[_Part] = []

    async def run(self, known: Listing | None) -> Listing:
        """Give all files now; `known` itself where nothing changed. Raises: SourceError."""
        parts = await self._read_parts(known)
        self._parts = parts
        digest = hashlib.blake2b(b"".join(part.digest for part in parts), digest_size=16).digest()
        before = read_token(known)
        if known is not None and before is not None and before.digest == digest:
            return known
        pages = best_pages(page for part in parts for page in part.pages)
        projects = await _group(parts)
        fingerprints = await self._read_pages(projects, pages, known, before)
        # Of all files, also those that others of their name hide.
        shape = await shape_of(self._root, projects, pages.keys(), blobs=sum(part.blobs for part in parts))
        listed: dict[NormalizedName, tuple[File, ...]] = {}
        for number, (project, files) in enumerate(projects.items()):
            if files:
                now = each_once(files) if len(files) < _MANY else await asyncio.to_thread(each_once, files)
                then = known.projects.get(project) if known is not None else None
                # The very same object says to the layers above that nothing changed.
                listed[project] = then if then is not None and then == now else now
            if number % _TURN == 0:
                await asyncio.sleep(0)
        return Listing(listed, msgspec.msgpack.encode(Token(digest, shape, fingerprints)))

    async def _read_parts(self, listing: Listing | None) -> list[_Part]:
        """Ask for all answers of a listing, and understand those that are not the same as the last time."""
        held: dict[str, File] | None = None
        known = self._parts
        parts: list[_Part] = []
        markers = {""}
        marker = ""
        while True:
            body = await self._account.list_raw(prefix=self._root, marker=marker)
            digest = await _digest(body)
            number = len(parts)
            if number < len(known) and known[number].digest == digest:
                part = known[number]
            else:
                if held is None:
                    held = await _by_blob(known, listing)
                part = await self._read_part(body, digest, held)
            parts.append(part)
            marker = part.marker
            # An answer may be short, or empty, and yet not the last one.
            if not marker:
                return parts
            if marker in markers:
                raise SourceNonsense(self.name, "its list goes round in circles", remedy="check `account_url`")
            markers.add(marker)

    async def _read_part(self, body: list[bytes], digest: bytes, held: dict[str, File]) -> _Part:
        part = _Part(digest, "")
        async for some in self._account.iter_list(body):
            part.marker = some.marker
            part.blobs += len(some.blobs)
            for blob in some.blobs:
                found = read_file(blob)
                if found is not None:
                    project, file = found
                    before = held.get(file.url)
                    part.projects.append(project)
                    # One blob more moves all that follow it to other places: they are the same, and held once.
                    part.files.append(before if before == file else file)
                elif (page := read_tree_page(blob, self._root)) is not None:
                    part.pages.append(page)
        return part

    async def _read_pages(
        self,
        projects: dict[NormalizedName, list[File]],
        pages: dict[tuple[str, NormalizedName], TreePage],
        known: Listing | None,
        before: Token | None,
    ) -> dict[str, bytes]:
        """Let the pages of trees say what they know of `projects`; what did not change since is not read again."""
        fingerprints: dict[str, bytes] = {}
        waiting = iter(pages.values())

        async def work() -> None:
            for page in waiting:
                files = projects.get(page.project, [])
                covered = [file for file in files if file.url.startswith(page.files_at)]
                if not covered:
                    continue
                mark = fingerprint(page, covered)
                if known is not None and before is not None and before.pages.get(page.blob) == mark:
                    said = [*known.projects.get(page.project, ())]
                else:
                    said = await self._read_page(page, covered)
                of_tree = {file.url for file in covered}
                others = [file for file in files if file.url not in of_tree]
                projects[page.project] = [*others, *(file for file in said if file.url in of_tree)]
                fingerprints[page.blob] = mark

        await together(*(work() for _ in range(min(_PAGES_AT_A_TIME, len(pages)))))
        return fingerprints

    async def _read_page(self, page: TreePage, covered: list[File]) -> list[File]:
        try:
            body = await self._account.read_blob(page.blob, limit=LARGEST_PAGE)
            return complete(covered, await asyncio.to_thread(read_tree_files, body, page))
        except (FileGone, PageUnreadable) as error:
            log.warning("page of a mirror's tree is of no use", source=self.name, blob=page.blob, reason=str(error))
            return covered


async def _digest(body: list[bytes]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in body:
        digest.update(part)
        await asyncio.sleep(0)
    return digest.digest()


async def _by_blob(parts: list[_Part], listing: Listing | None) -> dict[str, File]:
    """Give the files that are held from before, by the names of their blobs."""
    held: dict[str, File] = {}
    for part in parts:
        held.update((file.url, file) for file in part.files)
        await asyncio.sleep(0)
    if listing is not None and not parts:
        for number, files in enumerate(listing.projects.values()):
            held.update((file.url, file) for file in files)
            if number % _TURN == 0:
                await asyncio.sleep(0)
    return held


async def _group(parts: list[_Part]) -> dict[NormalizedName, list[File]]:
    projects: dict[NormalizedName, list[File]] = {}
    for part in parts:
        for project, file in zip(part.projects, part.files, strict=True):
            projects.setdefault(project, []).append(file)
        await asyncio.sleep(0)
    return projects


def read_token(known: Listing | None) -> Token | None:
    """Give the token of a listing of ours; `None` where there is none."""
    if known is None or not known.token:
        return None
    try:
        return msgspec.msgpack.decode(known.token, type=Token)
    except msgspec.DecodeError:
        return None
