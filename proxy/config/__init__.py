"""The configuration: what may stand in it, how it is found, read and judged.

values.py      durations, sizes, addresses, names, secrets' references
models.py      the tables, key by key; rules.py those of a feed's rules
relations.py   what several keys must agree on
loading.py     `find`, `load`, `embedded_default`, and the report of mistakes
schema.py      the JSON Schema that editors use
"""

from proxy.config.loading import embedded_default, find, load
from proxy.config.models import (
    AzureBlobSource,
    Cache,
    Config,
    Connection,
    DirectorySource,
    Feed,
    GithubSource,
    Server,
    SimpleSource,
    Source,
    Workspace,
)
from proxy.config.rules import Rules
from proxy.config.values import (
    AccountKey,
    ConnectionString,
    EnvSecret,
    FileSecret,
    KeyVaultSecret,
    ManagedIdentity,
    Sas,
    SecretReference,
)

__all__ = [
    "AccountKey",
    "AzureBlobSource",
    "Cache",
    "Config",
    "Connection",
    "ConnectionString",
    "DirectorySource",
    "EnvSecret",
    "Feed",
    "FileSecret",
    "GithubSource",
    "KeyVaultSecret",
    "ManagedIdentity",
    "Rules",
    "Sas",
    "SecretReference",
    "Server",
    "SimpleSource",
    "Source",
    "Workspace",
    "embedded_default",
    "find",
    "load",
]
