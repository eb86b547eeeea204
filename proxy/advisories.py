"""An offline database of advisories: a folder or a ZIP file of JSON in the OSV format, read again when it changes.

It is read as a whole or not at all: half of one would let through what the other half knows. What was read before
goes on being used where the new one cannot be, and `trouble` says why.
"""

from __future__ import annotations

import asyncio
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import structlog

from proxy.rules.advisories import Advisories, Advisory, index, read_entry
from proxy.simple.model import NormalizedName

log = structlog.get_logger(__name__)

REMEDY = "put a whole OSV database there, readable by the server's user; no restart is needed"
_LARGEST = 64 << 20
"""Bytes of a single entry: what is larger is no advisory."""


class Unreadable(Exception):
    """The database cannot be read; says what and why in one sentence."""


class Database:
    """One database, and what was read of it last."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self.path = path
        self.advisories: Advisories | None = None
        """`None`: it could never be read."""
        self.trouble = ""
        """Why it could not be read the last time; empty where it could."""
        self._stamp: object = None

    async def refresh(self) -> bool:
        """Read it where it has changed since the last time; say whether anything is different now."""
        return await asyncio.to_thread(self._refresh)

    def _refresh(self) -> bool:
        said, self.trouble = self.trouble, ""
        try:
            stamp = _stamp_of(self.path)
            if stamp == self._stamp:
                self.trouble = said
                return False
            # What is broken is tried again once it looks different: in the middle of a copy that is soon.
            self._stamp = stamp
            self.advisories = read(self.path)
        except OSError as error:
            self._stamp = None
            self.trouble = f"{self.path}: {error.strerror or error}"
        except Unreadable as error:
            self.trouble = str(error)
        if not self.trouble:
            log.info("vulnerability database read", path=str(self.path), projects=len(self.advisories or ()))
            return True
        if self.trouble != said:
            used = "none: all is hidden" if self.advisories is None else "the one before goes on being used"
            log.error("vulnerability database cannot be read", reason=self.trouble, used=used, remedy=REMEDY)
        return self.trouble != said


def read(path: Path) -> Advisories:
    """Read a whole database. Raises: OSError; Unreadable, naming the entry that is not one."""
    return index(found for name, raw in _entries(path) for found in _read_one(name, raw))


def _read_one(name: str, raw: bytes) -> Iterator[tuple[NormalizedName, Advisory]]:
    try:
        yield from read_entry(raw)
    except ValueError as error:
        raise Unreadable(f"{name} is no advisory in the OSV format: {error}") from error


def _entries(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        found = sorted(path.rglob("*.json"))
        if not found:
            raise Unreadable(f"{path} has no .json files in it")
        for file in found:
            yield str(file), file.read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".json")]
            if not members:
                raise Unreadable(f"{path} has no .json files in it")
            for member in members:
                if member.file_size > _LARGEST:
                    raise Unreadable(f"{path}: {member.filename} is too large for an advisory")
                yield f"{path}: {member.filename}", archive.read(member)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise Unreadable(f"{path} is not a whole ZIP file: {error}") from error


def _stamp_of(path: Path) -> object:
    """Give what changes whenever the database does."""
    about = path.stat()
    if not path.is_dir():
        return about.st_ino, about.st_size, about.st_mtime_ns
    return frozenset(_within(path))


def _within(folder: Path | str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as found:
        for each in found:
            if each.is_dir():
                yield from _within(each.path)
            elif each.name.endswith(".json"):
                about = each.stat()
                yield each.path, about.st_size, about.st_mtime_ns
