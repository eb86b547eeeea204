"""The credential of a source that is let in by connections: which one, whose, until when, and what it covers."""

from __future__ import annotations

from proxy.doctor.chart import Chart
from proxy.rules.credentials import Place, is_azure_devops, place_of
from proxy.sources.connections import Held
from proxy.sources.credentials import Keyring
from proxy.sources.redirects import redacted

_DEFAULT_PORTS = {"http": 80, "https": 443}


async def examine_credential(chart: Chart, keyring: Keyring, url: str, *, now: float) -> None:
    """Say what there is for `url`. Raises: SourceError where there should be one, and it cannot be had."""
    standing = await keyring.describe(url)
    if standing is None:
        unread = [workspace.name for workspace in keyring.workspaces if workspace.problem is not None]
        doubt = f", but workspace {', '.join(unread)} could not be read and may hold one" if unread else ""
        chart.note(f"no credential: no connection covers {redacted(url)}{doubt}")
        return
    if standing.problem is not None:
        chart.note(f"credential: {standing.connection}, which is not to be had")
        raise standing.problem
    chart.note(f"credential: {standing.connection} ({standing.what})")
    doubt = standing.judge(now)
    if doubt:
        chart.warn(f"{standing.connection}: {doubt}; make a new one and store it there")


def explain_gap(keyring: Keyring, page_url: str, file_url: str) -> tuple[str, str] | None:
    """Say that a credential covers a page and not its files, and what to change; `None` where it covers both."""
    held = keyring.find(page_url)
    if held is None or keyring.find(file_url) is not None:
        return None
    folder = redacted(file_url).rpartition("/")[0]
    problem = f"{held.label} covers its pages, but not its files, which are at {folder}"
    return problem, f"set the `target` of {held.label} {_wider(held, page_url, file_url)}"


def explain_role(file_url: str) -> str | None:
    """Say which role may be missing where a feed gives its pages and refuses a file; `None` where none is known.

    Source: Azure Artifacts, "Feed permissions": readers get only what the feed has saved already.
    """
    if not is_azure_devops(file_url):
        return None
    return (
        "what the feed has not saved from its own upstream yet is only given to the role Feed and Upstream Reader "
        "(Collaborator); a token with Packaging (read) alone counts as a reader"
    )


def _wider(held: Held, page_url: str, file_url: str) -> str:
    page, file = place_of(page_url), place_of(file_url)
    if page is None or file is None or (page.scheme, page.host, page.port) != (file.scheme, file.host, file.port):
        host = redacted(file_url).split("/", 3)[:3]
        return f"to cover both, or add a connection with the target {'/'.join(host)}"
    common = []
    for one, other in zip(page.segments, file.segments, strict=False):
        if one != other or one.startswith("_"):
            break
        common.append(one)
    return f"to the host or the organisation: {_spell(page, common)} instead of {redacted(held.target)}"


def _spell(place: Place, segments: list[str]) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    port = "" if place.port == _DEFAULT_PORTS[place.scheme] else f":{place.port}"
    return "/".join([f"{place.scheme}://{host}{port}", *segments])
