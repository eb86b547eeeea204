from __future__ import annotations

from datetime import date

import pytest

from proxy.rules.advisories import index, read_entry
from proxy.rules.licenses import LicenseRule, license_of
from proxy.rules.pins import Pin, judge_pin
from proxy.rules.policy import Context, Policy, Verdict
from proxy.rules.until import Until, end_of_day
from proxy.rules.vulnerabilities import VulnerabilityRule
from proxy.simple.model import ProjectStatus
from tests.rules.policies import DAY, NOW, exemption, file, name, patterns, served

OLD = file("foo-1.0-py3-none-any.whl")
SDIST = file("foo-1.0.tar.gz")
NEW = file("foo-2.0-py3-none-any.whl", upload_time="2026-11-21T12:00:00Z")
UNDATED = file("foo-1.5-py3-none-any.whl", upload_time=None)


def test_without_rules_everything_is_served_without_a_look() -> None:
    assert Policy().is_open
    assert served(Policy(), OLD, NEW, UNDATED) == [OLD.filename, NEW.filename, UNDATED.filename]


def test_deny_beats_allow() -> None:
    policy = Policy(allow=patterns("foo"), deny=patterns("foo>=2"))

    assert served(policy, OLD, NEW) == [OLD.filename]
    assert not policy.judge_project(name("bar")).served
    assert policy.judge_project(name("foo")).served


@pytest.mark.parametrize("spelling", ["Foo_Bar", "foo.bar", "FOO-*"])
def test_a_denied_name_is_denied_in_every_spelling(spelling: str) -> None:
    verdict = Policy(deny=patterns(spelling)).judge_project(name("foo-bar"))

    assert (verdict.served, verdict.rule) == (False, "deny")
    assert spelling in verdict.reason


def test_specifiers_include_pre_releases_and_local_versions() -> None:
    local = file("foo-2.0+cu118-py3-none-any.whl")
    pre = file("foo-2.1rc1-py3-none-any.whl")

    assert served(Policy(deny=patterns("foo==2.0")), local, pre) == [pre.filename]
    assert served(Policy(deny=patterns("foo>2")), pre) == []


def test_a_version_that_cannot_be_read_is_not_let_through() -> None:
    odd = file("foo-final-py3-none-any.whl")

    assert served(Policy(deny=patterns("foo<1")), odd) == []
    assert served(Policy(allow=patterns("foo<1")), odd) == []


def test_only_the_kinds_that_are_wanted_are_shown() -> None:
    assert served(Policy(kinds=frozenset({"wheel"})), OLD, SDIST) == [OLD.filename]


def test_a_file_that_is_too_young_is_shown_from_the_very_moment_on() -> None:
    policy = Policy(min_age=3 * DAY)
    (verdict,) = policy.judge_files(name("foo"), [NEW], now=NOW)

    assert verdict.changes_at == NOW + 2 * DAY
    assert verdict.reason == "foo-2.0-py3-none-any.whl was uploaded 2026-11-21T12:00:00Z, less than 3 d ago"
    assert "2026-11-24T12:00:00Z" in verdict.remedy
    assert served(policy, NEW, now=NOW + 2 * DAY - 0.001) == []
    assert served(policy, NEW, now=NOW + 2 * DAY) == [NEW.filename]


def test_the_reason_says_which_source_gave_the_upload_time() -> None:
    policy = Policy(min_age=3 * DAY)
    (verdict,) = policy.judge_files(name("foo"), [NEW], now=NOW, context=Context(sources=["public"]))

    assert "(says public)" in verdict.reason


def test_an_unknown_age_is_hidden_unless_it_is_said_otherwise() -> None:
    assert served(Policy(min_age=DAY), UNDATED) == []
    assert served(Policy(as_of=NOW), UNDATED) == []
    assert served(Policy(min_age=DAY, hides_unknown_age=False), UNDATED) == [UNDATED.filename]
    assert served(Policy(as_of=NOW, hides_unknown_age=False), UNDATED) == [UNDATED.filename]


def test_exempt_projects_may_be_young_but_are_not_exempt_from_a_fixed_date() -> None:
    policy = Policy(min_age=3 * DAY, min_age_exempt=("foo",))

    assert served(policy, NEW, UNDATED) == [NEW.filename, UNDATED.filename]
    assert served(Policy(as_of=NOW - 2 * DAY, min_age_exempt=("foo",)), OLD, NEW) == [OLD.filename]


def test_nothing_from_a_fixed_date_on_is_seen() -> None:
    exactly = file("foo-3.0.tar.gz", upload_time="2026-11-01T00:00:00Z")
    policy = Policy(as_of=end_of_day(date(2026, 10, 31)))

    assert served(policy, OLD, exactly, NEW) == [OLD.filename]


def test_versions_without_files_have_no_age() -> None:
    def of_one(policy: Policy) -> Verdict:
        (verdict,) = policy.judge_versions(name("foo"), ["1.0"], now=NOW).values()
        return verdict

    assert of_one(Policy(as_of=NOW)).rule == "as_of"
    assert of_one(Policy(min_age=DAY)).rule == "min_age"
    assert of_one(Policy(min_age=DAY, min_age_exempt=("foo",))).served
    assert of_one(Policy(min_age=DAY, hides_unknown_age=False)).served
    assert of_one(Policy()).served
    assert not of_one(Policy(deny=patterns("foo<2"))).served
    assert of_one(Policy(min_age=DAY, exceptions=(exemption("foo", "1", "2026-11-30: why"),))).rule == "exceptions"


def test_yanked_files_are_kept_unless_they_are_to_be_hidden() -> None:
    yanked = file("foo-1.0.zip", yanked="broken")

    assert served(Policy(), yanked) == [yanked.filename]
    (verdict,) = Policy(yanked="hide").judge_files(name("foo"), [yanked], now=NOW)
    assert (verdict.rule, verdict.reason) == ("yanked", "foo-1.0.zip was yanked: broken")
    (bare,) = Policy(yanked="hide").judge_files(name("foo"), [file("foo-1.0.zip", yanked=True)], now=NOW)
    assert bare.reason == "foo-1.0.zip was yanked"
    assert served(Policy(yanked="hide"), OLD) == [OLD.filename]


def test_a_file_without_a_digest_can_be_hidden() -> None:
    bare = file("foo-1.0.zip", hashes={})

    assert served(Policy(requires_digest=True), bare, OLD) == [OLD.filename]


@pytest.mark.parametrize("status", ["active", "deprecated", "archived", "quarantined"])
def test_statuses_are_hidden_as_the_rule_says(status: str) -> None:
    said = ProjectStatus(status, "why")

    assert Policy().judge_status(name("foo"), said).served == (status != "quarantined")
    strict = Policy(hidden_statuses=frozenset({"quarantined", "archived"})).judge_status(name("foo"), said)
    assert strict.served == (status in {"active", "deprecated"})
    assert strict.served or strict.reason == f"foo is {status}: why"
    assert Policy().judge_status(name("foo"), None).served


def test_an_exception_lets_one_version_through_up_to_its_day() -> None:
    policy = Policy(deny=patterns("foo"), exceptions=(exemption("foo", "1", "2026-11-30: billing needs it"),))
    end = end_of_day(date(2026, 11, 30))

    verdict, other = policy.judge_files(name("foo"), [OLD, NEW], now=NOW)
    assert (verdict.served, verdict.rule, verdict.changes_at) == (True, "exceptions", end)
    assert verdict.reason == "an exception until 2026-11-30: billing needs it"
    assert not other.served
    assert policy.judge_project(name("foo"), now=NOW).served
    assert served(policy, OLD, now=end) == []
    assert not policy.judge_project(name("foo"), now=end).served
    assert not policy.judge_project(name("foo")).served


@pytest.mark.parametrize("text", ["", "foo until tomorrow: why", "foo until 2026-11-31: why", "foo until 2026-11-30:"])
def test_an_exception_has_a_day_and_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"until|day"):
        Until.parse(text)


VULNERABLE = b"""{"id": "GHSA-1", "aliases": ["CVE-2026-1"], "summary": "Reads too far",
"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
"affected": [{"package": {"ecosystem": "PyPI", "name": "Foo"},
"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.0"}, {"fixed": "2.0"}]}]}]}"""
UNRATED = b"""{"id": "MAL-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "foo"}, "versions": ["2"]}]}"""


def rule(*entries: bytes, **said: object) -> Policy:
    database = index(found for entry in entries for found in read_entry(entry))
    return Policy(vulnerabilities=VulnerabilityRule(database, **said))  # type: ignore[arg-type]


def test_a_vulnerable_version_is_hidden_with_what_there_is_to_know() -> None:
    (verdict, fixed) = rule(VULNERABLE).judge_files(name("foo"), [OLD, NEW], now=NOW)

    assert verdict.rule == "vulnerabilities"
    assert verdict.advisories == ("GHSA-1",)
    assert verdict.reason == "foo 1.0 is affected by GHSA-1 (critical, 9.8, CVE-2026-1): Reads too far; fixed in 2.0"
    assert fixed.served


def test_several_advisories_are_named_the_gravest_first() -> None:
    both = rule(VULNERABLE.replace(b'"2.0"', b'"3.0"'), UNRATED)
    (verdict,) = both.judge_files(name("foo"), [NEW], now=NOW)

    assert verdict.reason == "foo 2.0 is affected by MAL-1 (of unknown severity); also GHSA-1"
    (many,) = rule(*(UNRATED.replace(b"-1", f"-{n}".encode()) for n in range(6))).judge_files(
        name("foo"), [NEW], now=NOW
    )
    assert many.reason.endswith("also MAL-1, MAL-2, MAL-3 and 2 more")


def test_severity_counts_from_the_level_on_that_is_set() -> None:
    medium = VULNERABLE.replace(b"C:H/I:H/A:H", b"C:L/I:N/A:N")

    assert served(rule(medium, severity="medium"), OLD) == []
    assert served(rule(medium, severity="high"), OLD) == [OLD.filename]
    assert served(rule(UNRATED, severity="critical"), NEW) == []
    assert served(rule(UNRATED, severity="critical", hides_unknown_severity=False), NEW) == [NEW.filename]


def test_an_advisory_is_ignored_by_any_of_its_names_up_to_a_day() -> None:
    ignoring = rule(VULNERABLE, ignore=(Until.parse("CVE-2026-1 until 2026-11-30: not reachable"),))
    end = end_of_day(date(2026, 11, 30))

    (verdict,) = ignoring.judge_files(name("foo"), [OLD], now=NOW)
    assert (verdict.served, verdict.changes_at) == (True, end)
    assert "GHSA-1 is ignored until 2026-11-30: not reachable" in verdict.reason
    assert served(ignoring, OLD, now=end) == []


def test_without_a_database_nothing_can_be_said_to_be_safe() -> None:
    lost = Policy(vulnerabilities=VulnerabilityRule(None, trouble="all.zip: no such file"))
    (verdict,) = lost.judge_files(name("foo"), [OLD], now=NOW)

    assert "all.zip: no such file" in verdict.reason


def test_a_version_that_cannot_be_read_is_hidden_where_the_project_has_advisories() -> None:
    odd = file("foo-final-py3-none-any.whl")

    assert served(rule(VULNERABLE), odd) == []
    assert served(rule(VULNERABLE), odd, project="bar") == [odd.filename]


def test_a_license_is_judged_where_it_is_known_and_hidden_where_it_is_not() -> None:
    policy = Policy(licenses=LicenseRule(allow=("MIT",)))
    known = {OLD.filename: license_of(b"License-Expression: MIT\n\n"), NEW.filename: license_of(b"License: X\n\n")}

    verdicts = policy.judge_files(name("foo"), [OLD, NEW, UNDATED], now=NOW, context=Context(licenses=known))

    assert [one.served for one in verdicts] == [True, False, False]
    assert verdicts[2].reason.endswith("its license is not known here")


def test_every_verdict_that_hides_says_what_to_do() -> None:
    hidden = [
        Policy(deny=patterns("foo")).judge_project(name("foo")),
        *Policy(min_age=999 * DAY).judge_files(name("foo"), [OLD], now=NOW),
        *Policy(yanked="hide").judge_files(name("foo"), [file("foo-1.0.zip", yanked=True)], now=NOW),
    ]

    assert all("ask the people who run this index" in verdict.remedy for verdict in hidden)
    assert Policy().judge_project(name("foo")).remedy == ""


@pytest.mark.parametrize("text", ["", "==1", "foo bar", "foo=="])
def test_an_entry_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        patterns(text)


def test_an_allowed_project_is_served_by_the_entries_that_name_it_alone() -> None:
    policy = Policy(allow=patterns("foo<2", "bar", "fo*>=3"))
    third = file("foo-3.0-py3-none-any.whl")

    assert served(policy, OLD, NEW, third) == [OLD.filename, third.filename]
    (verdict,) = policy.judge_files(name("foo"), [NEW], now=NOW)
    assert verdict.reason == "version 2.0 is not allowed ('foo<2', 'fo*>=3' is)"
    assert served(Policy(allow=()), OLD) == []


def test_a_file_is_held_to_the_bytes_that_were_first_served() -> None:
    same, other = Pin("public", "foo", OLD.filename, "0" * 64, NOW), Pin("public", "foo", OLD.filename, "1" * 64, NOW)
    bare = file(OLD.filename, hashes={})

    assert judge_pin(OLD, None).served
    assert judge_pin(OLD, same).served
    assert judge_pin(bare, other).served
    verdict = judge_pin(OLD, other)
    assert verdict.rule == "pins"
    assert "first served it at 2026-11-22T12:00:00Z" in verdict.reason
    assert "tell the people who run this index" in verdict.remedy
    found = Pin("public", "foo", OLD.filename, "1" * 64, NOW, found="2" * 64, found_at=NOW)
    assert not judge_pin(bare, found).served
