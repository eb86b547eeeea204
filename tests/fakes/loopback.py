"""What the doubles share: a server on a free loopback port, and a note of what it was asked."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDictProxy


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    """The path and the query, byte for byte."""
    headers: CIMultiDictProxy[str]

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


def note(request: web.Request) -> Seen:
    """Note a request."""
    return Seen(request.method, request.raw_path, request.headers)


@asynccontextmanager
async def serve(app: web.Application, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Run `app` on a free port, and give its origin (`http://127.0.0.1:PORT`)."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        port = runner.addresses[0][1]
        # Certificates for tests are for the name.
        yield f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
