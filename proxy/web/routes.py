"""What a request's path means: pure, before anything is looked up.

A path is split before it is decoded, so no encoded slash, dot or NUL changes what it means, and nothing
is ever collapsed. What no project or file can be called is `None` here: 404 before any source is asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote_to_bytes

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from proxy.simple.filename import is_safe, normalize
from proxy.simple.model import NormalizedName

DEFAULT = "default"


class Kind(StrEnum):
    """What is asked for; the values name the route in metrics and logs."""

    ROOT = "root"
    NAMES = "names"
    PAGE = "page"
    FILE = "file"
    METADATA = "metadata"
    PROVENANCE = "provenance"
    LINKS = "links"
    EXPLAIN = "explain"
    LIVEZ = "livez"
    READYZ = "readyz"
    METRICS = "metrics"
    REDIRECT = "redirect"


_ABSOLUTE = re.compile(r"https?://[^/]*", re.IGNORECASE)
_SECTIONS = frozenset({"simple", "files", "links", "explain"})
_SIDECARS = {".metadata": Kind.METADATA, ".provenance": Kind.PROVENANCE}
_OPERATIONS = {"livez": Kind.LIVEZ, "readyz": Kind.READYZ, "metrics": Kind.METRICS}


@dataclass(frozen=True, slots=True)
class Route:
    """A request's path, understood."""

    kind: Kind
    feed: str = DEFAULT
    project: NormalizedName | None = None
    filename: str = ""
    specifier: str = ""
    """For an explanation: the versions that are asked for."""
    location: str = ""
    """For a redirect: where to, relative to the path that was asked for, without the query."""

    @property
    def named(self) -> NormalizedName:
        """The project that the route names. Raises: LookupError where it names none."""
        if self.project is None:
            raise LookupError(f"{self.kind} names no project")
        return self.project


def path_of(target: str) -> str:
    """Give the path of a request's target, without its query; also of one that names scheme and host.

    Source: RFC 9112 §3.2.2 (a server must accept the absolute form).
    """
    path = target.partition("?")[0]
    absolute = _ABSOLUTE.match(path)
    return path if absolute is None else path[absolute.end() :] or "/"


def route(path: str, feeds: Collection[str]) -> Route | None:
    """Understand a raw (still encoded) path; `None`: there is nothing of that name."""
    names: list[str] = []
    for segment in path.split("/")[1:]:
        decoded = _decode(segment)
        if decoded is None:
            return None
        names.append(decoded)
    match names:
        case []:
            return None
        case [""]:
            return Route(Kind.ROOT)
        case [operation] if operation in _OPERATIONS:
            return Route(_OPERATIONS[operation])
    if names[0] in _SECTIONS:
        return _section(DEFAULT, names) if DEFAULT in feeds else None
    feed, names = names[0], names[1:]
    if feed not in feeds:
        return None
    if names in ([], [""]):
        return Route(Kind.REDIRECT, feed, location="simple/" if names else f"{feed}/simple/")
    return _section(feed, names)


def _section(feed: str, names: list[str]) -> Route | None:
    match names[0]:
        case "simple":
            return _simple(feed, names[1:])
        case "files":
            return _file(feed, names[1:])
        case "links":
            return _links(feed, names[1:])
        case "explain" if len(names) == 2:  # noqa: PLR2004 - the route and its project
            return _explain(feed, names[1])
    return None


def _simple(feed: str, names: list[str]) -> Route | None:
    match names:
        case []:
            return Route(Kind.REDIRECT, feed, location="simple/")
        case [""]:
            return Route(Kind.NAMES, feed)
        case ["files", _, _]:
            # The relative links of a page that was asked for with two slashes (pdm does) resolve to here.
            return _file(feed, names[1:])
        case [spelled] | [spelled, ""] | ["", spelled, ""] if spelled:
            project = normalize(spelled)
            if project is None:
                return None
            if project == spelled and names[-1] == "":
                return Route(Kind.PAGE, feed, project)
            up = "" if names[-1] else "../"
            return Route(Kind.REDIRECT, feed, project, location=f"{up}{project}/")
    return None


def _file(feed: str, names: list[str]) -> Route | None:
    match names:
        case [spelled, filename] if filename:
            kind = _SIDECARS.get("." + filename.rpartition(".")[2], Kind.FILE)
            if kind is not Kind.FILE:
                filename = filename.rpartition(".")[0]
            project = normalize(spelled)
            return Route(kind, feed, project, filename) if project is not None and is_safe(filename) else None
    return None


def _explain(feed: str, asked: str) -> Route | None:
    """Understand `numpy` or `numpy==2.0`."""
    name = re.split(r"[\s<>=!~]", asked, maxsplit=1)[0]
    project = normalize(name)
    try:
        specifier = str(SpecifierSet(asked[len(name) :]))
    except InvalidSpecifier:
        return None
    return None if project is None else Route(Kind.EXPLAIN, feed, project, specifier=specifier)


def _links(feed: str, names: list[str]) -> Route | None:
    match names:
        case []:
            return Route(Kind.REDIRECT, feed, location="links/")
        case [""]:
            return Route(Kind.LINKS, feed)
    return None


def _decode(segment: str) -> str | None:
    """Decode one segment; `None` where it holds what no name can: a separator, a control character, not UTF-8."""
    if "%" in segment:
        try:
            segment = unquote_to_bytes(segment).decode()
        except UnicodeDecodeError:
            return None
    if segment in {".", ".."} or "/" in segment or "\\" in segment or not segment.isprintable():
        return None
    return segment
