"""The one file that knows every part, and the order they are built in.

1. what this machine keeps: the index, the artifacts, the pin ledger; what its processes tell each other;
2. the way out: the session;
3. background tasks, which use all of these and so end before them; the downloads, secrets, credentials;
4. for each source that a feed uses: the source, its inspector, its mirror;
5. the rules; for each feed: its mirrors in order, under its claims and rules;
6. the edge: renderings, answers, the application; `serving/` has it listen.

What opens is entered on one stack, in this order, and closed in the reverse one: the edge stops taking
requests and finishes those it has, then what they used goes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from proxy.config import Config
from proxy.config.models import Feed as FeedSettings
from proxy.config.models import SimpleSource
from proxy.explanation import Explanation
from proxy.feed import Feed
from proxy.feed.explain import explain as explain_project
from proxy.feed.files import Files
from proxy.feed.knowledge import Knowledge
from proxy.feed.licenses import Licenses
from proxy.feed.listing import Lists
from proxy.feed.pinning import Pinning
from proxy.feed.sidecars import Sidecars
from proxy.places import Kept, Mirrors, Places
from proxy.rulebook import Rulebook
from proxy.rules.freshness import SET_BACK
from proxy.rules.ownership import Ownership
from proxy.rules.policy import Policy
from proxy.simple.filename import normalize
from proxy.sources.credentials import Keyring
from proxy.sources.session import Session
from proxy.store.artifacts import Artifacts
from proxy.store.download import Downloads
from proxy.store.index import Index
from proxy.store.neighbours import Neighbours
from proxy.store.pins import Pins
from proxy.tasks import Background
from proxy.telemetry.access import AccessLog
from proxy.telemetry.audit import Audit
from proxy.telemetry.metrics import Metrics
from proxy.web.app import Answer, App
from proxy.web.artifacts import Artifacts as ArtifactAnswers
from proxy.web.operations import Operations
from proxy.web.pages import Pages
from proxy.web.renderings import Renderings
from proxy.web.routes import Kind
from proxy.web.shelf import Shelf

if TYPE_CHECKING:
    from proxy.doctor import Report
    from proxy.feed.rehearsal import Rehearsal
    from proxy.requirements import Wanted

log = structlog.get_logger(__name__)

CREDENTIALS_EVERY = 3600.0
"""Seconds between two looks at when credentials end."""


@dataclass(frozen=True, slots=True)
class Machine:
    """All parts, built and entered."""

    feeds: Mapping[str, Feed]
    app: App
    metrics: Metrics
    shelf: Shelf
    access: AccessLog
    rulebook: Rulebook


class Readiness:
    """Whether the server takes requests."""

    def __init__(self) -> None:
        """Begin as one that does."""
        self.is_ready = True


@asynccontextmanager
async def build(
    config: Config,
    *,
    clock: Callable[[], float] = time.time,
    readiness: Readiness | None = None,
    metrics: Metrics | None = None,
    file: Path | None = None,
) -> AsyncIterator[Machine]:
    """Build all parts of a server for `config`, and take them apart at the end.

    Where it was read from a `file`, its rules are read again whenever that changes.
    """
    readiness = readiness or Readiness()
    metrics = metrics or Metrics()
    async with AsyncExitStack() as stack:
        directory = config.cache.directory
        index = await stack.enter_async_context(Index(directory / "index"))
        artifacts = await stack.enter_async_context(Artifacts(directory / "artifacts", size=config.cache.size))
        neighbours = await stack.enter_async_context(Neighbours(directory))
        pins = await stack.enter_async_context(Pins(config.cache.ledger, tell=metrics.tell_of_pins))
        session = await stack.enter_async_context(Session(observe=metrics.observe_upstream, clock=clock))
        background = await stack.enter_async_context(Background())
        downloads = Downloads(artifacts, background)
        places = await stack.enter_async_context(Places(config, session, background))
        kept = Kept(index, artifacts, neighbours)
        mirrors = Mirrors(config, places, kept, background=background, clock=clock)
        pinning = Pinning(pins, _pinned(config), alarm=metrics.count_pin_alarm, clock=clock, neighbours=neighbours)
        await pinning.open()
        knowledge = Knowledge(Licenses(index, background, clock=clock, neighbours=neighbours), pinning)
        rulebook = Rulebook(config, file=file, metrics=metrics)
        await rulebook.open()
        feeds = {
            name: _feed(name, settings, mirrors, rulebook.policy(name), clock, knowledge)
            for name, settings in config.feeds.items()
        }
        lists = await stack.enter_async_context(Lists(background, clock=clock))
        public_url = str(config.server.public_url) if config.server.public_url else None
        renderings = Renderings(public_url=public_url, clock=clock)
        pages = Pages(renderings, lists, clock=clock)
        files = ArtifactAnswers(
            Files(index, artifacts, downloads, background, pinning=pinning, metrics=metrics),
            Sidecars(index, artifacts, background, neighbours=neighbours),
            metrics,
        )
        operations = Operations(feeds, metrics, public_url=public_url, is_ready=lambda: readiness.is_ready)
        settings = config.audit
        audit = Audit(settings.file, size=settings.size, keep=settings.keep, is_on=settings.enabled)
        access = await stack.enter_async_context(AccessLog(await stack.enter_async_context(audit)))
        shelf = Shelf(clock)
        background.start(_watch_credentials(places.keyring, metrics, clock), name="watching the credentials")
        background.start(_absorb(metrics, shelf), name="counting what the shelf gave")
        heard = [feed.reconsider for feed in feeds.values()] + [renderings.reconsider, shelf.clear]
        background.start(neighbours.listen(heard), name="listening to the neighbours")
        background.start(_watch_clock(clock, heard), name="watching the clock")
        rulebook.govern(feeds, changed=shelf.clear, pins_changed=pinning.changed)
        background.start(rulebook.watch(), name="watching the rules")
        app = App(feeds, _answers(pages, files, operations), metrics=metrics, shelf=shelf, access=access)
        yield Machine(feeds, app, metrics, shelf, access, rulebook)


async def check(config: Config, *, offline: bool) -> Report:
    """Say of each source and workspace whether it works; with `offline`, name them and ask nothing."""
    # What examines sources is of no use to a server.
    from proxy.doctor.examination import examine, unasked  # noqa: PLC0415

    return unasked(config) if offline else await examine(config)


async def explain(config: Config, requirement: str, feed: str) -> Explanation:
    """Say why a feed shows what it shows of a project, as a server with this configuration would."""
    # Of no use to a server either: that one is asked for a name, and for versions.
    from packaging.requirements import Requirement  # noqa: PLC0415

    wanted = Requirement(requirement)
    project = normalize(wanted.name)
    if project is None:
        raise AssertionError("the command line has checked the name")
    async with build(config) as machine:
        return await explain_project(machine.feeds[feed], project, wanted.specifier)


async def rehearse(config: Config, wanted: Sequence[Wanted], feed: str) -> Rehearsal:
    """Say what the rules of a feed would do to a list of requirements."""
    from proxy.feed.rehearsal import rehearse as rehearse_requirements  # noqa: PLC0415 - as above

    async with build(config) as machine:
        return await rehearse_requirements(machine.feeds[feed], wanted)


async def _watch_credentials(keyring: Keyring, metrics: Metrics, clock: Callable[[], float]) -> None:
    """Say of credentials that end soon, or have ended, before the first build of an image does."""
    while True:
        for standing in await keyring.standings():
            if standing.expires is not None:
                metrics.credential_expires.labels(standing.connection).set(standing.expires)
            if words := standing.judge(clock()):
                log.warning(
                    "credential cannot be used, or not for long",
                    connection=standing.connection,
                    reason=words,
                    remedy="put a valid one where the configuration says; wheelgate check tells more",
                )
        await asyncio.sleep(CREDENTIALS_EVERY)


async def _watch_clock(clock: Callable[[], float], reconsider: Sequence[Callable[[], None]]) -> None:
    """Let nothing that is ready be served unasked once the clock was set back: it would be good until far too late."""
    last = clock()
    while True:
        await asyncio.sleep(1)
        now = clock()
        if now < last - SET_BACK:
            log.warning("the clock was set back, everything is looked at again", seconds=round(last - now))
            for each in reconsider:
                each()
        last = now


async def _absorb(metrics: Metrics, shelf: Shelf) -> None:
    try:
        while True:
            await asyncio.sleep(1)
            metrics.absorb(shelf.counts())
            metrics.observe_tasks()
    finally:
        metrics.absorb(shelf.counts())


def _answers(pages: Pages, files: ArtifactAnswers, operations: Operations) -> dict[Kind, Answer]:
    """Give what answers each kind of route."""
    return {
        Kind.ROOT: operations.root,
        Kind.NAMES: pages.names,
        Kind.PAGE: pages.project,
        Kind.FILE: files.file,
        Kind.METADATA: files.metadata,
        Kind.PROVENANCE: files.provenance,
        Kind.LINKS: pages.links,
        Kind.EXPLAIN: operations.explain,
        Kind.LIVEZ: operations.livez,
        Kind.READYZ: operations.readyz,
        Kind.METRICS: operations.metrics,
    }


def _pinned(config: Config) -> frozenset[str]:
    """Give the sources whose files must stay what they were: all upstream ones, and those that say so."""
    return frozenset(
        name
        for name, settings in config.sources.items()
        if isinstance(settings, SimpleSource) or not settings.replaceable
    )


def _feed(
    name: str,
    settings: FeedSettings,
    mirrors: Mirrors,
    policy: Policy,
    clock: Callable[[], float],
    knowledge: Knowledge,
) -> Feed:
    used = {*settings.sources, *(source for group in settings.combine.values() for source in group)}
    ownership = Ownership(settings.sources, settings.claims, settings.combine)
    found = {source: mirrors.mirror(source) for source in used}
    return Feed(name, found, ownership, policy, clock=clock, knowledge=knowledge)
