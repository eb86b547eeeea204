"""Pages and project lists as HTML: read as browsers read it, written for old clients and for people.

pip before 22.2 and easy_install know nothing else, and Azure's feeds speak nothing else. HTML is frozen at API 1.4
(PEP 833) and cannot carry sizes, times and versions.

Source: the Simple repository API, "HTML-based Simple API"; PEP 503, 592, 629, 658, 714, 740, 792.
"""

from __future__ import annotations

import codecs
import html
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from proxy.simple.filename import is_file, normalize, quote, version_of
from proxy.simple.links import Links
from proxy.simple.model import File, NormalizedName, Page
from proxy.simple.tolerance import (
    PageUnreadable,
    Resolver,
    best_hash,
    build_page,
    clean_reason,
    clean_requires_python,
    clean_sha256,
    clean_status,
    hashes_in,
    refuse_other_major,
    sniff,
)

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

__all__ = [
    "PageUnreadable",
    "iter_names",
    "parse_names",
    "parse_page",
    "render_links",
    "render_names",
    "render_page",
    "sniff",
]

_NAMES_AT_A_TIME = 2000

_SIGN_IN = re.compile(
    r"\b(?:sign|log)(?:ging|ing)?[ -]?(?:in|on)\b|\bauthenticat|\bsingle sign|\banmeld", re.IGNORECASE
)
_OF_INDEX = re.compile(r"(?:links for|index of|simple index)\b", re.IGNORECASE)
_NO_INDEX = 'input[type="password" i], form, script, meta[http-equiv="refresh" i], iframe'
_UNFINISHED_TAG = re.compile(rb"<[a-zA-Z/!][^>]*\Z")
_ANCHOR = re.compile(rb"<a[\s>]", re.IGNORECASE)
# Those that a parser closes by itself, or that take it no longer the more of them are open.
_NESTING_TAG = re.compile(rb"<(?!(?:a|br|hr|p|li|dt|dd|tr|td|th|span|meta|img|link)[\s/>])[a-z]", re.IGNORECASE)
_MOST_NESTING = 20_000
"""Tags that may nest; so many, one in the other, take a second, and ten times as many take minutes."""
_MOST_ATTRIBUTES = 1000
_CROWDED_TAG = re.compile(
    rb"<[a-z][^\s/>]*+(?:[\s/]*+[^\s=>/]++(?:\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+'|[^\s>]++))?+){%d}" % _MOST_ATTRIBUTES,
    re.IGNORECASE,
)
_NAME_LINK = re.compile(r"(?:\./)?([A-Za-z0-9._-]+)/?")

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="pypi:repository-version" content="1.4">
{metas}<title>{title}</title>
</head>
<body>
<h1>{title}</h1>
"""
_TAIL = "</body>\n</html>\n"


def parse_page(body: bytes, *, base_url: str, project: NormalizedName, encoding: str | None = None) -> Page:
    """Read an upstream's page of `project`; links are relative to `base_url`, where it came from in the end.

    `encoding` is what the `Content-Type` names, if anything. Links that do not end in a file's name lead elsewhere.

    Raises: PageUnreadable where the body is no index page: empty, binary, cut off, or a page to sign in.
    """
    tree = _read(body, encoding)
    metas = _metas(tree)
    refuse_other_major(metas.get("pypi:repository-version"))
    resolver = Resolver(_base(tree, base_url))
    anchors = (node.attributes for node in tree.css("a[href]"))
    files = [file for attributes in anchors if (file := _file(attributes, resolver, project)) is not None]
    if not files:
        _refuse_other_pages(tree, metas)
    status = clean_status(metas.get("pypi:project-status"), metas.get("pypi:project-status-reason"))
    return build_page(project, files, status=status)


def render_page(page: Page, links: Links, *, explain_href: str | None = None, reason: str | None = None) -> bytes:
    """Give a page as HTML; `reason` says to people why it is not what they may expect (files hidden, a stale page).

    `explain_href` leads to the whole explanation: by a button, as every anchor of the page is a file to clients.
    """
    metas = []
    if page.status is not None:
        metas.append(f'<meta name="pypi:project-status" content="{html.escape(page.status.status)}">\n')
        if page.status.reason:
            metas.append(f'<meta name="pypi:project-status-reason" content="{html.escape(page.status.reason)}">\n')
    parts = [_HEAD.format(metas="".join(metas), title=f"Links for {html.escape(page.name)}")]
    if page.status is not None and page.status.status != "active":
        why = f": {html.escape(page.status.reason)}" if page.status.reason else ""
        parts.append(f"<p>This project is {html.escape(page.status.status)}{why}</p>\n")
    if reason:
        parts.append(f"<p>{html.escape(reason)}</p>\n")
    if explain_href:
        parts.append(f'<form action="{html.escape(explain_href)}"><button>Why these files?</button></form>\n')
    files_at, sidecars_at = html.escape(links.files), html.escape(links.sidecars)
    parts.extend(_anchor(file, files_at, quote(file.filename), sidecars_at) for file in page.files)
    parts.append(_TAIL)
    return "".join(parts).encode()


def render_links(files: Iterable[tuple[File, str]], *, title: str) -> bytes:
    """Give a flat page of files of many projects, each with its link, for `--find-links`."""
    parts = [_HEAD.format(metas="", title=html.escape(title))]
    for file, href in files:
        folder, slash, quoted = href.rpartition("/")
        parts.append(_anchor(file, html.escape(folder + slash), html.escape(quoted), None))
    parts.append(_TAIL)
    return "".join(parts).encode()


def parse_names(body: bytes, *, base_url: str, encoding: str | None = None) -> list[str]:
    """Read an upstream's project list, as it spells the names; links to anything else are passed over.

    Raises: PageUnreadable
    """
    tree = _read(body, encoding)
    metas = _metas(tree)
    refuse_other_major(metas.get("pypi:repository-version"))
    base = _base(tree, base_url)
    names = [name for node in tree.css("a[href]") if (name := _name(node.attributes["href"], node.text(), base))]
    if not names:
        _refuse_other_pages(tree, metas)
    return names


def render_names(names: Iterable[str]) -> bytes:
    """Give the project list as HTML."""
    return b"".join(iter_names(names))


def iter_names(names: Iterable[str]) -> Iterator[bytes]:
    """Give the project list as HTML, piece by piece: an index may have 700,000 projects."""
    yield _HEAD.format(metas="", title="Simple index").encode()
    remaining = iter(names)
    while some := list(islice(remaining, _NAMES_AT_A_TIME)):
        # Without an anchor for what is no name, nothing is left to escape.
        valid = ((name, normal) for name in some if (normal := normalize(name)) is not None)
        yield "".join(f'<a href="{normal}/">{name}</a><br>\n' for name, normal in valid).encode()
    yield _TAIL.encode()


def _read(body: bytes, encoding: str | None) -> LexborHTMLParser:
    start = body.lstrip()
    if not start:
        raise PageUnreadable("it is empty")
    text = _decode(body, encoding)
    if isinstance(text, bytes) and sniff(text, None) != "html":
        raise PageUnreadable("it is not HTML")
    if start[:5].lower() == b"<?xml" and b"<html" not in start[:4096].lower():
        raise PageUnreadable("it is XML")
    # Only HTML's own last tag can stand unfinished at the end: transfers that break off leave it so.
    last = body[body.rfind(b">") + 1 :]
    if _UNFINISHED_TAG.search(last) or _ends_in_anchor(body):
        raise PageUnreadable("it is cut off in the middle")
    # Two MiB that a server whose sources speak JSON does without.
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415

    _refuse_endless_work(body if isinstance(text, bytes) else text.encode("utf-8", "replace"))
    return LexborHTMLParser(text) if isinstance(text, str) else LexborHTMLParser(text, encoding=True)


def _refuse_endless_work(body: bytes) -> None:
    """Refuse what would keep the parser, which nothing can stop, busy for minutes: its work grows with the square."""
    if body.count(b"<") > _MOST_NESTING and next(islice(_NESTING_TAG.finditer(body), _MOST_NESTING, None), None):
        raise PageUnreadable("it has too many tags that no index needs")
    if len(body) > _MOST_ATTRIBUTES * 2 and _CROWDED_TAG.search(body) is not None:
        raise PageUnreadable("one of its tags has too many attributes")


def _decode(body: bytes, encoding: str | None) -> str | bytes:
    """Give the text in the encoding that was named; the bytes where the parser shall find it out."""
    if encoding is None or body.startswith(codecs.BOM_UTF8):
        return body
    try:
        if codecs.lookup(encoding).name in {"utf-8", "ascii"}:
            return body
        text = body.decode(encoding, "replace")
    except (LookupError, ValueError):
        return body
    # A wrong label must not hide what is no text at all.
    return text if sniff(text.encode("utf-8", "replace"), None) == "html" else body


def _ends_in_anchor(body: bytes) -> bool:
    """Whether the last anchor was never closed, while others were."""
    lower = body[-65536:].lower()
    closed = lower.rfind(b"</a")
    return closed >= 0 and _ANCHOR.search(lower, closed) is not None


def _metas(tree: LexborHTMLParser) -> dict[str, str]:
    metas: dict[str, str] = {}
    for node in tree.css("meta[name][content]"):
        metas.setdefault((node.attributes["name"] or "").strip().lower(), node.attributes["content"] or "")
    return metas


def _base(tree: LexborHTMLParser, base_url: str) -> str:
    """Give what links are relative to: what the page says itself, if that is a URL that may be followed."""
    node = tree.css_first("base[href]")
    resolved = Resolver(base_url).resolve(node.attributes["href"] or "") if node is not None else None
    return resolved[0] if resolved is not None else base_url


def _refuse_other_pages(tree: LexborHTMLParser, metas: dict[str, str]) -> None:
    """Refuse a page without one file that is not known for an index: taken for one, it would hide the project.

    Raises: PageUnreadable
    """
    headings = (node.text().strip() for node in tree.css("title, h1, h2"))
    # A project may well be called "login".
    invites = any(_SIGN_IN.search(heading) and not _OF_INDEX.match(heading) for heading in headings)
    if invites or tree.css_first('input[type="password" i]') is not None:
        raise PageUnreadable("it is a page to sign in")
    if "pypi:repository-version" not in metas and tree.css_first(_NO_INDEX) is not None:
        raise PageUnreadable("it is a web page, and no index")


def _file(attributes: dict[str, str | None], resolver: Resolver, project: NormalizedName) -> File | None:
    resolved = resolver.resolve(attributes["href"] or "")
    if resolved is None:
        return None
    url, fragment = resolved
    path, _, _ = url.partition("?")
    filename = path.rpartition("/")[2]
    if "%" in filename:
        filename = urllib.parse.unquote(filename)
    if not is_file(filename):
        return None
    requires_python = attributes.get("data-requires-python")
    # Some feeds escape twice, which pip undoes.
    if requires_python and "&" in requires_python:
        requires_python = html.unescape(requires_python)
    # Named without a value it says yes as well. Source: PEP 592.
    yanked = (clean_reason(attributes["data-yanked"] or "") or True) if "data-yanked" in attributes else False
    return File(
        filename,
        url,
        version_of(filename, project),
        hashes_in(fragment),
        requires_python=clean_requires_python(requires_python) if requires_python else None,
        core_metadata=_metadata(attributes) if filename.endswith(".whl") else False,
        yanked=yanked,
        provenance=resolver.resolve_provenance(attributes.get("data-provenance")),
    )


def _metadata(attributes: dict[str, str | None]) -> bool | str:
    """Give what is said of core metadata, by the present name or else the older one. Source: PEP 714."""
    for name in ("data-core-metadata", "data-dist-info-metadata"):
        if name in attributes:
            value = (attributes[name] or "").strip()
            return clean_sha256(value.removeprefix("sha256=")) or value.lower() != "false"
    return False


def _name(href: str | None, text: str, base: str) -> str | None:
    """Give the project that an anchor of a project list means: the text, where the link's end bears it out."""
    href, text = (href or "").strip(), text.strip().rstrip("/")
    plain = _NAME_LINK.fullmatch(href)
    if plain is not None:
        end = plain.group(1)
    else:
        try:
            path = urllib.parse.urlsplit(urllib.parse.urljoin(base, href)).path
        except ValueError:
            return None
        end = urllib.parse.unquote(path.rstrip("/").rpartition("/")[2])
    project = normalize(end)
    if project is None:
        return None
    if normalize(text) == project:
        return text
    # Listings of folders shorten long texts, but not links.
    return end if plain is not None else None


def _anchor(file: File, folder: str, quoted: str, sidecars: str | None) -> str:
    """Give one file's line. `folder`, `quoted` and `sidecars` are escaped already."""
    filename = file.filename
    # A name that needs no quoting needs no escaping either.
    text = filename if quoted == filename else html.escape(filename)
    line = f'<a href="{folder}{quoted}'
    for algorithm, digest in best_hash(file.hashes).items():
        line += f"#{algorithm}={digest}"
    line += '"'
    if file.requires_python is not None:
        line += f' data-requires-python="{html.escape(file.requires_python)}"'
    if file.core_metadata:
        value = "true" if file.core_metadata is True else f"sha256={file.core_metadata}"
        line += f' data-core-metadata="{value}" data-dist-info-metadata="{value}"'
    if file.yanked is not False:
        line += f' data-yanked="{html.escape(file.yanked) if isinstance(file.yanked, str) else ""}"'
    if file.provenance and sidecars is not None:
        line += f' data-provenance="{sidecars}{quoted}.provenance"'
    return f"{line}>{text}</a><br>\n"
