"""What one connection adds to a request, by its `auth_type`.

PAT               Basic, the token as the password of any user; Bearer for GitHub
UsernamePassword  Basic
SAS               the signature, in the query
ManagedIdentity   the identity's token: as a Basic password for Azure DevOps, Bearer elsewhere
None              nothing
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import parse_qs, quote

from proxy.errors import SourceError, SourceRefused
from proxy.rules.credentials import is_azure_devops
from proxy.sources.authorisation import Authorisation
from proxy.sources.identity import Tokens, read_claims
from proxy.sources.rereading import SecretReader

SOON = 14 * 86400.0
"""Seconds before its end from which on a credential is said to expire soon."""

_ANY_USER = "wheelgate"
_SIGNATURE_SAFE = "!$&'()*+,;=:@/?%-._~"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a credential, for people: never the credential itself."""

    connection: str
    what: str
    """The kind of credential, and for a token whose it is and for whom."""
    expires: float | None = None
    """Epoch seconds, where that is known."""
    problem: SourceError | None = None
    """Why it cannot be had."""

    def judge(self, now: float) -> str:
        """Say in a few words whether it will do; empty where nothing speaks against it."""
        if self.problem is not None:
            return self.problem.reason
        if self.expires is None or self.expires - now > SOON:
            return ""
        verb = "expired on" if self.expires <= now else "expires soon, on"
        return f"{self.what} {verb} {_day(self.expires)}"


class Credential(Protocol):
    """How a connection lets a request in."""

    async def authorise(self, url: str, *, prefer_bearer: bool) -> Authorisation:
        """Give what to add to a request for `url`, which is covered.

        Raises: SourceError where the secret cannot be had.
        """

    async def refused(self) -> bool:
        """Take note of a refusal; whether there is another secret now."""

    async def describe(self) -> Standing:
        """Say what there is."""


@dataclass(frozen=True, slots=True)
class Held:
    """A credential and the URL that it is for."""

    label: str
    """Its name in messages: `connection connection-1`."""
    target: str
    configured: bool
    """Whether the configuration has it, rather than a workspace."""
    credential: Credential = field(repr=False)


class BasicCredential:
    """A user name and a password; without a name, a personal access token."""

    def __init__(
        self, label: str, reader: SecretReader, *, username: str | None = None, expires: float | None = None
    ) -> None:
        """Read the password or token from `reader`; `expires` is epoch seconds."""
        self._label = label
        self._reader = reader
        self._username = username
        self._expires = expires

    async def authorise(self, url: str, *, prefer_bearer: bool) -> Authorisation:  # noqa: ARG002 - the protocol's
        """Give the header."""
        secret = (await self._reader.read()).reveal()
        label = self._label
        if self._expires is not None and self._expires <= time.time():
            # It is tried all the same; if it is refused, the reader of the error knows why.
            label = f"{label} (expired on {_day(self._expires)})"
        if self._username is None and prefer_bearer:
            return _bearer(secret, label)
        if self._username is not None and ":" in self._username:
            raise SourceRefused(
                self._label,
                f"the user name of {self._label} has a colon, which Basic authentication cannot carry",
                remedy="correct `username`; a token needs none, with auth_type PAT",
            )
        return _basic(_ANY_USER if self._username is None else self._username, secret, label)

    async def refused(self) -> bool:
        """Read the password again."""
        return await self._reader.refused()

    async def describe(self) -> Standing:
        """Say which of the two it is."""
        what = "personal access token" if self._username is None else "user name and password"
        return await _standing(self._label, what, self._reader, self._expires)


class SignatureCredential:
    """A shared access signature."""

    def __init__(self, label: str, reader: SecretReader, *, expires: float | None = None) -> None:
        """Read the signature from `reader`; `expires` is epoch seconds."""
        self._label = label
        self._reader = reader
        self._expires = expires

    async def authorise(self, url: str, *, prefer_bearer: bool) -> Authorisation:  # noqa: ARG002 - the protocol's
        """Give the query."""
        query = (await self._reader.read()).reveal().strip().lstrip("?&")
        return Authorisation(query=quote(query, safe=_SIGNATURE_SAFE), connection=self._label)

    async def refused(self) -> bool:
        """Read the signature again."""
        return await self._reader.refused()

    async def describe(self) -> Standing:
        """Say that it is one, and until when it is signed."""
        what = "shared access signature"
        try:
            query = (await self._reader.read()).reveal()
        except SourceError as error:
            return Standing(self._label, what, self._expires, error)
        # Source: "Create a service SAS", `se` (signed expiry).
        signed = parse_qs(query.strip().lstrip("?&")).get("se", [""])[0]
        return Standing(self._label, what, parse_time(signed) or self._expires)


class IdentityCredential:
    """A managed identity."""

    def __init__(self, label: str, tokens: Tokens, *, resource: str) -> None:
        """Ask `tokens` for those of `resource`."""
        self._label = label
        self._tokens = tokens
        self._scope = f"{resource.removesuffix('/.default').rstrip('/')}/.default"

    async def authorise(self, url: str, *, prefer_bearer: bool) -> Authorisation:  # noqa: ARG002 - the protocol's
        """Give the header, as the host wants it."""
        token = (await self._tokens.token(self._scope)).reveal()
        # Azure DevOps takes the token wherever it takes a personal access token.
        return _basic(_ANY_USER, token, self._label) if is_azure_devops(url) else _bearer(token, self._label)

    async def refused(self) -> bool:
        """Get another token."""
        return await self._tokens.refused(self._scope)

    async def describe(self) -> Standing:
        """Say whose token it is, for whom, and until when."""
        try:
            claims = read_claims(await self._tokens.token(self._scope))
        except SourceError as error:
            return Standing(self._label, "managed identity", problem=error)
        # Tokens are renewed by themselves, so that their end is no news.
        return Standing(self._label, f"managed identity: {claims}" if claims else "managed identity")


class OpenCredential:
    """No credential, on purpose: what a shorter target has does not apply."""

    def __init__(self, label: str) -> None:
        """Keep the connection's name."""
        self._label = label

    async def authorise(self, url: str, *, prefer_bearer: bool) -> Authorisation:  # noqa: ARG002 - the protocol's
        """Add nothing."""
        return Authorisation(connection=self._label)

    async def refused(self) -> bool:
        """Have nothing else."""
        return False

    async def describe(self) -> Standing:
        """Say that there is none."""
        return Standing(self._label, "no credential")


class MissingCredential:
    """A credential that could not be had, and why."""

    def __init__(self, label: str, make: Callable[[], SourceError]) -> None:
        """Raise what `make` gives whenever the credential is needed."""
        self._label = label
        self._make = make

    async def authorise(self, url: str, *, prefer_bearer: bool) -> Authorisation:  # noqa: ARG002 - the protocol's
        """Raise why."""
        raise self._make()

    async def refused(self) -> bool:
        """Have nothing else."""
        return False

    async def describe(self) -> Standing:
        """Say why."""
        return Standing(self._label, "unreadable", problem=self._make())


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def parse_time(text: str) -> float | None:
    """Give a time of Azure's as epoch seconds; UTC where it names no zone; `None` where it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


async def _standing(label: str, what: str, reader: SecretReader, expires: float | None) -> Standing:
    try:
        await reader.read()
    except SourceError as error:
        return Standing(label, what, expires, error)
    return Standing(label, what, expires)


def _basic(user: str, password: str, label: str) -> Authorisation:
    """Source: RFC 7617 §2, with its `charset="UTF-8"`."""
    pair = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return Authorisation(headers={"Authorization": f"Basic {pair}"}, connection=label)


def _bearer(token: str, label: str) -> Authorisation:
    """Source: RFC 6750 §2.1."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SourceRefused(
            label,
            f"the token of {label} has letters that no token has",
            remedy="check that it was stored in full, and alone",
        )
    return Authorisation(headers={"Authorization": f"Bearer {token}"}, connection=label)
