"""Secrets in Azure Key Vault.

One call over our own session, and not the official client: reading a secret is a single GET with a token
that we already get elsewhere, so the client would add a dependency, a second HTTP stack with retries of its
own, and other rules for proxies and certificates. What the client does besides, learning the tenant from
the 401 challenge, a server with its own identity does not need.

Source: Azure Key Vault REST API, "Get Secret".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp
import msgspec
import structlog

from proxy.errors import SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from proxy.secret import Secret
from proxy.sources.identity import BearerOf, Tokens
from proxy.sources.rereading import Rereading
from proxy.sources.session import Session, Upstream

log = structlog.get_logger(__name__)

API_VERSION = "7.4"
KEEP = 600.0
"""Seconds for which a secret is used without asking for it again."""
ASK_AGAIN = 30.0
"""Seconds between two attempts while the vault cannot be asked."""

_RESOURCES = {
    ".vault.azure.net": "https://vault.azure.net",
    ".vault.azure.cn": "https://vault.azure.cn",
    ".vault.usgovcloudapi.net": "https://vault.usgovcloudapi.net",
    ".vault.microsoftazure.de": "https://vault.microsoftazure.de",
}
_LARGEST = 1 << 20


class _Inner(msgspec.Struct):
    code: str = ""


class _Error(msgspec.Struct):
    code: str = ""
    innererror: _Inner | None = None


class _Answer(msgspec.Struct):
    value: str = ""
    error: _Error | None = None


def scope_of(url: str) -> str:
    """Give the scope of tokens for the vault at `url`: every cloud has its own."""
    host = (urlsplit(url).hostname or "").lower()
    for suffix, resource in _RESOURCES.items():
        if host.endswith(suffix):
            return f"{resource}/.default"
    return "https://vault.azure.net/.default"


class KeyVaultSecret:
    """One secret of one vault, remembered for ten minutes."""

    def __init__(
        self,
        url: str,
        *,
        owner: str,
        session: Session,
        tokens: Tokens,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Name the secret (`https://VAULT.vault.azure.net/secrets/NAME[/VERSION]`), and whose it is."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        self._vault = parts.netloc
        self._name = parts.path.strip("/").removeprefix("secrets/")
        self._url = f"{origin}/secrets/{self._name}?api-version={API_VERSION}"
        self._owner = owner
        self._clock = clock
        bearer = BearerOf(tokens, scope=scope_of(url), origin=origin, label="the server's identity")
        self._upstream = Upstream(session, name=owner, credentials=bearer)
        self._secret: Secret | None = None
        self._due = 0.0
        self._lock = asyncio.Lock()
        self._rereading = Rereading(clock)

    async def read(self) -> Secret:
        """Give the secret; while the vault cannot be asked, the one that is remembered."""
        if self._secret is not None and self._clock() < self._due:
            return self._secret
        async with self._lock:
            if self._secret is None or self._clock() >= self._due:
                await self._renew()
            assert self._secret is not None  # noqa: S101 - for the type checker: `_renew` sets it or raises
            return self._secret

    async def refused(self) -> bool:
        """Ask the vault again now."""
        return await self._rereading.run(self._reread)

    async def _reread(self) -> bool:
        async with self._lock:
            before = self._secret
            self._secret = await self._ask()
            self._due = self._clock() + KEEP
            return self._secret != before

    async def _renew(self) -> None:
        try:
            self._secret = await self._ask()
            self._due = self._clock() + KEEP
        except SourceUnavailable as error:
            if self._secret is None:
                raise
            self._due = self._clock() + ASK_AGAIN
            log.warning(
                "key vault cannot be asked, going on with what is remembered", vault=self._vault, reason=error.reason
            )

    async def _ask(self) -> Secret:
        try:
            async with self._upstream.get(self._url, expect=(200, 400, 401, 403, 404)) as response:
                body = await self._upstream.read(response, limit=_LARGEST)
        except SourceUnavailable as error:
            raise SourceUnavailable(
                self._owner,
                f"the key vault {self._vault} cannot be asked for the secret {self._name}: {error.reason}",
                remedy=error.remedy,
                retry_after=error.retry_after,
            ) from error
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except msgspec.DecodeError as error:
            raise SourceNonsense(
                self._owner,
                f"the key vault {self._vault} answered {response.status} with something that is not its JSON",
                remedy="check the vault's address, and proxies on the way to it",
            ) from error
        if response.status != 200:  # noqa: PLR2004 - OK
            raise self._refusal(response, answer)
        if not answer.value:
            raise SourceRefused(
                self._owner,
                f"the secret {self._name} in the key vault {self._vault} is empty",
                remedy=f"set a value for {self._name}; no restart is needed",
            )
        return Secret(answer.value)

    def _refusal(self, response: aiohttp.ClientResponse, answer: _Answer) -> SourceError:
        inner = answer.error.innererror.code if answer.error and answer.error.innererror else ""
        where = f"the key vault {self._vault}"
        match response.status, inner:
            case 404, _:
                what = f"{where} has no secret {self._name}"
                remedy = f"create {self._name} there, or correct its name (or version) in the configuration"
            case 403, "ForbiddenByFirewall":
                what = f"the firewall of {where} does not let this machine read the secret {self._name}"
                remedy = "allow this machine's network in the vault's networking settings, or use a private endpoint"
            case 403, "SecretDisabled":
                what = f"the secret {self._name} in {where} is disabled"
                remedy = f"enable {self._name}, or name another version"
            case 403, _:
                what = f"{where} does not let the server's identity read the secret {self._name}"
                remedy = "give the identity the role Key Vault Secrets User on the vault (or an access policy with Get)"
            case 401, _:
                what = f"{where} does not accept the token of the server's identity for the secret {self._name}"
                remedy = "check that the identity belongs to the vault's tenant and cloud"
            case status, _:
                what = f"{where} answered {status} for the secret {self._name}"
                remedy = "check the secret's address in the configuration"
        return SourceRefused(self._owner, what, remedy=remedy)
