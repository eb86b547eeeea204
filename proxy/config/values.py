"""The kinds of values that a configuration is made of: durations, sizes, URLs, names, secrets' references.

Every validator here refuses with the reason and the remedy, which the report shows beside the key.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from proxy.rules.ownership import normalize_pattern

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(s|min|h|d)")
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(KiB|MiB|GiB|TiB)")
_NAME = re.compile(r"[A-Za-z0-9*](?:[A-Za-z0-9._*-]*[A-Za-z0-9*])?")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-_]*/[A-Za-z0-9._-]+")
_WORKSPACE = re.compile(
    r"/subscriptions/[^/\s]+/resourceGroups/[^/\s]+/providers/Microsoft\.MachineLearningServices/workspaces/[^/\s]+",
    re.IGNORECASE,
)
_VAULT_PATH = re.compile(r"/secrets/[0-9A-Za-z-]{1,127}(?:/[0-9A-Za-z]+)?")
_VAULT_SUFFIXES = (".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net", ".vault.microsoftazure.de")

FORMS = '{ env = "NAME" }, { file = "/run/secrets/NAME" } or { key_vault = "https://VAULT.vault.azure.net/…" }'
"""The three ways to say where a secret is."""


def written(text: str) -> Any:  # noqa: ANN401 - it stands for a duration or a size alike
    """Give a default in the spelling of the file, which the schema shows too."""
    return Field(text, validate_default=True)


class Strict(BaseModel):
    """A table of the configuration: frozen, and without a place for keys that nobody reads."""

    # What reads a table is built with the whole configuration only, not once more for each table by itself.
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True, defer_build=True
    )


def mistake(what: str, remedy: str = "") -> PydanticCustomError:
    """Give the error that becomes one line of the report."""
    # Values may hold braces, so the text goes in as a value and not as the template.
    return PydanticCustomError("mistake", "{what}", {"what": what, "remedy": remedy})


def parse_duration(value: object) -> float:
    """Give the seconds of `"10 min"`."""
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        remedy = 'write a number and a unit: "30 s", "10 min", "1 h" or "30 d"'
        raise mistake(f"{_shown(value)} is not a duration", remedy)
    return float(found[1]) * _SECONDS[found[2]]


def parse_size(value: object) -> int:
    """Give the bytes of `"50 GiB"`."""
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise mistake(f"{_shown(value)} is not a size", 'write a number and a unit: "512 MiB", "50 GiB" or "2 TiB"')
    return int(float(found[1]) * _BYTES[found[2]])


def is_loopback(host: str | None) -> bool:
    """Say whether a host name means this machine, where a plain `http:` cannot be listened to."""
    if host is None:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def parse_url(value: str) -> str:
    """Check an address: absolute, `https:` or `http:`, and without a credential in it.

    Whether plain `http:` will do is decided where `allow_http` is known, in `relations.py`.
    """
    parts = _split(value)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise mistake("not an absolute https: (or http:) address", 'write it like "https://host.example/path/"')
    if "@" in parts.netloc:
        remedy = "name the credential in a table of its own: [connections.NAME] with target, auth_type and value"
        raise mistake("a user name or password in an address is shown in too many places", remedy)
    if re.search(r"(?:^|&)sig=", parts.query):
        remedy = f"give the signature as a secret: {FORMS}"
        raise mistake("a signature in an address is a secret, and secrets are never literal here", remedy)
    if parts.fragment:
        raise mistake("an address here has no #fragment", "leave it out")
    return value


def _parse_index(value: str) -> str:
    return value if value == "pip" else parse_url(value)


def _parse_root(value: str) -> str:
    url = parse_url(value)
    if urlsplit(url).query:
        raise mistake("an address here has no ?query", "leave it out")
    return url if url.endswith("/") else url + "/"


def _parse_vault(value: str) -> str:
    parts = _split(value)
    shape = "write https://VAULT.vault.azure.net/secrets/NAME, with /VERSION where one version is meant"
    if parts is None or not parts.hostname or not _VAULT_PATH.fullmatch(parts.path.rstrip("/")):
        raise mistake("not the address of a secret in a key vault", shape)
    known = parts.scheme == "https" and parts.hostname.endswith(_VAULT_SUFFIXES)
    if not known and not (parts.scheme in {"http", "https"} and is_loopback(parts.hostname)):
        hosts = " or ".join(f"*{suffix}" for suffix in _VAULT_SUFFIXES)
        raise mistake(f"{parts.hostname} is not a key vault: its token would go to strangers", f"use https and {hosts}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise mistake("the address of a secret has no user name, ?query or #fragment", shape)
    return value


def _parse_pattern(value: str) -> str:
    if not _NAME.fullmatch(value):
        remedy = 'write a project\'s name or a pattern: "acme-sdk" or "acme-*"'
        raise mistake(f"{value!r} is not a name that a project can have", remedy)
    return normalize_pattern(value)


def _parse_requirement(value: str) -> str:
    found = re.match(r"\s*([A-Za-z0-9*][A-Za-z0-9._*-]*)\s*", value)
    remedy = 'write a name or pattern, with versions if only some are meant: "numpy<3", "acme-*", "requests==2.32.0"'
    if found is None:
        raise mistake(f"{value!r} does not start with a project's name", remedy)
    try:
        versions = SpecifierSet(value[found.end() :])
    except InvalidSpecifier as error:
        raise mistake(f"{value[found.end() :].strip()!r} is not a version specifier", remedy) from error
    return _parse_pattern(found[1]) + str(versions)


def _parse_repository(value: str) -> str:
    if not _REPOSITORY.fullmatch(value):
        raise mistake(f"{value!r} is not a repository", 'write it as "owner/name", without a host')
    return value


def _parse_workspace(value: str) -> str:
    if not _WORKSPACE.fullmatch(value.rstrip("/")):
        shape = "/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.MachineLearningServices/workspaces/NAME"
        raise mistake("not the resource id of a workspace", f"copy it from the workspace's properties: {shape}")
    return value.rstrip("/")


def _parse_path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value).strip():
        raise mistake(f"{_shown(value)} is not a path", "write a path as text; a relative one starts where you are")
    if "\0" in str(value):
        raise mistake(f"{str(value)!r} is not a path", "no name of a file holds a NUL")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise mistake(f"{str(value)!r}: the home directory of that user is not known", "write it in full") from error


def _split(value: str) -> SplitResult | None:
    if not isinstance(value, str) or re.search(r"[\s\x00-\x1f\x7f\\]", value):
        return None
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises where it is not a number that a port can have
    except ValueError:
        return None
    return parts


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


_DURATION_SCHEMA = {"type": "string", "pattern": rf"^\s*{_DURATION.pattern}\s*$", "examples": ["30 s", "10 min"]}
_SIZE_SCHEMA = {"type": "string", "pattern": rf"^\s*{_SIZE.pattern}\s*$", "examples": ["50 GiB"]}


def _refuse_zero(value: float) -> float:
    if value <= 0:
        raise mistake("must be more than nothing", 'write a time above zero, such as "20 s"')
    return value


Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
"""Seconds; written as `"10 min"`; zero is valid."""
Patience = Annotated[
    float, BeforeValidator(parse_duration), AfterValidator(_refuse_zero), WithJsonSchema(_DURATION_SCHEMA)
]
"""Seconds above zero."""
Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(_SIZE_SCHEMA)]
"""Bytes; written as `"50 GiB"`."""
Count = Annotated[int, Field(strict=True, ge=1)]
Flag = Annotated[bool, Field(strict=True)]
Url = Annotated[str, AfterValidator(parse_url)]
IndexUrl = Annotated[str, AfterValidator(_parse_index)]
"""An address, or `pip`: the index that pip on this machine is configured to use."""
RootUrl = Annotated[str, AfterValidator(_parse_root)]
"""An address below which other addresses are made: it ends with a slash."""
LocalPath = Annotated[Path, BeforeValidator(_parse_path), WithJsonSchema({"type": "string", "minLength": 1})]
Pattern = Annotated[str, AfterValidator(_parse_pattern)]
"""A project's name, or a pattern of names with `*`, normalised."""
Requirement = Annotated[str, AfterValidator(_parse_requirement)]
"""A pattern with an optional version specifier: `numpy<3`."""
Repository = Annotated[str, AfterValidator(_parse_repository)]
WorkspaceId = Annotated[str, AfterValidator(_parse_workspace)]
ApiVersion = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}(-preview)?$")]


class EnvSecret(Strict):
    """A secret in an environment variable of the server."""

    env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """The variable's name."""


class FileSecret(Strict):
    """A secret in a file, as Docker and Kubernetes mount them; its final newline is no part of it."""

    file: LocalPath
    """The file's path."""


class KeyVaultSecret(Strict):
    """A secret in an Azure key vault, read with the server's own identity."""

    key_vault: Annotated[str, AfterValidator(_parse_vault)]
    """The secret's address, with or without a version."""


def _only_key(*known: str) -> Any:  # noqa: ANN401 - pydantic's discriminators are untyped
    def choose(value: Any) -> str | None:  # noqa: ANN401
        keys = list(value) if isinstance(value, dict) else list(type(value).model_fields) if _is_table(value) else []
        return keys[0] if len(keys) == 1 and keys[0] in known else None

    return choose


def _is_table(value: object) -> bool:
    return isinstance(value, BaseModel)


SecretReference = Annotated[
    Annotated[EnvSecret, Tag("env")] | Annotated[FileSecret, Tag("file")] | Annotated[KeyVaultSecret, Tag("key_vault")],
    Discriminator(
        _only_key("env", "file", "key_vault"),
        custom_error_type="secret_form",
        custom_error_message="a secret is never literal in the configuration",
    ),
]
"""Where a secret is, never the secret."""


class ManagedIdentity(Strict):
    """A user-assigned managed identity."""

    managed_identity: Annotated[str, Field(min_length=1)]
    """Its client id."""


class AccountKey(Strict):
    """The storage account's shared key."""

    account_key: SecretReference
    """Where the key is."""


class Sas(Strict):
    """A shared access signature."""

    sas: SecretReference
    """Where the signature is; a leading `?` does no harm."""


class ConnectionString(Strict):
    """A storage connection string, which carries its own endpoint."""

    connection_string: SecretReference
    """Where the connection string is."""


NamedIdentity = Literal["default", "managed-identity", "workload-identity"]


def _credential_tag(value: Any) -> str | None:  # noqa: ANN401 - pydantic's discriminators are untyped
    if isinstance(value, str):
        return "name"
    tag: str | None = _only_key("managed_identity", "account_key", "sas", "connection_string")(value)
    return tag


IdentityCredential = Annotated[
    Annotated[NamedIdentity, Tag("name")] | Annotated[ManagedIdentity, Tag("managed_identity")],
    Discriminator(
        _credential_tag,
        custom_error_type="identity_form",
        custom_error_message="not a way to sign in that is known",
    ),
]
"""How the server itself signs in to Azure."""
StorageCredential = Annotated[
    Annotated[Literal["default", "managed-identity", "workload-identity", "anonymous"], Tag("name")]
    | Annotated[ManagedIdentity, Tag("managed_identity")]
    | Annotated[AccountKey, Tag("account_key")]
    | Annotated[Sas, Tag("sas")]
    | Annotated[ConnectionString, Tag("connection_string")],
    Discriminator(
        _credential_tag,
        custom_error_type="credential_form",
        custom_error_message="not a way to sign in to storage that is known",
    ),
]
"""How the server signs in to a storage account."""
