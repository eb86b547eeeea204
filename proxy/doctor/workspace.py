"""Examines a workspace: the token, the list of its connections, the secret of each, and which of them count."""

from __future__ import annotations

import time
from contextlib import suppress

from proxy.doctor.chart import Chart, Means
from proxy.doctor.surroundings import describe_address
from proxy.errors import SourceError
from proxy.sources.identity import read_claims
from proxy.sources.redirects import redacted


async def examine_workspace(chart: Chart, means: Means) -> None:
    """Examine one workspace. Raises: SourceError."""
    settings = means.config.workspaces[chart.name]
    root = settings.management_url.rstrip("/")
    address = await describe_address(root)
    if address:
        chart.note(address)
    # Why there is no token, the reading says; sources wait for it, whatever becomes of it.
    with suppress(SourceError):
        claims = read_claims(await means.places.tokens_of(settings.credential).token(f"{root}/.default"))
        chart.note(f"credential: {claims or 'a token that does not say whose it is'}")
    workspace = next(known for known in means.places.keyring.workspaces if known.name == chart.name)
    begun = time.perf_counter()
    await workspace.read()
    chart.latency_ms = round((time.perf_counter() - begun) * 1000, 1)
    chart.authorised = True
    if not workspace.held:
        chart.warn("no connection of it counts: a feed's has the category PythonFeed and a known type")
    for held in workspace.held:
        standing = await held.credential.describe()
        if standing.problem is not None:
            chart.fail(standing.problem)
            continue
        chart.note(f"{held.label} ({standing.what}) is for {redacted(held.target)}")
        doubt = standing.judge(means.clock())
        if doubt:
            chart.warn(f"{held.label}: {doubt}; make a new one and store it in the workspace")
