"""Scripted bodies: sources that cut, stall, lie about length and digest, ignore ranges and change their mind."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from proxy.errors import SourceUnavailable
from proxy.sources.base import Body
from proxy.store.download import Wanted


@dataclass(slots=True)
class Script:
    """How one opening goes."""

    content: bytes | None = None
    """Other bytes than the opener's."""
    cut: int | None = None
    """The offset at which the connection breaks."""
    short: int | None = None
    """The offset at which the body ends as if it were whole."""
    stall: int | None = None
    """The offset at which no more bytes come until `Opener.go` is set."""
    etag: str | None = None
    size: int | None = -1
    """The whole size that the source tells; -1: the true one."""
    ranges: bool = True
    shift: int = 0
    """How far from the offset that was asked for it really begins."""
    error: Exception | None = None
    """Raised instead of an answer."""
    delayed: bool = False
    """Whether even the answer waits for `Opener.go`."""
    chunk: int = 10_000


@dataclass
class Opener:
    """A source's one file; each opening goes as the next script says, the last one for all that follow."""

    content: bytes
    scripts: list[Script] = field(default_factory=lambda: [Script()])
    etag: str | None = None
    opens: list[int] = field(default_factory=list)
    """The offsets that were asked for."""
    sent: int = 0
    """Bytes handed out in all."""
    go: asyncio.Event = field(default_factory=asyncio.Event)
    stalled: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def open(self, start: int) -> AsyncIterator[Body]:
        script = self.scripts[min(len(self.opens), len(self.scripts) - 1)]
        self.opens.append(start)
        if script.delayed:
            self.stalled.set()
            await self.go.wait()
        if script.error is not None:
            raise script.error
        content = self.content if script.content is None else script.content
        start = start + script.shift if script.ranges else 0
        size = len(content) if script.size == -1 else script.size
        yield Body(self._chunks(script, content, start), start=start, size=size, etag=script.etag or self.etag)

    async def _chunks(self, script: Script, content: bytes, start: int) -> AsyncIterator[bytes]:
        stop = min(offset for offset in (script.cut, script.short, len(content)) if offset is not None)
        position = start
        while position < stop:
            until = min(position + script.chunk, stop)
            if script.stall is not None and position < script.stall:
                until = min(until, script.stall)
            self.sent += until - position
            yield content[position:until]
            position = until
            if position == script.stall:
                self.stalled.set()
                await self.go.wait()
            await asyncio.sleep(0)
        if script.cut is not None and position >= script.cut:
            raise SourceUnavailable("fake", "the connection was reset")

    def wanted(self, **changes: object) -> Wanted:
        """Give what a page would say of the file, with `changes`."""
        digest = hashlib.sha256(self.content).hexdigest()
        wanted = Wanted(
            key=digest,
            filename="demo-1.0-py3-none-any.whl",
            source="fake",
            size=len(self.content),
            hashes={"sha256": digest},
            open=self.open,
        )
        return replace(wanted, **changes)  # type: ignore[arg-type]  # as the caller names them
