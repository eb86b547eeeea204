"""Pydantic's errors in the words of the file: the key as it is written, what is wrong, what to write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic_core import ErrorDetails

from proxy.config import models, rules
from proxy.config.relations import join, nearest
from proxy.config.values import FORMS, Strict
from proxy.errors import Problem

_KINDS: dict[str, type[Strict]] = {
    "simple": models.SimpleSource,
    "azure-blob": models.AzureBlobSource,
    "github": models.GithubSource,
    "directory": models.DirectorySource,
}
_TABLES: dict[object, type[Strict]] = {
    "server": models.Server,
    "cache": models.Cache,
    "audit": models.Audit,
    "connections": models.Connection,
    "workspaces": models.Workspace,
    "feeds": models.Feed,
}
_RULES: dict[object, type[Strict]] = {
    "status": rules.Statuses,
    "vulnerabilities": rules.Vulnerabilities,
    "licenses": rules.Licenses,
}
_SECRET_KEYS = ["env", "file", "key_vault"]
_CREDENTIAL_KEYS = ["managed_identity", "account_key", "sas", "connection_string"]
_IDENTITIES = '"default", "managed-identity", "workload-identity", { managed_identity = "CLIENT-ID" }'
_REMEDIES = {
    "sources": 'name the sources in order: ["curated", "public"]',
    "auth_type": "one of PAT, UsernamePassword, SAS, ManagedIdentity, None",
    "target": "the address that the credential is for, such as https://my-org.pkgs.visualstudio.com",
    "url": 'the index\'s address, or "pip"',
    "port": "a number from 0 to 65535",
    "processes": 'a number from 1 on, or "auto"',
    "max_connections": "a number from 1 on",
    "keep": "a number from 0 on",
    "container": "3 to 63 small letters, digits and -",
    "api_version": 'a date such as "2024-11-04"',
    "feeds": 'add a table [feeds.default] with sources = ["…"]',
    "env": "the name of an environment variable: letters, digits and _",
    "id": "the workspace's resource id, /subscriptions/…",
    "path": "the folder's path",
    "database": "the path of a folder or a ZIP file of advisories in the OSV format",
}
_FORMS = {
    "secret_form": f"say where it is: {FORMS}",
    "identity_form": f"write one of {_IDENTITIES}",
    "credential_form": f'write one of {_IDENTITIES}, "anonymous", {{ account_key = SECRET }}, {{ sas = SECRET }}, '
    f"{{ connection_string = SECRET }}, where SECRET is {FORMS}",
}

_PLAIN = {
    "string_type": ("must be text", 'write it in "quotes"'),
    "string_too_short": ("must not be empty", "fill it in, or leave it out"),
    "string_pattern_mismatch": ("has not the right form", "compare it with config/wheelgate.toml"),
    "bool_type": ("must be true or false", "write it without quotes"),
    "int_type": ("must be a whole number", "write it without quotes"),
    "tuple_type": ("must be a list", 'write ["…"]'),
}
"""What is wrong by pydantic's type of error, and the remedy where the key has none of its own."""
_ELSE = "config/wheelgate.toml explains every setting"


def translate(detail: ErrorDetails, document: dict[str, Any]) -> Problem:
    """Give one of pydantic's errors about `document` as a line of the report; no value of the file is in it."""
    path = tuple(_as_written(detail, document))
    shown = join("", *path)
    last = str(path[-1]) if path else ""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "mistake":
            problem = Problem(shown, context["what"], context["remedy"])
        case "extra_forbidden":
            problem = Problem(shown, "unknown key", nearest(last, _known(path[:-1], document)))
        case "missing":
            problem = Problem(shown, "is missing", _REMEDIES.get(last, "add it"))
        case "union_tag_not_found":
            problem = Problem(join(shown, "kind"), "is missing", f"it is one of {', '.join(_KINDS)}")
        case "union_tag_invalid":
            what = f"there is no kind of source {context['tag']!r}"
            problem = Problem(join(shown, "kind"), what, nearest(context["tag"], list(_KINDS)))
        case "secret_form" | "identity_form" | "credential_form":
            problem = _misshapen(detail, shown)
        case "literal_error":
            # The value is not repeated: where a credential is expected, it may be one.
            problem = Problem(shown, "not a value that is known here", f"it is one of {context['expected']}")
        case "model_type" | "model_attributes_type" | "dict_type":
            problem = Problem(shown, "must be a table", f"write [{shown}]")
        case other:
            what, remedy = _PLAIN.get(other, (detail["msg"][:1].lower() + detail["msg"][1:], _ELSE))
            problem = Problem(shown, what, _REMEDIES.get(last, remedy))
    return problem


def _misshapen(detail: ErrorDetails, shown: str) -> Problem:
    """Give what is wrong with a table that should be one of several forms."""
    known = _SECRET_KEYS if detail["type"] == "secret_form" else _CREDENTIAL_KEYS
    match detail["input"]:
        case dict() as table if len(table) == 1 and not set(known).issuperset(table):
            (key,) = table
            return Problem(join(shown, key), "unknown key", nearest(key, known))
        case dict():
            return Problem(shown, "must have exactly one key", _FORMS[detail["type"]])
    return Problem(shown, detail["msg"], _FORMS[detail["type"]])


def _as_written(detail: ErrorDetails, document: object) -> Iterator[str | int]:
    """Give the path of the key in the file: pydantic's names the members of unions too, which nobody wrote."""
    here: Any = document
    location = detail["loc"]
    for index, part in enumerate(location):
        # sources.NAME.KIND.key: a key that is spelled like the kind is not meant here.
        is_kind = location[0] == "sources" and index == 2  # noqa: PLR2004
        inside = isinstance(here, dict) and part in here and not is_kind
        if inside or (isinstance(here, list) and isinstance(part, int)):
            here = here[part]
            yield part
        elif index == len(location) - 1 and detail["type"] == "missing":
            yield part


def _known(path: tuple[str | int, ...], document: dict[str, Any]) -> list[str]:
    """Give the keys that may stand in the table at `path`."""
    model: type[Strict] | None = None
    match path:
        case ():
            model = models.Config
        case ("sources", name):
            model = _KINDS[document["sources"][name]["kind"]]
        case ("feeds", _, "rules"):
            model = rules.Rules
        case ("feeds", _, "rules", table):
            model = _RULES.get(table)
        case (table,) | (table, _):
            model = _TABLES.get(table)
    if model is not None:
        return list(model.model_fields)
    return _CREDENTIAL_KEYS if path[-1] == "credential" else _SECRET_KEYS
