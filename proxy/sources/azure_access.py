"""The ways to be let in by a storage account: what each adds to a request.

A credential is only ever sent to the account's own endpoint, as `Account` asks nothing else and follows no redirect.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Protocol

from proxy.errors import SourceError, SourceRefused, SourceUnavailable
from proxy.secret import Secret
from proxy.sources.identity import Tokens
from proxy.sources.rereading import SecretReader

STORAGE_SCOPE = "https://storage.azure.com/.default"
"""The same in every cloud."""

_UNAUTHORISED = 401
_EMULATOR = "http://127.0.0.1:10000/devstoreaccount1"
# Published, the same for everybody, and worth nothing: the emulator's.
_EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

# The order in which the service signs them.
_SIGNED = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the account, before or after the credential is added."""

    method: str
    url: str
    """With its query; as it goes over the wire."""
    headers: Mapping[str, str]
    account: str
    """The account's name, which a signature covers."""


class Access(Protocol):
    """One way to be let in."""

    label: str
    """In words, for messages."""

    async def endpoint(self) -> str | None:
        """Give the endpoint that the credential itself names, if it does: it wins over a configured one."""

    async def admit(self, request: Request) -> Request:
        """Give the request with the credential.

        Raises: SourceRefused, SourceUnavailable where the credential cannot be had.
        """

    async def refused(self, status: int) -> bool:
        """Take note of a refusal, and re-read the credential; whether another try is worthwhile."""


class Anonymous:
    """Nothing, for public containers."""

    label = "anonymous"

    async def endpoint(self) -> str | None:
        """Name none."""
        return None

    async def admit(self, request: Request) -> Request:
        """Add nothing."""
        return request

    async def refused(self, status: int) -> bool:  # noqa: ARG002 - the protocol's
        """Know nothing better."""
        return False


class TokenAccess:
    """An identity's token."""

    def __init__(self, tokens: Tokens, *, label: str, owner: str) -> None:
        """Send those of `tokens`; `owner` is the source that errors name."""
        self.label = label
        self._tokens = tokens
        self._owner = owner

    async def endpoint(self) -> str | None:
        """Name none."""
        return None

    async def admit(self, request: Request) -> Request:
        """Add the token."""
        try:
            token = await self._tokens.token(STORAGE_SCOPE)
        except SourceError as error:
            raise _named(error, self._owner) from error
        return replace(request, headers={**request.headers, "Authorization": f"Bearer {token.reveal()}"})

    async def refused(self, status: int) -> bool:
        """Get another token, unless this one was believed and its identity is what lacks a role."""
        if status != _UNAUTHORISED:
            return False
        try:
            return await self._tokens.refused(STORAGE_SCOPE)
        except SourceError as error:
            raise _named(error, self._owner) from error


class KeyAccess:
    """The account's shared key."""

    label = "account key"

    def __init__(self, reader: SecretReader, *, owner: str) -> None:
        """Sign with the key that `reader` gives."""
        self._reader = reader
        self._owner = owner

    async def endpoint(self) -> str | None:
        """Name none."""
        return None

    async def admit(self, request: Request) -> Request:
        """Sign the request."""
        return sign(request, key=await _read(self._reader, self._owner), owner=self._owner)

    async def refused(self, status: int) -> bool:  # noqa: ARG002 - keys and signatures get a 403 for everything
        """Read the key again."""
        return await _reread(self._reader, self._owner)


class SignatureAccess:
    """A shared access signature (SAS)."""

    label = "SAS"

    def __init__(self, reader: SecretReader, *, owner: str) -> None:
        """Add the signature that `reader` gives."""
        self._reader = reader
        self._owner = owner

    async def endpoint(self) -> str | None:
        """Name none."""
        return None

    async def admit(self, request: Request) -> Request:
        """Add the signature to the query."""
        return add_signature(request, await _read(self._reader, self._owner), owner=self._owner)

    async def refused(self, status: int) -> bool:  # noqa: ARG002 - keys and signatures get a 403 for everything
        """Read the signature again."""
        return await _reread(self._reader, self._owner)


class StringAccess:
    """A connection string: an endpoint, and a key or a signature for it."""

    label = "connection string"

    def __init__(self, reader: SecretReader, *, owner: str) -> None:
        """Do what the string says that `reader` gives."""
        self._reader = reader
        self._owner = owner

    async def endpoint(self) -> str | None:
        """Give the string's endpoint."""
        return (await self._read()).endpoint

    async def admit(self, request: Request) -> Request:
        """Sign the request, or add the signature; nothing where the string has neither."""
        string = await self._read()
        if string.signature is not None:
            return add_signature(request, string.signature, owner=self._owner)
        if string.key is not None:
            return sign(replace(request, account=string.account), key=string.key, owner=self._owner)
        return request

    async def refused(self, status: int) -> bool:  # noqa: ARG002 - keys and signatures get a 403 for everything
        """Read the string again."""
        return await _reread(self._reader, self._owner)

    async def _read(self) -> ConnectionString:
        return parse_connection_string(await _read(self._reader, self._owner), owner=self._owner)


@dataclass(frozen=True, slots=True)
class ConnectionString:
    """What a connection string says."""

    endpoint: str
    account: str
    key: Secret | None
    signature: Secret | None


def parse_connection_string(secret: Secret, *, owner: str) -> ConnectionString:
    """Read a connection string; names are compared without case, and the order is free.

    Source: Azure Storage, "Configure connection strings".

    Raises: SourceRefused where it names no endpoint.
    """
    words: dict[str, str] = {}
    for part in secret.reveal().strip().strip('"').split(";"):
        name, _, value = part.strip().partition("=")
        words[name.strip().lower()] = value.strip()
    if words.get("usedevelopmentstorage", "").lower() == "true":
        proxy = words.get("developmentstorageproxyuri", "").rstrip("/")
        endpoint = f"{proxy}:10000/devstoreaccount1" if proxy else _EMULATOR
        return ConnectionString(endpoint, "devstoreaccount1", Secret(_EMULATOR_KEY), None)
    account = words.get("accountname", "")
    endpoint = words.get("blobendpoint", "")
    if not endpoint and account:
        scheme = words.get("defaultendpointsprotocol") or "https"
        endpoint = f"{scheme}://{account}.blob.{words.get('endpointsuffix') or 'core.windows.net'}"
    if not urllib.parse.urlsplit(endpoint).netloc:
        raise SourceRefused(
            owner,
            "the connection string names no blob endpoint",
            remedy="copy the whole string from the account's access keys: it has AccountName or BlobEndpoint",
        )
    key, signature = words.get("accountkey"), words.get("sharedaccesssignature")
    return ConnectionString(
        endpoint,
        account or account_of(endpoint),
        Secret(key) if key else None,
        Secret(signature) if signature else None,
    )


def account_of(endpoint: str) -> str:
    """Give the name of the account that an endpoint is of: its path, where it has one, else the host's first label.

    Source: Azure Storage, "URI syntax for the emulator".
    """
    parts = urllib.parse.urlsplit(endpoint)
    in_path = urllib.parse.unquote(parts.path.strip("/").partition("/")[0])
    # A secondary endpoint is the same account.
    return in_path or (parts.hostname or "").partition(".")[0].removesuffix("-secondary")


def add_signature(request: Request, signature: Secret, *, owner: str) -> Request:
    """Give the request with a SAS in its query, as it was written; a leading `?` is no part of it.

    Raises: SourceRefused where it is none.
    """
    query = signature.reveal().strip().strip('"').rpartition("?")[2].strip("&")
    if "sig=" not in query:
        raise SourceRefused(
            owner,
            "the SAS has no signature (`sig`)",
            remedy="store the whole query of the SAS: it begins with sv= and has sig=",
        )
    mark = "&" if "?" in request.url else "?"
    return replace(request, url=f"{request.url}{mark}{query}")


def sign(request: Request, *, key: Secret, owner: str, date: str | None = None) -> Request:
    """Give the request, signed with the account's key.

    Source: Azure Storage, "Authorize with Shared Key", version 2015-02-21 and later.

    Raises: SourceRefused where the key is none.
    """
    headers = {**request.headers, "x-ms-date": date or formatdate(usegmt=True)}
    lower = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    if lower.get("content-length") == "0":
        lower["content-length"] = ""
    parts = urllib.parse.urlsplit(request.url)
    query: dict[str, list[str]] = {}
    for name, value in urllib.parse.parse_qsl(parts.query, keep_blank_values=True):
        query.setdefault(name.lower(), []).append(value)
    text = "\n".join(
        [
            request.method,
            *(lower.get(name, "") for name in _SIGNED),
            *(f"{name}:{lower[name]}" for name in sorted(lower) if name.startswith("x-ms-")),
            f"/{request.account}{parts.path or '/'}",
            *(f"{name}:{','.join(sorted(query[name]))}" for name in sorted(query)),
        ]
    )
    try:
        raw = base64.b64decode(key.reveal().strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SourceRefused(
            owner,
            "the account key is not Base64",
            remedy="copy key1 or key2 of the account's access keys, whole and without quotes",
        ) from error
    signature = base64.b64encode(hmac.new(raw, text.encode(), hashlib.sha256).digest()).decode()
    headers["Authorization"] = f"SharedKey {request.account}:{signature}"
    return replace(request, headers=headers)


async def _read(reader: SecretReader, owner: str) -> Secret:
    """Read a secret; errors name the source, for which it is."""
    try:
        return await reader.read()
    except SourceError as error:
        raise _named(error, owner) from error


async def _reread(reader: SecretReader, owner: str) -> bool:
    try:
        return await reader.refused()
    except SourceError as error:
        raise _named(error, owner) from error


def _named(error: SourceError, owner: str) -> SourceError:
    kind = SourceUnavailable if isinstance(error, SourceUnavailable) else SourceRefused
    return kind(owner, error.reason, remedy=error.remedy, retry_after=error.retry_after)
