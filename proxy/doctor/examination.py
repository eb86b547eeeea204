"""Examines all sources, workspaces and databases of a configuration at once, each within its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, assert_never

from proxy.config import Config
from proxy.config.models import AzureBlobSource, DirectorySource, GithubSource, SimpleSource, Source
from proxy.doctor.advisories import examine_database
from proxy.doctor.azure import examine_container
from proxy.doctor.chart import Answers, Chart, Means
from proxy.doctor.directory import examine_directory
from proxy.doctor.github import examine_repositories
from proxy.doctor.ledger import examine_ledger
from proxy.doctor.report import Report
from proxy.doctor.simple import examine_index
from proxy.doctor.workspace import examine_workspace
from proxy.errors import WheelgateError
from proxy.places import Places
from proxy.rules.credentials import covers
from proxy.sources.azure_devops import FEEDS_URL
from proxy.sources.credentials import CATEGORY
from proxy.sources.session import Session
from proxy.tasks import Background

BOUND = 20.0
"""Seconds for each row."""
_WORKSPACE = "workspace"
_ADVISORIES = "advisories"
_LEDGER = "ledger"


def unasked(config: Config) -> Report:
    """Give a row for each source, workspace and database, of which nothing was asked."""
    return Report(tuple(chart.row() for chart in _charts(config)))


async def examine(config: Config, *, bound: float = BOUND, clock: Callable[[], float] = time.time) -> Report:
    """Ask every source and workspace, also those that no feed uses, each for at most `bound` seconds."""
    answers = Answers()
    charts = _charts(config)
    async with Background() as background, Session(observe=answers, clock=clock) as session:
        means = Means(config, session, Places(config, session, background), answers, clock)
        async with asyncio.TaskGroup() as group:
            for chart in charts:
                group.create_task(_examine_within(bound, chart, _examination(chart, means), answers))
        warnings = _idle_connections(config)
    ledger = Chart(str(config.cache.ledger), _LEDGER)
    await _examine_within(bound, ledger, examine_ledger(ledger, config.cache.ledger), answers)
    # As long as it can be used it is of no interest to who asks about sources.
    charts += [ledger] if ledger.problems else []
    return Report(tuple(chart.row() for chart in charts), tuple(warnings))


def _charts(config: Config) -> list[Chart]:
    sources = [Chart(name, settings.kind) for name, settings in config.sources.items()]
    named = [feed.rules.vulnerabilities.database for feed in config.feeds.values() if feed.rules.vulnerabilities]
    databases = [Chart(str(path), _ADVISORIES) for path in dict.fromkeys(named)]
    return sources + [Chart(name, _WORKSPACE) for name in config.workspaces] + databases


def _examination(chart: Chart, means: Means) -> Coroutine[Any, Any, None]:
    if chart.kind == _WORKSPACE:
        return examine_workspace(chart, means)
    if chart.kind == _ADVISORIES:
        return examine_database(chart, Path(chart.name))
    settings: Source = means.config.sources[chart.name]
    match settings:
        case SimpleSource():
            return examine_index(chart, settings, means)
        case AzureBlobSource():
            return examine_container(chart, settings, means)
        case GithubSource():
            return examine_repositories(chart, settings, means)
        case DirectorySource():
            return examine_directory(chart, settings)
        case _:
            assert_never(settings)


async def _examine_within(bound: float, chart: Chart, work: Coroutine[Any, Any, None], answers: Answers) -> None:
    try:
        async with asyncio.timeout(bound):
            await work
    except TimeoutError:
        chart.find(f"not all was answered within {bound:g} s", "check that it is up, and how busy it and the way are")
    except WheelgateError as error:
        chart.fail(error)
    except Exception as error:  # noqa: BLE001 - what is odd about one must not cost the rows of all others
        chart.find(f"something unforeseen: {type(error).__name__}: {error}", "tell the people who make Wheelgate")
    if chart.reachable is None:
        asked_as = f"workspace {chart.name}" if chart.kind == _WORKSPACE else chart.name
        chart.reachable = answers.of(asked_as)


def _idle_connections(config: Config) -> list[str]:
    """Say which connections are for no source that is known."""
    urls = [url for settings in config.sources.values() if (url := _url_of(settings)) is not None]
    warnings = []
    for name, connection in config.connections.items():
        if connection.category != CATEGORY:
            warnings.append(f"connection {name} counts for nothing: its category is not {CATEGORY}")
        # Where pip's own index is, is not known here, nor is every host that files may be at.
        elif "pip" not in urls and all(covers(connection.target, url) is None for url in (*urls, FEEDS_URL)):
            warnings.append(f"connection {name} covers the `url` of no source: its target is {connection.target}")
    return warnings


def _url_of(settings: Source) -> str | None:
    match settings:
        case SimpleSource():
            return settings.url
        case GithubSource():
            return settings.api_url
        case _:
            return None
