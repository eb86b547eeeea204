"""Examines an index: its list, one page in both formats, one byte of a file, and what the page tells."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from proxy.config import Config
from proxy.config.models import SimpleSource
from proxy.doctor.chart import Chart, Means
from proxy.doctor.credential import examine_credential, explain_gap, explain_role
from proxy.doctor.surroundings import describe_address, describe_skew
from proxy.errors import FileGone, SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from proxy.rules.credentials import is_azure_devops
from proxy.simple import as_html, as_json
from proxy.simple.filename import normalize
from proxy.simple.model import File, NormalizedName, Page
from proxy.simple.tolerance import PageUnreadable, sniff
from proxy.sources.azure_devops import FEEDS_URL
from proxy.sources.base import Answer
from proxy.sources.credentials import Keyring
from proxy.sources.redirects import redacted
from proxy.sources.session import Upstream
from proxy.sources.simple_index import ACCEPT, PAGE_LIMIT, SimpleIndex

_JSON = "application/vnd.pypi.simple.v1+json"
_HTML = "application/vnd.pypi.simple.v1+html, text/html;q=0.9"
_FORMATS = {"JSON": (_JSON, "json"), "HTML": (_HTML, "html")}
_LIST_SAMPLE = 1 << 16
"""Bytes: the public list has tens of millions, and a few names are enough."""
_NAME = re.compile(
    rb'"name"\s*:\s*"([A-Za-z0-9._-]{1,100})"|<a\b[^>]*>\s*([A-Za-z0-9._-]{1,100})\s*</a>', re.IGNORECASE
)
_MOST_CLAIMED = 3
_MOST_LISTED = 5
_PARTIAL, _UNSATISFIABLE, _OK = 206, 416, 200
_GONE = frozenset({404, 410})


@dataclass(frozen=True, slots=True)
class _Found:
    """The page that is looked at closely."""

    url: str
    page: Page
    file: File


async def examine_index(chart: Chart, settings: SimpleSource, means: Means) -> None:
    """Examine one index. Raises: SourceError."""
    if settings.offline:
        chart.note("offline = true: it is never asked, and was not now")
        return
    source = means.places.source(chart.name)
    assert isinstance(source, SimpleIndex)  # noqa: S101 - for the type checker: its kind says so
    index = await source.index_url()
    address = await describe_address(index)
    if address:
        chart.note(address)
    if settings.url == "pip":
        chart.note(f"pip's own index: {redacted(index)}")
    await examine_credential(chart, means.places.keyring, index, now=means.clock())
    found = await _find_page(chart, source, settings, means.config)
    if found is None:
        return
    chart.authorised = True
    await _examine_page(chart, source.upstream, found, means)
    await _examine_file(chart, source, found, means.places.keyring)


async def _find_page(chart: Chart, source: SimpleIndex, settings: SimpleSource, config: Config) -> _Found | None:
    """Find a page with files: of the projects that feeds claim of it, else of those that it lists."""
    claimed = list(dict.fromkeys(_claimed(chart.name, config)))[:_MOST_CLAIMED]
    if settings.url == "pip":
        claimed.append(NormalizedName("pip"))
    failure: SourceError | None = None
    listed: list[NormalizedName] | None = None
    try:
        listed = await _sample_list(source)
        chart.authorised = True
    except SourceUnavailable:
        raise
    except SourceError as error:
        failure = error
    found, refusal = await _try_pages(source, [*claimed, *(listed or ())])
    if found is None and (refusal or failure):
        raise refusal or failure or AssertionError
    if refusal is not None:
        chart.warn(f"{refusal.reason}: {refusal.remedy}")
    if found is not None:
        if failure is not None:
            chart.warn(f"its project list is not to be had ({failure.reason}), which project pages do not need")
    elif listed is None:
        tried = f"and none of {', '.join(claimed)} is there" if claimed else "and no project is known that could be"
        remedy = "check the source's `url` (often it ends in /simple/), or claim a project of it in a feed"
        chart.find(f"it has no project list, {tried}", remedy)
    else:
        chart.warn("no page could be tried: it lists no project with files; one that a feed claims of it would do")
    return found


def _claimed(source: str, config: Config) -> Iterator[NormalizedName]:
    for feed in config.feeds.values():
        combined = (project for project, sources in feed.combine.items() if source in sources)
        for pattern in (*feed.claims.get(source, ()), *combined):
            project = normalize(pattern)
            if project is not None:
                yield project


async def _sample_list(source: SimpleIndex) -> list[NormalizedName] | None:
    """Give some names of the project list; `None` where there is no list. Raises: SourceError."""
    url = await source.index_url()
    upstream = source.upstream
    async with upstream.get(url, headers={"Accept": ACCEPT}, expect={_OK, 405, 501, *_GONE}) as response:
        if response.status != _OK:
            return None
        body = bytearray()
        async for part in upstream.stream(response):
            body += part
            if len(body) > _LIST_SAMPLE:
                names = [(found[1] or found[2]).decode() for found in _NAME.finditer(bytes(body))]
                break
        else:
            names = _read_names(upstream.name, bytes(body), response)
    some = names[:: max(1, len(names) // _MOST_LISTED)][:_MOST_LISTED]
    return [project for name in some if (project := normalize(name)) is not None]


def _read_names(source: str, body: bytes, response: aiohttp.ClientResponse) -> list[str]:
    try:
        if sniff(body, response.headers.get("Content-Type")) == "json":
            return as_json.parse_names(body)
        return as_html.parse_names(body, base_url=str(response.url), encoding=response.charset)
    except PageUnreadable as error:
        raise SourceNonsense(
            source,
            f"the project list at {redacted(response.url)} is unreadable: {error.reason}",
            remedy="check that the source's `url` is that of an index, and that a valid credential covers it",
        ) from error


async def _try_pages(
    source: SimpleIndex, projects: Iterable[NormalizedName]
) -> tuple[_Found | None, SourceError | None]:
    """Give the first page with a wheel, else the first with a file; and a refusal that was met on the way."""
    best: _Found | None = None
    refusal: SourceError | None = None
    index = await source.index_url()
    for project in projects:
        try:
            answer = await source.ask(project)
        except (SourceRefused, SourceNonsense) as error:
            refusal = refusal or error
            continue
        if not isinstance(answer, Answer) or not answer.page.files:
            continue
        wheel = next((file for file in reversed(answer.page.files) if file.is_wheel), None)
        if best is None or wheel is not None:
            best = _Found(f"{index.rstrip('/')}/{project}/", answer.page, wheel or answer.page.files[-1])
        if wheel is not None:
            break
    return best, refusal


async def _examine_page(chart: Chart, upstream: Upstream, found: _Found, means: Means) -> None:
    for name, (accept, kind) in _FORMATS.items():
        begun = time.perf_counter()
        # Whoever does not speak it may say so (406), or answer with what it has.
        async with upstream.get(found.url, headers={"Accept": accept}, expect={_OK, 400, 404, 406, 415}) as response:
            body = await upstream.read(response, limit=PAGE_LIMIT)
        if response.status == _OK:
            if chart.latency_ms is None:
                chart.latency_ms = round((time.perf_counter() - begun) * 1000, 1)
            if sniff(body, response.headers.get("Content-Type")) == kind:
                chart.formats.append(name)
    skew = describe_skew(response.headers.get("Date"), means.clock())
    if skew:
        chart.warn(skew)
    if response.url.host != urlsplit(found.url).hostname:
        chart.note(f"its pages are redirected to {response.url.host}")
    files = found.page.files
    chart.hashes = all(file.hashes for file in files)
    chart.metadata = any(file.core_metadata for file in files)
    if not chart.hashes:
        chart.warn("it publishes no digests of all files: what it sends without one cannot be checked")
    aged = [name for name, feed in means.config.feeds.items() if chart.name in feed.sources and feed.rules.min_age]
    if aged and not any(file.upload_time for file in files):
        remedy = f"; a connection for {FEEDS_URL} would tell them" if is_azure_devops(found.url) else ""
        chart.warn(f"its pages have no upload times: `min_age` hides all its files in feed {', '.join(aged)}{remedy}")


async def _examine_file(chart: Chart, source: SimpleIndex, found: _Found, keyring: Keyring) -> None:
    file = found.file
    gap = explain_gap(keyring, found.url, file.url)
    try:
        await _read_one_byte(chart, source.upstream, file)
    except (SourceRefused, SourceNonsense, FileGone) as error:
        if gap is not None:
            chart.authorised = False
            chart.find(*gap)
            return
        chart.fail(error, saying="its files cannot be had")
        hint = explain_role(file.url) if isinstance(error, SourceRefused) else None
        if hint is not None:
            chart.warn(hint)
        return
    except SourceError as error:
        chart.fail(error, saying=f"its files cannot be had{_where(file, error)}")
        return
    if gap is not None:
        chart.note(f"{gap[0]}; they can be had without it")
    if file.core_metadata:
        await _read_sidecar(chart, source, file)


async def _read_one_byte(chart: Chart, upstream: Upstream, file: File) -> None:
    """Ask for one byte of a file that is not its first. Raises: FileGone, SourceError."""
    expect = {_OK, _PARTIAL, _UNSATISFIABLE, *_GONE}
    async with upstream.get(file.url, headers={"Range": "bytes=1-1"}, expect=expect, bulk=True) as response:
        if response.status in _GONE:
            raise FileGone(upstream.name, file.filename)
        if response.status == _OK and response.content_type == "text/html":
            what = f"it sent a web page in place of {file.filename}"
            raise SourceNonsense(upstream.name, what, remedy="check the credential: a sign-in page looks like this")
        chart.ranges = response.status != _OK
    listed_at, had_at = urlsplit(file.url).hostname, response.url.host
    if listed_at != had_at:
        chart.note(f"its files are at {listed_at}, which redirects to {had_at}: both must be open to this machine")
    if not chart.ranges:
        chart.warn("it does not give parts of files: metadata is read out of whole ones")


def _where(file: File, error: SourceError) -> str:
    host = urlsplit(file.url).netloc
    if not isinstance(error, SourceUnavailable) or not host or host in error.reason:
        return ""
    return f" ({host} redirects elsewhere for them, and this machine must reach that as well)"


async def _read_sidecar(chart: Chart, source: SimpleIndex, file: File) -> None:
    try:
        body = await source.read_metadata(file)
    except SourceError as error:
        chart.warn(f"the core metadata that it lists cannot be had: {error.reason}")
        return
    if body is None:
        chart.warn(f"it lists core metadata of {file.filename}, and does not have it")
