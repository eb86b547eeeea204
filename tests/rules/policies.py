"""Policies and files as the tests of rules write them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from proxy.rules.patterns import Pattern, parse_version
from proxy.rules.policy import Exemption, Policy
from proxy.rules.until import Until
from proxy.simple.filename import normalize, version_of
from proxy.simple.model import File, NormalizedName

NOW = datetime.fromisoformat("2026-11-22T12:00:00Z").timestamp()
DAY = 86_400.0


def name(text: str) -> NormalizedName:
    normalized = normalize(text)
    assert normalized is not None
    return normalized


def file(filename: str, **said: Any) -> File:
    said.setdefault("hashes", {"sha256": "0" * 64})
    said.setdefault("upload_time", "2026-01-01T00:00:00Z")
    project = filename.partition("-")[0]
    return File(filename, f"https://files.example/{filename}", version_of(filename, name(project)), **said)


def patterns(*texts: str) -> tuple[Pattern, ...]:
    return tuple(Pattern.parse(text) for text in texts)


def exemption(project: str, version: str, until: str) -> Exemption:
    parsed = parse_version(version)
    assert parsed is not None
    return Exemption(name(project), parsed, Until.parse(f"{project}=={version} until {until}"))


def served(policy: Policy, *files: File, project: str = "foo", now: float = NOW) -> list[str]:
    verdicts = policy.judge_files(name(project), files, now=now)
    return [one.filename for one, verdict in zip(files, verdicts, strict=True) if verdict.served]
