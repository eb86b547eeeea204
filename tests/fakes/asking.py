"""How a test asks a running server, as a client would, and reads what it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True)
class Said:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, where it is JSON."""
        return json.loads(self.body)

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """The files of a page in JSON, by name."""
        return {file["filename"]: file for file in self.json["files"]}

    @property
    def remedy(self) -> str:
        """What an error says that is to be done."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        return str(self.json["remedy"])


async def ask(url: str, *, accept: str = JSON, method: str = "GET", **headers: str) -> Said:
    """Ask once."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession(auto_decompress=True) as session,
        session.request(method, url, headers={"Accept": accept} | named, allow_redirects=False) as response,
    ):
        return Said(response.status, response.headers.copy(), await response.read())


async def ask_until(url: str, is_so: Callable[[Said], bool], *, seconds: float = 20.0) -> Said:
    """Ask until the answer is as it will be in a moment, and give it."""
    try:
        async with asyncio.timeout(seconds):
            while not is_so(said := await ask(url)):  # noqa: ASYNC110 - another process decides
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{url} still says {said.status}: {said.body.decode(errors='replace')}") from None
    return said
