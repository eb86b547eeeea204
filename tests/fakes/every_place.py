"""Every kind of place at once: a container, a feed of Azure DevOps, releases on GitHub, and the public index.

Each has one project, which needs that of the next place:

    acme-core (container) → acme-feed (feed) → acme-model (GitHub) → leaf (public)

and the public index also has a stranger's version 99 of each.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, quote

from azure.storage.blob import ContainerClient, ContainerSasPermissions, generate_container_sas

from tests.fakes import azure_devops, github
from tests.fakes.azure_devops import FakeAzureDevOps
from tests.fakes.azurite import ACCOUNT, KEY, Azurite
from tests.fakes.github import FakeGitHub
from tests.fakes.index import FakeIndex
from tests.fakes.wheels import build_wheel

PAT = "pat-52-letters-of-azure-devops"
GITHUB_TOKEN = "github_pat_of-the-models"
REPOSITORY = "my-org/models"
CORE = "acme_core-1.0-py3-none-any.whl"
FEED = "acme_feed-2.0.0-py3-none-any.whl"
MODEL = "acme_model-3.0-py3-none-any.whl"

CONFIG = """
[cache]
directory = "{cache}"

[sources.curated]
kind = "azure-blob"
account_url = "{account}"
container = "{container}"
credential = {{ sas = {{ file = "{secrets}/sas" }} }}
refresh = "0 s"
timeout = "3 s"

[sources.team]
kind = "simple"
url = "{feed}"
fresh = "0 s"
stale = "0 s"
absent = "0 s"
timeout = "3 s"

[sources.models]
kind = "github"
repository = "my-org/models"
api_url = "{github}"
refresh = "0 s"
timeout = "3 s"

[sources.public]
kind = "simple"
url = "{public}"
fresh = "0 s"
stale = "0 s"

[connections.devops]
category = "PythonFeed"
target = "{organisation}"
auth_type = "PAT"
value = {{ file = "{secrets}/pat" }}

[connections.github]
target = "{github}"
auth_type = "PAT"
value = {{ file = "{secrets}/github" }}

[feeds.default]
sources = ["curated", "team", "models", "public"]
"""


class EveryPlace:
    """The places, filled, and the files with their secrets."""

    def __init__(self, folder: Path, azurite: Azurite) -> None:
        """Keep secrets and the cache below `folder`."""
        self.cache = folder / "places-cache"
        self.secrets = folder / "secrets"
        self.account_url = azurite.url
        self.container: ContainerClient = azurite.make_container()
        self.devops = FakeAzureDevOps()
        self.github = FakeGitHub()
        self.public = FakeIndex()
        self.sas = sas_of(self.container)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the doubles, and fill everything."""
        for double in (self.devops, self.github, self.public):
            await self._stack.enter_async_context(double)
        self._stack.callback(self.container.close)
        self.devops.pat = PAT
        self.devops.roles = {PAT: "collaborator"}
        self.github.token = GITHUB_TOKEN
        self.secrets.mkdir()
        self.keep("pat", PAT)
        self.keep("github", GITHUB_TOKEN)
        self.keep("sas", self.sas)
        self.container.upload_blob(CORE, build_wheel("acme-core", "1.0", requires=["acme-feed>=2"]))
        self.devops.has(FEED, build_wheel("acme-feed", "2.0.0", requires=["acme-model"]), requires_python=">=3.8")
        self.github.release(REPOSITORY, "v3", {MODEL: build_wheel("acme-model", "3.0", requires=["leaf"])})
        self.public.has("leaf-1.0-py3-none-any.whl", content=build_wheel("leaf", "1.0"))
        for name in ("acme-core", "acme-feed", "acme-model"):
            self.public.has(f"{name.replace('-', '_')}-99-py3-none-any.whl", content=build_wheel(name, "99"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the doubles."""
        await self._stack.aclose()

    def keep(self, name: str, secret: str) -> None:
        """Put a secret into its file, in place of the one before."""
        fresh = self.secrets / f"{name}.new"
        fresh.write_text(f"{secret}\n")
        fresh.replace(self.secrets / name)

    def config(self, *changes: tuple[str, str], more: str = "") -> str:
        """Give the configuration, with what is to be replaced in it, and more at its end."""
        text = CONFIG.format(
            cache=self.cache,
            account=self.account_url,
            container=self.container.container_name,
            secrets=self.secrets,
            feed=self.devops.index_url,
            organisation=self.devops.root,
            github=self.github.url,
            public=self.public.url,
        )
        for old, new in changes:
            assert old in text, f"{old} is not in the configuration"
            text = text.replace(old, new)
        return text + more

    def strangers(self) -> list[str]:
        """Give what was asked of the public index that is none of its business."""
        return [asked.path for asked in self.public.requests if "acme" in asked.path]


def sas_of(container: ContainerClient, *, hours: float = 24) -> str:
    """Give a signature that may read and list a container."""
    signature: str = generate_container_sas(
        ACCOUNT,
        str(container.container_name),
        account_key=KEY,
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours),
    )
    return signature


def spellings(secrets: Iterable[str]) -> set[bytes]:
    """Give how secrets would look if they got out: plain, quoted, and as credentials of Basic."""
    found = set()
    for secret in secrets:
        found |= {secret, quote(secret, safe=""), quote(secret)}
        for user in ("", "wheelgate", "pat", "x", "token"):
            coded = base64.b64encode(f"{user}:{secret}".encode()).decode()
            found |= {coded, coded.rstrip("=")}
    return {text.encode() for text in found}


def signatures(*queries: str) -> list[str]:
    """Give the part of signed queries that lets one in."""
    return [parse_qs(query)["sig"][0] for query in queries]


SIGNED_URLS = (azure_devops.SIGNED, github.SIGNED)
"""The queries of the URLs that downloads are redirected to."""


def leaks(places: EveryPlace, *texts: bytes, others: Iterable[str] = ()) -> list[str]:
    """Give the secrets that are in texts, or in a file of the cache."""
    wanted = spellings([PAT, GITHUB_TOKEN, KEY, places.sas, *signatures(places.sas, *SIGNED_URLS), *others])
    found = [f"{secret!r} in {text[:80]!r}" for text in texts for secret in wanted if secret in text]
    for path in filter(Path.is_file, places.cache.rglob("*")):
        content = path.read_bytes()
        found += [f"{secret!r} in {path.name}" for secret in wanted if secret in content]
    return found
