"""What an OSV entry covers: by example, and held to the format's own pseudo-code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from proxy.rules.advisories import Advisory, index, read_entry
from proxy.rules.severity import score_of
from tests.rules.policies import name

V3 = {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
V4 = {"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N"}
V2 = {"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"}


def entry(ranges: list[Any] | None = None, versions: list[str] | None = None, **said: Any) -> bytes:
    package = {"ecosystem": said.pop("ecosystem", "PyPI"), "name": "Foo_Bar"}
    affected = {"package": package, "ranges": ranges, "versions": versions, **said.pop("affected", {})}
    return json.dumps({"id": "X-1", "affected": [affected], **said}).encode()


def advisory(*args: Any, **said: Any) -> Advisory:
    ((project, found),) = read_entry(entry(*args, **said))
    assert project == "foo-bar"
    return found


def events(*pairs: str, kind: str = "ECOSYSTEM") -> list[Any]:
    return [{"type": kind, "events": [dict([pair.split(" ")]) for pair in pairs]}]


@pytest.mark.parametrize(
    ("found", "affected", "unaffected"),
    [
        (advisory(events("introduced 1.0", "fixed 2.0")), ["1.0", "1.9.9", "2.0rc1"], ["0.9", "2.0", "3"]),
        (advisory(events("fixed 2.0", "introduced 0")), ["0.dev0", "1"], ["2.0"]),
        (advisory(events("introduced 1", "last_affected 1.5")), ["1.5", "1.5.0"], ["1.5.1"]),
        (advisory(events("introduced 1", "last_affected 1")), ["1"], ["1.1"]),
        (advisory(events("last_affected 1", "introduced 1")), ["1"], ["1.1"]),
        (advisory(events("introduced 1", "fixed 2", "introduced 3", "fixed 4")), ["1", "3.5"], ["2.5", "4"]),
        (advisory(events("introduced 1", "fixed 2", "introduced 2", "fixed 3")), ["1", "2", "2.5"], ["3"]),
        (advisory(events("introduced 2")), ["2", "99"], ["1"]),
        (advisory(events("introduced 0", "limit 2")), ["1"], ["2", "3"]),
        (advisory(events("introduced 0", "limit *")), ["1"], []),
        (advisory(events("introduced 0", "limit 2", "limit 3")), ["1", "2"], ["3"]),
        (advisory(events("introduced 0", "limit 2", "limit *")), ["1", "3"], []),
        (advisory(events("introduced 0", "limit 2", "limit unreadable")), ["1", "3"], []),
        (advisory(events("introduced 1.0.0", "fixed 1.2.0-rc.1", kind="SEMVER")), ["1.1", "1.2.0b1"], ["1.2.0rc1"]),
        (advisory(events("introduced 0", kind="GIT")), [], ["1"]),
        (advisory(versions=["1.0.0", "2.0-1"]), ["1.0", "1", "2.0.post1"], ["1.1"]),
        (advisory(versions=["unreadable", "1.0"]), ["1"], ["1.1"]),
        (advisory(events("introduced 5"), ["1"]), ["1", "5"], ["2"]),
        (advisory(events("introduced 0", "fixed unreadable")), ["99"], []),
        (advisory(events("introduced unreadable", "fixed 2")), ["1"], ["2"]),
        (advisory(events("introduced 0", "fixed 0")), [], ["1"]),
        (advisory(versions=["1.0"]), ["1.0+cu118"], ["2.0+cu118"]),
        (advisory(events("introduced 0", "last_affected 1.0")), ["1.0+cu118"], []),
        (advisory(), [], ["1"]),
    ],
)
def test_a_version_is_affected_as_the_format_says(found: Advisory, affected: list[str], unaffected: list[str]) -> None:
    assert [version for version in affected + unaffected if found.affects(Version(version))] == affected


@pytest.mark.parametrize(
    "raw",
    [
        entry(versions=["1"], withdrawn="2026-01-01T00:00:00Z"),
        entry(versions=["1"], ecosystem="npm"),
        b'{"id": "X-1"}',
        b'{"id": "X-1", "affected": [{}, {"package": {"ecosystem": "PyPI", "name": "-"}}]}',
    ],
)
def test_what_was_withdrawn_or_is_of_something_else_says_nothing(raw: bytes) -> None:
    assert list(read_entry(raw)) == []


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"id": 1}', b'{"id": "X", "affected": [{"versions": [1]}]}'])
def test_what_is_no_entry_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(read_entry(raw))


def test_a_database_is_found_by_project() -> None:
    database = index([*read_entry(entry(versions=["1"])), *read_entry(entry(versions=["2"]))])

    assert len(database.of(name("foo-bar"))) == 2
    assert database.of(name("other")) == ()
    assert len(database) == 1


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ({"severity": [V3]}, 9.8),
        ({"severity": [V4]}, 6.9),
        ({"severity": [V2]}, 7.5),
        ({"severity": [V4, V3]}, 9.8),
        ({"severity": [V4], "database_specific": {"severity": "CRITICAL"}}, 6.9),
        ({"affected": {"severity": [V3]}}, 9.8),
        ({"database_specific": {"severity": "MODERATE"}}, 4.0),
        ({"affected": {"database_specific": {"severity": "High"}}}, 7.0),
        ({"affected": {"ecosystem_specific": {"severity": "low"}}}, 0.1),
        ({"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:X"}], "database_specific": {"severity": "low"}}, 0.1),
        ({"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"}]}, 0.0),
        ({"severity": "HIGH"}, None),
        ({"severity": [1, {"type": "Ubuntu", "score": "high"}, {"score": 3}]}, None),
        ({"database_specific": {"severity": ["HIGH"]}}, None),
        ({"database_specific": "HIGH"}, None),
        ({}, None),
    ],
)
def test_severity_comes_from_vectors_else_from_the_databases_word(said: dict[str, Any], score: float | None) -> None:
    found = advisory(versions=["1"], **said)

    assert found.score == score
    assert found.level == {
        None: "of unknown severity", 0.0: "none", 0.1: "low", 4.0: "medium", 6.9: "medium", 7.0: "high", 7.5: "high",
    }.get(score, "critical")  # fmt: skip


def test_the_first_word_that_is_known_counts() -> None:
    assert score_of([], ["whatever", "important", "low"]) == 7.0


VERSIONS = st.sampled_from(["0.1", "1.0a1", "1.0", "1.0.post1", "1.1", "2.0rc1", "2.0", "2.1", "3.0.dev1", "3.0"])


@given(
    pairs=st.lists(
        st.tuples(st.sampled_from(["introduced", "fixed", "last_affected"]), VERSIONS), unique_by=lambda p: p[1]
    ),
    starts_at_zero=st.booleans(),
    listed=st.lists(VERSIONS),
    limits=st.lists(VERSIONS | st.just("*"), max_size=3),
    version=VERSIONS,
)
def test_ranges_are_those_of_the_formats_own_evaluation(
    pairs: list[tuple[str, str]], starts_at_zero: bool, listed: list[str], limits: list[str], version: str
) -> None:
    raw = [f"{kind} {text}" for kind, text in pairs] + ["introduced 0"] * starts_at_zero
    raw += [f"limit {limit}" for limit in limits]
    found = advisory(events(*raw), listed)

    expected = starts_at_zero
    for kind, text in sorted(pairs, key=lambda pair: Version(pair[1])):
        if kind == "introduced" and Version(version) >= Version(text):
            expected = True
        elif (kind == "fixed" and Version(version) >= Version(text)) or (
            kind == "last_affected" and Version(version) > Version(text)
        ):
            expected = False
    if limits and not any(limit == "*" or Version(version) < Version(limit) for limit in limits):
        expected = False

    assert found.affects(Version(version)) is (expected or version in listed)
