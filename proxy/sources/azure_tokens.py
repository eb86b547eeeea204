"""Tokens of the server's own identity, from azure-identity, ahead of their expiry and behind the requests.

azure-identity is imported with the first token that is needed, in a thread: it takes a second and a half. Every token
is asked for anew, because its own memory of tokens would give the refused one again; this module is the memory.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, assert_never

import aiohttp
import structlog

from proxy.config.values import IdentityCredential, ManagedIdentity
from proxy.errors import SourceError, SourceRefused, SourceUnavailable
from proxy.secret import Secret
from proxy.sources.rereading import Rereading
from proxy.sources.session import Session
from proxy.tasks import Background, Flights

log = structlog.get_logger(__name__)

EARLY = 300.0
"""Seconds before its expiry at which a token is replaced."""
LONGEST_WAIT = 15.0
"""Seconds that a request waits for the first token: a machine without an identity is told apart in five."""
QUIET = 5.0
"""Seconds after a failure in which requests get the same error, and the identity is not asked again."""
_RETRY = 30.0
_LEAST = 1.0
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Granted:
    """A token, and its times in seconds since the epoch."""

    token: Secret
    expires: float
    renew: float


Fetch = Callable[[str], Awaitable[Granted]]
"""Gives a new token for a scope. Raises: SourceError."""


class AzureTokens:
    """The tokens of one identity, by scope."""

    def __init__(
        self,
        fetch: Fetch,
        *,
        label: str,
        background: Background,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Get tokens with `fetch`; `label` names the identity in messages. Nothing is asked yet."""
        self.label = label
        self._fetch = fetch
        self._background = background
        self._clock = clock
        self._flights: Flights[str, Granted] = Flights(background)
        self._granted: dict[str, Granted] = {}
        self._failed: dict[str, tuple[float, SourceError]] = {}
        self._kept: set[str] = set()
        self._rereading: dict[str, Rereading] = {}

    def warm(self, scope: str) -> None:
        """Ask for a token behind the start, so that no client waits for it."""
        if scope not in self._granted:
            self._flights.launch(scope, lambda: self._get(scope))

    async def token(self, scope: str) -> Secret:
        """Give a token that is valid now: nearly always the one that is held."""
        granted = self._granted.get(scope)
        now = self._clock()
        if granted is not None and now < granted.expires:
            return granted.token
        failure = self._failed.get(scope)
        if failure is not None and now - failure[0] < QUIET:
            raise failure[1]
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                return (await self._flights.join(scope, lambda: self._get(scope))).token
        except TimeoutError as error:
            raise SourceUnavailable(
                self.label,
                f"no token within {LONGEST_WAIT:g} s",
                remedy="check that the identity endpoint or the sign-in service can be reached from here",
                retry_after=QUIET,
            ) from error

    async def refused(self, scope: str) -> bool:
        """Get another token at once, unless that was done less than 10 seconds ago."""
        rereading = self._rereading.setdefault(scope, Rereading())

        async def renew() -> bool:
            before = self._granted.get(scope)
            after = await self._flights.join(scope, lambda: self._get(scope))
            return before is None or after.token != before.token

        return await rereading.run(renew)

    async def _get(self, scope: str) -> Granted:
        try:
            granted = await self._fetch(scope)
        except SourceError as error:
            self._failed[scope] = (self._clock(), error)
            raise
        self._failed.pop(scope, None)
        self._granted[scope] = granted
        if scope not in self._kept:
            self._kept.add(scope)
            self._background.start(self._keep(scope), name=f"tokens of {self.label}")
        return granted

    async def _keep(self, scope: str) -> None:
        """Replace the token ahead of its expiry, for as long as the server runs."""
        while True:
            await asyncio.sleep(max(self._granted[scope].renew - self._clock(), _LEAST))
            try:
                await self._flights.join(scope, lambda: self._get(scope))
            except SourceError as error:
                # The old one is good for some minutes yet.
                log.warning("token cannot be renewed", identity=self.label, reason=error.reason, remedy=error.remedy)
                await asyncio.sleep(_RETRY)


def tokens_of(identity: IdentityCredential, *, session: Session, background: Background) -> AzureTokens:
    """Give the tokens of an identity that the configuration names."""
    label = label_of(identity)

    async def fetch(scope: str) -> Granted:
        return await fetch_token(identity, scope, session=session)

    return AzureTokens(fetch, label=label, background=background)


def label_of(identity: IdentityCredential) -> str:
    """Name an identity in words."""
    match identity:
        case ManagedIdentity():
            return f"managed identity {identity.managed_identity}"
        case "managed-identity":
            return "managed identity"
        case "workload-identity":
            return "workload identity"
        case "default":
            return "Azure's default credential"
        case _:
            assert_never(identity)


async def fetch_token(identity: IdentityCredential, scope: str, *, session: Session) -> Granted:
    """Ask azure-identity for a new token, over connections that trust what ours do.

    Raises: SourceRefused where there is no such identity, or it gets none; SourceUnavailable where the service that
    gives tokens cannot be asked.
    """
    label = label_of(identity)
    library, errors, transport = await asyncio.to_thread(_import)
    try:
        context = await session.trust(None)
    except OSError as error:
        raise SourceUnavailable(
            label, f"the certificate authorities cannot be read: {error}", remedy="correct REQUESTS_CA_BUNDLE"
        ) from error
    client = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        # Here it may be: nobody's redirect is followed with a password of .netrc, and proxies are honoured.
        trust_env=True,
    )
    async with client:
        now = session.clock()
        carried = transport.AioHttpTransport(session=client, session_owner=False)
        try:
            credential = await asyncio.to_thread(_make, library, identity, carried)
            async with credential:
                token = await credential.get_token_info(scope)
        except errors.ClientAuthenticationError as error:
            raise SourceRefused(label, _reason(error), remedy=_remedy(identity)) from error
        except errors.AzureError as error:
            raise SourceUnavailable(label, _reason(error), remedy=_remedy(identity), retry_after=QUIET) from error
        except ValueError as error:
            # What a variable that is missing or malformed comes to.
            raise SourceRefused(label, _reason(error), remedy=_remedy(identity)) from error
    return _granted(token, now)


def _granted(token: Any, now: float) -> Granted:  # noqa: ANN401 - azure-identity's, which is not imported here
    lives = max(token.expires_on - now, 0.0)
    renew = token.expires_on - min(EARLY, lives / 2)
    if token.refresh_on:
        renew = min(renew, max(float(token.refresh_on), now + _LEAST))
    return Granted(Secret(token.token), float(token.expires_on), renew)


def _import() -> tuple[Any, Any, Any]:
    return (
        importlib.import_module("azure.identity.aio"),
        importlib.import_module("azure.core.exceptions"),
        importlib.import_module("azure.core.pipeline.transport"),
    )


def _make(library: Any, identity: IdentityCredential, transport: Any) -> Any:  # noqa: ANN401 - as above
    """Make the credential; runs in a thread, because some read files."""
    match identity:
        case ManagedIdentity():
            return library.ManagedIdentityCredential(client_id=identity.managed_identity, transport=transport)
        case "managed-identity":
            return library.ManagedIdentityCredential(transport=transport)
        case "workload-identity":
            return library.WorkloadIdentityCredential(transport=transport)
        case "default":
            return library.DefaultAzureCredential(transport=transport)
        case _:
            assert_never(identity)


def _reason(error: Exception) -> str:
    """Give a message of many lines as one."""
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


def _remedy(identity: IdentityCredential) -> str:
    match identity:
        case ManagedIdentity():
            return "assign the user-assigned identity with this client id to the machine, app or node that runs us"
        case "managed-identity":
            return "turn on the system-assigned identity of the machine, app or node, or name a user-assigned one"
        case "workload-identity":
            return "label the pod with azure.workload.identity/use and annotate its service account with the client id"
        case "default":
            return 'name the identity (`credential = "managed-identity"`), or set AZURE_TENANT_ID and AZURE_CLIENT_ID'
        case _:
            assert_never(identity)
