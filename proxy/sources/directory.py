"""A folder on this machine, or one that is mounted here: files lie flat in it or in folders of it.

What is dropped in, replaced or deleted is seen at once: `look` looks at the project's own files, and into the folders
that changed. A folder that is not there, or cannot be read, is an outage and never an empty source.

A wheel that is being copied here is not shown before it is whole; any file that changes gets another identity, and so
is another file to the layers above: its digest is computed anew, and nobody is given the bytes of both.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping, MutableSequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from proxy.errors import FileGone, SourceUnavailable
from proxy.simple.filename import normalize
from proxy.simple.model import File, NormalizedName
from proxy.sources.base import CHUNK, Body, Listing
from proxy.sources.folder import Found, Tree
from proxy.sources.listed import Listed, describe, gather
from proxy.sources.opened_file import OpenedFile, opened

T = TypeVar("T")

_ALL_FOLDERS = 256
"""Up to how many folders are all looked at for one project; among more, those where its files may be expected."""
_LARGE_FOLDER = 1000
"""From how many entries on looks into a changed folder, for one project each, give way to a listing for all of them:
as soon as together they took as long as that."""
_CHEAP = 0.05
_SHARE = 20.0
"""A large folder takes at most a twentieth of a core; meanwhile folders' time stamps do."""


class Stamp(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is remembered of one folder."""

    changed: int
    """Its time stamp; 0 where that one cannot be relied on."""
    count: int
    """How many entries it had."""
    device: int = 0
    """What it lies on; told of the whole source's folder alone."""

    def holds(self, now: int | None) -> bool:
        """Whether nothing came or went, by the time stamp that the folder has now."""
        return self.changed != 0 and self.changed == now


_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decoder = msgspec.msgpack.Decoder(dict[str, Stamp])


@dataclass(frozen=True, slots=True)
class _Pass:
    """The last time everything was read, and what the listing it gave looked like."""

    listing: Listing
    folders: Mapping[str, Stamp]
    at: float
    took: float

    def stamps_hold(self, tree: Tree) -> bool:
        """Whether no folder has changed."""
        return all(stamp.holds(tree.stamp(folder)) for folder, stamp in self.folders.items())


class Directory:
    """A source that is a folder."""

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        create: bool = False,
        timeout: float = 20.0,
        cheap: float = _CHEAP,
        share: float = _SHARE,
    ) -> None:
        """Serve what is in `path`; with `create`, the folder is made when it is first asked for and missing.

        `timeout` is in seconds, and is for mounts that hang. Reading everything may take `cheap` seconds whenever a
        listing is asked for; what takes longer is done again after `share` times its own duration.
        """
        self.name = name
        self._path = path
        self._create = create
        self._timeout = timeout
        self._cheap = cheap
        self._share = share
        self._last: _Pass | None = None
        self._looked = 0.0
        """Seconds that looks into large folders took since then."""

    async def list(self, known: Listing | None) -> Listing:
        """Give all files now; `known` itself where nothing changed. Raises: SourceUnavailable."""
        last = self._last
        read = await self._in_thread(lambda: self._list(known, last))
        self._last = read
        self._looked = 0.0
        return read.listing

    async def look(self, project: NormalizedName, known: Listing | None) -> tuple[File, ...] | None:
        """Give one project's files now, or `None` where that costs as much as a listing. Raises: SourceUnavailable."""
        if known is None:
            return None
        last = self._last if self._last is not None and self._last.listing is known else None
        return await self._in_thread(lambda: self._look(project, known, last))

    @asynccontextmanager
    async def open(self, file: File, *, start: int = 0, end: int | None = None) -> AsyncIterator[Body]:
        """Open the very file that was listed. Raises: FileGone, SourceUnavailable."""
        async with AsyncExitStack() as stack:
            async with self._soon():
                handle = await stack.enter_async_context(opened(lambda: self._translated(lambda: self._open(file))))
            size = handle.status.st_size
            part = range(min(start, size), size if end is None else min(end, size))
            chunks = await stack.enter_async_context(aclosing(self._read(handle, file, part)))
            yield Body(chunks, part.start, size, file.etag)

    async def read_metadata(self, file: File) -> bytes | None:  # noqa: ARG002 - of the interface
        """Give `None`: nothing is published beside the files."""
        return None

    async def read_provenance(self, file: File) -> bytes | None:  # noqa: ARG002 - of the interface
        """Give `None`: nothing is published beside the files."""
        return None

    def path_of(self, file: File) -> Path | None:
        """Give where the very file that was listed is, or `None` where it is not that one any more.

        Blocks: for a thread. What is opened there may be another file a moment later.

        Raises: SourceUnavailable.
        """
        found = self._translated(lambda: self._find(file))
        return None if found is None else Path(found.where)

    async def _read(self, handle: OpenedFile, file: File, part: range) -> AsyncGenerator[bytes, None]:
        at = part.start
        while at < part.stop:
            try:
                async with self._soon():
                    chunk = await handle.read(at, min(CHUNK, part.stop - at))
            except OSError as error:
                raise self._unavailable(error) from error
            if not chunk:
                raise FileGone(self.name, file.filename)
            at += len(chunk)
            yield chunk

    def _open(self, file: File) -> int:
        """Open the file for reading. Raises: FileGone, OSError."""
        found = self._find(file)
        if found is None:
            raise FileGone(self.name, file.filename)
        try:
            descriptor = os.open(found.where, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileGone(self.name, file.filename) from error
        # Between the look and the opening another file may have taken its place.
        if not found.is_at(descriptor):
            os.close(descriptor)
            raise FileGone(self.name, file.filename)
        return descriptor

    def _find(self, file: File) -> Found | None:
        found = Tree(self._root()).find(file.url)
        return found if found is not None and file.etag in {None, found.identity} else None

    def _list(self, known: Listing | None, last: _Pass | None) -> _Pass:
        """Read everything, where it has to be. Raises: OSError, SourceUnavailable."""
        tree = Tree(self._root())
        began = time.monotonic()
        if last is not None and last.listing is known and last.took > self._cheap:
            too_soon = began < last.at + last.took * self._share
            if too_soon and last.stamps_hold(tree):
                return last
        folders: dict[str, Stamp] = {}
        files: list[Found] = []
        _walk(tree, [""], folders, files)
        folders[""] = msgspec.structs.replace(folders[""], device=os.lstat(tree.root).st_dev)
        self._refuse_a_bare_mount_point(folders[""], known)
        whole, unsettled = tree.settle(files)
        _distrust(folders, unsettled)
        before = {} if known is None else known.projects
        projects = gather(_describe(whole, before), before)
        if known is None or projects != known.projects:
            known = Listing(projects, _encode(folders))
        return _Pass(known, folders, at=began, took=time.monotonic() - began)

    def _refuse_a_bare_mount_point(self, now: Stamp, known: Listing | None) -> None:
        """Take a folder for an outage that is empty, where there were files, and not on the disk that they were on.

        Else what it has would be anybody's while its disk is not mounted. Raises: SourceUnavailable.
        """
        if now.count or known is None or not known.projects:
            return
        try:
            before = _decoder.decode(known.token).get("")
        except msgspec.DecodeError:
            return
        if before is not None and before.device not in {0, now.device}:
            raise SourceUnavailable(
                self.name,
                f"{self._path} is empty, and not on the disk that its files were on: it is not mounted",
                remedy="mount it; should it be empty from now on, put any other file there",
            )

    def _look(self, project: NormalizedName, known: Listing, last: _Pass | None) -> tuple[File, ...] | None:
        """Look at the files of one project. Raises: OSError, SourceUnavailable."""
        tree = Tree(self._root())
        try:
            folders = _decoder.decode(known.token) if last is None else last.folders
        except msgspec.DecodeError:
            return None
        listed = known.projects.get(project, ())
        changed = [
            folder for folder in _expected(project, listed, folders) if not folders[folder].holds(tree.stamp(folder))
        ]
        began = time.monotonic()
        is_large = any(folders[folder].count > _LARGE_FOLDER for folder in changed)
        if is_large and (last is None or self._looked >= last.took):
            return None
        files = [found for file in listed if (found := tree.find(file.url)) is not None]
        if len(files) < len(listed):
            # A file of the same name in another folder may take the place of one that went.
            return None
        come: list[Found] = []
        _walk(tree, changed, dict.fromkeys(folders.keys() - set(changed), Stamp(0, 0)), come, _begins_like(project))
        if is_large:
            self._looked += time.monotonic() - began
        whole, _ = tree.settle(files + come)
        projects = gather(_describe(whole, {project: listed}), {project: listed})
        return projects.get(project, ())

    def _root(self) -> str:
        """Give where the folder really is. Raises: SourceUnavailable."""
        try:
            if self._create:
                self._path.mkdir(parents=True, exist_ok=True)
                # Once: a folder that vanishes later is an outage, and not to be papered over by an empty one.
                self._create = False
            root = os.path.realpath(self._path, strict=True)
        except OSError as error:
            raise self._unavailable(error) from error
        if not Path(root).is_dir():
            raise self._unavailable(NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
        return root

    async def _in_thread(self, call: Callable[[], T]) -> T:
        async with self._soon():
            return await asyncio.to_thread(self._translated, call)

    @asynccontextmanager
    async def _soon(self) -> AsyncIterator[None]:
        """Give up on a mount that hangs. Raises: SourceUnavailable."""
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError as error:
            reason = f"the folder {self._path} is silent for {self._timeout:g} s"
            remedy = "check the disk or the network mount that the folder is on"
            raise SourceUnavailable(self.name, reason, remedy=remedy) from error

    def _translated(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OSError) -> SourceUnavailable:
        what = error.filename if isinstance(error.filename, str) else str(self._path)
        why = (error.strerror or str(error)).lower()
        if isinstance(error, PermissionError):
            remedy = f"let the user that the server runs as read {what}"
        else:
            remedy = f"mount or create the folder, or correct `path` of the source {self.name}"
        return SourceUnavailable(self.name, f"{what} cannot be read: {why}", remedy=remedy)


def _walk(
    tree: Tree,
    ahead: Iterable[str],
    folders: dict[str, Stamp],
    files: MutableSequence[Found],
    wanted: Callable[[str], object] | None = None,
) -> None:
    """Read folders and those in them, but for those that are in `folders` already; add what is found to both."""
    waiting = deque(ahead)
    while waiting:
        folder = waiting.popleft()
        if folder in folders:
            continue
        contents = tree.read(folder, wanted)
        folders[folder] = Stamp(contents.stamp, contents.count)
        files.extend(contents.files)
        waiting.extend(contents.folders)


def _distrust(folders: dict[str, Stamp], unsettled: Iterable[Found]) -> None:
    """Have folders looked into again in which files are being written: these appear without a change of the folder."""
    for found in unsettled:
        if found.folder in folders:
            folders[found.folder] = msgspec.structs.replace(folders[found.folder], changed=0)


def _describe(files: Iterable[Found], before: Mapping[NormalizedName, tuple[File, ...]]) -> Iterator[Listed]:
    """Give projects and files; those that were listed before, and are the same, as they were."""
    listed = {file.url: (project, file) for project, known in before.items() for file in known}
    for found in files:
        old = listed.get(found.path)
        identity = found.identity
        if old is not None and old[1].etag == identity:
            yield old
            continue
        uploaded = _utc(found.stat.st_mtime)
        new = describe(found.path, size=found.stat.st_size, upload_time=uploaded, etag=identity)
        if new is not None:
            yield new


def _expected(project: NormalizedName, listed: Iterable[File], folders: Mapping[str, Stamp]) -> Iterable[str]:
    """Give the folders in which files of a project may have come or gone: all, unless there are too many."""
    if len(folders) <= _ALL_FOLDERS:
        return folders
    own = {file.url.rpartition("/")[0] for file in listed} & folders.keys()
    return ["", *sorted(own | {folder for folder in folders if normalize(folder.split("/")[0]) == project} - {""})]


def _begins_like(project: NormalizedName) -> Callable[[str], object]:
    """Give what tells whether a file's name begins like the project's: cheaper than to parse it."""
    parts = (re.escape(part) for part in project.split("-"))
    return re.compile("[-_.]+".join([*parts, ""]), re.IGNORECASE).match


def _utc(seconds: float) -> str | None:
    try:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None
