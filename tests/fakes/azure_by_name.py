"""A set-up in Azure by its real names: an identity, a vault, a workspace, a feed, storage and releases on GitHub."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from azure.storage.blob import ContainerClient

from tests.fakes.azure_devops import FakeAzureDevOps
from tests.fakes.azurite import ACCOUNT, Azurite
from tests.fakes.certificates import Authority
from tests.fakes.every_place import CORE, FEED, GITHUB_TOKEN, MODEL, PAT, REPOSITORY
from tests.fakes.github import FakeGitHub
from tests.fakes.identity import FakeIdentity
from tests.fakes.index import FakeIndex
from tests.fakes.key_vault import FakeKeyVault
from tests.fakes.management import WORKSPACE, FakeManagement
from tests.fakes.process import ServerProcess, StartServer
from tests.fakes.real_names import RealNames
from tests.fakes.wheels import build_wheel

STORAGE = f"{ACCOUNT}.blob.core.windows.net"
"""What the certificate of the emulator has to be for."""
NAMES = (
    STORAGE,
    "pkgs.dev.azure.com",
    "my-org.pkgs.visualstudio.com",
    "feeds.dev.azure.com",
    "my.vsblob.vsassets.io",
    "management.azure.com",
    "my-vault.vault.azure.net",
    "api.github.com",
    "assets.githubusercontent.com",
)

CONFIG = """
[cache]
directory = "{cache}"

[sources.curated]
kind = "azure-blob"
account_url = "https://{storage}"
container = "{container}"
credential = "managed-identity"
refresh = "0 s"

[sources.team]
kind = "simple"
url = "https://my-org.pkgs.visualstudio.com/my-project/_packaging/my-feed/pypi/simple/"
fresh = "0 s"
stale = "0 s"
absent = "0 s"

[sources.models]
kind = "github"
repository = "my-org/models"
refresh = "0 s"

[sources.public]
kind = "simple"
url = "{public}"

[connections.github]
target = "https://api.github.com"
auth_type = "PAT"
value = {{ key_vault = "https://my-vault.vault.azure.net/secrets/github-releases" }}

[workspaces.research]
id = "{workspace}"
credential = "managed-identity"

[feeds.default]
sources = ["curated", "team", "models", "public"]
"""


class AzureByName:
    """The services, filled as `EveryPlace` is, but with secrets where Azure keeps them."""

    def __init__(self, folder: Path, azurite: Azurite, authority: Authority) -> None:
        """Keep the cache below `folder`; `azurite` speaks TLS, with the certificate of `authority`."""
        self.cache = folder / "places-cache"
        self.container: ContainerClient = azurite.make_container(ca_file=authority.ca_file)
        self.names = RealNames(authority)
        self.identity = FakeIdentity()
        self.vault = FakeKeyVault()
        self.workspace = FakeManagement()
        self.devops = FakeAzureDevOps()
        self.github = FakeGitHub()
        self.public = FakeIndex()
        self._azurite = azurite
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything."""
        self._stack.callback(self.container.close)
        doubles = (self.names, self.identity, self.vault, self.workspace, self.devops, self.github, self.public)
        for double in doubles:
            await self._stack.enter_async_context(double)
        self._name()
        self.devops.pat, self.devops.roles = PAT, {PAT: "collaborator"}
        self.github.token = GITHUB_TOKEN
        self.vault.put("github-releases", GITHUB_TOKEN)
        self.workspace.has_pat("team-feed", "https://my-org.pkgs.visualstudio.com", PAT)
        self.container.upload_blob(CORE, build_wheel("acme-core", "1.0", requires=["acme-feed>=2"]))
        self.devops.has(FEED, build_wheel("acme-feed", "2.0.0", requires=["acme-model"]))
        self.github.release(REPOSITORY, "v3", {MODEL: build_wheel("acme-model", "3.0", requires=["leaf"])})
        self.public.has("leaf-1.0-py3-none-any.whl", content=build_wheel("leaf", "1.0"))
        for name in ("acme-core", "acme-feed", "acme-model"):
            self.public.has(f"{name.replace('-', '_')}-99-py3-none-any.whl", content=build_wheel(name, "99"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything."""
        await self._stack.aclose()

    def start(self, start_server: StartServer, *changes: tuple[str, str], more: str = "") -> ServerProcess:
        """Start a server in this network, with what is to be replaced in its configuration, and more at its end."""
        text = CONFIG.format(
            cache=self.cache,
            storage=STORAGE,
            container=self.container.container_name,
            public=self.public.url,
            workspace=WORKSPACE,
        )
        for old, new in changes:
            assert old in text, f"{old} is not in the configuration"
            text = text.replace(old, new)
        return start_server(text + more, environment={**self.names.environment(), **self.identity.environment()})

    def strangers(self) -> list[str]:
        """Give what was asked of the public index that is none of its business."""
        return [asked.path for asked in self.public.requests if "acme" in asked.path]

    def _name(self) -> None:
        """Lead every name to its double, and let the doubles name themselves so."""
        lead = self.names.lead
        lead(STORAGE, self._azurite.url)
        lead("my-org.pkgs.visualstudio.com", self.devops.url)
        lead("feeds.dev.azure.com", self.devops.url)
        self.devops.url = lead("pkgs.dev.azure.com", self.devops.url)
        self.devops.storage_url = lead("my.vsblob.vsassets.io", self.devops.storage_url)
        self.workspace.url = lead("management.azure.com", self.workspace.url)
        self.vault.url = lead("my-vault.vault.azure.net", self.vault.url)
        self.github.url = lead("api.github.com", self.github.url)
        self.github.storage_url = lead("assets.githubusercontent.com", self.github.storage_url)
