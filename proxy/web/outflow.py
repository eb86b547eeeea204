"""A file from the disk's cache to a connection, by the kernel, in turns with everybody else.

`loop.sendfile` asks the kernel for the whole file at once. To a client that takes it as fast as it comes, on this
machine or over a fast network, that is one call of tens of milliseconds in which nobody else is answered. So it is
asked for in pieces, and after each of them the others have their turn. A file that is still growing goes the same way:
out of the disk's cache as far as it is there, and a client that takes nothing keeps nothing in memory.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from proxy.store.growing import Reader, Written

PIECE = 4 << 20
"""Bytes that the kernel is asked to send at once: some 0.4 ms of its time."""

_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""What kernels say of a file system, or a sandbox, that has no sendfile."""


class _Unsendable(Exception):
    """The kernel does not send out of this file: its bytes have to be read."""


@contextmanager
def corked(transport: asyncio.BaseTransport) -> Iterator[None]:
    """Let the kernel fill each segment: pushed out piece by piece, a file costs half as much CPU time again.

    Behind the headers, not around them: with both in one segment clients on the same machine that take a file at the
    same time are offered a small window each, for good, and get it at half the rate.

    Source: tcp(7), TCP_CORK.
    """
    connection = transport.get_extra_info("socket")
    if connection is None or not hasattr(socket, "TCP_CORK"):
        yield
        return
    _cork(connection, True)
    try:
        yield
    finally:
        _cork(connection, False)


async def send_file(transport: asyncio.Transport, stream: BinaryIO, start: int, count: int) -> int:
    """Send `count` bytes of a file from `start` on; give how many there were.

    Raises: OSError where the connection is closed.
    """
    if is_clear(transport):
        # A descriptor of our own for the same connection: the transport's may not be waited for beside it.
        with transport.get_extra_info("socket").dup() as own:
            try:
                return await _send_pieces(own, stream, start, count)
            except _Unsendable:
                pass
    try:
        return await asyncio.get_running_loop().sendfile(transport, stream, start, count)
    except RuntimeError as error:  # the transport is closing
        raise ConnectionResetError(str(error)) from error


def is_clear(transport: asyncio.BaseTransport | None) -> bool:
    """Whether bytes may go past the transport: plain ones, and none wait in it that must go first."""
    if not isinstance(transport, asyncio.WriteTransport) or not hasattr(os, "sendfile"):
        return False
    if transport.get_extra_info("socket") is None or transport.get_extra_info("sslcontext") is not None:
        return False
    return not transport.get_write_buffer_size()


async def pass_on(transport: asyncio.Transport, reader: Reader) -> None:
    """Send all that `reader` finds, as it comes, to a client whose transport `is_clear`.

    Raises: what the reader raises; OSError where the connection is closed.
    """
    look = reader.find
    with transport.get_extra_info("socket").dup() as own:
        while (found := await look()) is not None:
            if isinstance(found, Written):
                try:
                    with corked(transport):
                        sent = await _send_pieces(own, found.file.stream, found.start, found.stop - found.start)
                except _Unsendable:
                    look = reader.chunk
                else:
                    reader.took(sent)
                continue
            try:
                reader.took(own.send(found))
                turn = asyncio.sleep(0)
            except (BlockingIOError, InterruptedError):
                turn = _writable(own.fileno())
            # Whatever this waits for, the memory is for what comes next: these bytes will be in the file.
            del found
            await turn


async def _send_pieces(own: socket.socket, stream: BinaryIO, start: int, count: int) -> int:
    """Let the kernel send, piece by piece; give how many bytes there were.

    Raises: _Unsendable before the first byte; OSError where the connection is closed.
    """
    into, source, at, end = own.fileno(), stream.fileno(), start, start + count
    while at < end:
        try:
            sent = os.sendfile(into, source, at, min(PIECE, end - at))
        except (BlockingIOError, InterruptedError):
            await _writable(into)
            continue
        except OSError as error:
            if error.errno in _CANNOT and at == start:
                raise _Unsendable from error
            raise
        if not sent:
            break
        at += sent
        await asyncio.sleep(0)
    return at - start


async def _writable(descriptor: int) -> None:
    """Wait until the kernel takes more, or the connection has ended."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(descriptor, _set, ready)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _cork(connection: socket.socket, on: bool) -> None:
    with suppress(OSError):  # it is closed, or no TCP
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)
