"""A folder of files as it is now: blocking calls, run in threads, that raise nothing but `OSError`.

Nothing outside the folder is ever seen: links are followed only to where they stay within it. What stands for a file's
bytes is its `identity`, and it is made sure that the next write gives another one.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from proxy.rules.archive import LONGEST_END, find_end
from proxy.sources.listed import is_skipped

DEPTH = 2
"""How many folders a file may lie in: `project/version/file`."""

_TICK = 0.02
"""Seconds that pass between two time stamps of a file system for certain, on a disk of this machine."""
_YOUNG = 2.0
"""Seconds for which an archive that lacks its end is taken for one that is being copied.

Also those for which a folder's time stamp is not trusted: some file systems count in whole or two seconds.
"""
_ZIPPED = (".whl", ".zip")
_BEGIN = b"PK\x03\x04"


class Found(NamedTuple):
    """A regular file."""

    path: str
    """From the root, with `/` between its segments."""
    where: str
    """Where it really is, links followed."""
    stat: os.stat_result

    @property
    def identity(self) -> str:
        """Give what changes whenever the bytes do: also when a file is written in place and its date is put back."""
        return _identity(self.stat)

    def is_at(self, descriptor: int) -> bool:
        """Whether this very file is open there."""
        return _identity(os.fstat(descriptor)) == self.identity

    @property
    def folder(self) -> str:
        """Give the folder it lies in, as a path from the root."""
        return self.path.rpartition("/")[0]


@dataclass(slots=True)
class Contents:
    """What lies in one folder."""

    stamp: int
    """Changes when files come or go; 0 where the next one may come without changing it."""
    files: list[Found]
    folders: list[str]
    """Those to go on with, as paths from the root."""
    count: int = 0


class Tree:
    """A folder, looked into at one moment."""

    def __init__(self, root: str) -> None:
        """Look into `root`, a real path."""
        self.root = root
        self._real: dict[str, str | None] = {"": root}

    def stamp(self, folder: str) -> int | None:
        """Give a folder's time stamp, or `None` where the folder is not there."""
        where = self._real_folder(folder)
        try:
            return None if where is None else os.lstat(where).st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, folder: str, wanted: Callable[[str], object] | None = None) -> Contents:
        """Read one folder, not those in it; a folder that went is empty. Raises: OSError.

        Files whose name is not `wanted` are left out, and cost nothing but their name.
        """
        where = self._real_folder(folder)
        if where is None:
            return Contents(0, [], [])
        contents = Contents(0, [], [])
        try:
            # Before it is read: what comes meanwhile makes it look changed.
            contents.stamp = _trusted(os.lstat(where).st_mtime_ns)
            with os.scandir(where) as entries:
                for entry in entries:
                    contents.count += 1
                    if is_skipped(entry.name):
                        continue
                    if wanted is None or wanted(entry.name) or _may_be_folder(entry):
                        self._sort(entry, f"{folder}/{entry.name}" if folder else entry.name, contents)
        except (FileNotFoundError, NotADirectoryError):
            if not folder:
                raise
        return contents

    def find(self, path: str) -> Found | None:
        """Find one file by its path from the root, or `None` where it is not there or not within. Raises: OSError."""
        folder, _, name = path.rpartition("/")
        if "\0" in path or any(segment in {"", ".", ".."} for segment in path.split("/")):
            return None
        where = self._real_folder(folder)
        if where is None:
            return None
        return self._regular(path, f"{where}/{name}")

    def settle(self, files: Sequence[Found]) -> tuple[list[Found], list[Found]]:
        """Part the files into those to be shown and those that are being written at the moment. Raises: OSError.

        A file that changed within the last tick may change once more without another time stamp, and so would keep
        its identity. It is looked at again after that tick; one that still changes is being written.
        """
        dry, wet = _part(files, _is_wet(time.time()))
        for _ in range(2):
            if not wet:
                break
            time.sleep(_TICK)
            again = [found for before in wet if (found := self.find(before.path)) is not None]
            more, wet = _part(again, _is_wet(time.time()))
            dry += more
        whole, growing = _part(dry, _is_growing(time.time()))
        return whole, wet + growing

    def _sort(self, entry: os.DirEntry[str], path: str, contents: Contents) -> None:
        try:
            if entry.is_symlink():
                self._follow(path, entry.path, contents)
            elif entry.is_dir(follow_symlinks=False):
                _go_on(path, contents)
            elif entry.is_file(follow_symlinks=False):
                contents.files.append(Found(path, entry.path, entry.stat(follow_symlinks=False)))
        except FileNotFoundError:
            return

    def _follow(self, path: str, link: str, contents: Contents) -> None:
        target = self._within(os.path.realpath(link))
        if target is not None and Path(target).is_dir():
            _go_on(path, contents)
        elif (found := self._regular(path, link)) is not None:
            contents.files.append(found)

    def _regular(self, path: str, where: str) -> Found | None:
        try:
            status = os.lstat(where)
            if stat.S_ISLNK(status.st_mode):
                target = self._within(os.path.realpath(where))
                if target is None:
                    return None
                where, status = target, os.lstat(target)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Found(path, where, status) if stat.S_ISREG(status.st_mode) else None

    def _real_folder(self, folder: str) -> str | None:
        if folder not in self._real:
            self._real[folder] = self._within(os.path.realpath(f"{self.root}/{folder}"))
        return self._real[folder]

    def _within(self, real: str) -> str | None:
        return real if real == self.root or real.startswith(self.root.rstrip("/") + "/") else None


def _identity(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ctime_ns:x}"


def _part(files: Iterable[Found], test: Callable[[Found], bool]) -> tuple[list[Found], list[Found]]:
    """Part files into those that fail a test and those that pass it."""
    fail: list[Found] = []
    passed: list[Found] = []
    for found in files:
        (passed if test(found) else fail).append(found)
    return fail, passed


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir(follow_symlinks=False)


def _go_on(path: str, contents: Contents) -> None:
    # Every disk's own root has one that only the superuser can read.
    if path.count("/") < DEPTH and path != "lost+found":
        contents.folders.append(path)


def _trusted(stamp: int) -> int:
    return stamp if abs(time.time() - stamp / 1e9) > _YOUNG else 0


def _is_wet(now: float) -> Callable[[Found], bool]:
    """Whether a file changed within the last tick."""
    return lambda found: abs(now - found.stat.st_ctime) < _TICK


def _is_growing(now: float) -> Callable[[Found], bool]:
    """Whether a file is a ZIP archive that is being copied here: young, begun, and without its end."""
    return lambda found: (
        abs(now - found.stat.st_mtime) < _YOUNG and found.path.endswith(_ZIPPED) and _lacks_its_end(found)
    )


def _lacks_its_end(found: Found) -> bool:
    try:
        with Path(found.where).open("rb") as file:
            begins = file.read(len(_BEGIN)) == _BEGIN
            file.seek(max(0, found.stat.st_size - LONGEST_END))
            return begins and find_end(file.read(LONGEST_END)) is None
    except OSError:
        # It cannot be read now, which whoever wants its bytes is told.
        return False
