"""Answers that are read as a whole, and how many large ones of them may be in memory at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import aiohttp

from proxy.errors import SourceNonsense, SourceUnavailable
from proxy.sources.base import Chunk

HEAVY = 16 << 20
"""Bytes beyond which an answer is heavy: a page of 4,000 files has two million."""
SMALL = 1 << 20
"""Bytes up to which nothing has to watch over an answer: that takes longer than a small one itself."""
AT_ONCE = 2
"""Heavy answers in memory, of all sources: each may have 256 MiB, and it is upstreams who choose how many come."""


async def begin(response: aiohttp.ClientResponse, *, limit: int) -> tuple[list[bytes], bool]:
    """Give the beginning of an answer, and whether that is all of it, and no more than `limit` bytes.

    Raises: aiohttp.ClientError, TimeoutError.
    """
    parts: list[bytes] = []
    size = response.content_length or 0
    while size <= min(SMALL, limit):
        part = await response.content.readany()
        if not part:
            return parts, True
        parts.append(part)
        size = sum(map(len, parts))
    return parts, False


class Scales:
    """Reads whole answers, heavy ones in turn."""

    def __init__(self) -> None:
        """Begin with none in memory."""
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def read(
        self,
        chunks: AsyncIterator[Chunk],
        *,
        begun: Sequence[Chunk] = (),
        limit: int,
        patience: float,
        source: str,
        place: str,
    ) -> bytes:
        """Give all of what comes from `place` of `source`: what has `begun` to, and the `chunks` behind it.

        Raises: SourceNonsense beyond `limit` bytes; SourceUnavailable after `patience` seconds of waiting for a turn.
        """
        parts: list[Chunk] = []
        size = 0
        async with AsyncExitStack() as turn:
            async for part in _all(begun, chunks):
                if size <= HEAVY < size + len(part):
                    try:
                        async with asyncio.timeout(patience):
                            await turn.enter_async_context(self._turns)
                    except TimeoutError as error:
                        what = f"too many large answers at once, {place} had to wait for {patience:g} s"
                        raise SourceUnavailable(source, what, remedy="asked again by itself") from error
                size += len(part)
                if size > limit:
                    what = f"{place} is larger than {limit >> 20} MiB"
                    raise SourceNonsense(source, what, remedy="check the source's `url`")
                parts.append(part)
            return b"".join(parts)


async def _all(begun: Sequence[Chunk], chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
    for part in begun:
        yield part
    async for part in chunks:
        yield part
