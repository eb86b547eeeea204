"""The doubles behind the names of the real services, over TLS: a proxy of the company leads there.

What is served for a name is decided by the proxy, so the server under test is configured as it would be in Azure.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.fakes.certificates import Authority


class RealNames:
    """A forward proxy that knows where each name is on this machine, and shows the company's certificate for it."""

    def __init__(self, authority: Authority) -> None:
        """Show the certificate of `authority`."""
        self.asked: list[str] = []
        """The names that tunnels were asked for."""
        self._authority = authority
        self._ports: dict[str, tuple[int, ssl.SSLContext | None]] = {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    def lead(self, name: str, url: str) -> str:
        """Serve what is at `url` as `https://NAME`, which is given; what speaks TLS itself is passed through."""
        parts = urlsplit(url)
        assert parts.port is not None
        self._ports[name] = (parts.port, None if parts.scheme == "https" else self._authority.server)
        return f"https://{name}"

    def environment(self) -> Mapping[str, str]:
        """Give the variables of a machine in this company's network."""
        assert self._server is not None
        proxy = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        outside = {"HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        return outside | {"REQUESTS_CA_BUNDLE": str(self._authority.ca_file)}

    async def __aenter__(self) -> Self:
        """Start serving."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Also those that are closing: encrypted ones would wait for the other side's goodbye.
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._tunnel(reader, writer)
        finally:
            writer.close()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        name = head.partition(" ")[2].partition(":")[0]
        self.asked.append(name)
        if not head.startswith("CONNECT ") or name not in self._ports:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        port, certificate = self._ports[name]
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await writer.drain()
        if certificate is not None:
            await writer.start_tls(certificate)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        self._writers.add(there_writer)
        try:
            await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
        finally:
            there_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while some := await reader.read(1 << 16):
            writer.write(some)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()
