"""Row 20: how long the rules of a feed, all of them set, take over a page of 20,000 files."""

from __future__ import annotations

import itertools
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.load import WrongAnswer
from bench.model import Finding, Goal
from bench.stage import Stage
from proxy.advisories import Database
from proxy.config.rules import Rules
from proxy.feed.page import Beside, judge
from proxy.rulebook import policy_of
from proxy.rules.advisories import Advisories, index, read_entry
from proxy.rules.licenses import License, license_of
from proxy.rules.merge import Merged
from proxy.rules.patterns import parse_version
from proxy.rules.policy import Policy
from proxy.simple.filename import normalize
from proxy.simple.model import File

_VERSIONS, _OF_EACH = 2_000, 10
_ADVISORIES = 100
_NOW = 1_795_000_000.0
_WITHIN = Goal(50.0, 30.0, "ms")
_RULES = {
    "allow": [f"project-{number}" for number in range(2_000)] + ["acme*"],
    "deny": [f"denied-{number}==1.0" for number in range(2_000)] + ["acme==7.7"],
    "exceptions": ["acme==3.3 until 2026-12-31: it is measured"],
    "min_age": "3 d",
    "as_of": "2026-11-01",
    "kinds": ["wheel", "sdist"],
    "yanked": "hide",
    "requires_digest": True,
    "status": {"archived": "hide", "deprecated": "hide"},
    "vulnerabilities": {"database": "/nowhere", "severity": "low"},
    "licenses": {"allow": ["MIT", "BSD-*"], "deny": ["AGPL-*"], "unknown": "hide"},
}


def judging(stage: Stage) -> list[Finding]:
    """Row 20."""
    project = normalize("acme")
    if project is None:
        raise AssertionError("acme is a name")
    files = _files()
    merged = Merged(project, tuple((file, "public") for file in files), (), None, {})
    beside = Beside(licenses=_licenses(files))
    advisories = _advisories()
    first, again = [], []
    for _ in range(max(5, stage.options.rounds)):
        policy = policy_of(Rules.model_validate(_RULES), _database(advisories))
        parse_version.cache_clear()
        first.append(_milliseconds(merged, policy, beside))
        again.append(_milliseconds(merged, policy, beside))
    what = f"all rules over a page of {len(files):,} files in {_VERSIONS:,} versions"
    return [
        Finding(f"{what}, for the first time", median(first), None, unit="ms"),
        Finding(f"{what}, again", median(again), _WITHIN, unit="ms"),
    ]


def _milliseconds(merged: Merged, policy: Policy, beside: Beside) -> float:
    started = time.process_time()
    entries = judge(merged, policy, beside, now=_NOW)
    spent = time.process_time() - started
    if not 0 < sum(entry.verdict.served for entry in entries.values()) < len(entries):
        raise WrongAnswer("the rules hide nothing, or everything")
    return spent * 1e3


def _files() -> list[File]:
    """Give files of which a few are too young, yanked, or without a digest."""
    listed = []
    for number, of_version in itertools.product(range(_VERSIONS), range(_OF_EACH)):
        version = f"{number // 100}.{number % 100}"
        age = (_VERSIONS - number) * 3_600.0
        listed.append(
            File(
                f"acme-{version}-cp3{of_version}-none-any.whl" if of_version else f"acme-{version}.tar.gz",
                "https://files.example/acme",
                version,
                hashes={"sha256": f"{number:064x}"} if number % 97 else {},
                yanked=number % 89 == 0,
                upload_time=datetime.fromtimestamp(_NOW - age, UTC).isoformat().replace("+00:00", "Z"),
            )
        )
    return listed


def _licenses(files: list[File]) -> dict[str, License]:
    said = [
        license_of(f"Metadata-Version: 2.4\nLicense-Expression: {one}\n\n".encode()) for one in ("MIT", "AGPL-3.0-only")
    ]
    return {file.filename: said[number % 20 == 0] for number, file in enumerate(files)}


def _advisories() -> Advisories:
    """Give advisories of the project, each about a short span of its versions."""
    found = []
    for number in range(_ADVISORIES):
        events = [{"introduced": f"{number % 20}.{number % 90}"}, {"fixed": f"{number % 20}.{number % 90 + 2}"}]
        affected = {
            "package": {"ecosystem": "PyPI", "name": "acme"},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }
        said = {"id": f"X-{number}", "affected": [affected], "database_specific": {"severity": "HIGH"}}
        found += list(read_entry(json.dumps(said).encode()))
    return index(found)


def _database(advisories: Advisories) -> Database:
    database = Database(Path("/nowhere"))
    database.advisories = advisories
    return database
