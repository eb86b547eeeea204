"""A double of Azure Resource Manager's connections of machine learning workspaces.

Source: Azure REST API specifications, `Microsoft.MachineLearningServices/stable/2024-10-01/workspaceRP.json`.
Only `listsecrets` gives secrets away; the list has `credentials: null`.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.fakes.identity import audience_of
from tests.fakes.loopback import Seen, note, serve

WORKSPACE = (
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/research"
    "/providers/Microsoft.MachineLearningServices/workspaces/research"
)


class FakeManagement:
    """One workspace at `WORKSPACE`."""

    def __init__(self) -> None:
        """Start with a workspace without connections."""
        self.url = ""
        self.requests: list[Seen] = []
        self.connections: dict[str, dict[str, Any]] = {}
        self.page_size = 100
        self.foreign_next_link: str | None = None
        self.lacks_reader = False
        self.lacks_secrets_reader = False
        self.throttles_secrets = False
        self.forgets_secrets = False
        self.throttled_for: int | None = None
        self.answers_with: tuple[int, str] | None = None
        self.delay: float = 0
        self._stack = AsyncExitStack()

    def has(self, name: str, target: str, *, auth_type: str = "PAT", **properties: Any) -> None:
        """Add a connection; `properties` may replace any, such as `category`, `credentials` and `value`."""
        self.connections[name] = {
            "category": "PythonFeed",
            "authType": auth_type,
            "target": target,
            "metadata": {},
            "isSharedToAll": True,
        } | properties

    def has_pat(self, name: str, target: str, pat: str, **properties: Any) -> None:
        """Add a connection with a personal access token."""
        self.has(name, target, credentials={"pat": pat}, **properties)

    async def __aenter__(self) -> Self:
        """Start serving."""
        app = web.Application()
        app.router.add_route("*", WORKSPACE + "/connections", self._list)
        app.router.add_get(WORKSPACE + "/connections/{name}", self._one)
        app.router.add_post(WORKSPACE + "/connections/{name}/listsecrets", self._list_secrets)
        app.router.add_route("*", "/{rest:.*}", self._nothing)
        self.url = await self._stack.enter_async_context(serve(app))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        await self._stack.aclose()

    async def _list(self, request: web.Request) -> web.Response:
        refusal = await self._refuse(request)
        if refusal is not None:
            return refusal
        if self.lacks_reader:
            return _forbidden("Microsoft.MachineLearningServices/workspaces/connections/read")
        start = int(request.query.get("$skip", "0"))
        names = list(self.connections)
        page: dict[str, Any] = {"value": [self._resource(name) for name in names[start : start + self.page_size]]}
        if start + self.page_size < len(names):
            page["nextLink"] = (
                f"{self.url}{WORKSPACE}/connections"
                f"?api-version={request.query['api-version']}&%24skip={start + self.page_size}"
            )
        elif self.foreign_next_link is not None:
            page["nextLink"] = self.foreign_next_link
        return web.json_response(page)

    async def _one(self, request: web.Request) -> web.Response:
        refusal = await self._refuse(request)
        if refusal is not None:
            return refusal
        return self._answer(request.match_info["name"], secrets=False)

    async def _list_secrets(self, request: web.Request) -> web.Response:
        refusal = await self._refuse(request)
        if refusal is not None:
            return refusal
        if self.lacks_secrets_reader:
            return _forbidden("Microsoft.MachineLearningServices/workspaces/connections/listsecrets/action")
        if self.throttles_secrets:
            return _error(429, "TooManyRequests", "The request is being throttled.")
        return self._answer("" if self.forgets_secrets else request.match_info["name"], secrets=True)

    async def _nothing(self, request: web.Request) -> web.Response:
        refusal = await self._refuse(request)
        return refusal or _error(404, "ResourceNotFound", "The Resource was not found.")

    def _answer(self, name: str, *, secrets: bool) -> web.Response:
        if name not in self.connections:
            return _error(404, "ResourceNotFound", f"Connection {name} can't be found in this workspace")
        return web.json_response(self._resource(name, secrets=secrets))

    def _resource(self, name: str, *, secrets: bool = False) -> dict[str, Any]:
        properties = dict(self.connections[name])
        if not secrets:
            properties.pop("value", None)
            properties["credentials"] = None
        return {
            "id": f"{WORKSPACE}/connections/{name}",
            "name": name,
            "type": "Microsoft.MachineLearningServices/workspaces/connections",
            "properties": properties,
        }

    async def _refuse(self, request: web.Request) -> web.Response | None:
        self.requests.append(note(request))
        await asyncio.sleep(self.delay)
        if self.answers_with is not None:
            status, body = self.answers_with
            return web.Response(status=status, text=body)
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or audience_of(token) not in {self.url, "https://management.azure.com"}:
            return _error(401, "InvalidAuthenticationToken", "The access token is missing or invalid.")
        if "api-version" not in request.query:
            return _error(400, "MissingApiVersionParameter", "The api-version query parameter is required.")
        if self.throttled_for is not None:
            answer = _error(429, "TooManyRequests", "The request is being throttled.")
            answer.headers["Retry-After"] = str(self.throttled_for)
            return answer
        return None


def _forbidden(action: str) -> web.Response:
    message = (
        "The client 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee' does not have authorization to perform action "
        f"'{action}' over scope '{WORKSPACE}' or the scope is invalid."
    )
    return _error(403, "AuthorizationFailed", message)


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
