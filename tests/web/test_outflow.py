import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.store.artifacts import Artifacts
from proxy.store.growing import Growing
from proxy.store.partial import Partial
from proxy.web import outflow

SIZE = 5 * outflow.PIECE + 12_345


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "wheel"
    found.write_bytes(os.urandom(1 << 16) * (SIZE // (1 << 16) + 1))
    os.truncate(found, SIZE)
    return found


@asynccontextmanager
async def _connection() -> AsyncIterator[tuple[asyncio.Transport, asyncio.StreamReader]]:
    """Give the server's end of a connection, as a transport, and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        there = socket.create_connection(listening.getsockname())
        here, _ = listening.accept()
    reader, client = await asyncio.open_connection(sock=there, limit=1 << 20)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=here)
    try:
        yield transport, reader
    finally:
        transport.abort()
        client.close()
        await client.wait_closed()


@asynccontextmanager
async def _growing(folder: Path, size: int) -> AsyncIterator[tuple[Artifacts, Partial, Growing]]:
    """Give a file that grows, which nobody fills but the test."""
    async with Artifacts(folder / "artifacts", size=1 << 30) as artifacts:
        partial = await artifacts.run(artifacts.open_partial, "key")
        yield artifacts, partial, Growing(artifacts, partial, source="public", size=size)
        partial.unlock()


async def test_a_file_goes_out_whole(path: Path) -> None:
    async with _connection() as (transport, reader):
        with path.open("rb") as stream, outflow.corked(transport):
            taking = asyncio.create_task(reader.readexactly(SIZE))
            sent = await outflow.send_file(transport, stream, 0, SIZE)

        assert sent == SIZE
        assert await taking == await asyncio.to_thread(path.read_bytes)


async def test_a_part_follows_what_was_written_before(path: Path) -> None:
    """Headers that a slow client has not taken yet wait in the transport: the file must not overtake them."""
    async with _connection() as (transport, reader):
        head = b"h" * (16 << 20)
        transport.write(head)
        assert transport.get_write_buffer_size()

        with path.open("rb") as stream:
            taking = asyncio.create_task(reader.readexactly(len(head) + 1000))
            sent = await outflow.send_file(transport, stream, 5, 1000)

        assert sent == 1000
        assert await taking == head + (await asyncio.to_thread(path.read_bytes))[5:1005]


async def test_others_have_their_turn_while_a_fast_client_takes_a_file(path: Path) -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with _connection() as (transport, reader):
        with path.open("rb") as stream:
            taking = asyncio.create_task(reader.readexactly(SIZE))
            others = asyncio.create_task(take_turns())
            await outflow.send_file(transport, stream, 0, SIZE)
            others.cancel()

        await taking

    assert turns >= SIZE // outflow.PIECE


async def test_a_file_that_was_cut_short_is_told(path: Path) -> None:
    async with _connection() as (transport, reader):
        with path.open("rb") as stream:
            taking = asyncio.create_task(reader.readexactly(SIZE))
            sent = await outflow.send_file(transport, stream, 0, SIZE + 1)

        assert sent == SIZE
        await taking


async def test_what_the_kernel_does_not_send_out_of_is_read() -> None:
    """Some file systems have no sendfile, as that of `/proc`."""
    path = Path("/proc/version")
    expected = await asyncio.to_thread(path.read_bytes)
    async with _connection() as (transport, reader):
        with await asyncio.to_thread(path.open, "rb", 0) as stream:
            sent = await outflow.send_file(transport, stream, 0, len(expected))

        assert sent == len(expected)
        assert await reader.readexactly(sent) == expected


async def test_a_client_that_left_is_an_error(path: Path) -> None:
    async with _connection() as (transport, _):
        connection = transport.get_extra_info("socket")
        connection.shutdown(socket.SHUT_RDWR)

        with path.open("rb") as stream, pytest.raises(OSError, match=r"pipe|reset|connected"):
            await outflow.send_file(transport, stream, 0, SIZE)


async def test_a_cancelled_file_leaves_no_descriptor(path: Path) -> None:
    async with _connection() as (transport, _):
        before = _descriptors()
        with path.open("rb") as stream:
            # More than the kernel's buffers hold, and nobody reads.
            sending = asyncio.create_task(outflow.send_file(transport, stream, 0, SIZE))
            await asyncio.sleep(0.1)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending

        assert _descriptors() <= before


async def test_a_growing_file_goes_out_of_memory_and_out_of_the_file(tmp_path: Path) -> None:
    content = os.urandom(SIZE)
    half = SIZE // 2
    async with _connection() as (transport, reader), _growing(tmp_path, SIZE) as (artifacts, partial, growing):
        taking = asyncio.create_task(reader.readexactly(SIZE))
        with growing.reader(0, SIZE) as place:
            passing = asyncio.create_task(outflow.pass_on(transport, place))
            growing.add(content[:half])
            await asyncio.sleep(0)
            await artifacts.run(partial.write, [content], 0)
            growing.grow(SIZE)
            growing.verify()
            await passing

        assert await taking == content


@pytest.mark.parametrize("size", [1 << 20, 64 << 20], ids=["it has all there is", "it takes nothing more"])
async def test_a_client_that_waits_keeps_no_memory(tmp_path: Path, size: int) -> None:
    """What comes next for it is in the file before long: the memory is for others."""
    piece = bytearray(size)
    async with _connection() as (transport, _), _growing(tmp_path, 2 * size) as (artifacts, partial, growing):
        with growing.reader(0, 2 * size) as place:
            passing = asyncio.create_task(outflow.pass_on(transport, place))
            growing.add(memoryview(piece))
            await artifacts.run(partial.write, [bytes(piece)], 0)
            await asyncio.sleep(0.1)
            growing.flushed(len(piece))

            piece.append(0)  # which Python refuses while anybody looks at it
            assert not passing.done()
            passing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await passing


async def test_nothing_goes_past_a_transport_in_which_something_waits() -> None:
    async with _connection() as (transport, _):
        assert outflow.is_clear(transport)

        transport.write(b"h" * (16 << 20))

        assert not outflow.is_clear(transport)


async def test_without_a_socket_nothing_goes_past_the_transport() -> None:
    assert not outflow.is_clear(None)
    assert not outflow.is_clear(asyncio.Transport())


async def test_without_a_socket_nothing_is_corked() -> None:
    with outflow.corked(asyncio.Transport()):
        pass


def _descriptors() -> set[str]:
    return {each.name for each in Path("/proc/self/fd").iterdir()}
