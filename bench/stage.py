"""Everything that a row of measurements may use: servers on one core, load and upstream on the other."""

from __future__ import annotations

import http.client
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

from bench import load, servers
from bench.load import Load, WrongAnswer
from bench.machine import NotStarted, Running, cores
from bench.model import LIMIT, OURS
from bench.tools import CACHE, Tools, say

STATIC = "nginx-static"
PROFILE = "plain"
"""How the upstream behaves behind the servers that all warm rows share."""
FAILURES = (WrongAnswer, NotStarted, OSError, http.client.HTTPException)
"""What a server may do to a measurement that is meant for it."""


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured."""

    quick: bool = False
    seconds: float = 3.0
    """Of each measurement under load."""
    rounds: int = 3

    def pick(self, full: int, quick: int) -> int:
        """Give one of two amounts."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Contender:
    """A server, and where under it the upstream's pages and files are."""

    name: str
    server: Running
    pages: str = "/simple"
    files: str | None = "/files"
    """`None`: only its pages tell."""

    def path(self, path: str) -> str:
        """Give the path of a page (`simple/PROJECT/`) or file (`files/PROJECT/FILENAME`) at this server."""
        kind, project, *rest = path.split("/")
        if kind == "simple":
            return f"{self.pages}/{project}/"
        if self.files is not None:
            return f"{self.files}/{project}/{rest[0]}"
        filename = rest[0].removesuffix(".metadata")
        page = load.get(self.server.port, f"{self.pages}/{project}/", {"Accept": "text/html"}).body.decode()
        link = re.search(rf'href="([^"#]*{re.escape(filename)})', page)
        if link is None:
            raise WrongAnswer(f"{self.name}: {filename} is not on its page")
        found: str = urlsplit(urljoin(f"{self.pages}/{project}/", link[1])).path
        return found + rest[0].removeprefix(filename)


@dataclass
class Stage:
    """The upstream, the servers, and a folder that is gone afterwards."""

    options: Options
    tools: Tools
    folder: Path = field(init=False)
    upstream: Running = field(init=False)
    _stack: ExitStack = field(default_factory=ExitStack)
    _shared: dict[str, Contender] = field(default_factory=dict)
    _trees: dict[tuple[str, ...], Contender] = field(default_factory=dict)
    _number: int = 0

    def __enter__(self) -> Self:
        """Start the upstream."""
        self.server_core, self.load_core = cores()
        CACHE.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="run-", dir=CACHE)))
            self.upstream = servers.upstream(self.new_folder("upstream"), self.load_core)
            stack.callback(self.upstream.stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything."""
        self._stack.close()

    def new_folder(self, name: str) -> Path:
        """Give a new empty folder."""
        self._number += 1
        made = self.folder / f"{name}-{self._number}"
        made.mkdir()
        return made

    def upstream_url(self, profile: str = PROFILE) -> str:
        """Give the index URL of the upstream that behaves like `profile`."""
        return f"{self.upstream.url}/{profile}/simple/"

    @contextmanager
    def ours(
        self,
        profile: str = PROFILE,
        *,
        settings: Sequence[str] = (),
        config: Callable[[Path], str] | None = None,
        on: Sequence[int] | None = None,
        processes: int = 1,
    ) -> Iterator[Contender]:
        """Run our server with an empty cache of its own, in front of the upstream or by a configuration."""
        folder = self.new_folder(OURS)
        text = (
            config(folder)
            if config
            else servers.proxied(self.upstream_url(profile), folder, settings=settings, processes=processes)
        )
        server = servers.wheelgate(text, folder, on or [self.server_core])
        try:
            yield Contender(OURS, server)
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def limit(self, profile: str = PROFILE) -> Iterator[Contender | None]:
        """Run nginx with an empty cache of its own; `None` where there is no nginx."""
        if self.tools.nginx is None:
            yield None
            return
        folder = self.new_folder(LIMIT)
        server = servers.nginx_cache(self.tools.nginx, self.upstream.port, folder, self.server_core)
        try:
            yield Contender(LIMIT, server, f"/{profile}/simple", f"/{profile}/files")
        finally:
            server.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def direct(self, profile: str = PROFILE) -> Contender:
        """Give the upstream itself."""
        return Contender("direct", self.upstream, f"/{profile}/simple", f"/{profile}/files")

    def warm(self, *, static: Sequence[str] = ()) -> dict[str, Contender]:
        """Give the servers that all rows share which change nothing; with nginx over the files at `static`."""
        if not self._shared:
            self._shared[OURS] = self._stack.enter_context(self.ours(settings=['fresh = "1 d"']))
            limit = self._stack.enter_context(self.limit())
            if limit is not None:
                self._shared[LIMIT] = limit
        found = dict(self._shared)
        if static and self.tools.nginx is not None:
            found[STATIC] = self._static(self.tools.nginx, tuple(f"/{PROFILE}/{path}" for path in static))
        return found

    def _static(self, nginx: Path, paths: tuple[str, ...]) -> Contender:
        if paths not in self._trees:
            folder = self.new_folder(STATIC)
            server = servers.nginx_static(nginx, self.upstream.port, folder, self.server_core, paths)
            self._stack.callback(server.stop)
            self._trees[paths] = Contender(STATIC, server, f"/{PROFILE}/simple", f"/{PROFILE}/files")
        return self._trees[paths]

    def add(self, contender: Contender, stop: Callable[[], None]) -> None:
        """Measure one more server in the warm rows."""
        self.warm()
        self._stack.callback(stop)
        self._shared[contender.name] = contender

    def load(
        self, contender: Contender, path: str, headers: Mapping[str, str], *, connections: int = 16, status: int = 200
    ) -> Load:
        """Put a server under load."""
        return load.ask(
            contender.server,
            contender.path(path),
            headers,
            seconds=self.options.seconds,
            wrk=self.tools.wrk,
            connections=connections,
            status=status,
        )

    def can_be_had(self, contender: Contender, path: str, headers: Mapping[str, str], *, status: int = 200) -> bool:
        """Warm a path up, and say whether a server has it; one that has not takes no part in what is about it."""
        try:
            load.get(contender.server.port, contender.path(path), headers, status=status)
            load.get(contender.server.port, contender.path(path), headers, status=status)
        except FAILURES as error:
            if contender.name == OURS:
                raise
            say(f"{contender.name} takes no part: {error}")
            return False
        return True
