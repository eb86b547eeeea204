"""Which sources may own a project, in which order they are asked, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from proxy.simple.model import NormalizedName

_RUNS = re.compile(r"[-_.]+")


def normalize_pattern(pattern: str) -> str:
    """Give a pattern (`Acme_*`) in the spelling of normalised names (`acme-*`)."""
    return _RUNS.sub("-", pattern).lower()


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = normalize_pattern(pattern).split("*")
    return re.compile(".*".join(re.escape(part) for part in parts) + r"\Z")


def matches(pattern: str, project: NormalizedName) -> bool:
    """Say whether a name or pattern (`*` stands for anything) means this project."""
    return _compiled(pattern).match(project) is not None


@dataclass(frozen=True, slots=True)
class Candidates:
    """The sources that may own a project."""

    sources: tuple[str, ...]
    """In the order in which they are asked."""
    together: bool
    """Whether the files of all of them are shown, or only those of the first that has the project."""
    why: str
    """For `explain`: the key in the configuration that decided, in words."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """A feed's order, claims and combinations."""

    order: tuple[str, ...]
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    combine: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def candidates(self, project: NormalizedName) -> Candidates:
        """Decide who may own `project`: a combination, else a claim, else everybody in order."""
        for pattern, sources in self.combine.items():
            if matches(pattern, project):
                return Candidates(sources, together=True, why=f"combine {pattern}: files of {', '.join(sources)}")
        for source, patterns in self.claims.items():
            for pattern in patterns:
                if matches(pattern, project):
                    return Candidates((source,), together=False, why=f"claimed by {source} ({pattern})")
        return Candidates(self.order, together=False, why="the first source in order that has it")
