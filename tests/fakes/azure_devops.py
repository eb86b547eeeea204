"""A double of a feed in Azure Artifacts, as traces of the real one show it.

Its oddities: three schemes in the challenge of a 401, and a sign-in page in its place for what looks like a
browser; pages in HTML only, whose links go to the ids of project and feed, without an ETag and without
anything about caching; a file is a 303 to a signed URL at another origin, which refuses an `Authorization`
and any change to its query; HEAD is 405; versions lose their trailing zeros in URLs; quota answers come as
429, as 500 and as a 200 with a `Retry-After`; what the feed has not saved yet from its own upstream is for
collaborators only; and a project that is not there may be a 401.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from tests.fakes.identity import TENANT, audience_of
from tests.fakes.loopback import Seen, note, serve

AZURE_DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798"
PROJECT_ID = "0f0e0d0c-0000-4000-8000-000000000001"
FEED_ID = "0f0e0d0c-0000-4000-8000-000000000002"
SIGNED = "sv=2019-07-07&sr=b&si=1&sig=a%2Fb%2Bc%3D&spr=https&se=2030-01-01T00%3A00%3A00Z&P1=1&P2=%7E"

_QUOTA = "Request was blocked due to exceeding usage of resource 'Concurrency' in namespace 'IPAddress'."

Role = Literal["reader", "collaborator"]


@dataclass
class FeedFile:
    """A file of the feed."""

    filename: str
    content: bytes
    requires_python: str | None = None
    saved: bool = True
    """Whether the feed has it itself, rather than could save it from its own upstream."""
    publish_date: str = "2026-01-02T03:04:05.1234567Z"
    deleted: bool = False

    @property
    def project(self) -> str:
        """The normalised name."""
        return canonicalize_name(self._told[0])

    @property
    def version(self) -> str:
        """The version, as the file's name has it."""
        return str(self._told[1])

    @property
    def _told(self) -> tuple[Any, ...]:
        is_wheel = self.filename.endswith(".whl")
        return parse_wheel_filename(self.filename) if is_wheel else parse_sdist_filename(self.filename)


class FakeAzureDevOps:
    """One feed of one project (or, without `project`, of the organisation), at `index_url`."""

    def __init__(
        self, *, organisation: str = "my-org", project: str | None = "my-project", feed: str = "my-feed"
    ) -> None:
        """Start with an empty feed; `pat` is a valid token of a collaborator."""
        self.organisation = organisation
        self.project = project
        self.feed = feed
        self.pat = "valid-pat"
        self.roles: dict[str, Role] = {self.pat: "collaborator"}
        self.identity_role: Role | None = "collaborator"
        """What holders of an Entra token for Azure DevOps may do."""
        self.files: list[FeedFile] = []
        self.url = ""
        self.storage_url = ""
        self.requests: list[Seen] = []
        self.downloads: list[Seen] = []
        self.allows_head = False
        self.absent_is: Literal[401, 404] = 404
        self.truncates_next = 0
        self.quota_500 = 0
        """How many answers from now are a 500 that means too many requests."""
        self.quota_500_for_rest = 0
        """The same, of the list of packages alone."""
        self.refuses_rest = False
        self.throttled_for: int | None = None
        self.delays_told: int | None = None
        """The `Retry-After` of answers that are a 200 all the same."""
        self.delay: float = 0
        self._stack = AsyncExitStack()

    @property
    def root(self) -> str:
        """Where the organisation's feeds are: what a connection's target may be."""
        return f"{self.url}/{self.organisation}"

    @property
    def index_url(self) -> str:
        """The feed's index."""
        return f"{self.root}{f'/{self.project}' if self.project else ''}/_packaging/{self.feed}/pypi/simple/"

    def has(self, filename: str, content: bytes = b"content", **properties: Any) -> FeedFile:
        """Add a file."""
        file = FeedFile(filename, content, **properties)
        self.files.append(file)
        return file

    async def __aenter__(self) -> Self:
        """Start serving, on two origins."""
        storage = web.Application()
        storage.router.add_route("*", "/{name}", self._storage)
        self.storage_url = await self._stack.enter_async_context(serve(storage))
        feed = web.Application()
        feed.router.add_get("/_signin", self._signin)
        feed.router.add_route("*", "/{rest:.*}", self._serve)
        self.url = await self._stack.enter_async_context(serve(feed))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        await self._stack.aclose()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(note(request))
        await asyncio.sleep(self.delay)
        busy = self._throttle()
        if busy is not None:
            return busy
        if request.method == "HEAD" and not self.allows_head:
            return web.Response(status=405, headers={"Allow": "GET"})
        role = self._role(request)
        if role is None:
            return self._challenge(request)
        answer = self._route(request, role)
        answer.headers["ActivityId"] = "0f0e0d0c-0000-4000-8000-00000000000a"
        if self.delays_told is not None:
            answer.headers["Retry-After"] = str(self.delays_told)
            answer.headers["X-RateLimit-Delay"] = "0.1"
            answer.headers["X-RateLimit-Remaining"] = "0"
        return answer

    def _route(self, request: web.Request, role: Role) -> web.Response:
        # The older host has the organisation in its name.
        first, _, host = request.host.partition(".")
        path = f"/{first}{request.path}" if host == "pkgs.visualstudio.com" else request.path
        below = re.fullmatch(r"/([^/]+)(?:/([^/_][^/]*))?/_(packaging|apis)/(.*)", path)
        if below is None or below[1].lower() != self.organisation or not self._is_project(below[2]):
            return _told(404, "VS800075: The project with id 'x' does not exist, or you do not have permission.")
        if below[3] == "apis":
            return self._rest(request, below[4])
        feed, _, rest = below[4].partition("/")
        if feed.partition("@")[0].lower() not in {self.feed, FEED_ID}:
            return _told(404, f"VS403666: The feed with ID '{feed}' doesn't exist.", "FeedIdNotFoundException")
        if match := re.fullmatch(r"pypi/simple/([^/]+)/", rest):
            return self._page(canonicalize_name(match[1]), role)
        if rest == "pypi/simple/":
            return _html("Simple Index", [f'<a href="{name}/">{name}</a>' for name in self._names()])
        if match := re.fullmatch(r"pypi/download/([^/]+)/([^/]+)/([^/]+)", rest):
            return self._file(match[1], match[2], match[3], role)
        return _told(404, "The resource cannot be found.")

    def _page(self, project: str, role: Role) -> web.Response:
        files = [file for file in self.files if file.project == project and not file.deleted]
        if not files:
            return self._absent(project)
        if role == "reader" and not any(file.saved for file in files):
            return _unsaved()
        where = f"{self.root}{f'/{PROJECT_ID}' if self.project else ''}/_packaging/{FEED_ID}/pypi/download"
        links = []
        for file in files:
            digest = hashlib.sha256(file.content).hexdigest()
            url = f"{where}/{project}/{_short(file.version)}/{file.filename}#sha256={digest}"
            asks = f' data-requires-python="{html.escape(file.requires_python)}"' if file.requires_python else ""
            links.append(f'<a href="{html.escape(url)}"{asks}>{file.filename}</a>')
        return _html(f"Links for {project}", links)

    def _file(self, project: str, version: str, filename: str, role: Role) -> web.Response:
        for file in self.files:
            if (file.project, _short(file.version), file.filename) == (project, version, filename) and not file.deleted:
                if role == "reader" and not file.saved:
                    return _unsaved()
                location = f"{self.storage_url}/{hashlib.sha256(file.content).hexdigest()}?{SIGNED}"
                return web.Response(status=303, headers={"Location": location})
        return self._absent(project)

    def _absent(self, project: str) -> web.Response:
        if self.absent_is == 401:
            return _told(401, f"Package '{project}' cannot be found in feed '{self.feed}'.", "PackageNotFoundException")
        return _told(404, f"Cannot find the package '{project}' in feed '{self.feed}'.", "PackageNotFoundException")

    def _rest(self, request: web.Request, rest: str) -> web.Response:
        """Answer the list of packages, as `feeds.dev.azure.com` does."""
        if self.refuses_rest:
            return _told(403, "VS403497: The user does not have permission.", "FeedNeedsPermissionsException")
        if self.quota_500_for_rest > 0:
            self.quota_500_for_rest -= 1
            return _told(500, _QUOTA, "RequestBlockedException")
        match = re.fullmatch(r"packaging/Feeds/([^/]+)/packages", rest, re.IGNORECASE)
        if match is None or match[1].partition("@")[0].lower() not in {self.feed, FEED_ID}:
            return _told(404, "VS403666: The feed doesn't exist.", "FeedIdNotFoundException")
        # The query is contained in the name, not equal to it.
        names = [name for name in self._names() if request.query.get("packageNameQuery", "").lower() in name]
        start, most = int(request.query.get("$skip", "0")), int(request.query.get("$top", "1000"))
        value = [self._describe(name) for name in names[start : start + most]]
        return web.json_response({"count": len(value), "value": value})

    def _describe(self, project: str) -> dict[str, Any]:
        versions = {file.version: file for file in self.files if file.project == project}
        return {
            "id": hashlib.md5(project.encode(), usedforsecurity=False).hexdigest(),
            "name": project.replace("-", "_"),
            "normalizedName": project,
            "protocolType": "PyPi",
            "versions": [
                {
                    "version": version,
                    "normalizedVersion": _short(version),
                    "isLatest": False,
                    "isListed": True,
                    "isDeleted": file.deleted,
                    "isCachedVersion": False,
                    "publishDate": file.publish_date,
                }
                for version, file in versions.items()
            ],
        }

    async def _storage(self, request: web.Request) -> web.StreamResponse:
        self.downloads.append(note(request))
        content = {hashlib.sha256(file.content).hexdigest(): file.content for file in self.files}
        if "Authorization" in request.headers:
            return web.Response(status=400, text="<Error><Code>InvalidAuthenticationInfo</Code></Error>")
        if request.raw_path.partition("?")[2] != SIGNED:
            return web.Response(status=403, text="<Error><Code>AuthenticationFailed</Code></Error>")
        body = content.get(request.match_info["name"])
        if body is None:
            return web.Response(status=404, text="<Error><Code>BlobNotFound</Code></Error>")
        if self.truncates_next > 0:
            self.truncates_next -= 1
            return await _truncated(request, body)
        return _ranged(request, body)

    async def _signin(self, request: web.Request) -> web.Response:
        self.requests.append(note(request))
        return web.Response(status=203, text="<title>Azure DevOps Services | Sign In</title>", content_type="text/html")

    def _throttle(self) -> web.Response | None:
        if self.quota_500 > 0:
            self.quota_500 -= 1
            return _told(500, _QUOTA, "RequestBlockedException")
        if self.throttled_for is not None:
            answer = _told(429, "TF400733: The request has been canceled: Request was blocked.")
            answer.headers["Retry-After"] = str(self.throttled_for)
            return answer
        return None

    def _challenge(self, request: web.Request) -> web.Response:
        suppressed = request.headers.get("X-TFS-FedAuthRedirect") == "Suppress"
        if not suppressed and "text/html" in request.headers.get("Accept", ""):
            return web.Response(status=302, headers={"Location": f"{self.url}/_signin?realm=feeds&reply_to=x"})
        answer = web.Response(
            status=401,
            text="TF400813: The user 'aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa' is not authorized to access this resource.",
        )
        answer.headers.add("WWW-Authenticate", f"Bearer authorization_uri=https://login.microsoftonline.com/{TENANT}")
        answer.headers.add("WWW-Authenticate", 'Basic realm="https://pkgsprodeus.app.pkgs.visualstudio.com/"')
        answer.headers.add("WWW-Authenticate", "TFS-Federated")
        answer.headers["X-VSS-ResourceTenant"] = TENANT
        answer.headers["ActivityId"] = "0f0e0d0c-0000-4000-8000-00000000000b"
        return answer

    def _role(self, request: web.Request) -> Role | None:
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            try:
                value = base64.b64decode(value).decode().partition(":")[2]
            except ValueError:
                return None
            if value in self.roles:
                return self.roles[value]
        is_entra = kind in {"Basic", "Bearer"} and audience_of(value) == AZURE_DEVOPS
        return self.identity_role if is_entra else None

    def _is_project(self, name: str | None) -> bool:
        return name is None if self.project is None else (name or "").lower() in {self.project, PROJECT_ID}

    def _names(self) -> list[str]:
        return sorted({file.project for file in self.files})


def _short(version: str) -> str:
    """Give a version as URLs and `normalizedVersion` have it: trailing zeros are cut."""
    return re.sub(r"(\.0)+$", "", version)


def _html(title: str, links: list[str]) -> web.Response:
    head, body = f"<head><title>{title}</title></head>", f"<body><h1>{title}</h1>{'<br/>'.join(links)}</body>"
    body = f"<!DOCTYPE html><html>{head}{body}</html>"
    return web.Response(text=body, content_type="text/html", charset="utf-8")


def _unsaved() -> web.Response:
    words = (
        "User 'aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa' lacks permission to complete this action. "
        "You need to have 'AddUpstreamPackage'."
    )
    return _told(401, words, "FeedNeedsPermissionsException")


def _told(status: int, message: str, kind: str = "VssServiceException") -> web.Response:
    return web.json_response(
        {"$id": "1", "innerException": None, "message": message, "typeKey": kind, "errorCode": 0, "eventId": 3000},
        status=status,
    )


def _ranged(request: web.Request, content: bytes) -> web.Response:
    # The storage behind takes `bytes=a-b` and `bytes=a-`, and ignores a suffix.
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if wanted is None:
        return web.Response(body=content, headers={"Accept-Ranges": "bytes"})
    start, stop = int(wanted[1]), int(wanted[2]) + 1 if wanted[2] else len(content)
    if start >= len(content):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    part = content[start:stop]
    headers = {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(content)}"}
    return web.Response(status=206, body=part, headers=headers)


async def _truncated(request: web.Request, content: bytes) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": str(len(content))})
    await answer.prepare(request)
    await answer.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()
    return answer
