"""How a fake sends bodies: whole, slowly, without a length, cut, or stalled."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web


@dataclass
class Break:
    """Where the body of one answer ends before its end, for the next `times` answers."""

    size: int
    how: Literal["cut", "stall"]
    times: int | None = None


@dataclass
class Answer:
    """What one path answers instead of the truth."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    times: int | None = None


class Wire:
    """Sends bodies, with what is to go wrong on the way."""

    def __init__(self) -> None:
        self.breaks: dict[str, Break] = {}
        self.speed: float | None = None
        self.lengths = True
        self.gzip = False
        self._released = asyncio.Event()

    def release(self) -> None:
        """End all silence."""
        self._released.set()
        self._released = asyncio.Event()

    async def stay_silent(self) -> None:
        await self._released.wait()

    async def send(
        self, request: web.Request, response: web.StreamResponse, body: bytes, *, what: str, slow: bool = False
    ) -> web.StreamResponse:
        """Send `body` as that of `response`, with the break of `what`."""
        if self.gzip and not what.endswith((".whl", ".gz", ".metadata")):
            response.enable_compression(web.ContentCoding.gzip)
        elif self.lengths:
            response.content_length = len(body)
        broken = self._next_break(what)
        sent = len(body) if broken is None else min(broken.size, len(body))
        speed = self.speed if slow else None
        step = max(1, int(speed / 20)) if speed else 1 << 18
        await response.prepare(request)
        for start in range(0, sent, step):
            await response.write(body[start : min(start + step, sent)])
            if speed:
                await asyncio.sleep(step / speed)
        if broken is None:
            await response.write_eof()
            return response
        if broken.how == "stall":
            await self.stay_silent()
        else:
            # What is written must leave first: an abort would throw it away.
            await asyncio.sleep(0.05)
        if request.transport is not None:
            request.transport.abort()
        return response

    def _next_break(self, what: str) -> Break | None:
        found = self.breaks.get(what)
        if found is None or found.times == 0:
            return None
        if found.times is not None:
            found.times -= 1
        return found


def cut_out(content: bytes, wanted: slice) -> tuple[bytes, int, str]:
    """Give what a range asks for, the status of the answer and its `Content-Range`."""
    start, end, _ = slice(wanted.start, wanted.stop).indices(len(content))
    if start >= len(content):
        return b"", 416, f"bytes */{len(content)}"
    return content[start:end], 206, f"bytes {start}-{end - 1}/{len(content)}"
