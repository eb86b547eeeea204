"""The body of one large answer, received straight into the memory that is handed on.

An HTTP client copies each byte of a body several times before anybody sees it, which for a file costs more than
checking its digest. So for what is large, plain and of known length the connection gets another protocol once the
head has been read: the kernel writes into pieces of memory, and views of these are what readers get. It works alike
for TCP and TLS. Such a connection is not used again, which is why it has to be worth it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import aiohttp

from proxy.sources.base import Chunk

LARGE = 8 << 20
"""Bytes that must still be to come: a new connection for the next file costs less than these take."""
PIECE = 4 << 20
"""The most bytes of memory that are received into at once; when as many wait to be taken, the kernel keeps the rest.

Each round from here over the digest and the disk to the readers finds the processor's caches filled with the bytes of
the last one, so what its Python costs hardly depends on how many bytes it is about.
"""
FIRST = 1 << 20
"""Bytes of the first piece. While readers are faster than the source, more is never needed."""
_KEPT = 3
"""Pieces that are used again once nobody looks at them: new memory costs the kernel as much as receiving into it."""


class Intake(asyncio.BufferedProtocol):
    """Takes the rest of a body from a connection whose head another protocol has read."""

    def __init__(self, transport: asyncio.Transport, *, left: int, silence: float | None) -> None:
        """Take over `transport`, which has yet to give `left` bytes, and at least some every `silence` seconds."""
        self._transport = transport
        self._silence = silence
        self._former = transport.get_protocol()
        self._to_come = left
        self._to_give = left
        self._pieces: deque[bytearray] = deque(maxlen=_KEPT)
        self._piece = self._empty_piece(FIRST)
        self._filled = 0
        self._taken = 0
        self._full: deque[memoryview] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._is_paused = False
        self._lost = False
        self._error: Exception | None = None
        transport.set_protocol(self)
        transport.resume_reading()

    async def chunks(self) -> AsyncIterator[memoryview]:
        """Give the bytes as they arrive.

        Raises: TimeoutError after too long a silence; aiohttp.ClientPayloadError or OSError where the connection
        ends before the body does.
        """
        while self._to_give:
            chunk = self._take()
            if chunk is None:
                await self._more()
                continue
            self._to_give -= len(chunk)
            yield chunk

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Give the memory to receive into."""
        if not self._to_come:
            # What comes behind the end belongs to nobody: the connection is about to be closed.
            return memoryview(bytearray(1))
        if self._filled == len(self._piece):
            self._next_piece()
        return self._piece[self._filled : self._filled + self._to_come]

    def buffer_updated(self, nbytes: int) -> None:
        """Note that so many bytes were received; let the kernel keep what nobody takes."""
        if not self._to_come:
            return
        self._filled += nbytes
        self._to_come -= nbytes
        if not self._to_come or self._untaken() >= PIECE:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Let the connection be closed."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and let the protocol before this one end too."""
        self._lost = True
        self._error = exc
        self._wake()
        self._former.connection_lost(exc)

    def pause_writing(self) -> None:
        """Do nothing: the question has been sent."""

    def resume_writing(self) -> None:
        """Do nothing: the question has been sent."""

    def _next_piece(self) -> None:
        """Put the full piece aside for who takes; go on with a larger one where it filled before anybody took of it."""
        size = len(self._piece)
        if self._taken < size:
            self._full.append(self._piece[self._taken :].toreadonly())
        self._piece = self._empty_piece(size if self._taken else min(2 * size, PIECE))
        self._filled = self._taken = 0

    def _empty_piece(self, size: int) -> memoryview:
        piece = next((piece for piece in self._pieces if len(piece) == size and _is_free(piece)), None)
        if piece is None:
            piece = bytearray(size)
            self._pieces.append(piece)
        return memoryview(piece)

    def _untaken(self) -> int:
        return sum(map(len, self._full)) + self._filled - self._taken

    def _take(self) -> memoryview | None:
        if self._full:
            chunk = self._full.popleft()
        elif self._taken < self._filled:
            chunk = self._piece[self._taken : self._filled].toreadonly()
            self._taken = self._filled
        else:
            return None
        if self._is_paused and self._to_come and not self._lost and self._untaken() < PIECE:
            self._is_paused = False
            self._transport.resume_reading()
        return chunk

    async def _more(self) -> None:
        if self._lost:
            raise self._error or aiohttp.ClientPayloadError("the connection was closed before the body's end")
        self._waiting = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(self._silence):
            await self._waiting

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


async def receive(response: aiohttp.ClientResponse) -> AsyncIterator[Chunk]:
    """Give the body of an answer as it arrives; what is large past the client, but with its limit of silence.

    Raises: TimeoutError after too long a silence; aiohttp.ClientError or OSError where it breaks off.
    """
    early, intake = _take_over(response)
    if early:
        yield early
    if intake is None:
        async for part in response.content.iter_any():
            yield part
        return
    try:
        async for chunk in intake.chunks():
            yield chunk
    finally:
        response.close()


def _take_over(response: aiohttp.ClientResponse) -> tuple[bytes, Intake | None]:
    """Give what has arrived of a body, and what takes the rest; `None`: it is to be read as any other."""
    connection, length = response.connection, response.content_length
    if connection is None or connection.transport is None or connection.protocol is None:
        return b"", None
    if length is None or length < LARGE:
        return b"", None
    if "Transfer-Encoding" in response.headers or "Content-Encoding" in response.headers:
        return b"", None
    early = response.content.read_nowait()
    left = length - len(early)
    # So much has come already that the client's parser may hold on to more of it.
    if left < LARGE or len(early) >= PIECE:
        return early, None
    silence = connection.protocol.read_timeout
    return early, Intake(connection.transport, left=left, silence=silence)


def _is_free(piece: bytearray) -> bool:
    """Whether there is no view of `piece` any more: Python changes the length of no memory that has one."""
    try:
        piece.append(piece.pop())
    except BufferError:
        return False
    return True
