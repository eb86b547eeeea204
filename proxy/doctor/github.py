"""Examines the releases of repositories: each one's list, the quota that is left, one byte of an asset."""

from __future__ import annotations

import time

from proxy.config.models import GithubSource
from proxy.doctor.chart import Chart, Means, counted
from proxy.doctor.credential import examine_credential
from proxy.doctor.surroundings import describe_address, describe_skew
from proxy.errors import FileGone, SourceError, SourceRefused
from proxy.simple.model import File
from proxy.sources.github import GitHubReleases, github_source
from proxy.sources.session import Upstream

_LOW = 100
"""Requests that are left of a quota, from which on it is worth a word."""


async def examine_repositories(chart: Chart, settings: GithubSource, means: Means) -> None:
    """Examine all repositories of a source. Raises: SourceError."""
    if settings.offline:
        chart.note("offline = true: it is never asked, and was not now")
        return
    address = await describe_address(settings.api_url)
    if address:
        chart.note(address)
    first = settings.every_repository[0]
    await examine_credential(
        chart, means.places.keyring, f"{settings.api_url.rstrip('/')}/repos/{first}", now=means.clock()
    )
    files: list[File] = []
    for repository in settings.every_repository:
        files += await _examine_repository(chart, settings, repository, means)
    if chart.authorised is None and not chart.problems:
        chart.authorised = True
    if files:
        chart.hashes = all(file.sha256 for file in files)
        if not chart.hashes:
            without = sum(file.sha256 is None for file in files)
            chart.note(
                f"{counted(without, 'digest')} to be computed from whole files, once: GitHub has none of older ones"
            )
    await _examine_quota(chart, settings, means)


async def _examine_repository(chart: Chart, settings: GithubSource, repository: str, means: Means) -> list[File]:
    """List one repository's files; a refusal keeps the others from nothing. Raises: SourceError."""
    source = github_source(
        chart.name,
        settings.model_copy(update={"repository": repository, "repositories": ()}),
        session=means.session,
        keyring=means.places.keyring,
    )
    begun = time.perf_counter()
    try:
        listing = await source.list(None)
    except SourceRefused as error:
        chart.fail(error)
        return []
    if chart.latency_ms is None:
        chart.latency_ms = round((time.perf_counter() - begun) * 1000, 1)
    files = [file for project in listing.projects.values() for file in project]
    chart.note(f"{repository}: {counted(len(files), 'file')} of {counted(len(listing.projects), 'project')}")
    if not files:
        chart.warn(f"no release of {repository} has a wheel or an sdist: attach some, or leave it out")
    elif chart.ranges is None:
        await _read_one_byte(chart, source, files[0])
    return files


async def _read_one_byte(chart: Chart, source: GitHubReleases, file: File) -> None:
    try:
        async with source.open(file, start=1, end=2) as body:
            chart.ranges = body.start == 1
    except FileGone:
        chart.note(f"{file.filename} went while it was asked for")
    except SourceError as error:
        chart.fail(error, saying="its files cannot be had (the API redirects to a storage host for them)")


async def _examine_quota(chart: Chart, settings: GithubSource, means: Means) -> None:
    """Ask how many requests are left, which costs none. Source: GitHub REST API, "Rate limits for the REST API"."""
    upstream = Upstream(
        means.session,
        name=chart.name,
        credentials=means.places.keyring.for_source(chart.name, prefer_bearer=True),
        timeout=settings.timeout,
        ca_file=settings.ca_file,
        allow_http=settings.allow_http,
    )
    try:
        # A company's own server may have no quota, and then not this page either.
        url = f"{settings.api_url.rstrip('/')}/rate_limit"
        async with upstream.get(url, expect=range(200, 500)) as response:
            left, limit = (response.headers.get(f"X-RateLimit-{key}", "") for key in ("Remaining", "Limit"))
    except SourceError as error:
        chart.warn(f"its quota could not be asked for: {error.reason}")
        return
    skew = describe_skew(response.headers.get("Date"), means.clock())
    if skew:
        chart.warn(skew)
    if not left.isdecimal():
        return
    chart.note(f"quota: {left} of {limit} requests an hour are left")
    if int(left) < _LOW:
        chart.warn(f"only {left} requests of its quota are left: raise `refresh`, or give it a token of its own")
