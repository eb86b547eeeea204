"""Judged all at once, the files of a page get the verdicts that each of them would get alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from proxy.rules.advisories import Advisory, Known, index, read_entry
from proxy.rules.licenses import License, LicenseRule
from proxy.rules.patterns import Pattern, parse_version
from proxy.rules.policy import Context, Policy
from proxy.rules.until import Until
from proxy.rules.verdict import SERVED, Verdict, hidden, parse_time, shown_span, shown_time
from proxy.rules.vulnerabilities import VulnerabilityRule
from proxy.simple.filename import kind_of
from proxy.simple.model import File
from tests.rules.policies import DAY, NOW, exemption, name

FOO = name("foo")
VERSIONS = st.sampled_from(
    ["", "0.9", "1", "1.0", "1.0a1", "1.0+cu118", "1.0.post1", "1.5rc1", "1.10", "2.0.dev1", "2.0", "2.0+x.1", "1!1.0"]
)
TIMES = st.sampled_from(
    [
        "2026-01-01T00:00:00Z",
        "2026-11-18T12:00:00Z",
        "2026-11-18T12:30:00-23:59",
        "2026-11-19T11:59:58.999999Z",
        "2026-11-19T11:59:59Z",
        "2026-11-19T11:59:59.5Z",
        "2026-11-19T12:00:00Z",
        "2026-11-19T12:00:00.000001Z",
        "2026-11-19T13:30:00+02:00",
        "2026-11-19T11:30:00-02:00",
        "2026-11-22T12:00:00Z",
        "2026-11-23T00:00:00Z",
    ]
)
LICENSES = st.sampled_from([License(), License("home-made"), License("MIT", ("MIT",)), License("X", ("GPL-3.0-only",))])
FILES = st.lists(
    st.builds(
        File,
        filename=st.sampled_from(["a.whl", "b.whl", "c.tar.gz", "d.tar.bz2", "e.zip", "f.egg"]),
        url=st.just(""),
        version=VERSIONS,
        hashes=st.sampled_from([{}, {"sha256": "0" * 64}]),
        upload_time=st.none() | TIMES,
        yanked=st.sampled_from([False, False, True, "broken"]),
    ),
    max_size=12,
)
ENTRIES = st.sampled_from(
    [
        "foo",
        "fo*",
        "other",
        "foo==1.0",
        "foo===1.0",
        "foo==1.*",
        "foo!=1.0",
        "foo<2",
        "foo>1",
        "foo>=1.5rc1,<=2",
        "*~=1.0",
    ]
)
PATTERNS = st.lists(ENTRIES.map(Pattern.parse), max_size=3).map(tuple)
EXCEPTIONS = st.builds(
    exemption,
    st.just("foo"),
    VERSIONS.filter(bool),
    st.sampled_from(["2026-11-30: why", "2026-12-31: it", "2026-11-01: was"]),
)
BOUNDS = st.sampled_from(["0", "0.9", "1.0", "1.0.post1", "1.5", "2.0.dev1", "2.0", "3", "unreadable"])
EVENTS = st.lists(
    st.tuples(st.sampled_from(["introduced", "introduced", "fixed", "last_affected", "limit"]), BOUNDS).map(
        lambda event: dict([event])
    ),
    max_size=4,
)


@st.composite
def _advisory(draw: st.DrawFn) -> Advisory:
    affected = {
        "package": {"ecosystem": "PyPI", "name": "foo"},
        "ranges": [{"type": "ECOSYSTEM", "events": events} for events in draw(st.lists(EVENTS, max_size=2))],
        "versions": draw(st.lists(VERSIONS, max_size=2)),
    }
    said = {"id": draw(st.sampled_from(["X-1", "X-2", "X-3"])), "affected": [affected]}
    ((_, found),) = read_entry(json.dumps(said).encode())
    return found


ADVISORIES = st.lists(_advisory(), max_size=4)
IGNORED = st.sampled_from(["X-1 until 2026-11-30: why", "X-1 until 2026-12-31: why", "X-2 until 2026-11-01: was"])
RULES = st.builds(
    Policy,
    allow=st.none() | PATTERNS,
    deny=PATTERNS,
    min_age=st.sampled_from([0.0, 3 * DAY]),
    min_age_exempt=st.sampled_from([(), ("foo",)]),
    kinds=st.none() | st.frozensets(st.sampled_from(["wheel", "sdist", "other"])),
    as_of=st.sampled_from([None, NOW - 3 * DAY, NOW + DAY]),
    hides_unknown_age=st.booleans(),
    yanked=st.sampled_from(["keep", "hide"]),
    requires_digest=st.booleans(),
    vulnerabilities=st.none()
    | st.builds(
        lambda found, ignored: VulnerabilityRule(index((FOO, one) for one in found), ignore=tuple(ignored)),
        ADVISORIES,
        st.lists(IGNORED.map(Until.parse), max_size=2),
    ),
    licenses=st.sampled_from([None, LicenseRule(deny=("GPL-*",)), LicenseRule(allow=("MIT",), hide_unknown=False)]),
    exceptions=st.lists(EXCEPTIONS, max_size=2).map(tuple),
)
SINGLE = st.sampled_from(
    ["allow", "deny", "kinds", "yanked", "requires_digest", "vulnerabilities", "licenses", "as_of", "min_age", ""]
)


def of_version(policy: Policy, text: str) -> tuple[Verdict, bool]:
    """Judge a version by itself, and say whether that is the end of it."""
    version, shown = parse_version(text), f"version {text}" if text else "a version that cannot be read"
    for one in policy.exceptions:
        if version == one.version and one.until.holds(NOW):
            reason = f"an exception until {one.until.day}: {one.until.why}"
            return Verdict(served=True, rule="exceptions", reason=reason, changes_at=one.until.ends_at), True
    for pattern in policy.deny:
        if pattern.name != "other" and (version is None or covers(pattern, text)):
            return hidden("deny", f"{shown} is denied by {pattern.text!r}"), True
    allow = [pattern for pattern in policy.allow or () if pattern.name != "other"]
    if policy.allow is not None and not any(covers(pattern, text) for pattern in allow):
        wanted = ", ".join(repr(pattern.text) for pattern in allow) or "nothing"
        return hidden("allow", f"{shown} is not allowed ({wanted} is)"), True
    if policy.vulnerabilities is None:
        return SERVED, False
    verdict = policy.vulnerabilities.judge(FOO, {text: version}, now=NOW).get(text, SERVED)
    return verdict, not verdict.served


def covers(pattern: Pattern, text: str) -> bool:
    version = parse_version(text)
    return not pattern.specifier or (version is not None and pattern.specifier.contains(version, prereleases=True))


def of_file(policy: Policy, file: File, source: str, known: License | None) -> Verdict | None:
    """Give what speaks against a file, by looking at one rule after the other."""
    kind, name, time = kind_of(file.filename), file.filename, file.upload_time
    if policy.kinds is not None and kind not in policy.kinds:
        shown = " and ".join(f"{one}s" for one in sorted(policy.kinds)) or "nothing"
        return hidden("kinds", f"{name} is of kind {kind}; only {shown} are shown")
    if policy.yanked == "hide" and file.yanked is not False:
        return hidden("yanked", f"{name} was yanked" if file.yanked is True else f"{name} was yanked: {file.yanked}")
    if policy.requires_digest and not file.hashes:
        return hidden("requires_digest", f"no digest of {name} is known")
    objection = None if policy.licenses is None else policy.licenses.objection(known)
    if objection is not None:
        return hidden("licenses", f"{name}: {objection}")
    min_age = 0.0 if policy.min_age_exempt else policy.min_age
    if policy.as_of is None and not min_age:
        return None
    if time is None:
        rule = "min_age" if policy.as_of is None else "as_of"
        unknown = hidden(rule, f"{name} has no upload time (says {source}), so its age cannot be told")
        return unknown if policy.hides_unknown_age else None
    uploaded, said = parse_time(time), f"{name} was uploaded {time} (says {source})"
    if policy.as_of is not None and uploaded >= policy.as_of:
        return hidden("as_of", f"{said}; nothing from {shown_time(policy.as_of)} on is shown")
    if uploaded + min_age <= NOW or not min_age:
        return None
    reason = f"{said}, less than {shown_span(min_age)} ago"
    return Verdict(served=False, rule="min_age", reason=reason, changes_at=uploaded + min_age)


def alone(policy: Policy, file: File, source: str, known: License | None) -> Verdict:
    verdict, is_final = of_version(policy, file.version)
    return verdict if is_final else of_file(policy, file, source, known) or verdict


@given(
    files=FILES,
    drawn=RULES,
    single=SINGLE,
    licenses=st.dictionaries(st.sampled_from(["a.whl", "b.whl", "c.tar.gz"]), LICENSES),
    sources=st.lists(st.sampled_from(["public", "shelf"]), min_size=12, max_size=12),
)
def test_files_are_judged_together_as_each_of_them_alone(
    files: Sequence[File], drawn: Policy, single: str, licenses: dict[str, License], sources: list[str]
) -> None:
    """By one rule as by all of them: where many are set, the first ones leave the last little to do."""
    policy = replace(Policy(), **{single: getattr(drawn, single)}) if single else drawn

    verdicts = policy.judge_files(FOO, files, now=NOW, context=Context(sources, licenses))

    assert verdicts == [
        alone(policy, file, source, licenses.get(file.filename)) for file, source in zip(files, sources, strict=False)
    ]


@given(drawn=RULES, versions=st.lists(VERSIONS))
def test_versions_without_files_are_judged_together_as_each_of_them_alone(drawn: Policy, versions: list[str]) -> None:
    verdicts = drawn.judge_versions(FOO, versions, now=NOW)

    is_timed = drawn.as_of is not None or (drawn.min_age > 0 and not drawn.min_age_exempt)
    for version in versions:
        expected, is_final = of_version(drawn, version)
        if is_timed and not is_final and drawn.hides_unknown_age:
            assert verdicts[version].rule == ("min_age" if drawn.as_of is None else "as_of")
        else:
            assert verdicts[version] == expected


@given(advisories=ADVISORIES, texts=st.lists(VERSIONS.filter(bool), unique=True))
def test_advisories_affect_versions_together_as_each_of_them_alone(
    advisories: list[Advisory], texts: list[str]
) -> None:
    versions = {text: Version(text) for text in texts}

    found = {text: affecting for affecting, those in Known(advisories).affecting(versions) for text in those}

    affected = {text: [one for one in advisories if one.affects(version)] for text, version in versions.items()}
    assert found == {text: affecting for text, affecting in affected.items() if affecting}
