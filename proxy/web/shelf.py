"""Finished answers, as the bytes that go over the wire, by what was asked for.

The shelf knows neither rules nor sources: whoever puts an answer here says until when it holds. A request is
known by its path and by what its block of headers asks for, which is worked out once for equal bytes.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate

from aiohttp import web

from proxy.rules.ranges import if_none_match
from proxy.simple.negotiation import Coding, MediaType, choose, choose_coding
from proxy.telemetry.audit import Subject

BARE = "bare"
"""The key of an answer that is the same whatever is asked for: a file."""
BYTES = 24 << 20
"""How many bytes of answers are kept."""
BESIDE = 1 << 10
"""About how many bytes an answer takes beside its body and heads: many small ones must not grow without a bound."""
LARGEST = 8 << 20
"""The largest answer that is kept, in bytes."""
BLOCKS = 512
"""How many different blocks of headers are remembered."""
LONGEST_BLOCK = 4096
OK, NOT_MODIFIED = 200, 304

_LINE = re.compile(rb"([A-Za-z0-9-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?[ \t]*\Z")
# Behind these there may be more than the head of a request.
_BODY = frozenset(
    {b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"sec-websocket-key", b"http2-settings"}
)
# Whatever asks for more than a whole answer takes the ordinary way.
_PARTIAL = frozenset({b"range", b"if-range", b"if-match", b"if-modified-since", b"if-unmodified-since"})
_ONCE = frozenset({b"host", b"if-none-match", b"authorization", b"connection", b"user-agent"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What a block of headers asks for."""

    page: Hashable
    """The key of a page: its form, its coding, and whether a credential came along; `None`: not for the shelf."""
    other: Hashable
    """The key of what has no form: its coding; `None` as above."""
    bare: Hashable
    """The key of what has neither; `None` as above."""
    tags: str | None
    """`If-None-Match`."""
    agent: str


def page_key(media_type: MediaType, coding: Coding, *, private: bool) -> Hashable:
    """Give the key of a page in one form."""
    return (media_type, coding, private)


@dataclass(slots=True)
class Answer:
    """One finished answer, and how often it was given."""

    route: str
    etag: str
    good_until: float
    head: bytes
    """Status line and headers, up to `Date`."""
    head_unchanged: bytes
    """The same of the 304."""
    body: bytes
    subject: Subject | None = None
    given: int = 0
    unchanged: int = 0

    @property
    def weight(self) -> int:
        """How many bytes it takes, about."""
        return BESIDE + len(self.head) + len(self.head_unchanged) + len(self.body)


@dataclass(frozen=True, slots=True)
class Finished:
    """An ordinary answer that may be given again as it is, until then."""

    key: Hashable
    route: str
    etag: str
    good_until: float
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    subject: Subject | None = None
    """What the audit has to know each time it is given."""


FINISHED = web.ResponseKey("finished", Finished)
"""Under which an ordinary response carries what of it may be given again."""


class Shelf:
    """Keeps finished answers, bounded in bytes; the ones put here first go first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start empty."""
        self.clock = clock
        self._answers: OrderedDict[bytes, dict[Hashable, Answer]] = OrderedDict()
        self._size = 0
        self._wishes: dict[bytes, Wish | None] = {}
        self._counted: list[Answer] = []
        self.epoch = 0
        """Counts how often everything was forgotten: what was made before that must not be put here."""
        self._date = b""
        self._second = 0

    def put(self, path: str, finished: Finished, server: str) -> None:
        """Keep an answer for a path as it came over the wire."""
        if not path.isascii() or len(finished.body) > LARGEST:
            return
        kept = self._answers.setdefault(path.encode(), {})
        old = kept.pop(finished.key, None)
        self._forget(old)
        headers = "".join(f"{name}: {value}\r\n" for name, value in finished.headers.items())
        unchanged = "".join(
            f"{name}: {value}\r\n"
            for name, value in finished.headers.items()
            if name not in {"Content-Type", "Content-Encoding"}
        )
        size = len(finished.body)
        kept[finished.key] = answer = Answer(
            finished.route,
            finished.etag,
            finished.good_until,
            f"HTTP/1.1 200 OK\r\n{headers}Server: {server}\r\nContent-Length: {size}\r\nDate: ".encode(),
            f"HTTP/1.1 304 Not Modified\r\n{unchanged}Server: {server}\r\nDate: ".encode(),
            finished.body,
            finished.subject,
        )
        self._size += answer.weight
        while self._size > BYTES and len(self._answers) > 1:
            _, gone = self._answers.popitem(last=False)
            for forgotten in gone.values():
                self._forget(forgotten)

    def clear(self) -> None:
        """Forget all answers, because other rules hold now."""
        self.epoch += 1
        for kept in self._answers.values():
            for answer in kept.values():
                self._forget(answer)
        self._answers.clear()

    def wish(self, block: bytes) -> Wish | None:
        """Work out what a block of headers asks for; `None`: it is odd, or may be followed by a body."""
        try:
            return self._wishes[block]
        except KeyError:
            if len(self._wishes) >= BLOCKS:
                self._wishes.clear()
            made = self._wishes[block] = _understand(block)
            return made

    def find(self, path: bytes, wish: Wish) -> tuple[Answer, int] | None:
        """Give an answer that holds now, and its status: 200, or 304 where the client has it already."""
        kept = self._answers.get(path)
        if kept is None:
            return None
        answer = kept.get(wish.page) or kept.get(wish.other) or kept.get(wish.bare)
        if answer is None or self.clock() >= answer.good_until:
            return None
        if not (answer.given or answer.unchanged):
            self._counted.append(answer)
        if wish.tags is not None and (wish.tags == answer.etag or if_none_match(wish.tags, answer.etag)):
            answer.unchanged += 1
            return answer, NOT_MODIFIED
        answer.given += 1
        return answer, OK

    def date(self) -> bytes:
        """Give the value of `Date` and the end of a head, made once a second. Source: RFC 9110 §6.6.1."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._date = f"{formatdate(now, usegmt=True)}\r\n\r\n".encode()
        return self._date

    def counts(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Give, by route and status, how many answers were given since the last time, and their bytes; begin anew."""
        counted: dict[tuple[str, int], list[int]] = {}
        given, self._counted = self._counted, []
        for answer in given:
            _count(counted, answer)
        return {key: (number, size) for key, (number, size) in counted.items()}

    def _forget(self, answer: Answer | None) -> None:
        if answer is not None:
            self._size -= answer.weight


def _count(into: dict[tuple[str, int], list[int]], answer: Answer) -> None:
    for status, number, size in ((200, answer.given, len(answer.body)), (304, answer.unchanged, 0)):
        if number:
            counted = into.setdefault((answer.route, status), [0, 0])
            counted[0] += number
            counted[1] += number * size
    answer.given = answer.unchanged = 0


def _understand(block: bytes) -> Wish | None:
    """Read a block of headers (without its last empty line) strictly: what is odd is left to the parser."""
    if len(block) > LONGEST_BLOCK:
        return None
    found: dict[bytes, list[str]] = {}
    for line in block.split(b"\r\n"):
        parts = _LINE.match(line)
        if parts is None:
            return None
        name = parts[1].lower()
        if name in _BODY or (name in _ONCE and name in found):
            return None
        found.setdefault(name, []).append((parts[2] or b"").decode())
    connection = found.get(b"connection", ["keep-alive"])[0].lower()
    if b"host" not in found or connection != "keep-alive":
        return None
    agent = found.get(b"user-agent", [""])[0]
    if not _PARTIAL.isdisjoint(found):
        return Wish(None, None, None, None, agent)
    accept = ", ".join(found[b"accept"]) if b"accept" in found else None
    codings = ", ".join(found[b"accept-encoding"]) if b"accept-encoding" in found else None
    media_type = choose(accept, None)
    coding = choose_coding(codings) if codings is not None else Coding.IDENTITY
    private = b"authorization" in found
    page = None if media_type is None else page_key(media_type, coding, private=private)
    tags = found[b"if-none-match"][0] if b"if-none-match" in found else None
    return Wish(page, coding, BARE, tags, agent)
