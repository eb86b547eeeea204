"""What the keys of a configuration must agree on.

These checks read the tables as they were parsed, not the models: a mistake in one key must not hide
those in others, so that all of them come in one report. A key whose value has the wrong type is
passed over here; the models say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from proxy.config.values import is_loopback
from proxy.errors import Problem
from proxy.rules.ownership import normalize_pattern

RESERVED = frozenset({"simple", "files", "links", "legacy", "livez", "readyz", "metrics", "explain", "static"})
"""Names that a feed cannot have, because they are the first segments of other addresses."""

FEED_NAME = re.compile(r"[a-z][a-z0-9-]*")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_AZURE_DEVOPS = ("pkgs.dev.azure.com", "feeds.dev.azure.com", ".pkgs.visualstudio.com")

Tables = Mapping[str, Any]


def disagreements(document: Tables) -> Iterator[Problem]:
    """Give everything in which the keys of a configuration do not agree."""
    for kind in ("sources", "connections", "workspaces"):
        for name in _tables(document, kind):
            if not NAME.fullmatch(name):
                remedy = "use letters, digits, - and _, and start with a letter or digit"
                yield Problem(join("", kind, name), "not a name that can be used here", remedy)
    sources = _tables(document, "sources")
    for name, source in sources.items():
        yield from _source(join("", "sources", name), source)
    for name, connection in _tables(document, "connections").items():
        yield from _connection(join("", "connections", name), connection, sources)
    for name, workspace in _tables(document, "workspaces").items():
        yield from _plain_http(join("", "workspaces", name), "management_url", workspace)
    yield from _feeds(document, sources)


def join(path: str, *parts: str | int) -> str:
    """Give the path of a key below `path` as it is written: `feeds.default.sources[1]`."""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            # Source: TOML 1.0, "Keys": what is no bare key is quoted.
            shown = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
            path += f".{shown}" if path else shown
    return path


def nearest(name: str, known: list[str]) -> str:
    """Give the remedy for a name that is not known: the one that was probably meant, or all of them."""
    from difflib import get_close_matches  # noqa: PLC0415 - of use only where there is a mistake

    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"known here: {', '.join(sorted(known))}" if known else "there is none yet"


def _feeds(document: Tables, sources: Mapping[str, Tables]) -> Iterator[Problem]:
    feeds = _tables(document, "feeds")
    if not feeds and isinstance(document.get("feeds", {}), dict):
        remedy = 'add a table [feeds.default] with sources = ["…"]'
        yield Problem("feeds", "there is no feed, so there would be nothing to serve", remedy)
    for name, feed in feeds.items():
        path = join("", "feeds", name)
        if name in RESERVED:
            yield Problem(path, f"{name} is reserved: the server has its own pages there", "choose another name")
        elif not FEED_NAME.fullmatch(name):
            remedy = "use small letters, digits and -, and start with a letter"
            yield Problem(path, "not a name that a feed can have: it is a part of addresses", remedy)
        yield from _feed(path, feed, sources)


def _feed(path: str, feed: Tables, sources: Mapping[str, Tables]) -> Iterator[Problem]:
    order = _strings(feed.get("sources"))
    if feed.get("sources") == []:
        yield Problem(join(path, "sources"), "names no source", 'name them in order: ["curated", "public"]')
    for index, name in enumerate(order):
        key = join(path, "sources", index)
        if name not in sources:
            yield Problem(key, f"there is no source {name}", nearest(name, list(sources)))
        elif name in order[:index]:
            yield Problem(key, f"{name} is named twice", "name each source once")
    owners: dict[str, str] = {}
    for source, patterns in _mapping(feed.get("claims")).items():
        if source not in order:
            remedy = nearest(source, order) if source in sources else nearest(source, list(sources))
            yield Problem(join(path, "claims", source), f"{source} is not a source of this feed", remedy)
        for index, pattern in enumerate(_strings(patterns)):
            owner = owners.setdefault(normalize_pattern(pattern), source)
            if owner != source:
                what = f"{pattern} is already claimed by {owner}"
                yield Problem(join(path, "claims", source, index), what, "let one source own it, or use combine")
    yield from _combine(path, feed, order)


def _combine(path: str, feed: Tables, order: list[str]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for project, names in _mapping(feed.get("combine")).items():
        key = join(path, "combine", project)
        first = seen.setdefault(normalize_pattern(project), project)
        if first != project:
            yield Problem(key, f"this is the same project as {first}", "keep one of the two")
        together = _strings(names)
        if isinstance(names, list) and not names:
            yield Problem(key, "names no source", 'name those whose files are shown together: ["curated", "public"]')
        for index, name in enumerate(together):
            if name not in order:
                yield Problem(join(key, index), f"{name} is not a source of this feed", nearest(name, order))
            elif name in together[:index]:
                yield Problem(join(key, index), f"{name} is named twice", "name each source once")


def _source(path: str, source: Tables) -> Iterator[Problem]:
    match source.get("kind"):
        case "simple":
            yield from _plain_http(path, "url", source)
        case "azure-blob":
            yield from _plain_http(path, "account_url", source)
            credential = source.get("credential")
            carried = isinstance(credential, dict) and "connection_string" in credential
            if "account_url" not in source and not carried:
                remedy = 'add account_url = "https://ACCOUNT.blob.core.windows.net", or sign in by connection string'
                yield Problem(join(path, "account_url"), "is missing", remedy)
        case "github":
            yield from _plain_http(path, "api_url", source)
            if ("repository" in source) == ("repositories" in source):
                what = "is there beside repositories" if "repository" in source else "is missing"
                remedy = 'give either repository = "owner/name" or repositories = ["owner/name", …]'
                yield Problem(join(path, "repository"), what, remedy)
            elif source.get("repositories") == []:
                yield Problem(join(path, "repositories"), "names no repository", 'write ["owner/name"]')


def _connection(path: str, connection: Tables, sources: Mapping[str, Tables]) -> Iterator[Problem]:
    target = connection.get("target")
    host = _host(target)
    agreed = any(source.get("allow_http") is True and _host(_address(source)) == host for source in sources.values())
    if not agreed:
        yield from _plain_http(path, "target", connection)
    auth_type = str(connection.get("auth_type", ""))
    if auth_type in {"PAT", "UsernamePassword", "SAS"} and "value" not in connection:
        yield Problem(join(path, "value"), f"is missing: {auth_type} needs a secret", 'write value = { env = "NAME" }')
    if auth_type in {"ManagedIdentity", "None"} and "value" in connection:
        yield Problem(join(path, "value"), f"has no use with auth_type {auth_type}", "leave it out")
    if auth_type == "UsernamePassword" and "username" not in connection:
        yield Problem(join(path, "username"), "is missing: UsernamePassword needs one", 'an empty one is written ""')
    if auth_type == "ManagedIdentity" and "resource" not in connection and host and not host.endswith(_AZURE_DEVOPS):
        remedy = "name what the token is for; only for feeds of Azure DevOps it is known"
        yield Problem(join(path, "resource"), f"is missing: {host} is not Azure DevOps", remedy)


def _plain_http(path: str, key: str, table: Tables) -> Iterator[Problem]:
    url = table.get(key)
    if not isinstance(url, str) or not url.lower().startswith("http:") or table.get("allow_http") is True:
        return
    if not is_loopback(_host(url)):
        remedy = "use https:" + ("" if key == "management_url" else ", or say allow_http = true in this table")
        yield Problem(join(path, key), "plain http: can be read and changed on the way", remedy)


def _address(source: Tables) -> object:
    return source.get("url") or source.get("api_url") or source.get("account_url")


def _host(url: object) -> str | None:
    try:
        return urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:
        return None


def _tables(document: Tables, key: str) -> dict[str, Tables]:
    return {name: table for name, table in _mapping(document.get(key)).items() if isinstance(table, dict)}


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
