"""How much is received at once, and how much waits: no more than is of use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.sources.intake import FIRST, PIECE, Intake

SIZE = 20 * PIECE


class Connection(asyncio.Transport):
    """The source's end: it fills whatever memory is offered."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: asyncio.BaseProtocol = asyncio.Protocol()
        self.is_read = False

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def sends(self, size: int) -> int:
        """Send up to `size` bytes, as many as fit at once; give how many did."""
        assert isinstance(self.protocol, Intake)
        sent = min(size, len(self.protocol.get_buffer(-1)))
        self.protocol.buffer_updated(sent)
        return sent

    def sends_all_it_can(self) -> int:
        """Send until nobody reads; give how many bytes that were."""
        sent = 0
        while self.is_read:
            sent += self.sends(SIZE)
        return sent


@pytest.fixture
def connection() -> Connection:
    return Connection()


@pytest.fixture
async def chunks(connection: Connection) -> AsyncIterator[memoryview]:
    return Intake(connection, left=SIZE, silence=1.0).chunks()


async def test_while_all_is_taken_at_once_the_memory_stays_small(
    connection: Connection, chunks: AsyncIterator[memoryview]
) -> None:
    """A slow source costs a small piece or two, however large its file is."""
    for _ in range(100):
        connection.sends(FIRST // 3)
        chunk = await anext(chunks)

        assert len(bytes(chunk.obj)) == FIRST


async def test_what_comes_faster_than_it_is_taken_comes_in_larger_pieces(
    connection: Connection, chunks: AsyncIterator[memoryview]
) -> None:
    sizes = []
    for _ in range(20):
        connection.sends_all_it_can()
        sizes.append(len(await anext(chunks)))

    assert sizes[0] == FIRST
    assert sizes[-1] == PIECE


async def test_no_more_is_received_once_a_large_piece_waits(
    connection: Connection, chunks: AsyncIterator[memoryview]
) -> None:
    for _ in range(20):
        waits = connection.sends_all_it_can()

        assert waits < 2 * PIECE
        await anext(chunks)


async def test_memory_that_is_looked_at_is_not_used_again(
    connection: Connection, chunks: AsyncIterator[memoryview]
) -> None:
    held = []
    for _ in range(12):
        connection.sends_all_it_can()
        held.append(await anext(chunks))

    assert len({id(chunk.obj) for chunk in held}) == len(held)
