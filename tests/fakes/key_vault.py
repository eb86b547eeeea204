"""A double of Azure Key Vault's secrets, data plane.

Source: Azure Key Vault REST API, "Get Secret"; the 401 challenge comes before anything else.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.fakes.identity import TENANT, audience_of
from tests.fakes.loopback import Seen, note, serve

AUDIENCE = "https://vault.azure.net"


class FakeKeyVault:
    """One vault; `put` adds a version of a secret, the last one is the current one."""

    def __init__(self) -> None:
        """Start empty and reachable."""
        self.url = ""
        self.requests: list[Seen] = []
        self.secrets: dict[str, dict[str, str]] = {}
        self.disabled: set[str] = set()
        self.forbids: str | None = None
        """`ForbiddenByRbac`, `ForbiddenByPolicy`, `ForbiddenByFirewall`: why every read is refused."""
        self.throttled_for: int | None = None
        self.answers_with: tuple[int, str] | None = None
        self._stack = AsyncExitStack()

    def put(self, name: str, value: str) -> str:
        """Add a version of a secret; gives its identifier."""
        versions = self.secrets.setdefault(name, {})
        version = f"{len(versions):032x}"
        versions[version] = value
        return version

    async def __aenter__(self) -> Self:
        """Start serving."""
        app = web.Application()
        # Without a version, clients send the trailing slash or leave it out.
        for path in ("/secrets/{name}", "/secrets/{name}/", "/secrets/{name}/{version}"):
            app.router.add_get(path, self._get)
        self.url = await self._stack.enter_async_context(serve(app))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        await self._stack.aclose()

    async def _get(self, request: web.Request) -> web.Response:
        self.requests.append(note(request))
        if self.answers_with is not None:
            return web.Response(status=self.answers_with[0], text=self.answers_with[1])
        refusal = self._refuse(request)
        if refusal is not None:
            return refusal
        name, version = request.match_info["name"], request.match_info.get("version", "")
        versions = self.secrets.get(name, {})
        version = version or next(reversed(versions), "")
        if version not in versions:
            return _error(404, "SecretNotFound", f"A secret with (name/id) {name}/{version} was not found.")
        if name in self.disabled:
            return _error(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return web.json_response(
            {
                "value": versions[version],
                "id": f"{self.url}/secrets/{name}/{version}",
                "attributes": {"enabled": True, "created": 1, "updated": 1, "recoveryLevel": "Recoverable"},
            }
        )

    def _refuse(self, request: web.Request) -> web.Response | None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or audience_of(token) != AUDIENCE:
            challenge = f'Bearer authorization="https://login.microsoftonline.com/{TENANT}", resource="{AUDIENCE}"'
            answer = _error(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
            answer.headers["WWW-Authenticate"] = challenge
            return answer
        if "api-version" not in request.query:
            return _error(400, "BadParameter", "api-version must be specified")
        if self.throttled_for is not None:
            answer = _error(429, "Throttled", "Request was not processed because too many requests were received.")
            answer.headers["Retry-After"] = str(self.throttled_for)
            return answer
        if self.forbids is not None:
            return _error(403, "Forbidden", "Caller is not authorized to perform action on resource.", self.forbids)
        return None


def _error(status: int, code: str, message: str, inner: str | None = None) -> web.Response:
    error: dict[str, object] = {"code": code, "message": message}
    if inner is not None:
        error["innererror"] = {"code": inner}
    return web.json_response({"error": error}, status=status)
