"""A double of Entra's token endpoints: IMDS, App Service and Container Apps, Azure ML compute, and OAuth 2.

It mints JWTs that the storage emulator accepts, too (issuer and audience, no real signature).
Source: Azure instance metadata service 2018-02-01; azure-identity's `imds`, `app_service`, `azure_ml`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import time
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from proxy.secret import Secret
from tests.fakes.loopback import Seen, note, serve

TENANT = "11111111-2222-3333-4444-555555555555"
OBJECT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
IDENTITY_HEADER = "app-service-secret"


def mint(audience: str, *, seconds: float = 86400, number: int = 0) -> tuple[str, int]:
    """Give a JWT for `audience` and when it expires, in epoch seconds."""
    now = int(time.time())
    expires = int(now + seconds)
    claims = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{TENANT}/",
        "iat": now - 5,
        "nbf": now - 5,
        "exp": expires,
        "oid": OBJECT,
        "tid": TENANT,
        "sub": OBJECT,
        "idtyp": "app",
        "ver": "1.0",
        "jti": number,
    }
    unsigned = _part({"alg": "HS256", "typ": "JWT"}) + "." + _part(claims)
    signature = hmac.new(b"not a secret", unsigned.encode(), hashlib.sha256).digest()
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}", expires


def claims_of(token: str) -> dict[str, Any]:
    """Read the claims of a JWT; `{}` where it is none, or has expired."""
    try:
        body = token.split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if claims.get("exp", 0) > time.time() else {}


def audience_of(token: str) -> str:
    """Say whom a token is for; empty where it is none, or has expired."""
    return str(claims_of(token).get("aud", "")).rstrip("/")


class FakeIdentity:
    """The token endpoints, with one system-assigned identity and the client ids in `identities`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        """Use `tls` where a client insists on https (OAuth 2)."""
        self.url = ""
        self.requests: list[Seen] = []
        self.identities: set[str] = set()
        self.has_identity = True
        self.lifetime: float = 86400
        self.fails_with: int | None = None
        self.minted: list[str] = []
        self._tls = tls
        self._stack = AsyncExitStack()

    def environment(self) -> dict[str, str]:
        """Give the variables that send azure-identity's managed identity here (IMDS)."""
        return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self.url}

    def app_service_environment(self) -> dict[str, str]:
        """Give the variables of an App Service or a Container App."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": IDENTITY_HEADER}

    def asked_for(self) -> list[str]:
        """Give the resources that tokens were asked for, in order."""
        return [audience_of(token) for token in self.minted]

    async def __aenter__(self) -> Self:
        """Start serving."""
        app = web.Application()
        app.router.add_get("/metadata/identity/oauth2/token", self._imds)
        app.router.add_get("/msi/token", self._app_service)
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self._oauth)
        self.url = await self._stack.enter_async_context(serve(app, tls=self._tls))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        await self._stack.aclose()

    async def _imds(self, request: web.Request) -> web.Response:
        self.requests.append(note(request))
        if request.headers.get("Metadata") != "true":
            return _error("invalid_request", "Required metadata header not specified")
        return self._grant(request.query.get("resource", ""), request.query.get("client_id"))

    async def _app_service(self, request: web.Request) -> web.Response:
        self.requests.append(note(request))
        if request.headers.get("X-IDENTITY-HEADER") != IDENTITY_HEADER:
            return web.json_response({"statusCode": 401, "message": "the header is wrong"}, status=401)
        return self._grant(request.query.get("resource", ""), request.query.get("client_id"))

    async def _oauth(self, request: web.Request) -> web.Response:
        self.requests.append(note(request))
        form = await request.post()
        if self.fails_with is not None:
            return _error("server_error", "told to fail", self.fails_with)
        if not form.get("client_assertion") and not form.get("client_secret"):
            return _error("invalid_client", "AADSTS7000218: client_assertion or client_secret is missing", 401)
        token, _ = self._mint(str(form.get("scope", "")).removesuffix("/.default"))
        seconds = int(self.lifetime)
        return web.json_response(
            {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}
        )

    def _grant(self, resource: str, client_id: str | None) -> web.Response:
        if self.fails_with is not None:
            return _error("server_error", "told to fail", self.fails_with)
        if client_id is not None and client_id not in self.identities:
            return _error("invalid_request", "Identity not found")
        if client_id is None and not self.has_identity:
            return _error("invalid_request", "Identity not found")
        token, expires = self._mint(resource)
        # Strings, not numbers: that is what the service sends.
        return web.json_response(
            {
                "access_token": token,
                "client_id": client_id or OBJECT,
                "expires_in": str(int(self.lifetime)),
                "expires_on": str(expires),
                "ext_expires_in": str(int(self.lifetime)),
                "not_before": str(int(time.time()) - 5),
                "resource": resource,
                "token_type": "Bearer",
            }
        )

    def _mint(self, resource: str) -> tuple[str, int]:
        token, expires = mint(resource, seconds=self.lifetime, number=len(self.minted))
        self.minted.append(token)
        return token, expires


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _error(code: str, description: str, status: int = 400) -> web.Response:
    return web.json_response({"error": code, "error_description": description}, status=status)


class FakeTokens:
    """An identity without its endpoints: tokens by scope, as a source is handed them."""

    def __init__(self) -> None:
        """Start with an identity that gets every token."""
        self.given: list[str] = []
        self.error: Exception | None = None
        self.audience: str | None = None
        """Whom every token is for, where that is not whom it was asked for."""
        self._current: dict[str, Secret] = {}

    async def token(self, scope: str) -> Secret:
        """Give the current token for `scope`."""
        if self.error is not None:
            raise self.error
        if scope not in self._current:
            token, _ = mint(self.audience or scope.removesuffix("/.default"), number=len(self.given))
            self._current[scope] = Secret(token)
            self.given.append(scope)
        return self._current[scope]

    def hold(self, scope: str, token: str) -> None:
        """Give this token from now on."""
        self._current[scope] = Secret(token)

    async def refused(self, scope: str) -> bool:
        """Get another token."""
        self._current.pop(scope, None)
        return True
