"""How the fake upstream answers: straight on asyncio's transports, files by sendfile, so that it is no bottleneck."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import time
from collections import Counter
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

from bench.upstream import container
from bench.upstream.contents import BLOCK, HTML, JSON, KNOWN, Body, Contents

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_PIECE = 1 << 18
"""Bytes between two looks at the clock, where a rate is asked for."""
_REASONS = {200: "OK", 206: "Partial Content", 304: "Not Modified", 404: "Not Found", 416: "Range Not Satisfiable"}


@dataclass(frozen=True, slots=True)
class Profile:
    """How an upstream behaves."""

    latency: float = 0.0
    """Seconds until an answer begins."""
    rate: float | None = None
    """Bytes a second for each connection."""
    cut: float = 1.0
    """How much of a body is sent before the connection breaks off."""
    hangs: bool = False
    with_metadata: bool = True

    @classmethod
    def parse(cls, words: str) -> Profile:
        """Read it from the first part of a path."""
        found: dict[str, float | bool] = {}
        for word in words.split("_"):
            match re.fullmatch(r"([a-z]+)(\d*)", word):
                case re.Match() as said if said[1] == "l" and said[2]:
                    found["latency"] = int(said[2]) / 1e3
                case re.Match() as said if said[1] == "r" and said[2]:
                    found["rate"] = int(said[2]) * 1e6
                case re.Match() as said if said[1] == "cut" and said[2]:
                    found["cut"] = int(said[2]) / 100
                case _:
                    found |= {"hang": {"hangs": True}, "nometa": {"with_metadata": False}}.get(word, {})
        return cls(**found)  # type: ignore[arg-type] # each key has the type that belongs to it


@dataclass(frozen=True, slots=True)
class Question:
    """A request, as far as anything depends on it."""

    method: str
    target: str
    headers: dict[str, str]


class Service:
    """What all connections share."""

    def __init__(self, contents: Contents) -> None:
        """Serve `contents`."""
        self.contents = contents
        self.requests: Counter[str] = Counter()
        self.files: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()


class Connection(asyncio.Protocol):
    """One client's connection: one request after another."""

    def __init__(self, service: Service) -> None:
        """Answer from `service`."""
        self._service = service
        self._buffer = b""
        self._questions: asyncio.Queue[Question] = asyncio.Queue()
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin answering."""
        self._transport = cast("asyncio.Transport", transport)  # what create_server makes
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Stop answering."""
        self._may_write.set()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Take requests; they have no bodies."""
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ", 2)
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            self._questions.put_nowait(Question(method, target, headers))

    def pause_writing(self) -> None:
        """Wait with the next piece."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._may_write.set()

    async def _serve(self) -> None:
        try:
            while True:
                await self._answer(await self._questions.get())
        except (ConnectionError, RuntimeError):
            # The client has left in the middle of a body, which is its right.
            self._transport.abort()

    async def _answer(self, question: Question) -> None:
        url = urlsplit(question.target)
        words, *rest = unquote(url.path).strip("/").split("/")
        if words == "stats":
            said = {"requests": self._service.requests, "files": self._service.files, "sent": self._service.sent}
            await self._send(question, 200, json.dumps(said).encode(), {"Content-Type": "application/json"})
            return
        self._service.requests[words] += 1
        profile = Profile.parse(words)
        if profile.hangs:
            await asyncio.Event().wait()
        if profile.latency:
            await asyncio.sleep(profile.latency)
        match rest:
            case ["simple"]:
                await self._names(question)
            case ["simple", project]:
                await self._page(question, profile, project)
            case ["files", project, filename] if filename.endswith(".metadata") and profile.with_metadata:
                body = self._service.contents.metadata(project, filename.removesuffix(".metadata"))
                await self._send(question, 404 if body is None else 200, body or b"", {"Content-Type": "text/plain"})
            case ["files", project, filename] if not filename.endswith(".metadata"):
                await self._file(question, profile, project, filename, words)
            case ["wheels", *name]:
                await self._container(question, parse_qs(url.query), "/".join(name))
            case _:
                await self._send(question, 404, b"", {})

    async def _names(self, question: Question) -> None:
        """Give the few projects that warm rows ask for: some servers believe in no others."""
        anchors = "".join(f'<a href="{name}/">{name}</a><br>' for name in KNOWN)
        page = f"<!DOCTYPE html><html><body>{anchors}</body></html>"
        await self._send(question, 200, page.encode(), {"Content-Type": HTML})

    async def _page(self, question: Question, profile: Profile, project: str) -> None:
        media_type = JSON if "json" in question.headers.get("accept", "") else HTML
        coding = "gzip" if "gzip" in question.headers.get("accept-encoding", "") else "identity"
        page = self._service.contents.page(project, media_type, coding, with_metadata=profile.with_metadata)
        if page is None:
            await self._send(question, 404, b"", {})
            return
        headers = {"Content-Type": media_type, "ETag": page.etag, "Vary": "Accept, Accept-Encoding"}
        headers |= {"Cache-Control": "max-age=600"} | ({"Content-Encoding": "gzip"} if coding == "gzip" else {})
        unchanged = question.headers.get("if-none-match") == page.etag
        await self._send(question, 304 if unchanged else 200, b"" if unchanged else page.body, headers)

    async def _file(self, question: Question, profile: Profile, project: str, filename: str, words: str) -> None:
        self._service.files[words] += 1
        body = self._service.contents.body(project, filename)
        if body is None:
            await self._send(question, 404, b"", {})
            return
        start, end = range_of(question.headers.get("range", ""), body.size)
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "ETag": f'"{filename}"'}
        if (start, end) != (0, body.size):
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{body.size}"
        self._head(206 if "Content-Range" in headers else 200, end - start, headers)
        if question.method == "HEAD":
            return
        stop = start + int((end - start) * profile.cut)
        await self._body(body, start, stop, profile.rate)
        self._service.sent[words] += stop - start
        if stop < end:
            self._transport.close()

    async def _body(self, body: Body, start: int, end: int, rate: float | None) -> None:
        began, loop = time.perf_counter(), asyncio.get_running_loop()
        tail = body.size - len(body.tail)
        position = start
        with os.fdopen(os.dup(body.descriptor), "rb") as file:
            while position < min(end, tail):
                offset = position % BLOCK if body.repeats else position
                size = min(
                    min(end, tail) - position, BLOCK - offset if body.repeats else BLOCK, _PIECE if rate else BLOCK
                )
                await self._copy(loop, file, offset, size)
                position += size
                if rate and (early := (position - start) / rate - (time.perf_counter() - began)) > 0:
                    await asyncio.sleep(early)
        if end > tail:
            self._transport.write(body.tail[max(0, start - tail) : end - tail])

    async def _copy(self, loop: asyncio.AbstractEventLoop, file: io.BufferedReader, offset: int, size: int) -> None:
        await loop.sendfile(self._transport, file, offset, size, fallback=False)

    async def _container(self, question: Question, query: dict[str, list[str]], name: str) -> None:
        if not name:
            asked = {key: query.get(key, [""])[0] for key in ("prefix", "marker", "maxresults")}
            most = int(asked["maxresults"] or 5000)
            body = container.list_blobs(prefix=asked["prefix"], marker=asked["marker"], most=most)
            await self._send(question, 200, body, {"Content-Type": "application/xml"})
            return
        try:
            body, etag = container.blob(name)
        except ValueError:
            await self._send(question, 404, b"", {"x-ms-error-code": "BlobNotFound"})
            return
        start, end = range_of(question.headers.get("range", ""), len(body))
        headers = {"ETag": etag, "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        if "range" in question.headers:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
        await self._send(question, 206 if "range" in question.headers else 200, body[start:end], headers)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        counted = "" if status == 304 else f"Content-Length: {length}\r\n"  # noqa: PLR2004
        self._transport.write(f"HTTP/1.1 {status} {_REASONS[status]}\r\n{lines}{counted}\r\n".encode())

    async def _send(self, question: Question, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, len(body), headers)
        if body and question.method != "HEAD":
            self._transport.write(body)
            await self._may_write.wait()


def range_of(wanted: str, size: int) -> tuple[int, int]:
    """Give the first byte that is wanted and the one behind the last."""
    said = _RANGE.fullmatch(wanted)
    if said is None or said[0] == "bytes=-":
        return 0, size
    if not said[1]:
        return max(0, size - int(said[2])), size
    return int(said[1]), min(size, int(said[2]) + 1) if said[2] else size
