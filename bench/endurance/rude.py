"""Clients that do not behave: slow ones, silent ones, those that leave in the middle, and noise."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bench.endurance.ask import Asking
from bench.endurance.goods import file
from bench.machine import HOST

_LINGER = struct.pack("ii", 1, 0)
"""A connection that is closed at once, with a reset."""
_NOISE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /simple/\x00/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /simple/page-1/ HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"GET /simple/page-1/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /simple/page-1/ HTTP/1.1\r\n : x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\r\n" * 200,
)
_PIPELINE = 20


@asynccontextmanager
async def _connected(
    asking: Asking, *, resets: bool = False, window: int = 0
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect; at the end leave with a reset, or politely. `window`: bytes that the kernel takes unread."""
    plain = socket.socket()
    if window:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    if resets:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    plain.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(plain, (HOST, asking.world.port))
        reader, writer = await asyncio.open_connection(sock=plain, limit=1 << 16)
    except BaseException:
        plain.close()
        raise
    try:
        yield reader, writer
    finally:
        writer.transport.abort() if resets else writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _question(path: str, *more: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: wheelgate", *more, "", "")).encode()


async def noise(asking: Asking) -> None:
    """Send bytes that are no request, and requests that are far too long."""
    sent = asking.world.chance.choice(
        (
            *_NOISE,
            asking.world.chance.randbytes(3000),
            _question("/simple/", f"X-Long: {'x' * 100_000}"),
            _question("/" + "x" * 70_000),
        )
    )
    with suppress(OSError, TimeoutError):
        async with _connected(asking) as (reader, writer), asyncio.timeout(5):
            writer.write(sent)
            answer = await reader.read(1 << 14)
            asking.world.tally.count("noise", answer[9:12].decode("latin-1") or "closed")
            return
    asking.world.tally.count("noise", "no answer")


async def half_open(asking: Asking) -> None:
    """Never finish the question, or never read the answer."""
    begun = asking.world.chance.choice((b"", b"GET /sim", b"GET /simple/page-1/ HTTP/1.1\r\nHost: x\r\n", _big(asking)))
    with suppress(OSError):
        async with _connected(asking, resets=asking.world.is_heads(), window=4096) as (_, writer):
            writer.write(begun)
            asking.world.tally.count("half-open", "held")
            await asyncio.sleep(asking.world.chance.uniform(10, 40))


async def leaving(asking: Asking) -> None:
    """Leave in the middle: of a large page, of a file that is coming, of one that is here."""
    known = asking.world.bigs
    growing = asking.world.new("big")
    here = f"big-{asking.world.chance.choice(known)}" if known else growing
    paths = (
        f"/simple/huge-{asking.world.chance.randrange(5)}/",
        f"/files/{growing}/{file(growing, 0).filename}",
        f"/files/{here}/{file(here, 0).filename}",
        f"/simple/{asking.world.new('page')}/",
    )
    with suppress(OSError, EOFError, TimeoutError):
        async with _connected(asking, resets=asking.world.is_heads(), window=1 << 16) as (reader, writer):
            writer.write(_question(asking.world.chance.choice(paths)))
            taken, wanted = 0, asking.world.chance.choice((0, 1, 20_000, 1_000_000))
            async with asyncio.timeout(10):
                while taken < wanted and (some := await reader.read(1 << 16)):
                    taken += len(some)
    asking.world.tally.count("leaving", "left")


async def slow(asking: Asking) -> None:
    """Read a file of 2 MB in ten seconds, to its end; or a larger one for a while."""
    number = asking.world.chance.choice(asking.world.bigs) if asking.world.bigs else 1
    small = asking.world.is_heads()
    number = number - number % 5 + 1 if small else number
    known = file(f"big-{number}", 0)
    path = f"/files/big-{number}/{known.filename}"
    asked, digest, taken = time.time(), hashlib.sha256(), 0
    try:
        async with _connected(asking, window=1 << 14) as (reader, writer):
            writer.write(_question(path))
            head = await reader.readuntil(b"\r\n\r\n")
            status = head[9:12].decode()
            while taken < known.size and time.time() - asked < 25:  # noqa: PLR2004 - seconds
                some = await reader.read(1 << 14)
                if not some or status != "200":
                    break
                digest.update(some)
                taken += len(some)
                await asyncio.sleep(0.05)
            else:
                some = b"."
    except (OSError, EOFError, asyncio.LimitOverrunError) as error:
        asking.note("slow reader", path, f"broken off: {error!r}", asked, depends=True)
        asking.world.tally.count("slow reader", "broken off")
        return
    asking.world.tally.count("slow reader", status)
    if status != "200" or not some:
        asking.note("slow reader", path, f"{status}, ended after {taken} of {known.size}", asked, depends=True)
    elif taken == known.size and digest.hexdigest() != known.sha256:
        asking.note("slow reader", path, "a whole answer with wrong bytes", asked, depends=False)
    elif taken == known.size:
        asking.world.tally.checked["files"] += 1


async def pipelined(asking: Asking) -> None:
    """Ask twenty questions at once over one connection; every second client does not wait for the answers."""
    paths = [path for path, *_ in list(asking.world.pages)[-_PIPELINE:]]
    asked = time.time()
    count = 0
    with suppress(OSError, EOFError, TimeoutError):
        async with _connected(asking, resets=True) as (reader, writer), asyncio.timeout(30):
            writer.write(b"".join(_question(path) for path in paths))
            if asking.world.is_heads():
                asking.world.tally.count("pipelined", "left")
                return
            for _ in paths:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
                count += head.startswith(b"http/1.1 200")
                if b"\r\nconnection: close" in head:
                    # A server that is being replaced says which answer is its last. Source: RFC 9112 §9.6.
                    asking.world.tally.count("pipelined", "last")
                    return
    asking.world.tally.count("pipelined", "200" if count == len(paths) else "broken off")
    if count != len(paths):
        asking.note("pipelined", "", f"broken off: {count} of {len(paths)} answered with 200", asked, depends=False)


def _big(asking: Asking) -> bytes:
    number = asking.world.chance.choice(asking.world.bigs) if asking.world.bigs else 1
    return _question(f"/files/big-{number}/{file(f'big-{number}', 0).filename}")
