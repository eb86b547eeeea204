"""What lies between this machine and a source: the addresses of its host, the two clocks."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from yarl import URL

from proxy.sources.outside import find_proxy
from proxy.sources.redirects import redacted

SKEW = 300.0
"""Seconds by which a clock may be wrong before it is worth a word."""
_LONGEST_LOOK_UP = 5.0
_MOST_SHOWN = 3
_AZURE_STORAGE = ".blob."


async def describe_address(url: str) -> str | None:
    """Say what addresses the host of `url` has, and of what kind they are; `None` where its name leads nowhere."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        proxy = find_proxy(URL(url))
        if proxy is not None:
            return f"{host} is reached over the proxy {redacted(proxy.origin())}"
        async with asyncio.timeout(_LONGEST_LOOK_UP):
            found = await asyncio.get_running_loop().getaddrinfo(host, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        # Whoever asks it next says so, and what to do.
        return None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    shown = ", ".join(addresses[:_MOST_SHOWN]) + (" …" if len(addresses) > _MOST_SHOWN else "")
    kind = _kind_of(addresses, host)
    return f"{host} is {kind}" if addresses == [host] else f"{host} is {shown}, {kind}"


def _kind_of(addresses: list[str], host: str) -> str:
    parsed = [ipaddress.ip_address(address.partition("%")[0]) for address in addresses]
    if all(address.is_loopback for address in parsed):
        return "this machine"
    if all(address.is_private for address in parsed):
        return "a private address"
    if any(address.is_private for address in parsed):
        return "private and public addresses"
    return "a public address" + (": no private endpoint is used from here" if _AZURE_STORAGE in host else "")


def describe_skew(date: str | None, now: float) -> str | None:
    """Say how wrong this machine's clock is by an answer's `Date`; `None` where it is right, or that cannot be told."""
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    ahead = now - theirs
    if abs(ahead) < SKEW:
        return None
    direction = "ahead of" if ahead > 0 else "behind"
    return (
        f"this machine's clock is {abs(ahead) / 60:.0f} minutes {direction} the source's: set it right, "
        "or signatures and tokens are refused"
    )
