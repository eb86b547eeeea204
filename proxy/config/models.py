"""The configuration's tables: attribute names are the keys of the file.

Types say what one key may hold; what several keys must agree on is in `relations.py`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from proxy.config.rules import Rules
from proxy.config.values import (
    ApiVersion,
    Count,
    Duration,
    Flag,
    IdentityCredential,
    IndexUrl,
    LocalPath,
    Patience,
    Pattern,
    Repository,
    RootUrl,
    SecretReference,
    Size,
    StorageCredential,
    Strict,
    Url,
    WorkspaceId,
    written,
)
from proxy.rules.freshness import Windows

AZURE_DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798"
"""The application id of Azure DevOps: what a managed identity asks a token for to read its feeds."""


def user_cache() -> Path:
    """Give the folder of this user's caches, as the platform has it.

    Raises: RuntimeError where the user has no home directory.
    """
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    configured = os.environ.get("XDG_CACHE_HOME", "")
    # Source: XDG Base Directory Specification: a relative path is invalid and ignored.
    return Path(configured) if Path(configured).is_absolute() else Path.home() / ".cache"


class Server(Strict):
    """Where the server listens."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """The address to listen at; `0.0.0.0` is every address of the machine."""
    port: Annotated[int, Field(strict=True, ge=0, le=65535)] = 8080
    """The port to listen at; 0 lets the system choose a free one."""
    public_url: RootUrl | None = None
    """The address that clients know the server by; only used where an absolute address is required."""
    processes: Count | Literal["auto"] = 1
    """How many processes serve; `auto` is one for each core."""


class Cache(Strict):
    """What is kept on this machine."""

    directory: LocalPath = Field(default_factory=lambda: user_cache() / "wheelgate")
    """The folder of the cache; by default `wheelgate` in the user's cache directory."""
    size: Size = written("10 GiB")
    """Artifacts beyond it are evicted, least recently used first."""
    pins: LocalPath | None = None
    """The ledger of what digest each file had when it was first served; by default `pins.db` in the directory."""

    @property
    def ledger(self) -> Path:
        """Where the ledger is."""
        return self.pins or self.directory / "pins.db"


class Audit(Strict):
    """Where it is written down who was served what, and who was refused by which rule."""

    enabled: Flag = True
    """Whether it is written at all."""
    file: LocalPath | None = None
    """A file for it, a line of JSON for each; by default the log has it."""
    size: Size = written("100 MiB")
    """At this size the file is rotated."""
    keep: Annotated[int, Field(strict=True, ge=0)] = 10
    """How many rotated files are kept."""


class _Remote(Strict):
    """What every source across a network has."""

    rescue: Duration = written("30 d")
    """Up to this age, what is remembered is served, marked, when the source cannot be asked."""
    timeout: Patience = written("20 s")
    """How long the source may be silent; never the time of a whole download."""
    offline: Flag = False
    """Whether the source is never asked: only what is remembered and cached is served."""
    ca_file: LocalPath | None = None
    """A file of certificates (PEM) to trust for this source, beside the system's."""
    allow_http: Flag = False
    """Whether plain `http:` will do for a host that is not this machine."""


class _Listed(Strict):
    """What every source that is read as a whole has."""

    refresh: Duration
    """How old what is listed may get."""
    rescue: Duration = written("30 d")
    """Up to this age, what is remembered is served, marked, when the source cannot be asked."""
    max_age: Duration = written("0 s")
    """How long clients may keep a page; by default they ask each time, because files here may be replaced."""
    replaceable: Flag = True
    """Whether a file may be replaced by another of the same name; if not, other bytes are refused."""

    @property
    def windows(self) -> Windows:
        """Up to which age an answer of this source counts as what."""
        return Windows(self.refresh, self.refresh, self.rescue, self.refresh)

    @property
    def client_max_age(self) -> float:
        """How long, in seconds, clients may keep a page."""
        return self.max_age


class SimpleSource(_Remote):
    """An index that speaks the Simple API: a feed, a mirror, or what pip is configured to use."""

    kind: Literal["simple"]
    """`simple`"""
    url: IndexUrl
    """The index's address, or `pip`."""
    fresh: Duration = written("10 min")
    """A remembered page younger than this is served without asking."""
    stale: Duration = written("1 h")
    """Younger than this, it is served at once and refreshed behind; older, the source is asked first."""
    absent: Duration = written("1 min")
    """How long "not here" is remembered."""
    max_age: Duration = written("10 min")
    """How long clients may keep a page without asking."""
    max_connections: Count = 50
    """How many requests may be under way at once."""

    @property
    def windows(self) -> Windows:
        """Up to which age an answer of this source counts as what."""
        # A stale window shorter than the fresh one is simply none.
        return Windows(self.fresh, max(self.fresh, self.stale), self.rescue, self.absent)

    @property
    def client_max_age(self) -> float:
        """How long, in seconds, clients may keep a page."""
        return self.max_age


class AzureBlobSource(_Remote, _Listed):
    """Wheels in a container of an Azure storage account."""

    kind: Literal["azure-blob"]
    """`azure-blob`"""
    account_url: Url | None = None
    """The account's blob endpoint; may be left out where a connection string carries it."""
    container: Annotated[str, Field(pattern=r"^(\$web|\$root|[a-z0-9](-?[a-z0-9]){2,62})$")]
    """The container's name."""
    prefix: str = ""
    """Only what is in this folder of the container."""
    credential: StorageCredential = "default"
    """How the server signs in."""
    refresh: Duration = written("30 s")
    """How old the listing may get."""
    write_back: Flag = False
    """Whether digests that had to be computed are written to the blobs' metadata (needs a role that may write)."""
    api_version: ApiVersion = "2024-11-04"
    """The storage service's version that is spoken; an emulator or Azure Stack may want an older one."""
    max_connections: Count = 16
    """How many requests may be under way at once."""


class GithubSource(_Remote, _Listed):
    """Wheels attached to the releases of repositories on GitHub."""

    kind: Literal["github"]
    """`github`"""
    repository: Repository | None = None
    """The repository, as `owner/name`."""
    repositories: tuple[Repository, ...] = ()
    """Several repositories; the earlier one wins where two have the same file."""
    api_url: Url = "https://api.github.com"
    """The API's address; a GitHub Enterprise server has its own."""
    refresh: Duration = written("5 min")
    """How old the list of releases may get."""
    max_connections: Count = 8
    """How many requests may be under way at once."""

    @property
    def every_repository(self) -> tuple[str, ...]:
        """All repositories, however they were written."""
        return self.repositories if self.repository is None else (self.repository,)


class DirectorySource(_Listed):
    """Wheels in a folder of this machine."""

    kind: Literal["directory"]
    """`directory`"""
    path: LocalPath
    """The folder."""
    create: Flag = False
    """Whether the folder is created at the start when it is missing."""
    refresh: Duration = written("2 s")
    """How old what is listed may be."""


Source = Annotated[SimpleSource | AzureBlobSource | GithubSource | DirectorySource, Field(discriminator="kind")]
"""One place that has projects and files."""


class Connection(Strict):
    """A credential, and the addresses it is for: as an Azure Machine Learning workspace stores it."""

    category: Annotated[str, Field(min_length=1)] = "PythonFeed"
    """What the connection is for; only `PythonFeed` counts."""
    target: Url
    """The credential is used for addresses of this host at or below this path."""
    auth_type: Literal["PAT", "UsernamePassword", "SAS", "ManagedIdentity", "None"]
    """What the credential is."""
    username: str | None = None
    """The user name, for `UsernamePassword`."""
    value: SecretReference | None = None
    """Where the token, password or signature is."""
    resource: Annotated[str, Field(min_length=1)] = AZURE_DEVOPS
    """What a managed identity asks a token for; by default Azure DevOps."""
    client_id: Annotated[str, Field(min_length=1)] | None = None
    """The client id of a user-assigned managed identity."""
    allow_http: Flag = False
    """Whether the credential may go over plain `http:` to a host that is not this machine."""


class Workspace(Strict):
    """An Azure Machine Learning workspace whose connections are used like those of the file."""

    id: WorkspaceId
    """Its resource id."""
    management_url: Url = "https://management.azure.com"
    """Azure Resource Manager's address; sovereign clouds have their own."""
    credential: IdentityCredential = "default"
    """How the server signs in."""
    refresh: Duration = written("10 min")
    """How often the connections are read again."""
    api_version: ApiVersion = "2024-10-01"
    """The version of the workspace's API that is spoken."""
    ca_file: LocalPath | None = None
    """A file of certificates (PEM) to trust for the management address, beside the system's."""


class Feed(Strict):
    """What clients see: sources in order, under claims and rules."""

    sources: Annotated[tuple[str, ...], Field(json_schema_extra={"minItems": 1})]
    """In order: the first that has a project owns it."""
    claims: dict[str, tuple[Pattern, ...]] = {}
    """By source: projects that are only ever asked of it."""
    combine: dict[Pattern, tuple[str, ...]] = {}
    """By project: sources whose files are shown together; the earlier one wins."""
    rules: Rules = Rules()
    """What is shown of it."""


class Config(Strict):
    """A whole configuration."""

    server: Server = Server()
    """Where the server listens."""
    cache: Cache = Field(default_factory=lambda: Cache())  # noqa: PLW0108 - mypy
    """What is kept on this machine."""
    audit: Audit = Audit()
    """Who was served what, and who was refused."""
    sources: dict[str, Source] = {}
    """Places that have projects and files, by name."""
    connections: dict[str, Connection] = {}
    """Credentials for addresses, by name."""
    workspaces: dict[str, Workspace] = {}
    """Azure Machine Learning workspaces to read connections from, by name."""
    feeds: dict[str, Feed]
    """What clients see, by name; the one named `default` is also served without its name."""
