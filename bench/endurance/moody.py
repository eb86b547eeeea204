"""`python -m bench.endurance.moody PORT CONTROL START FOLDER`: an upstream in a mood; CONTROL sets it at `/mood/NAME`.

calm      as it should be
stall     every second answer never comes, the others stop in the middle
cut       bodies break off after half
500 503   this status; 503 with `Retry-After`
429       the same, and the source is to be left alone
wrong     the last bytes of files differ from what the page says
slow      one piece of 64 kB every 60 ms
nonsense  a log-in page with status 200
refused   nothing listens, and what was connected is cut off
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from pathlib import Path

from bench.endurance.goods import Goods
from bench.machine import HOST
from bench.upstream.contents import HTML, Body
from bench.upstream.server import Connection, Profile, Question, Service, range_of

MOODS = ("calm", "stall", "cut", "500", "503", "429", "wrong", "slow", "nonsense", "refused")
_PIECE, _PAUSE = 1 << 16, 0.06
_LOG_IN = b"<!DOCTYPE html><html><body><form>Sign in to go on</form></body></html>"
_STATUSES = {
    "500": b"HTTP/1.1 500 Internal Server Error\r\n",
    "503": b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\n",
    "429": b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\n",
}


class Moody:
    """The upstream: what it has, its mood, and who is connected."""

    def __init__(self, goods: Goods, port: int) -> None:
        """Serve `goods` at `port`, in a calm mood."""
        self.service = Service(goods)
        self.goods = goods
        self.mood = "calm"
        self.connections: set[MoodyConnection] = set()
        self.numbers = count()
        self._port = port
        self._server: asyncio.Server | None = None

    async def set(self, mood: str) -> None:
        """Change the mood, for whatever is asked from now on."""
        self.mood = mood
        self.goods.are_wrong = mood == "wrong"
        if mood == "refused" and self._server is not None:
            self._server.close()
            self._server = None
            for connection in list(self.connections):
                connection.abort()
        elif mood != "refused" and self._server is None:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: MoodyConnection(self), HOST, self._port, backlog=1024, reuse_address=True
            )


class MoodyConnection(Connection):
    """One client's connection, answered in the mood of the moment."""

    def __init__(self, moody: Moody) -> None:
        """Answer for `moody`."""
        super().__init__(moody.service)
        self._moody = moody

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin answering."""
        super().connection_made(transport)
        self._moody.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop answering."""
        super().connection_lost(exc)
        self._moody.connections.discard(self)

    def abort(self) -> None:
        """Cut the client off."""
        if self._task is not None:
            # First: asyncio would go on watching a socket that is closed under `sendfile`.
            self._task.cancel()
        asyncio.get_running_loop().call_soon(self._transport.abort)

    async def _answer(self, question: Question) -> None:
        mood = self._moody.mood
        if mood == "stall" and next(self._moody.numbers) % 2:
            await asyncio.Event().wait()
        if mood in _STATUSES:
            self._transport.write(_STATUSES[mood] + b"Content-Length: 0\r\n\r\n")
        elif mood == "nonsense":
            await self._send(question, 200, _LOG_IN, {"Content-Type": HTML})
        else:
            await super()._answer(question)

    async def _page(self, question: Question, profile: Profile, project: str) -> None:
        if not profile.with_metadata:
            # An old index: HTML is all it speaks.
            question.headers["accept"] = HTML
        await super()._page(question, profile, project)

    async def _file(self, question: Question, profile: Profile, project: str, filename: str, words: str) -> None:
        body = self._moody.goods.wheel(project, filename)
        if body is None:
            await super()._file(question, profile, project, filename, words)
            return
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "ETag": f'"{filename}"'}
        start, end = range_of(question.headers.get("range", ""), len(body))
        if (start, end) != (0, len(body)):
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
        await self._send(question, 206 if "Content-Range" in headers else 200, body[start:end], headers)

    async def _body(self, body: Body, start: int, end: int, rate: float | None) -> None:
        mood = self._moody.mood
        if mood in {"cut", "stall"}:
            await super()._body(body, start, start + (end - start) // 2, rate)
            await self._leave(mood)
        elif mood == "slow":
            await super()._body(body, start, end, _PIECE / _PAUSE)
        else:
            await super()._body(body, start, end, rate)

    async def _send(self, question: Question, status: int, body: bytes, headers: dict[str, str]) -> None:
        mood = self._moody.mood
        if mood not in {"cut", "stall", "slow"} or not body or question.method == "HEAD":
            await super()._send(question, status, body, headers)
            return
        self._head(status, len(body), headers)
        for start in range(0, len(body), _PIECE):
            if mood != "slow" and start >= len(body) // 2 - _PIECE:
                self._transport.write(body[start : len(body) // 2])
                await self._leave(mood)
            self._transport.write(body[start : start + _PIECE])
            await asyncio.sleep(_PAUSE)

    async def _leave(self, mood: str) -> None:
        """Break off, or say nothing more until the client has left."""
        if mood == "cut":
            self._transport.close()
        await asyncio.Event().wait()


async def main(port: int, control: int, start: float, folder: Path) -> None:
    """Serve until the process is ended."""
    moody = Moody(Goods(folder, start), port)
    await moody.set("calm")

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
        if path.startswith("/mood/"):
            await moody.set(path.removeprefix("/mood/"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    await (await asyncio.start_server(obey, HOST, control)).serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])))
