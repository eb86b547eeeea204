"""The rules in force: made of the configuration and of what it names, and made again when those change.

What fails to load changes nothing: the rules before it stay in force, and the log, a metric and `explain` say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import structlog

from proxy.advisories import Database
from proxy.config import Config, Rules, load
from proxy.config.rules import Licenses, Vulnerabilities
from proxy.errors import ConfigurationInvalid
from proxy.feed import Feed
from proxy.rules.licenses import LicenseRule
from proxy.rules.patterns import Pattern, parse_version
from proxy.rules.policy import Exemption, Policy
from proxy.rules.until import Until
from proxy.rules.vulnerabilities import VulnerabilityRule
from proxy.simple.filename import normalize
from proxy.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

EVERY = 5.0
"""Seconds between two looks at whether anything changed."""


class Rulebook:
    """Makes the policies of all feeds, and keeps them up to date."""

    def __init__(self, config: Config, *, file: Path | None, metrics: Metrics) -> None:
        """Make rules of `config`, which was read from `file`, where that is one."""
        self._rules = {name: feed.rules for name, feed in config.feeds.items()}
        self._file = file
        self._metrics = metrics
        self._databases: dict[Path, Database] = {}
        self._stamp: object = None
        self._trouble = ""
        self._feeds: Mapping[str, Feed] = {}
        self._changed: Callable[[], None]
        self._pins_changed: Callable[[], Awaitable[bool]]

    async def open(self) -> None:
        """Read what the rules name, for the first time."""
        self._stamp = await asyncio.to_thread(_stamp_of, self._file)
        await self._refresh_databases()

    def policy(self, feed: str) -> Policy:
        """Give the policy of a feed as it is to be now."""
        rules = self._rules[feed]
        database = None if rules.vulnerabilities is None else self._databases.get(rules.vulnerabilities.database)
        return policy_of(rules, database)

    def govern(
        self, feeds: Mapping[str, Feed], *, changed: Callable[[], None], pins_changed: Callable[[], Awaitable[bool]]
    ) -> None:
        """Let these feeds have new rules whenever there are any, and call `changed` then."""
        self._feeds = feeds
        self._changed = changed
        self._pins_changed = pins_changed
        self._tell()

    async def watch(self) -> None:
        """Look again and again; never ends."""
        while True:
            await asyncio.sleep(EVERY)
            await self.look()

    async def look(self) -> None:
        """Look once whether the rules, or what they know, have changed; then everything is judged anew."""
        changed = [await self._reload(), await self._refresh_databases(), await self._pins_changed()]
        if not any(changed):
            return
        for name, feed in self._feeds.items():
            feed.adopt(self.policy(name))
        self._tell()
        self._changed()

    async def _reload(self) -> bool:
        """Read the configuration again where it changed, and say whether it did."""
        stamp = await asyncio.to_thread(_stamp_of, self._file)
        if self._file is None or stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            config = await asyncio.to_thread(load, self._file)
        except ConfigurationInvalid as error:
            self._keep("; ".join(str(problem) for problem in error.problems))
            return True
        missing = [name for name in self._rules if name not in config.feeds]
        if missing:
            self._keep(f"there is no feed {', '.join(missing)} any more; SIGHUP or a restart takes one away")
            return True
        new = {name: config.feeds[name].rules for name in self._rules}
        log.info("rules read again", changed=[name for name, rules in new.items() if rules != self._rules[name]])
        self._rules = new
        self._trouble = ""
        return True

    def _keep(self, reason: str) -> None:
        log.error(
            "rules are kept as they were",
            file=str(self._file),
            reason=reason,
            remedy=f"correct the file; wheelgate check --offline --config {self._file} shows what is wrong with it",
        )
        self._trouble = f"the rules that were last written cannot be used, those before them stay in force: {reason}"

    async def _refresh_databases(self) -> bool:
        named = {rules.vulnerabilities.database for rules in self._rules.values() if rules.vulnerabilities is not None}
        self._databases = {path: self._databases.get(path) or Database(path) for path in named}
        refreshed = [await database.refresh() for database in self._databases.values()]
        return any(refreshed)

    def _tell(self) -> None:
        for name, feed in self._feeds.items():
            wanted = self._rules[name].vulnerabilities
            database = None if wanted is None else self._databases.get(wanted.database)
            old = f"the vulnerability database is not the newest: {database.trouble}" if database else ""
            feed.trouble = "; ".join(
                part for part in (self._trouble, old if database and database.trouble else "") if part
            )
            self._metrics.rules_stale.labels(name).set(bool(feed.trouble))


def policy_of(rules: Rules, database: Database | None = None) -> Policy:
    """Give the rules of a feed as they are judged by."""
    return Policy(
        allow=None if rules.allow is None else tuple(Pattern.parse(text) for text in rules.allow),
        deny=tuple(Pattern.parse(text) for text in rules.deny),
        min_age=rules.min_age,
        min_age_exempt=tuple(rules.min_age_exempt),
        kinds=None if rules.kinds is None else frozenset(rules.kinds),
        as_of=rules.as_of,
        hides_unknown_age=rules.unknown_age == "hide",
        yanked=rules.yanked,
        hidden_statuses=rules.status.hidden,
        requires_digest=rules.requires_digest,
        vulnerabilities=None if rules.vulnerabilities is None else _vulnerabilities(rules.vulnerabilities, database),
        licenses=None if rules.licenses is None else _licenses(rules.licenses),
        exceptions=tuple(_exemption(text) for text in rules.exceptions),
    )


def _vulnerabilities(rule: Vulnerabilities, database: Database | None) -> VulnerabilityRule:
    return VulnerabilityRule(
        None if database is None else database.advisories,
        None if rule.severity == "any" else rule.severity,
        hides_unknown_severity=rule.unknown_severity == "hide",
        ignore=tuple(Until.parse(text) for text in rule.ignore),
        trouble="" if database is None else database.trouble,
    )


def _licenses(rule: Licenses) -> LicenseRule:
    return LicenseRule(rule.allow, rule.deny, hide_unknown=rule.unknown == "hide")


def _exemption(text: str) -> Exemption:
    until = Until.parse(text)
    named = Pattern.parse(until.what)
    (specifier,) = named.specifier
    project, version = normalize(named.name), parse_version(specifier.version)
    if project is None or version is None:
        raise ValueError(f"{until.what!r} names no version of a project")
    return Exemption(project, version, until)


def _stamp_of(file: Path | None) -> object:
    try:
        about = None if file is None else file.stat()
    except OSError:
        return None
    return None if about is None else (about.st_ino, about.st_size, about.st_mtime_ns)
