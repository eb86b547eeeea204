"""Projects behind rules, as a property draws them, and what a reader of `docs/rules.md` expects of each file.

The expectation is written for these few shapes of rules alone, and shares nothing with `proxy/rules`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.fakes.wheels import metadata

DAY = 86_400.0
PUBLIC, SHELF = "public", "shelf"
VERSIONS = ("0.9", "1.0", "1.0+cu118", "1.5rc1", "2.0", "2.0.post1")
LICENSES = (None, "MIT", "GPL-3.0-only")


@dataclass(frozen=True)
class Listed:
    """One file, and what its source says of it."""

    version: str
    is_wheel: bool
    age: float | None
    """In days, when the example begins."""
    yanked: bool | str
    hashes: tuple[str, ...]
    has_provenance: bool

    def filename(self, project: str) -> str:
        stem = f"{project.replace('-', '_')}-{self.version}"
        return f"{stem}-py3-none-any.whl" if self.is_wheel else f"{stem}.tar.gz"


@dataclass(frozen=True)
class Gate:
    """A project in one place."""

    place: str
    status: str
    files: tuple[Listed, ...]
    licenses: Mapping[str, str | None]
    """Of the wheels, by version."""

    def metadata(self, project: str, file: Listed) -> bytes:
        said = self.licenses[file.version]
        raw = metadata(project, file.version)
        return raw if said is None else raw + f"License-Expression: {said}\n".encode()


@dataclass(frozen=True)
class Moment:
    """When something is judged."""

    began: float
    """When the files were listed, in seconds since the epoch."""
    now: float

    def uploaded(self, file: Listed) -> float | None:
        return None if file.age is None else self.began - file.age * DAY


def _in_a_folder(gate: Gate) -> Gate:
    """Give what a folder can say of such files: a time for each, and nothing else."""
    files = (replace(file, age=file.age or 50.0, yanked=False, hashes=(), has_provenance=False) for file in gate.files)
    return replace(gate, status="active", files=tuple(files))


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def day_of(seconds: float) -> date:
    return datetime.fromtimestamp(seconds, UTC).date()


# What is drawn

_LISTED = st.builds(
    Listed,
    version=st.sampled_from(VERSIONS),
    is_wheel=st.booleans(),
    age=st.sampled_from([None, 0.5, 2.0, 10.0, 100.0]),
    yanked=st.sampled_from([False, False, True, "broken"]),
    hashes=st.sampled_from([("sha256",), ("sha256",), ("md5",), ()]),
    has_provenance=st.booleans(),
)
_GATES = st.builds(
    Gate,
    place=st.sampled_from([PUBLIC, PUBLIC, SHELF]),
    status=st.sampled_from(["active", "active", "archived", "deprecated", "quarantined"]),
    files=st.lists(_LISTED, min_size=1, max_size=4, unique_by=lambda file: (file.version, file.is_wheel)).map(tuple),
    licenses=st.fixed_dictionaries({version: st.sampled_from(LICENSES) for version in VERSIONS}),
)
GATES = _GATES.map(lambda gate: gate if gate.place == PUBLIC else _in_a_folder(gate))
_ENTRIES = st.sampled_from(
    ["{}", "{}<2", "{}==1.0", "{}>=1.5rc1,<2", "{}!=2.0", "other", "*", "gate-*", "*<1.5", "gate-*==0.9"]
)
_SPAN = st.sampled_from(["1 d", "3 d", "30 d"])
_RULES: dict[str, st.SearchStrategy[Any]] = {
    "allow": st.lists(_ENTRIES, max_size=3),
    "deny": st.lists(_ENTRIES, min_size=1, max_size=2),
    "exceptions": st.lists(st.tuples(st.sampled_from(VERSIONS), st.integers(-1, 6)), min_size=1, max_size=2),
    "min_age": _SPAN,
    "min_age_exempt": st.lists(st.sampled_from(["gate-*", "other"]), max_size=1),
    "as_of": st.integers(-12, 1),
    "unknown_age": st.sampled_from(["keep", "hide"]),
    "kinds": st.sampled_from([["wheel"], ["sdist"], [], ["wheel", "sdist"]]),
    "yanked": st.sampled_from(["hide", "keep"]),
    "requires_digest": st.booleans(),
    "status": st.fixed_dictionaries({"archived": st.sampled_from(["hide", "keep"]), "deprecated": st.just("hide")}),
    "vulnerabilities": st.lists(st.sampled_from(VERSIONS), max_size=2),
    "licenses": st.sampled_from(
        [
            {"allow": ["MIT"], "unknown": "hide"},
            {"allow": ["MIT"], "unknown": "keep"},
            {"deny": ["GPL-*"], "unknown": "keep"},
            {"deny": ["MIT"], "unknown": "hide"},
        ]
    ),
}
DRAWN = st.one_of(
    st.just({}),
    *(st.fixed_dictionaries({rule: values}) for rule, values in _RULES.items()),
    st.fixed_dictionaries({}, optional=_RULES),
)
"""Rules, singly and combined; of `exceptions` version and last day, of `as_of` the day, both counted from the first."""


def written(drawn: Mapping[str, Any], project: str, moment: Moment, database: str) -> dict[str, Any]:
    """Give drawn rules as the configuration has them, with another spelling of the project."""
    spelled = project.upper().replace("-", "_")
    rules = dict(drawn)
    first = day_of(moment.began)
    for key in {"allow", "deny"} & rules.keys():
        rules[key] = [entry.format(spelled) for entry in drawn[key]]
    if "exceptions" in rules:
        rules["exceptions"] = [
            f"{spelled}=={version} until {first + timedelta(days=days)}: why" for version, days in drawn["exceptions"]
        ]
    if "as_of" in rules:
        rules["as_of"] = str(first + timedelta(days=drawn["as_of"]))
    if "vulnerabilities" in rules:
        rules["vulnerabilities"] = {"database": database}
    return rules


def advisories(versions: Sequence[str], project: str) -> bytes:
    """Give an entry of an OSV database that names versions of a project."""
    affected = {"package": {"ecosystem": "PyPI", "name": project.title()}, "versions": list(versions)}
    return json.dumps({"id": "X-1", "affected": [affected]}).encode()


# What is expected


@dataclass(frozen=True)
class Expected:
    """What becomes of a project's files under drawn rules at a moment."""

    hidden: Mapping[Listed, str]
    """The rule that hides each; empty where none does."""
    is_refused: bool
    """Whether the project is hidden as a whole."""
    is_listed: bool
    """Whether the project list may name it."""


def expect(gate: Gate, drawn: Mapping[str, Any], project: str, moment: Moment) -> Expected:
    first = day_of(moment.began)
    excepted = {
        Version(version)
        for version, days in drawn.get("exceptions", ())
        if day_of(moment.now) <= first + timedelta(days=days)
    }
    hidden = {file: _hidden_by(gate, drawn, project, moment, file, excepted) for file in gate.files}
    deny = [name for name, specifier in _entries(drawn.get("deny", ()), project) if not specifier]
    allow = _entries(drawn.get("allow", ()), project)
    is_whole = not excepted and bool(deny or ("allow" in drawn and not allow))
    is_refused = is_whole or all(rule in {"deny", "allow"} for rule in hidden.values())
    return Expected(hidden, is_refused, not is_whole)


def _hidden_by(
    gate: Gate, drawn: Mapping[str, Any], project: str, moment: Moment, file: Listed, excepted: set[Version]
) -> str:
    version = Version(file.version)
    if gate.status == "quarantined" or drawn.get("status", {}).get(gate.status) == "hide":
        return "status"
    if version in excepted:
        return ""
    if any(specifier.contains(version, prereleases=True) for _, specifier in _entries(drawn.get("deny", ()), project)):
        return "deny"
    allowed = _entries(drawn.get("allow", ()), project)
    if "allow" in drawn and not any(specifier.contains(version, prereleases=True) for _, specifier in allowed):
        return "allow"
    if {file.version, version.public} & set(drawn.get("vulnerabilities", ())):
        return "vulnerabilities"
    if "kinds" in drawn and ("wheel" if file.is_wheel else "sdist") not in drawn["kinds"]:
        return "kinds"
    if drawn.get("yanked") == "hide" and file.yanked is not False:
        return "yanked"
    if drawn.get("requires_digest") and not file.hashes:
        return "requires_digest"
    if "licenses" in drawn and _is_badly_licensed(gate, drawn["licenses"], file):
        return "licenses"
    return _too_young_by(drawn, moment, file)


def _is_badly_licensed(gate: Gate, rule: Mapping[str, Any], file: Listed) -> bool:
    has_wheel = any(one.is_wheel and one.version == file.version for one in gate.files)
    said = gate.licenses[file.version] if has_wheel else None
    if said is None:
        return bool(rule["unknown"] == "hide")
    if any(said.startswith(denied.rstrip("*")) for denied in rule.get("deny", ())):
        return True
    return "allow" in rule and said not in rule["allow"]


def _too_young_by(drawn: Mapping[str, Any], moment: Moment, file: Listed) -> str:
    is_exempt = "gate-*" in drawn.get("min_age_exempt", ())
    span = 0.0 if is_exempt or "min_age" not in drawn else float(drawn["min_age"].split()[0]) * DAY
    uploaded = moment.uploaded(file)
    if uploaded is None and drawn.get("unknown_age", "hide") == "hide":
        return "as_of" if "as_of" in drawn else "min_age" if span else ""
    if uploaded is None:
        return ""
    if "as_of" in drawn and day_of(uploaded) > day_of(moment.began) + timedelta(days=drawn["as_of"]):
        return "as_of"
    return "min_age" if uploaded + span > moment.now else ""


def _entries(entries: Sequence[str], project: str) -> list[tuple[str, SpecifierSet]]:
    """Give those that name the project, with their specifiers."""
    found = []
    for entry in entries:
        name = next(name for name in ("gate-*", "{}", "*", "other") if entry.startswith(name))
        if name != "other":
            found.append((project, SpecifierSet(entry.removeprefix(name))))
    return found
