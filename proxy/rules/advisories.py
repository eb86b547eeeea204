"""Which versions of which projects are known to be vulnerable: entries of an OSV database, indexed by project.

What an entry says is evaluated as the format demands, with two sides on which doubt falls: a bound that cannot be
read never ends a range, and a local version (`2.0+cu118`) is affected like the public one it is a build of.

Source: the OSV format 1.7, "affected[].ranges[]", "affected[].versions", and its section "Evaluation".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from packaging.version import Version

from proxy.rules.patterns import parse_version
from proxy.rules.severity import level_of, score_of
from proxy.simple.filename import normalize
from proxy.simple.model import NormalizedName

_ECOSYSTEM = "PyPI"
_BEFORE_ALL = "0"
_RANGES = frozenset({"ECOSYSTEM", "SEMVER"})
"""Ranges of commits (`GIT`) say nothing about releases."""
_FIXED, _INTRODUCED, _LAST_AFFECTED = range(3)
_KINDS = {"fixed": _FIXED, "introduced": _INTRODUCED, "last_affected": _LAST_AFFECTED}
_BEFORE_ALL_BOUNDS = -1


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
        return bool(Known((self,)).affecting({str(version): version}))


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


class Known:
    """What some advisories of one project say of its versions.

    Each version lies at, or between, the bounds of their ranges, and all that lie in one place are affected alike. So
    hundreds of advisories are held against a few places, and not against thousands of versions.
    """

    def __init__(self, advisories: Sequence[Advisory]) -> None:
        """Take note of all bounds."""
        self.advisories = advisories
        self._ranges = [
            (number, list(_events(events)), _limits(events))
            for number, one in enumerate(advisories)
            for events in one.ranges
        ]
        bounds = {event.version for _, events, _ in self._ranges for event in events if event.version is not None}
        self._bounds = sorted(bounds.union(*(limits for _, _, limits in self._ranges)))
        self._places = {bound: 2 * number + 1 for number, bound in enumerate(self._bounds)}
        """Of the bounds; below the first of them, between two, and above the last lie the others, with even numbers."""
        self._listed = _by_version(advisories)
        self._in_place: dict[int, frozenset[int]] = {}

    @cached_property
    def _placed(self) -> list[tuple[int, list[tuple[int, int]], list[int]]]:
        """All ranges with places for versions: each event by place and kind, in order, and the limits."""
        return [
            (
                number,
                # Of one version: what was mended may have come back, and what begins may also end there.
                sorted(
                    (_BEFORE_ALL_BOUNDS if one.version is None else self._places[one.version], one.kind)
                    for one in events
                ),
                [self._places[limit] for limit in limits],
            )
            for number, events, limits in self._ranges
        ]

    def affecting(self, versions: Mapping[str, Version]) -> list[tuple[list[Advisory], list[str]]]:
        """Give advisories, in their order, each time with the texts of those versions that just these affect."""
        together: dict[frozenset[int], list[str]] = {}
        above = 0
        for text in sorted(versions, key=versions.__getitem__):
            version = versions[text]
            # As they are sorted, nearly all lie below the same bound as the one before.
            if above < len(self._bounds) and self._bounds[above] < version:
                above = bisect_left(self._bounds, version, above + 1)
            numbers = self._affecting(version, above)
            if version.local is not None:
                public = Version(version.public)
                numbers |= self._affecting(public, bisect_left(self._bounds, public))
            if numbers:
                together.setdefault(numbers, []).append(text)
        return [([self.advisories[number] for number in sorted(some)], texts) for some, texts in together.items()]

    def _affecting(self, version: Version, above: int) -> frozenset[int]:
        """Give which affect a version, by number; `above` is the number of the first bound that is not below it."""
        place = self._places.get(version, 2 * above)
        known = self._in_place.get(place)
        if known is None:
            known = self._in_place[place] = frozenset(
                number for number, events, limits in self._placed if _is_within(place, events, limits)
            )
        listed = self._listed.get(version)
        return known if listed is None else known | listed


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
    kind: int
    version: Version | None
    """`None`: before every version."""


def _events(events: Iterable[dict[str, str]]) -> Iterator[_Event]:
    for event in events:
        for name, text in event.items():
            kind = _KINDS.get(name)
            if kind is None:
                continue
            version = None if text == _BEFORE_ALL else parse_version(text)
            if kind == _INTRODUCED:
                # One that cannot be read may lie anywhere: the range begins at once.
                yield _Event(kind, version)
            elif version is not None or text == _BEFORE_ALL:
                yield _Event(kind, version or Version(_BEFORE_ALL))


def _limits(events: Iterable[dict[str, str]]) -> list[Version]:
    """Give the limits, of which any that lies above a version lets it count; none where one is, or may be, infinity."""
    found = [parse_version(event["limit"]) for event in events if "limit" in event]
    limits = [limit for limit in found if limit is not None]
    return limits if len(limits) == len(found) else []


def _is_within(place: int, events: list[tuple[int, int]], limits: list[int]) -> bool:
    if limits and not any(place < limit for limit in limits):
        return False
    is_vulnerable = False
    for at, kind in events:
        if kind == _INTRODUCED:
            is_vulnerable = is_vulnerable or place >= at
        elif kind == _FIXED:
            is_vulnerable = is_vulnerable and place < at
        else:
            is_vulnerable = is_vulnerable and place <= at
    return is_vulnerable


def _by_version(advisories: Sequence[Advisory]) -> dict[Version, frozenset[int]]:
    """Give which advisories list a version, by number."""
    by_text: dict[str, list[int]] = {}
    for number, advisory in enumerate(advisories):
        for text in advisory.versions:
            by_text.setdefault(text, []).append(number)
    found: dict[Version, frozenset[int]] = {}
    for text, numbers in by_text.items():
        version = parse_version(text)
        if version is not None:
            found[version] = found.get(version, frozenset()).union(numbers)
    return found


def _list(said: Any) -> list[Any]:  # noqa: ANN401 - whatever a database wrote
    return said if isinstance(said, list) else []
