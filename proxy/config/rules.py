"""The rules of a feed: attribute names are the keys of `[feeds.NAME.rules]`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from proxy.config.values import Duration, Flag, LocalPath, Pattern, Requirement, Strict, mistake, written
from proxy.rules.licenses import canonical_of
from proxy.rules.patterns import Pattern as NamedVersions
from proxy.rules.until import Until, end_of_day
from proxy.simple.filename import normalize

KeepOrHide = Literal["keep", "hide"]
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT_SCHEMA = {
    "type": "string",
    "pattern": rf"^{_DAY}([T ].+)?$",
    "examples": ["2026-11-01", "2026-11-01T12:00:00Z"],
}
_UNTIL_SCHEMA = {"type": "string", "pattern": rf"^\s*\S.* until {_DAY}:\s*\S"}


def _parse_moment(value: object) -> float:
    """Give the first moment, in seconds since the epoch, from which on nothing is seen; a day counts as a whole."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) <= len("2026-11-01") else datetime.fromisoformat(value)
        except ValueError:
            value = None
    match value:
        case datetime():
            return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).timestamp()
        case date():
            return end_of_day(value)
    raise mistake("not a day or a moment", 'write "2026-11-01" (the whole day, in UTC) or "2026-11-01T12:00:00Z"')


def _parse_until(value: str) -> str:
    try:
        Until.parse(value)
    except (ValueError, OverflowError) as error:
        remedy = 'write "WHAT until 2027-01-31: why": what is let through, its last day, and the reason'
        raise mistake(f"{value!r} does not say until which day, and why", remedy) from error
    return value


def _parse_exception(value: str) -> str:
    what = Until.parse(_parse_until(value)).what
    remedy = 'write one project and one version: "requests==2.32.0 until 2027-01-31: why"'
    try:
        named = NamedVersions.parse(what)
    except ValueError as error:
        raise mistake(f"{what!r} names no version of a project", remedy) from error
    versions = list(named.specifier)
    is_one = "*" not in what and len(versions) == 1 and versions[0].operator == "=="
    if not is_one or normalize(named.name) is None:
        raise mistake(f"{what!r} names no version of a project", remedy)
    return value


def _parse_spdx(value: str) -> str:
    if "*" in value:
        return value
    canonical = canonical_of(value)
    if canonical is None:
        remedy = 'write an identifier of SPDX, or a pattern of them: "MIT", "Apache-2.0", "GPL-*"'
        raise mistake(f"{value!r} is not the identifier of a license", remedy)
    if " OR " in canonical or " AND " in canonical:
        raise mistake(f"{value!r} is more than one license", "write each on its own")
    return canonical


Moment = Annotated[float, BeforeValidator(_parse_moment), WithJsonSchema(_MOMENT_SCHEMA)]
"""Seconds since the epoch; written as a day or a moment."""
Ignored = Annotated[str, AfterValidator(_parse_until), WithJsonSchema(_UNTIL_SCHEMA)]
"""`ID until 2027-01-31: why`."""
Exempted = Annotated[str, AfterValidator(_parse_exception), WithJsonSchema(_UNTIL_SCHEMA)]
"""`NAME==VERSION until 2027-01-31: why`."""
Spdx = Annotated[str, AfterValidator(_parse_spdx)]
"""An identifier of SPDX, or a pattern of them."""


class Statuses(Strict):
    """What is done with projects that carry a status marker."""

    quarantined: Literal["hide"] = "hide"
    """Always hidden: an index must not offer what was found to be unsafe."""
    archived: KeepOrHide = "keep"
    """Projects that get no more updates."""
    deprecated: KeepOrHide = "keep"
    """Projects that something else has replaced."""

    @property
    def hidden(self) -> frozenset[str]:
        """The statuses whose projects are hidden."""
        said: dict[str, Any] = self.model_dump()
        return frozenset(status for status, what in said.items() if what == "hide")


class Vulnerabilities(Strict):
    """Versions that an offline database of advisories knows to be vulnerable are hidden."""

    database: LocalPath
    """A folder or a ZIP file of advisories in the OSV format; read again when it changes."""
    severity: Literal["any", "low", "medium", "high", "critical"] = "any"
    """From which severity on an advisory counts."""
    unknown_severity: KeepOrHide = "hide"
    """Whether versions are hidden for advisories of which nobody says how grave they are."""
    ignore: tuple[Ignored, ...] = ()
    """Advisories that do not count for a while, by any of their names: `ID until 2027-01-31: why`."""


class Licenses(Strict):
    """Which licenses, by the core metadata, are shown."""

    allow: tuple[Spdx, ...] | None = None
    """If present, no other license is shown."""
    deny: tuple[Spdx, ...] = ()
    """Licenses that are never shown; it beats `allow`."""
    unknown: KeepOrHide = "hide"
    """Whether files are hidden whose license cannot be told."""


class Rules(Strict):
    """What of its sources a feed shows."""

    allow: tuple[Requirement, ...] | None = None
    """If present, nothing else is shown; an empty list hides everything."""
    deny: tuple[Requirement, ...] = ()
    """What is never shown; it beats `allow`."""
    exceptions: tuple[Exempted, ...] = ()
    """Versions that no other rule hides, up to a day: `NAME==VERSION until 2027-01-31: why`."""
    min_age: Duration = written("0 s")
    """Files younger than this, or of unknown age, are hidden."""
    min_age_exempt: tuple[Pattern, ...] = ()
    """Projects whose files may be younger."""
    as_of: Moment | None = None
    """Nothing that was uploaded after this day or moment is shown."""
    unknown_age: KeepOrHide = "hide"
    """Whether `min_age` and `as_of` hide files without an upload time."""
    kinds: tuple[Literal["wheel", "sdist"], ...] | None = None
    """Which kinds of files are shown; by default all."""
    yanked: KeepOrHide = "keep"
    """Whether files that were yanked are hidden."""
    requires_digest: Flag = False
    """Whether files are hidden of which no digest is known."""
    status: Statuses = Statuses()
    """What is done with projects that are archived, deprecated or quarantined."""
    vulnerabilities: Vulnerabilities | None = None
    """Hides versions that are known to be vulnerable."""
    licenses: Licenses | None = None
    """Hides versions by their license."""
