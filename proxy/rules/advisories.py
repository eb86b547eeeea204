"""Which versions of which projects are known to be vulnerable: entries of an OSV database, indexed by project.

What an entry says is evaluated as the format demands, with two sides on which doubt falls: a bound that cannot be
read never ends a range, and a local version (`2.0+cu118`) is affected like the public one it is a build of.

Source: the OSV format 1.7, "affected[].ranges[]", "affected[].versions", and its section "Evaluation".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from packaging.utils import canonicalize_version
from packaging.version import Version

from proxy.rules.patterns import parse_version
from proxy.rules.severity import level_of, score_of
from proxy.simple.filename import normalize
from proxy.simple.model import NormalizedName

_ECOSYSTEM = "PyPI"
_BEFORE_ALL = "0"
_RANGES = frozenset({"ECOSYSTEM", "SEMVER"})
"""Ranges of commits (`GIT`) say nothing about releases."""
_KINDS = ("fixed", "introduced", "last_affected")


class _Place(msgspec.Struct, gc=False):
    ecosystem: str = ""
    name: str = ""


class _Range(msgspec.Struct, gc=False):
    type: str = ""
    events: list[dict[str, str]] | None = None


class _Affected(msgspec.Struct, gc=False):
    package: _Place | None = None
    ranges: list[_Range] | None = None
    versions: list[str] | None = None
    severity: Any = None
    database_specific: Any = None
    ecosystem_specific: Any = None


class _Entry(msgspec.Struct, gc=False):
    id: str
    aliases: list[str] | None = None
    summary: str | None = None
    withdrawn: str | None = None
    severity: Any = None
    affected: list[_Affected] | None = None
    database_specific: Any = None


_decoder = msgspec.json.Decoder(_Entry)


@dataclass(frozen=True)
class Advisory:
    """What one entry says of one project. What costs time is worked out when the project is first looked at."""

    id: str
    aliases: tuple[str, ...]
    summary: str
    vectors: tuple[Any, ...]
    words: tuple[Any, ...]
    ranges: tuple[tuple[dict[str, str], ...], ...]
    """The events of each range, as they were written."""
    versions: tuple[str, ...]

    @cached_property
    def score(self) -> float | None:
        """How grave it is, from 0 to 10; `None` where nobody says."""
        return score_of(self.vectors, self.words)

    @property
    def level(self) -> str:
        """The same as a word."""
        return "of unknown severity" if self.score is None else level_of(self.score)

    @property
    def names(self) -> frozenset[str]:
        """All names that it goes by."""
        return frozenset((self.id, *self.aliases))

    @property
    def fixed_in(self) -> tuple[str, ...]:
        """The versions that it says mend it."""
        return tuple(dict.fromkeys(event["fixed"] for events in self.ranges for event in events if "fixed" in event))

    def affects(self, version: Version) -> bool:
        """Say whether a version is affected."""
        if version.local is not None and self.affects(Version(version.public)):
            return True
        return canonicalize_version(version) in self._versions or any(
            _is_within(version, events, limits) for events, limits in self._ranges
        )

    @cached_property
    def _versions(self) -> frozenset[str]:
        return frozenset(canonicalize_version(version) for version in self.versions)

    @cached_property
    def _ranges(self) -> tuple[tuple[list[_Event], list[Version]], ...]:
        return tuple((sorted(_events(events), key=_order), _limits(events)) for events in self.ranges)


@dataclass(frozen=True, slots=True)
class Advisories:
    """A whole database."""

    by_project: Mapping[NormalizedName, tuple[Advisory, ...]]

    def of(self, project: NormalizedName) -> tuple[Advisory, ...]:
        """Give what is known of a project."""
        return self.by_project.get(project, ())

    def __len__(self) -> int:
        """How many projects it has something about."""
        return len(self.by_project)


def read_entry(raw: bytes) -> Iterator[tuple[NormalizedName, Advisory]]:
    """Read one entry; one that was withdrawn, or is about another ecosystem, says nothing.

    Raises: ValueError where it is no OSV entry.
    """
    try:
        entry = _decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    if entry.withdrawn:
        return
    for affected in entry.affected or ():
        place = affected.package
        project = normalize(place.name) if place is not None else None
        if place is None or project is None or place.ecosystem.partition(":")[0] != _ECOSYSTEM:
            continue
        yield (
            project,
            Advisory(
                id=entry.id,
                aliases=tuple(entry.aliases or ()),
                summary=entry.summary or "",
                vectors=(*_list(affected.severity), *_list(entry.severity)),
                words=tuple(
                    said.get("severity")
                    for said in (affected.database_specific, affected.ecosystem_specific, entry.database_specific)
                    if isinstance(said, dict)
                ),
                ranges=tuple(tuple(one.events or ()) for one in affected.ranges or () if one.type in _RANGES),
                versions=tuple(affected.versions or ()),
            ),
        )


def index(advisories: Iterable[tuple[NormalizedName, Advisory]]) -> Advisories:
    """Put advisories together by project."""
    by_project: dict[NormalizedName, list[Advisory]] = {}
    for project, advisory in advisories:
        by_project.setdefault(project, []).append(advisory)
    return Advisories({project: tuple(found) for project, found in by_project.items()})


@dataclass(frozen=True, slots=True)
class _Event:
    kind: str
    version: Version | None
    """`None`: before every version."""


def _events(events: Iterable[dict[str, str]]) -> Iterator[_Event]:
    for event in events:
        for kind, text in event.items():
            if kind not in _KINDS:
                continue
            version = None if text == _BEFORE_ALL else parse_version(text)
            if kind == "introduced":
                # One that cannot be read may lie anywhere: the range begins at once.
                yield _Event(kind, version)
            elif version is not None or text == _BEFORE_ALL:
                yield _Event(kind, version or Version(_BEFORE_ALL))


def _limits(events: Iterable[dict[str, str]]) -> list[Version]:
    """Give the limits, of which any that lies above a version lets it count; none where one is, or may be, infinity."""
    found = [parse_version(event["limit"]) for event in events if "limit" in event]
    limits = [limit for limit in found if limit is not None]
    return limits if len(limits) == len(found) else []


def _order(event: _Event) -> tuple[bool, Version, int]:
    # Of one version: what was mended may have come back, and what begins may also end there.
    return event.version is not None, event.version or Version(_BEFORE_ALL), _KINDS.index(event.kind)


def _is_within(version: Version, events: list[_Event], limits: list[Version]) -> bool:
    if limits and not any(version < limit for limit in limits):
        return False
    is_vulnerable = False
    for event in events:
        if event.version is None:
            is_vulnerable = True
        elif event.kind == "introduced":
            is_vulnerable = is_vulnerable or version >= event.version
        elif event.kind == "fixed":
            is_vulnerable = is_vulnerable and version < event.version
        else:
            is_vulnerable = is_vulnerable and version <= event.version
    return is_vulnerable


def _list(said: Any) -> list[Any]:  # noqa: ANN401 - whatever a database wrote
    return said if isinstance(said, list) else []
