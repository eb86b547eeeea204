"""Examines a container: the address of its account, the credential, one answer of the list, one byte of a blob."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from proxy.config.models import AzureBlobSource
from proxy.config.values import ManagedIdentity
from proxy.doctor.chart import Chart, Means, counted
from proxy.doctor.surroundings import describe_address, describe_skew
from proxy.errors import FileGone, SourceError, SourceRefused
from proxy.simple.model import File
from proxy.sources.azure_access import STORAGE_SCOPE, Request, account_of
from proxy.sources.azure_account import Account
from proxy.sources.azure_blob import AzureBlob
from proxy.sources.azure_layouts import as_folder, read_file
from proxy.sources.azure_listing import Blob
from proxy.sources.connections import SOON, parse_time
from proxy.sources.identity import read_claims

_AT_ONCE = "1000"
_MOST_ANSWERS = 3
"""Answers of a list that are read until a wheel comes: a mirror's tree begins with other things."""


async def examine_container(chart: Chart, settings: AzureBlobSource, means: Means) -> None:
    """Examine one container. Raises: SourceError."""
    if settings.offline:
        chart.note("offline = true: it is never asked, and was not now")
        return
    source = means.places.source(chart.name)
    assert isinstance(source, AzureBlob)  # noqa: S101 - for the type checker: its kind says so
    endpoint = await source.account.access.endpoint() or settings.account_url or ""
    address = await describe_address(endpoint)
    if address:
        chart.note(address)
    flaws = await _examine_credential(chart, settings, source.account, endpoint, means)
    try:
        blobs = await _list(chart, source.account, as_folder(settings.prefix), means)
        chart.authorised = True
        files = [found[1] for blob in blobs if (found := read_file(blob)) is not None]
        _judge(chart, settings, blobs, files)
        if files:
            await _read_one_byte(chart, source, max(files, key=lambda file: file.size or 0))
    except SourceRefused as error:
        # What the signature itself says is wrong comes first: it tells more than that it was refused.
        for flaw in flaws:
            chart.find(flaw, "make a new SAS with the permissions read and list, and put it where the old one is")
        chart.fail(error, saying="its files cannot be had" if chart.latency_ms is not None else "")
        return
    for flaw in flaws:
        chart.warn(f"{flaw}, and yet it was let in")


async def _examine_credential(
    chart: Chart, settings: AzureBlobSource, account: Account, endpoint: str, means: Means
) -> list[str]:
    """Get the credential, and say whose it is and until when; give what it says itself is wrong with it.

    Raises: SourceError where it cannot be had.
    """
    label = account.access.label
    admitted = await account.access.admit(Request("GET", endpoint, {}, account_of(endpoint)))
    said = label
    flaws: list[str] = []
    match settings.credential:
        case "default" | "managed-identity" | "workload-identity" | ManagedIdentity():
            claims = read_claims(await means.places.tokens_of(settings.credential).token(STORAGE_SCOPE))
            said = f"{label}: {claims}" if claims else label
        case _:
            said, flaws = _examine_signature(chart, label, admitted, means.clock())
    chart.note(f"credential: {said}")
    if settings.write_back:
        chart.note("write_back = true: the role must be Storage Blob Data Contributor, which was not tried")
    return flaws


def _examine_signature(chart: Chart, label: str, admitted: Request, now: float) -> tuple[str, list[str]]:
    """Read what a shared access signature says of itself; never what is signed.

    Source: Azure Storage, "Create a service SAS": `se` (expiry), `sp` (permissions).
    """
    query = parse_qs(urlsplit(admitted.url).query)
    permissions, expires = query.get("sp", [""])[0], parse_time(query.get("se", [""])[0])
    lacking = [word for letter, word in (("r", "read"), ("l", "list")) if permissions and letter not in permissions]
    flaws = [f"the SAS lacks the permission {' and '.join(lacking)}"] if lacking else []
    if expires is None:
        return label, flaws
    day = f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%d %H:%M} UTC"
    if expires <= now:
        flaws.insert(0, f"the SAS expired on {day}")
    elif expires - now < SOON:
        chart.warn(f"the SAS expires soon, on {day}: make a new one")
    return f"{label}, until {day}", flaws


async def _list(chart: Chart, account: Account, root: str, means: Means) -> list[Blob]:
    blobs: list[Blob] = []
    marker = ""
    for _ in range(_MOST_ANSWERS):
        query = {"restype": "container", "comp": "list", "include": "metadata", "maxresults": _AT_ONCE}
        query |= {key: value for key, value in {"prefix": root, "marker": marker}.items() if value}
        begun = time.perf_counter()
        async with account.request("GET", None, query=query) as response:
            body = [bytes(part) async for part in account.stream(response)]
        if chart.latency_ms is None:
            chart.latency_ms = round((time.perf_counter() - begun) * 1000, 1)
            skew = describe_skew(response.headers.get("Date"), means.clock())
            if skew:
                chart.warn(skew)
        answer = await account.read_list(body)
        blobs += answer.blobs
        marker = answer.marker
        if not marker or any(read_file(blob) for blob in answer.blobs):
            break
    return blobs


def _judge(chart: Chart, settings: AzureBlobSource, blobs: list[Blob], files: list[File]) -> None:
    where = f"the folder {settings.prefix}" if settings.prefix.strip("/") else f"the container {settings.container}"
    if not files:
        seen = f"no wheel or sdist is among the first {len(blobs)} blobs of" if blobs else "nothing is in"
        chart.warn(f"{seen} {where}: check `container` and `prefix`, or put some there")
        return
    told = sum(file.sha256 is not None for file in files)
    chart.hashes = told == len(files)
    chart.note(f"{counted(len(files), 'file')} among the first {len(blobs)} blobs, {told} of them with a digest")
    if not chart.hashes:
        how = "" if settings.write_back else "; write_back = true keeps them with the blobs"
        chart.note(f"{counted(len(files) - told, 'digest')} to be computed from whole files, once{how}")


async def _read_one_byte(chart: Chart, source: AzureBlob, file: File) -> None:
    """Read a byte that is not the first: who may list may not read, with some roles and signatures.

    Raises: SourceRefused.
    """
    try:
        async with source.open(file, start=1, end=2) as body:
            chart.ranges = body.start == 1
    except FileGone:
        chart.note(f"{file.filename} went while it was asked for")
    except SourceRefused:
        raise
    except SourceError as error:
        chart.fail(error, saying="its files cannot be had")
