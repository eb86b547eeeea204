"""`url = "pip"`: the index that pip on this machine is configured to use, as pip itself understands its settings.

pip is asked in a process of its own, when the source is first needed and never before, because that takes half a
second. No index's name is written here: without a setting, it is the default built into pip.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from proxy.errors import SourceRefused
from proxy.secret import Secret
from proxy.sources.authorisation import Authorisation, Credentials, NoCredentials

_TIMEOUT = 60.0
_REREAD_AFTER = 10.0
"""Seconds between two readings because of a refusal, or a failure."""

# pip's own parser answers, so that environment, files, sections and defaults mean what they mean to pip. The working
# folder must not be searched: it could hold another `pip`.
_SCRIPT = """
import json, sys
sys.path[:] = [place for place in sys.path if place]
from pip._internal.commands import create_command
options, _ = create_command("download").parser.parse_args([])
names = ("index_url", "no_index", "cert", "proxy", "trusted_hosts")
print(json.dumps({name: getattr(options, name, None) for name in names}))
"""

_REMEDY = "install pip, or give the source a `url` of its own"


@dataclass(frozen=True, slots=True)
class PipIndex:
    """Where pip installs from, and how it gets there."""

    url: str
    """Without user and password."""
    user: str | None = field(default=None, repr=False)
    """May be a token, with an empty password."""
    password: Secret | None = None
    ca_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)
    """May hold a password."""
    allow_http: bool = False
    """pip is told to trust the host (`trusted-host`), and its URL is plain http."""


class PipSettings:
    """Reads pip's settings once, when first needed, and again when its credential is refused."""

    def __init__(
        self, *, interpreters: Sequence[str] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Ask the first of `interpreters` that has pip: by default this one, then those on the path."""
        self._interpreters = interpreters
        self._clock = clock
        self._found: PipIndex | SourceRefused | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def read(self, source: str) -> PipIndex:
        """Give where pip installs from.

        Raises: SourceRefused, for `source`, where there is no pip, or it is told to use no index.
        """
        async with self._reading:
            found = self._found
            is_failed = isinstance(found, SourceRefused) and self._clock() - self._read_at > _REREAD_AFTER
            if found is None or is_failed:
                found = await self._read(source)
            if isinstance(found, SourceRefused):
                raise SourceRefused(source, found.reason, remedy=found.remedy)
            return found

    async def reread(self, source: str) -> bool:
        """Read again, at most every ten seconds; whether something changed."""
        async with self._reading:
            if self._clock() - self._read_at < _REREAD_AFTER:
                return False
            before = self._found
            found = await self._read(source)
            return isinstance(found, PipIndex) and found != before

    async def _read(self, source: str) -> PipIndex | SourceRefused:
        try:
            self._found = await asyncio.to_thread(read_pip_settings, source, self._interpreters)
        except SourceRefused as error:
            self._found = error
        self._read_at = self._clock()
        return self._found


class PipCredentials:
    """Those of the configuration's connections, and where none covers a URL, those in pip's own index URL."""

    def __init__(self, settings: PipSettings, *, source: str, first: Credentials | None = None) -> None:
        """Ask `first` first."""
        self._settings = settings
        self._source = source
        self._first = first or NoCredentials()

    async def authorise(self, url: str) -> Authorisation | None:
        """Give what to add for `url`: pip's user and password for the scheme, host and port of its index."""
        authorisation = await self._first.authorise(url)
        if authorisation is not None:
            return authorisation
        index = await self._settings.read(self._source)
        if index.password is None or _origin(url) != _origin(index.url):
            return None
        token = base64.b64encode(f"{index.user or ''}:{index.password.reveal()}".encode()).decode()
        return Authorisation({"Authorization": f"Basic {token}"}, connection="the password in pip's index-url")

    async def refused(self, url: str) -> bool:
        """Re-read the secret that was refused; whether another try is worthwhile."""
        if await self._first.authorise(url) is not None:
            return await self._first.refused(url)
        return await self._settings.reread(self._source)


def read_pip_settings(source: str, interpreters: Sequence[str] | None = None) -> PipIndex:
    """Give where pip installs from, for `source`. Takes half a second: call it in a thread.

    Raises: SourceRefused where there is no pip, or it is told to use no index.
    """
    tried = interpreters if interpreters is not None else _interpreters()
    for interpreter in tried:
        printed = _run([interpreter, "-c", _SCRIPT])
        if printed is not None:
            return _understand(source, printed)
    configured = os.environ.get("PIP_INDEX_URL")
    if configured:
        return _make_index(configured)
    raise SourceRefused(source, 'its `url` is "pip", but there is no pip here to ask', remedy=_REMEDY)


def _interpreters() -> list[str]:
    found = [sys.executable, shutil.which("python3"), shutil.which("python")]
    return list(dict.fromkeys(filter(None, found)))


def _run(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - an interpreter of this machine and a constant
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def _understand(source: str, printed: str) -> PipIndex:
    lines = printed.strip().splitlines()
    try:
        options = json.loads(lines[-1]) if lines else {}
    except ValueError:
        options = {}
    if options.get("no_index"):
        raise SourceRefused(source, 'its `url` is "pip", but pip is told to use no index', remedy=_REMEDY)
    if not options.get("index_url"):
        raise SourceRefused(source, 'its `url` is "pip", but pip does not say which index it uses', remedy=_REMEDY)
    return _make_index(
        options["index_url"],
        cert=options.get("cert"),
        proxy=options.get("proxy"),
        trusted_hosts=options.get("trusted_hosts") or (),
    )


def _make_index(
    url: str, *, cert: str | None = None, proxy: str | None = None, trusted_hosts: Sequence[str] = ()
) -> PipIndex:
    scheme, netloc, path, query, _ = urlsplit(url)
    userinfo, _, host = netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    return PipIndex(
        url=urlunsplit((scheme, host, path, query, "")),
        user=unquote(user),
        password=Secret(unquote(password)) if userinfo else None,
        ca_file=Path(cert) if cert else None,
        proxy=proxy or None,
        allow_http=scheme == "http" and bool({host, urlsplit(url).hostname} & set(trusted_hosts)),
    )


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
