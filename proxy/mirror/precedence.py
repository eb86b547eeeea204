"""Which files of a page are read first: those of the newest versions, and those that most machines install."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable
from functools import lru_cache

from packaging.version import InvalidVersion, Version

from proxy.simple.model import File, Page

FIRST = 12
"""How many files of the newest version somebody waits for."""
NEWEST = 3
"""How many of the newest versions are worth waiting for, and are read where the source publishes metadata itself."""

# Builds that the machines behind such an index seldom install.
_ELSEWHERE = re.compile(r"-(?:win|macosx|musllinux|ios|android|pyodide|pyemscripten)[^-]*\.whl\Z")


def newest_versions(page: Page) -> set[str]:
    """Give the few versions whose metadata is worth waiting for."""
    return set(heapq.nlargest(NEWEST, _versions(page.files), key=_version))


def first_of(missing: list[File], page: Page) -> list[File]:
    """Give what somebody waits for: files of the newest version, those for Linux and for everywhere first."""
    if not missing:
        return missing
    newest = max(_versions(page.files), key=_version, default="")
    return sorted((file for file in missing if file.version == newest), key=_is_elsewhere)[:FIRST]


def newest_first(files: list[File]) -> list[File]:
    """Give the files of newer versions before those of older ones."""
    return sorted(files, key=lambda file: _version(file.version), reverse=True)


def _versions(files: Iterable[File]) -> set[str]:
    return {file.version for file in files}


def _is_elsewhere(file: File) -> bool:
    return _ELSEWHERE.search(file.filename) is not None


@lru_cache(maxsize=20_000)
def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0")
