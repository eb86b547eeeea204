"""Fetching by hand what a source would fetch, and what comes of it."""

from __future__ import annotations

import base64

import pytest

from proxy.errors import SourceError
from proxy.sources.session import Upstream

WHEEL = "bar-1.0-py3-none-any.whl"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def fetch(upstream: Upstream, url: str, *, bulk: bool = False) -> bytes:
    async with upstream.get(url, bulk=bulk) as response:
        return await upstream.read(response, limit=1 << 20)


async def fail(upstream: Upstream, url: str) -> SourceError:
    with pytest.raises(SourceError) as failure:
        await fetch(upstream, url)
    assert failure.value.source == "feed"
    assert failure.value.remedy or failure.value.retry_after is not None
    return failure.value
