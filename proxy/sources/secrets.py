"""Secrets where the configuration says they are: variables, files and key vaults, re-read as they change."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from proxy.config import values
from proxy.errors import SourceRefused
from proxy.secret import Secret
from proxy.sources.identity import Tokens
from proxy.sources.key_vault import KeyVaultSecret
from proxy.sources.rereading import Rereading, SecretReader
from proxy.sources.session import Session

LONGEST = 64 << 10
"""Bytes: what is larger is no secret."""
LOOK_EVERY = 1.0
"""Seconds between two looks at whether a file has changed."""


def reader_of(reference: values.SecretReference, *, owner: str, session: Session, tokens: Tokens) -> SecretReader:
    """Give what reads the secret that a configuration refers to.

    `owner` is whom errors name; `tokens` are those of the server's own identity, for key vaults.
    """
    match reference:
        case values.EnvSecret():
            return EnvironmentSecret(reference.env, owner=owner)
        case values.FileSecret():
            return FileSecret(reference.file, owner=owner)
        case values.KeyVaultSecret():
            return KeyVaultSecret(reference.key_vault, owner=owner, session=session, tokens=tokens)
        case _:
            assert_never(reference)


class HeldSecret:
    """A secret that came from elsewhere and is held in memory."""

    def __init__(self, secret: Secret) -> None:
        """Hold `secret`."""
        self._secret = secret

    async def read(self) -> Secret:
        """Give it."""
        return self._secret

    async def refused(self) -> bool:
        """Have nowhere to read it again."""
        return False


class EnvironmentSecret:
    """A secret in an environment variable; it can only change with a restart."""

    def __init__(self, name: str, *, owner: str) -> None:
        """Name the variable, and whose secret it is."""
        self._name = name
        self._owner = owner

    async def read(self) -> Secret:
        """Give the variable's value."""
        value = os.environ.get(self._name, "").strip("\r\n")
        if not value:
            what = "empty" if self._name in os.environ else "not set"
            raise SourceRefused(
                self._owner,
                f"the environment variable {self._name} is {what}",
                remedy=f"set {self._name} in the environment of the server, and restart it",
            )
        if not value.isprintable():
            raise SourceRefused(
                self._owner,
                f"the environment variable {self._name} holds more than one line, or control characters",
                remedy=f"set {self._name} to the secret alone, and restart the server",
            )
        return Secret(value)

    async def refused(self) -> bool:
        """Know that it is still the same."""
        return False


class FileSecret:
    """A secret in a file, as Docker and Kubernetes mount them: its final newline is no part of it."""

    def __init__(self, path: Path, *, owner: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Name the file, and whose secret it is."""
        self._path = path
        self._owner = owner
        self._clock = clock
        self._secret: Secret | None = None
        self._identity: tuple[int, ...] = ()
        self._looked_at: float | None = None
        self._rereading = Rereading(clock)

    async def read(self) -> Secret:
        """Give the file's content; a changed file is noticed within a second."""
        now = self._clock()
        if self._secret is not None and self._looked_at is not None and now - self._looked_at < LOOK_EVERY:
            return self._secret
        secret, self._identity = await asyncio.to_thread(self._look, self._secret, self._identity)
        self._secret, self._looked_at = secret, now
        return secret

    async def refused(self) -> bool:
        """Read the file again, whatever its times say."""
        return await self._rereading.run(self._reread)

    async def _reread(self) -> bool:
        before = self._secret
        self._secret, self._identity = await asyncio.to_thread(self._look, None, ())
        self._looked_at = self._clock()
        return self._secret != before

    def _look(self, known: Secret | None, identity: tuple[int, ...]) -> tuple[Secret, tuple[int, ...]]:
        """Read the file unless it is the one that is known; runs in a thread."""
        try:
            # Kubernetes swaps a symbolic link, so the inode tells more than the time.
            found = self._path.stat()
            now = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
            if known is not None and now == identity:
                return known, identity
            self._refuse_what_is_none(found)
            text = self._path.read_text(encoding="utf-8-sig").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise self._refusal(_why_unreadable(error)) from error
        if not text:
            raise self._refusal("is empty")
        if not text.rstrip("\r\n").isprintable():
            raise self._refusal("holds more than one line, or control characters")
        return Secret(text), now

    def _refuse_what_is_none(self, found: os.stat_result) -> None:
        """Refuse what would be read for ever, or into all of the memory. Raises: SourceRefused."""
        if stat.S_ISDIR(found.st_mode):
            raise self._refusal("is a folder")
        if not stat.S_ISREG(found.st_mode):
            raise self._refusal("is a pipe or a device, which cannot be read again")
        if found.st_size > LONGEST:
            raise self._refusal(f"is larger than {LONGEST >> 10} KiB, and so holds something else")

    def _refusal(self, what: str) -> SourceRefused:
        return SourceRefused(
            self._owner,
            f"the secret file {self._path} {what}",
            remedy=f"put the secret into {self._path}, readable by the server's user; no restart is needed",
        )


def _why_unreadable(error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return "does not exist"
        case PermissionError():
            return "may not be read by the server's user"
        case UnicodeDecodeError():
            return "is not text in UTF-8"
        case _:
            return "cannot be read"
