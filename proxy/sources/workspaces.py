"""The connections of an Azure Machine Learning workspace, read from the workspace itself.

They are listed without their secrets (`GET …/connections`, in pages), and each secret is asked for on its
own (`POST …/connections/NAME/listsecrets`). They are held in memory only, read again in the background and
at once after a refusal. A workspace that cannot be read keeps what was read of it before.

Source: Azure REST API, `Microsoft.MachineLearningServices` 2024-10-01, "Workspace Connections".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar
from urllib.parse import quote

import msgspec
import structlog

from proxy.config.models import Workspace
from proxy.config.values import IdentityCredential as Identity
from proxy.errors import SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from proxy.rules.credentials import covers
from proxy.sources.connections import SOON, Held
from proxy.sources.identity import BearerOf, Tokens
from proxy.sources.rereading import Rereading
from proxy.sources.session import Session, Upstream
from proxy.sources.stored import Resource, StoredConnection, held_of, parse_stored

log = structlog.get_logger(__name__)

_Kind = TypeVar("_Kind")

FIRST_READING = 5.0
"""Seconds that a request waits for the first reading of a workspace."""
ASK_AGAIN = 30.0
"""Seconds until a workspace that could not be read is asked again by itself."""

_MOST_PAGES = 100
_AT_ONCE = 4
_LARGEST = 16 << 20
_ROLE = "Azure Machine Learning Workspace Connection Secrets Reader"
_TOLD = (200, 400, 401, 403, 404)


class _Page(msgspec.Struct):
    value: list[Resource] = []
    nextLink: str | None = None  # noqa: N815 - as it is on the wire


class WorkspaceConnections:
    """What one workspace holds, as far as it could be read."""

    def __init__(
        self,
        name: str,
        workspace: Workspace,
        *,
        session: Session,
        tokens_of: Callable[[Identity], Tokens],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Name the workspace as the configuration does; `tokens_of` gives the tokens of an identity."""
        self.name = name
        self.held: tuple[Held, ...] = ()
        self.problem: SourceError | None = SourceUnavailable(
            f"workspace {name}",
            f"the connections of workspace {name} are still being read",
            remedy="ask again in a few seconds",
            retry_after=FIRST_READING,
        )
        """Why nothing is known of it yet; `None` once it was read, even if it cannot be read now."""
        self._refresh = workspace.refresh
        self._api_version = workspace.api_version
        self._root = workspace.management_url.rstrip("/")
        self._url = f"{self._root}{quote(workspace.id, safe='/')}/connections"
        self._tokens_of = tokens_of
        bearer = BearerOf(
            tokens_of(workspace.credential),
            scope=f"{self._root}/.default",
            origin=self._root,
            label="the server's identity",
        )
        self._upstream = Upstream(
            session, name=f"workspace {name}", credentials=bearer, ca_file=workspace.ca_file, max_connections=_AT_ONCE
        )
        self._stored: dict[str, StoredConnection] = {}
        self._tried = asyncio.Event()
        self._rereading = Rereading(clock)

    async def watch(self) -> None:
        """Read the workspace now and then, for ever."""
        while True:
            try:
                await self.read()
            except SourceError as error:
                log.warning("workspace cannot be read", workspace=self.name, reason=error.reason, remedy=error.remedy)
                await asyncio.sleep(min(self._refresh, ASK_AGAIN))
            else:
                await asyncio.sleep(self._refresh)

    async def wait(self) -> None:
        """Wait for the first reading, at most five seconds; somebody must `watch`, or `read`."""
        if self._tried.is_set():
            return
        try:
            async with asyncio.timeout(FIRST_READING):
                await self._tried.wait()
        except TimeoutError:
            return

    async def refused(self) -> bool:
        """Read the workspace again now; whether any connection has changed.

        Raises: SourceError where it could never be read.
        """
        try:
            return await self._rereading.run(self.read)
        except SourceError as error:
            if self.problem is not None:
                raise
            log.warning("workspace cannot be read again", workspace=self.name, reason=error.reason)
            return False

    async def read(self) -> bool:
        """Read the workspace; whether any connection has changed.

        Raises: SourceError.
        """
        try:
            listed = [resource async for resource in self._list()]
            stored = await self._read_secrets(listed)
        except SourceError as error:
            if self.problem is not None:
                self.problem = error
            raise
        finally:
            self._tried.set()
        before, self._stored, self.problem = self._stored, stored, None
        if before == stored:
            return False
        self.held = tuple(
            held_of(connection, workspace=self.name, tokens_of=self._tokens_of) for connection in stored.values()
        )
        log.info("workspace read", workspace=self.name, connections=len(self.held))
        for name, connection in stored.items():
            if connection.expires is not None and connection.expires < time.time() + SOON:
                log.warning("connection expires soon, or has", workspace=self.name, connection=name)
        return True

    async def _list(self) -> AsyncIterator[Resource]:
        """Give the connections that count, without their secrets."""
        url: str | None = f"{self._url}?api-version={self._api_version}"
        for _ in range(_MOST_PAGES):
            if url is None:
                return
            if covers(self._root, url) is None:
                raise SourceNonsense(
                    self._upstream.name,
                    f"the list of connections of workspace {self.name} goes on at another host, which gets no token",
                    remedy="check `management_url`, and what stands between it and this server",
                )
            async with self._upstream.get(url, expect=_TOLD) as response:
                body = await self._upstream.read(response, limit=_LARGEST)
            if response.status != 200:  # noqa: PLR2004 - OK
                raise self._refusal(response.status, "list the connections")
            page = self._decode(body, _Page)
            for resource in page.value:
                if resource.counts(self.name):
                    yield resource
            url = page.nextLink
        raise SourceNonsense(self._upstream.name, f"the list of connections of workspace {self.name} does not end")

    async def _read_secrets(self, listed: list[Resource]) -> dict[str, StoredConnection]:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def read(resource: Resource) -> StoredConnection | None:
            async with slots:
                return await self._read_one(resource)

        found = await asyncio.gather(*(read(resource) for resource in listed))
        return {connection.name: connection for connection in found if connection is not None}

    async def _read_one(self, resource: Resource) -> StoredConnection | None:
        """Read one connection with its secret; `None` where it is gone meanwhile.

        One that cannot be read does not keep the others from being read: it raises when it is needed.
        """
        url = f"{self._url}/{quote(resource.name, safe='')}/listsecrets?api-version={self._api_version}"
        try:
            async with self._upstream.request("POST", url, body=b"", expect=_TOLD) as response:
                body = await self._upstream.read(response, limit=_LARGEST)
            if response.status == 404:  # noqa: PLR2004 - not found
                return None
            if response.status != 200:  # noqa: PLR2004 - OK
                raise self._refusal(response.status, f"read the secret of connection {resource.name} (listsecrets)")
            return parse_stored(self._decode(body, Resource), listed=resource)
        except SourceError as error:
            known = self._stored.get(resource.name)
            if isinstance(error, SourceUnavailable) and known is not None:
                return known
            log.warning("connection cannot be read", workspace=self.name, connection=resource.name, reason=error.reason)
            return StoredConnection(resource.name, resource.properties.target or "", error=error)

    def _decode(self, body: bytes, kind: type[_Kind]) -> _Kind:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise SourceNonsense(
                self._upstream.name,
                f"what answers for workspace {self.name} does not speak like Azure Resource Manager",
                remedy="check `management_url`, and proxies on the way to it",
            ) from error

    def _refusal(self, status: int, what: str) -> SourceError:
        match status:
            case 401:
                reason = f"Azure does not accept the token of the server's identity for workspace {self.name}"
                remedy = "check that the identity belongs to the workspace's tenant, and `management_url` to its cloud"
            case 403:
                reason = f"the server's identity may not {what} of workspace {self.name}"
                remedy = f"give it the role {_ROLE} on the workspace (its action is …/connections/listsecrets/action)"
            case 404:
                reason = f"there is no workspace {self.name} at its `id`, or the server's identity may not see it"
                remedy = f"copy the resource id from the workspace's properties, and give the identity the role {_ROLE}"
            case _:
                reason = f"Azure answered {status} when asked to {what} of workspace {self.name}"
                remedy = "check the workspace's `id` and `api_version`"
        return SourceRefused(self._upstream.name, reason, remedy=remedy)
