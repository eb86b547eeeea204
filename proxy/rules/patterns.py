"""Entries of lists that name projects and versions: `numpy<3`, `acme-*`, `requests==2.32.0`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from proxy.rules.ownership import normalize_pattern
from proxy.simple.model import NormalizedName

_REQUIREMENT = re.compile(r"\s*(?P<name>[A-Za-z0-9*][A-Za-z0-9._*-]*)\s*(?P<specifier>.*?)\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pattern:
    """One entry of `allow` or `deny`: `numpy<3`, `acme-*`."""

    text: str
    name: str
    specifier: SpecifierSet

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read an entry. Raises: ValueError (also InvalidSpecifier) where it is none."""
        found = _REQUIREMENT.match(text)
        if found is None:
            raise ValueError(f"{text!r} is not a project name or pattern with an optional version specifier")
        return cls(text, normalize_pattern(found["name"]), SpecifierSet(found["specifier"]))

    def covered(self, versions: Mapping[str, Version | None]) -> list[str]:
        """Give which of these versions the specifier includes; pre-releases and local versions count.

        `None` is a version that cannot be read: it is included where every version is.
        """
        if not self.specifier:
            return list(versions)
        readable = {text: version for text, version in versions.items() if version is not None}
        # Asked about all of them at once, the specifier is taken apart once.
        return list(self.specifier.filter(readable, prereleases=True, key=readable.__getitem__))


class Patterns:
    """A list of entries, found by project without a look at all of them: such lists have thousands."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        """Index `patterns`; their order is kept among those of one project."""
        self._exact: dict[str, list[tuple[int, Pattern]]] = {}
        self._wild: list[tuple[re.Pattern[str], int, Pattern]] = []
        for number, pattern in enumerate(patterns):
            if "*" in pattern.name:
                parts = ".*".join(re.escape(part) for part in pattern.name.split("*"))
                self._wild.append((re.compile(parts), number, pattern))
            else:
                self._exact.setdefault(pattern.name, []).append((number, pattern))

    def of(self, project: NormalizedName) -> list[Pattern]:
        """Give the entries that name this project, in order."""
        found = [*self._exact.get(project, ())]
        found += [(number, pattern) for name, number, pattern in self._wild if name.fullmatch(project)]
        return [pattern for _, pattern in sorted(found, key=lambda one: one[0])]


@lru_cache(maxsize=50_000)
def parse_version(version: str) -> Version | None:
    """Read a version; `None` where it is none by PEP 440."""
    try:
        return Version(version)
    except InvalidVersion:
        return None
