"""A double of GitHub's API for releases, and of the storage that its assets redirect to.

Source: GitHub REST API, "Releases", "Release assets", "Rate limits", "Best practices" (conditional requests).
Its oddities: a repository that the token may not see is 404; a 304 costs nothing of the quota; an
asset's bytes are at a signed URL elsewhere that refuses an `Authorization`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.fakes.loopback import Seen, note, serve

SIGNED = "sp=r&sv=2018-11-09&sig=a%2Bb%2Fc%3D&rscd=attachment%3B+filename%3D"


@dataclass
class Asset:
    """A file attached to a release."""

    id: int
    name: str
    content: bytes
    updated_at: str = "2026-01-02T03:04:05Z"
    created_at: str = "2026-01-02T03:04:05Z"
    state: str = "uploaded"
    has_digest: bool = True

    @property
    def digest(self) -> str | None:
        """What the API says since 2025; older assets have none."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}" if self.has_digest else None


@dataclass
class Release:
    """A release of a repository."""

    id: int
    tag: str
    assets: list[Asset]
    draft: bool = False
    prerelease: bool = False


@dataclass
class Repository:
    """A private repository, and the tokens that may see it."""

    tokens: set[str] = field(default_factory=set)
    releases: list[Release] = field(default_factory=list)
    """Newest first, as the API lists them."""


class FakeGitHub:
    """`api.github.com`, or a server of a company's own under `prefix`."""

    def __init__(self, *, prefix: str = "") -> None:
        """Start without repositories; `token` is a valid one."""
        self.token = "ghp_valid"
        self.repositories: dict[str, Repository] = {}
        self.moved: dict[str, str] = {}
        self.url = ""
        self.storage_url = ""
        self.requests: list[Seen] = []
        self.downloads: list[Seen] = []
        self.remaining = 5000
        self.reset_in = 1800
        self.largest_page = 100
        self.secondary_limit: int | None = None
        """The seconds of `Retry-After` where every answer is a secondary rate limit."""
        self.forbids: str | None = None
        """`sso` or `scope`: why every answer is a 403."""
        self.answers_with: tuple[int, str] | None = None
        self.serves_bytes_itself = False
        self.cut_after: int | None = None
        self.foreign_link: str | None = None
        self.downloads_counted = 0
        self.before_page: dict[int, Callable[[], object]] = {}
        """What happens once, before the page of this number is answered."""
        self._prefix = prefix
        self._numbers = iter(range(1001, 100_000))
        self._stack = AsyncExitStack()

    def has(self, repository: str, *, tokens: set[str] | None = None) -> Repository:
        """Create a repository, or give it, as it is."""
        return self.repositories.setdefault(repository, Repository(tokens={self.token} if tokens is None else tokens))

    def release(self, repository: str, tag: str, files: dict[str, bytes], **properties: Any) -> Release:
        """Add a newest release with assets."""
        assets = [self.make_asset(name, content) for name, content in files.items()]
        made = Release(next(self._numbers), tag, assets, **properties)
        self.has(repository).releases.insert(0, made)
        return made

    def make_asset(self, name: str, content: bytes) -> Asset:
        """Give an uploaded asset with a number of its own."""
        return Asset(next(self._numbers), name, content)

    async def __aenter__(self) -> Self:
        """Start serving, on two origins."""
        api = web.Application()
        api.router.add_route("*", "/{rest:.*}", self._api)
        storage = web.Application()
        storage.router.add_get("/{id}", self._storage)
        self.storage_url = await self._stack.enter_async_context(serve(storage))
        self.url = await self._stack.enter_async_context(serve(api)) + self._prefix
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        await self._stack.aclose()

    async def _api(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(note(request))
        path = request.path.removeprefix(self._prefix)
        refusal = self._refuse(request)
        if refusal is not None:
            return refusal
        if match := re.fullmatch(r"/repos/([^/]+/[^/]+)/releases", path):
            return self._releases(request, match[1])
        if match := re.fullmatch(r"/repositories/([^/]+)/([^/]+)/releases", path):
            return self._releases(request, f"{match[1]}/{match[2]}")
        if match := re.fullmatch(r"/repos/([^/]+/[^/]+)/releases/assets/(\d+)", path):
            return self._asset(request, match[1], int(match[2]))
        return self._limited(_message(404, "Not Found"))

    def _releases(self, request: web.Request, name: str) -> web.Response:
        if name in self.moved:
            location = f"{self.url}/repositories/{self.moved[name]}/releases?{request.query_string}"
            return web.json_response({"message": "Moved Permanently"}, status=301, headers={"Location": location})
        repository = self._visible(request, name)
        if repository is None:
            return self._limited(_message(404, "Not Found"))
        size = min(int(request.query.get("per_page", "30")), self.largest_page)
        page = int(request.query.get("page", "1"))
        self.before_page.pop(page, lambda: None)()
        shown = repository.releases[(page - 1) * size : page * size]
        body = json.dumps([self._describe(name, release) for release in shown]).encode()
        etag = f'W/"{hashlib.sha256(body).hexdigest()}"'
        answer = web.Response(body=body, content_type="application/json", headers={"ETag": etag})
        # A conditional request that is answered with 304, and was authorised, is not counted.
        is_known = request.headers.get("If-None-Match") == etag
        if is_known:
            answer = web.Response(status=304, headers={"ETag": etag})
        if page * size < len(repository.releases):
            here = f"{self.url}{request.path.removeprefix(self._prefix)}?per_page={request.query['per_page']}"
            last = -(-len(repository.releases) // size)
            answer.headers["Link"] = f'<{here}&page={page + 1}>; rel="next", <{here}&page={last}>; rel="last"'
        elif self.foreign_link is not None:
            answer.headers["Link"] = f'<{self.foreign_link}>; rel="next"'
        return self._limited(answer, counts=not is_known)

    def _describe(self, repository: str, release: Release) -> dict[str, Any]:
        return {
            "id": release.id,
            "tag_name": release.tag,
            "draft": release.draft,
            "prerelease": release.prerelease,
            "created_at": "2026-01-02T03:04:05Z",
            "published_at": None if release.draft else "2026-01-02T03:04:05Z",
            "assets": [
                {
                    "id": asset.id,
                    "url": f"{self.url}/repos/{repository}/releases/assets/{asset.id}",
                    "name": asset.name,
                    "label": "",
                    "state": asset.state,
                    "content_type": "application/octet-stream",
                    "size": len(asset.content),
                    "digest": asset.digest,
                    "download_count": self.downloads_counted,
                    "created_at": asset.created_at,
                    "updated_at": asset.updated_at,
                    "browser_download_url": f"https://github.invalid/{repository}/{release.tag}/{asset.name}",
                }
                for asset in release.assets
            ],
        }

    def _asset(self, request: web.Request, repository: str, number: int) -> web.Response:
        asset = self._find(number) if self._visible(request, repository) else None
        if asset is None:
            return self._limited(_message(404, "Not Found"))
        if request.headers.get("Accept") != "application/octet-stream":
            return self._limited(web.json_response({"id": asset.id, "name": asset.name}))
        if self.serves_bytes_itself:
            return self._limited(_ranged(request, asset.content))
        location = f"{self.storage_url}/{asset.id}?{SIGNED}{asset.name}"
        return self._limited(web.Response(status=302, headers={"Location": location}))

    async def _storage(self, request: web.Request) -> web.StreamResponse:
        self.downloads.append(note(request))
        asset = self._find(int(request.match_info["id"]))
        if "Authorization" in request.headers:
            return web.Response(status=400, text="<Error><Code>InvalidArgument</Code></Error>")
        if asset is None or request.raw_path.partition("?")[2] != SIGNED + asset.name:
            return web.Response(status=403, text="<Error><Code>AuthenticationFailed</Code></Error>")
        if self.cut_after is None:
            return _ranged(request, asset.content)
        cut, self.cut_after = self.cut_after, None
        answer = web.StreamResponse(headers={"Content-Length": str(len(asset.content))})
        await answer.prepare(request)
        await answer.write(asset.content[:cut])
        if request.transport is not None:
            request.transport.abort()
        return answer

    def _find(self, number: int) -> Asset | None:
        for repository in self.repositories.values():
            for release in repository.releases:
                for asset in release.assets:
                    if asset.id == number:
                        return asset
        return None

    def _visible(self, request: web.Request, name: str) -> Repository | None:
        repository = self.repositories.get(name)
        if repository is None or (repository.tokens and _token(request) not in repository.tokens):
            return None
        return repository

    def _refuse(self, request: web.Request) -> web.Response | None:
        token = _token(request)
        known = {self.token}.union(*(repository.tokens for repository in self.repositories.values()))
        if self.answers_with is not None:
            status, body = self.answers_with
            return web.Response(status=status, text=body, content_type="application/json")
        if token is not None and token not in known:
            return _message(401, "Bad credentials")
        if "User-Agent" not in request.headers:
            return web.Response(status=403, text="Request forbidden by administrative rules.")
        return self._limit()

    def _limit(self) -> web.Response | None:
        if self.secondary_limit is not None:
            answer = _message(403, "You have exceeded a secondary rate limit. Please wait a few minutes.")
            answer.headers["Retry-After"] = str(self.secondary_limit)
            return answer
        if self.remaining <= 0:
            return self._limited(_message(403, "API rate limit exceeded for user ID 1."), counts=False)
        match self.forbids:
            case "sso":
                answer = _message(403, "Resource protected by organization SAML enforcement.")
                answer.headers["X-GitHub-SSO"] = "required; url=https://github.invalid/orgs/my-org/sso?token=SECRET"
                return self._limited(answer)
            case "scope":
                return self._limited(_message(403, "Resource not accessible by personal access token"))
            case _:
                return None

    def _limited(self, answer: web.Response, *, counts: bool = True) -> web.Response:
        if counts:
            self.remaining -= 1
        answer.headers["X-RateLimit-Limit"] = "5000"
        answer.headers["X-RateLimit-Remaining"] = str(max(self.remaining, 0))
        answer.headers["X-RateLimit-Reset"] = str(int(time.time()) + self.reset_in)
        return answer


def _token(request: web.Request) -> str | None:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    match kind.lower():
        case "bearer" | "token":
            return value
        case "basic":
            return base64.b64decode(value).decode().partition(":")[2]
        case _:
            return None


def _ranged(request: web.Request, content: bytes) -> web.Response:
    wanted = request.http_range
    if wanted.start is None and wanted.stop is None:
        return web.Response(body=content, headers={"Accept-Ranges": "bytes"})
    start = wanted.start or 0
    if start >= len(content):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    stop = min(wanted.stop or len(content), len(content))
    headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"}
    return web.Response(status=206, body=content[start:stop], headers=headers)


def _message(status: int, message: str) -> web.Response:
    return web.json_response({"message": message, "documentation_url": "https://docs.github.invalid/"}, status=status)
