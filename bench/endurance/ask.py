"""One question at a time: what it should give, and what is noted when it does not."""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from bench.endurance.timeline import Faults
from bench.machine import HOST

LONGEST = 150.0
"""Seconds after which an answer counts as one that never ends."""
LATE = 20.5
"""Seconds after which an error comes too late: clients are promised 20."""
_KEPT = 8 << 20
_WARM = 300
_OK, _PARTIAL, _ERROR = 200, 206, 400


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that a client did not expect."""

    kind: str
    what: str
    path: str
    moods: Sequence[str]
    """The faults that were going on."""
    depends: bool
    """Whether a fault of the upstream is a reason."""
    at: float
    request_id: str = ""
    filename: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; of large ones the digest only."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sha256: str
    asked: float
    ended: float


@dataclass(slots=True)
class Tally:
    """What was asked and answered since it was last looked at, and all troubles."""

    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    all_kinds: Counter[str] = field(default_factory=Counter)
    all_statuses: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    """What was found right: pages, files, parts, metadata."""
    troubles: list[Trouble] = field(default_factory=list)

    def count(self, kind: str, status: object) -> None:
        """Count one answer."""
        self.kinds[kind] += 1
        self.statuses[str(status)] += 1

    def take(self) -> tuple[Counter[str], Counter[str]]:
        """Give the counts since the last time."""
        taken = self.kinds, self.statuses
        self.kinds, self.statuses = Counter(), Counter()
        self.all_kinds.update(taken[0])
        self.all_statuses.update(taken[1])
        return taken


@dataclass(slots=True)
class World:
    """What all clients share."""

    start: float
    """When the upstream began to change, in seconds since the epoch."""
    port: int
    min_age: float
    faults: Faults
    tally: Tally = field(default_factory=Tally)
    pages: deque[tuple[str, str, str, str]] = field(default_factory=lambda: deque(maxlen=_WARM))
    """Pages that the server has answered: path, `Accept`, `Accept-Encoding`, ETag."""
    bigs: deque[int] = field(default_factory=lambda: deque(maxlen=6))
    """Big files that the server has got lately."""
    numbers: Counter[str] = field(default_factory=Counter)
    chance: random.Random = field(default_factory=lambda: random.Random(17))  # noqa: S311 - load, no secret

    def is_heads(self) -> bool:
        """Toss a coin."""
        return self.chance.random() < 0.5  # noqa: PLR2004 - as coins fall

    def new(self, kind: str) -> str:
        """Give the name of a project that nobody has asked for."""
        self.numbers[kind] += 1
        return f"{kind}-{self.numbers[kind]}"


class Asking:
    """One client: a session with kept connections."""

    def __init__(self, world: World, session: aiohttp.ClientSession) -> None:
        """Ask over `session`."""
        self._url = f"http://{HOST}:{world.port}"
        self.world = world
        self._session = session

    async def ask(  # noqa: PLR0913 - each says one thing of the question
        self,
        kind: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        expect: frozenset[int] = frozenset({_OK}),
        depends: bool = True,
        method: str = "GET",
        sha256: str = "",
    ) -> Answer | None:
        """Ask, and give the answer; `None` where there was none, which is noted.

        `depends`: whether a fault of the upstream may show. `sha256`: what a whole body must have.
        """
        asked = time.time()
        request_id = ""
        url = URL(self._url + path, encoded=True)
        try:
            async with self._session.request(method, url, headers=headers, allow_redirects=False) as response:
                request_id = response.headers.get("X-Request-ID", "")
                digest, kept = hashlib.sha256(), bytearray()
                async for piece in response.content.iter_any():
                    digest.update(piece)
                    if len(kept) < _KEPT:
                        kept += piece
                status, received = response.status, response.headers
        except TimeoutError:
            self.note(kind, path, f"no end after {LONGEST:.0f} s", asked, depends=depends, request_id=request_id)
            self.world.tally.count(kind, "endless")
            return None
        except (aiohttp.ClientError, ConnectionError) as error:
            if method == "POST" and isinstance(error, aiohttp.ServerDisconnectedError):
                # An idle connection may end in any moment, and a client asks again by itself only what may be asked
                # twice. Source: RFC 9110 §9.2.2.
                self.world.tally.count(kind, "last")
                return None
            what = f"broken off: {type(error).__name__} {error}"
            self.note(kind, path, what, asked, depends=depends, request_id=request_id)
            self.world.tally.count(kind, "broken off")
            return None
        ended = time.time()
        self.world.tally.count(kind, status)
        if status not in expect:
            self.note(
                kind,
                path,
                f"{status} {kept[:300].decode(errors='replace')}",
                asked,
                depends=depends,
                request_id=request_id,
            )
        elif sha256 and status == _OK and method == "GET":
            if digest.hexdigest() != sha256:
                self.note(kind, path, "a whole answer with wrong bytes", asked, depends=False)
                return None
            self.world.tally.checked["files"] += 1
        if status >= _ERROR and ended - asked > LATE:
            self.note(kind, path, f"{status} after {ended - asked:.1f} s", asked, depends=False, request_id=request_id)
        return Answer(status, received, bytes(kept), digest.hexdigest(), asked, ended)

    def note(self, kind: str, path: str, what: str, asked: float, *, depends: bool, request_id: str = "") -> None:
        """Note something unexpected."""
        now = time.time()
        moods = self.world.faults.during(asked, now)
        self.world.tally.troubles.append(
            Trouble(kind, what, path, moods, depends, now, request_id, path.rpartition("/")[2])
        )


@asynccontextmanager
async def asking(world: World) -> AsyncIterator[Asking]:
    """Give a client with a session of its own."""
    timeout = aiohttp.ClientTimeout(total=LONGEST)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        yield Asking(world, session)
