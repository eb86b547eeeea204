"""What upstreams say in odd ways, and what it means: shared by the readers of JSON and of HTML.

One odd value must never cost more than itself: the value is dropped, or else its file, but not the page. To uv one bad
value makes a whole page unreadable, so nothing leaves here that a page of ours could not say.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import urllib.parse
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from proxy.simple.filename import normalize_version
from proxy.simple.model import File, NormalizedName, Page, ProjectStatus

__all__ = [
    "LARGEST",
    "PageUnreadable",
    "Resolver",
    "are_sha256",
    "are_utc",
    "best_hash",
    "build_page",
    "clean_hashes",
    "clean_reason",
    "clean_requires_python",
    "clean_sha256",
    "clean_size",
    "clean_status",
    "clean_upload_time",
    "hashes_in",
    "refuse_other_major",
    "sniff",
]


class PageUnreadable(ValueError):
    """An upstream's page is none: it says nothing of the project, not even that there are no files."""

    def __init__(self, reason: str) -> None:
        """Give the reason in words that read on after "the page is unreadable:"."""
        self.reason = reason
        super().__init__(reason)


_HEX_LENGTHS = {"sha256": 64, "sha512": 128, "sha384": 96, "md5": 32}
"""The digests that pip and uv both check, best first."""

# Days that there are, but for the 29th of February, which takes the longer way.
_DAY = r"[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
_UTC = re.compile(rf"{_DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{{1,6}})?Z")
_ALL_UTC = re.compile(rf"(?:{_UTC.pattern}\|)*")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,]([0-9]{1,20}))?(Z|z|[+-][0-9]{2}:?[0-9]{2})?"
)
_STATUS = re.compile(r"[a-z][a-z-]{0,31}")
_MAJOR = re.compile(r"\s*([0-9]{1,9})(?:\.|\s*\Z)")
LARGEST = (1 << 63) - 1
"""Bytes of the largest file that can be: what readers of other languages can hold."""
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)
_LONGEST_REASON = 1000

# Source: the WHATWG's MIME sniffing standard, "binary data byte".
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_LOOKED_AT = 1024
_MARKUP = re.compile(rb"<[a-zA-Z!?]")


# Without a user, a backslash or anything that is not printable ASCII.
_ABSOLUTE = re.compile(r"(https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/)([!\"$-\[\]-~]*)(?:#([!-~]*))?")
# Without a segment that begins with a dot, behind the leading ones.
_SEGMENT = r"[A-Za-z0-9%+~!@=,_-][A-Za-z0-9%+~!@=,._-]*"
_RELATIVE = re.compile(rf"((?:\.\./)*|/)((?:{_SEGMENT}/)*{_SEGMENT})(?:#([!-~]*))?")

_UPWARDS = re.compile(r"^((?:\.\./)+|/|)")
_LINK_LETTERS = bytes(letter for letter in range(128) if chr(letter).isprintable() and chr(letter) not in "# \\")


class Resolver:
    """Turns the links of one page into absolute URLs, and refuses those that no index means.

    Only `http:` and `https:` are let through, with no link-local address (where clouds keep the credentials of a
    machine), and in a spelling that all readers of URLs read alike.
    """

    def __init__(self, base_url: str) -> None:
        """Resolve against `base_url`: where the page came from in the end, after redirects."""
        self.base_url = base_url
        self._origins: dict[str, bool] = {}
        self._folders: dict[str, str] = {}

    def resolve(self, link: str) -> tuple[str, str] | None:
        """Give the absolute URL and the fragment (empty if there is none); `None` where the link is refused."""
        # Plain forms first, as `urljoin` takes 10 µs and a large page has 20,000 links.
        plain = _ABSOLUTE.fullmatch(link)
        if plain is not None:
            origin, rest, fragment = plain.groups("")
            return (origin + rest, fragment) if self._accepts(origin) else None
        plain = _RELATIVE.fullmatch(link)
        if plain is None:
            return self._resolve_odd(link)
        folder, rest, fragment = plain.groups("")
        if folder not in self._folders:
            resolved = self._resolve_odd(folder or "./")
            self._folders[folder] = resolved[0] if resolved is not None else ""
        return (self._folders[folder] + rest, fragment) if self._folders[folder] else None

    def resolve_alike(self, links: list[str]) -> list[str] | None:
        """Give the absolute URLs of links that are all of one plain form, asked at once; `None` where they are not."""
        joined = "|".join(links)
        is_plain = joined.isascii() and not joined.encode().translate(None, _LINK_LETTERS)
        if not links or not is_plain or joined.count("|") >= len(links):
            return None
        plain = _ABSOLUTE.fullmatch(links[0])
        start = plain.group(1) if plain is not None else _UPWARDS.split(links[0])[1]
        if not start or joined.count(f"|{start}") != len(links) - 1:
            return None
        if plain is not None:
            return links if self._accepts(start) else None
        # Behind the steps that all have in common there are no others, no scheme and no second slash.
        if joined.count("..") != len(links) * start.count("..") or any(odd in joined for odd in ("/./", "//", ":")):
            return None
        folder = self._upwards(start)
        return None if folder is None else [folder + link[len(start) :] for link in links]

    def _upwards(self, steps: str) -> str | None:
        """Give the folder that `steps` (`../../`, or `/`) lead to; by hand where that is plain.

        Source: RFC 3986 §5.2.4.
        """
        base = _ABSOLUTE.fullmatch(self.base_url)
        if base is None or base[3] is not None or any(odd in f"/{base[2]}" for odd in ("?", "./", "//")):
            resolved = self._resolve_odd(steps)
            return None if resolved is None else resolved[0]
        folders = [] if steps == "/" else base[2].split("/")[:-1]
        kept = folders[: max(0, len(folders) - steps.count("../"))]
        return "/".join((base[1][:-1], *kept, "")) if self._accepts(base[1]) else None

    def _resolve_odd(self, link: str) -> tuple[str, str] | None:
        # Some read `\\` as `/`, and so another host.
        if "\\" in link:
            return None
        link, _, fragment = _respell(link).partition("#")
        try:
            link = urllib.parse.urljoin(self.base_url, link)
            scheme, authority, *_ = urllib.parse.urlsplit(link)
        except ValueError:
            return None
        if "@" in authority:
            # Whose password it is nobody knows: it is not used, and so not kept either.
            host = authority.rpartition("@")[2]
            link, authority = link.replace(f"//{authority}", f"//{host}", 1), host
        return (link, fragment) if self._accepts(f"{scheme}://{authority}") else None

    def _accepts(self, origin: str) -> bool:
        accepted = self._origins.get(origin)
        if accepted is None:
            accepted = self._origins[origin] = _is_accepted(origin)
        return accepted

    def resolve_provenance(self, link: str | None) -> str | None:
        """Give a provenance object's URL; `None` where there is none, or a secure page links to an insecure one."""
        resolved = self.resolve(link) if link else None
        if resolved is None:
            return None
        url, _ = resolved
        return url if url.startswith("https://") or self.base_url.startswith("http://") else None


def clean_hashes(said: dict[str, str]) -> dict[str, str]:
    """Give the one digest to go by: the sha256, or else the best of the others; empty where none is usable."""
    if len(said) == 1:
        digest = said.get("sha256", "")
        if digest.islower() and _is_hex(digest, 64):
            return said
    spelt = {name.strip().lower(): digest.strip().lower() for name, digest in said.items()}
    for name, length in _HEX_LENGTHS.items():
        digest = spelt.get(name, "")
        if _is_hex(digest, length):
            return {name: digest}
    return {}


def best_hash(hashes: dict[str, str]) -> dict[str, str]:
    """Give the one digest that a page shows: more of them are a risk to clients, and no gain."""
    if len(hashes) <= 1:
        return hashes
    name = next((name for name in _HEX_LENGTHS if name in hashes), next(iter(hashes)))
    return {name: hashes[name]}


def hashes_in(fragment: str) -> dict[str, str]:
    """Give the one digest to go by of a URL's fragment; empty where none is usable."""
    if not fragment:
        return {}
    name, _, digest = fragment.partition("=")
    return clean_hashes({name: digest} if "&" not in digest else dict(urllib.parse.parse_qsl(fragment)))


def are_sha256(digests: list[str]) -> bool:
    """Whether all of them are written as they should be: asked at once, as a large page has 40,000."""
    joined = "".join(digests)
    return set(map(len, digests)) <= {64} and joined == joined.lower() and _is_hex(joined, len(joined))


def clean_sha256(digest: str) -> str | None:
    """Give a sha256 in lower-case hex, or `None` where it is none."""
    return clean_hashes({"sha256": digest}).get("sha256")


def clean_size(said: object) -> int | None:
    """Give a size in bytes; no file of an index is empty, so 0 means that it is not known."""
    if isinstance(said, str) and _NUMBER.fullmatch(said):
        said = int(said)
    if isinstance(said, float) and said.is_integer():
        said = int(said)
    return said if isinstance(said, int) and not isinstance(said, bool) and 0 < said <= LARGEST else None


def are_utc(times: list[str]) -> bool:
    """Whether all of them are as the standard has them, asked at once."""
    return _ALL_UTC.fullmatch("|".join(times) + "|") is not None


def clean_upload_time(said: str) -> str | None:
    """Give a time as the standard has it: UTC with `Z`, up to six fractional digits. One without a zone is UTC.

    Source: PEP 700, "upload-time".
    """
    if _UTC.fullmatch(said):
        return said
    parts = _TIME.fullmatch(said.strip())
    if parts is None:
        return None
    day, time, fraction, zone = parts.groups()
    offset = "+00:00" if zone is None or zone in "Zz" else zone
    try:
        date.fromisoformat(day)
        moment = datetime.fromisoformat(f"{day}T{time}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    digits = f".{fraction[:6]}" if fraction else ""
    # Not `strftime`, which leaves out a year's leading zeros.
    return f"{moment.replace(tzinfo=None).isoformat()}{digits}Z"


@lru_cache(maxsize=1024)
def clean_requires_python(said: str) -> str | None:
    """Give a specifier, or `None` where it is empty or none: uv would pass the file over, and pip before 24 break."""
    text = said.strip()
    if not text or not text.isascii() or not text.isprintable():
        return None
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return None
    return text


def clean_reason(said: str) -> str | None:
    """Give a reason as one printable line, or `None` where it is empty."""
    text = said if said.isprintable() else "".join(letter if letter.isprintable() else " " for letter in said)
    return " ".join(text[:_LONGEST_REASON].split()) or None


def clean_status(status: object, reason: object) -> ProjectStatus | None:
    """Give a status marker, also one of a word that is not known yet; `None` where it is no word.

    Source: PEP 792.
    """
    word = status.strip().lower() if isinstance(status, str) else ""
    if not _STATUS.fullmatch(word):
        return None
    return ProjectStatus(word, clean_reason(reason) if isinstance(reason, str) else None)


def refuse_other_major(api_version: object) -> None:
    """Refuse a page of another major version than 1; what is not a version counts as 1.0.

    Source: PEP 629, "Clients".

    Raises: PageUnreadable
    """
    major = _MAJOR.match(api_version) if isinstance(api_version, str) else None
    if major is not None and int(major.group(1)) > 1:
        raise PageUnreadable(f"it speaks version {major.group(1)} of the API, and only 1 is known here")


def build_page(
    project: NormalizedName,
    files: Iterable[File],
    *,
    versions: Iterable[object] = (),
    status: ProjectStatus | None = None,
) -> Page:
    """Give a page that names each file once (of two entries the first) and the versions of all files."""
    listed = list(files)
    if len({file.filename for file in listed}) < len(listed):
        by_name: dict[str, File] = {}
        for file in listed:
            by_name.setdefault(file.filename, file)
        listed = list(by_name.values())
    own = dict.fromkeys([file.version for file in listed])
    said = [version for version in versions if isinstance(version, str)]
    known = dict.fromkeys([version if version in own else normalize_version(version) for version in said])
    known.update(own)
    known.pop("", None)
    return Page(name=project, files=tuple(listed), versions=tuple(known), status=status)


def sniff(body: bytes, content_type: str | None) -> Literal["json", "html"] | None:
    """Tell what a body is, whatever it is labelled; `None` where it is neither JSON nor HTML.

    The first letter decides where it can, as JSON labelled HTML and the other way round are about.
    """
    start = body[:_LOOKED_AT].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start or _BINARY.search(start):
        return None
    if start[:1] in b"{[":
        return "json"
    label = (content_type or "").partition(";")[0].strip().lower()
    is_labelled_html = label in {"", "text/html", "text/plain", "application/xhtml+xml"} or label.endswith("+html")
    if start[:1] == b"<" or (is_labelled_html and _MARKUP.search(body)):
        return "html"
    return None


def _is_hex(digest: str, length: int) -> bool:
    """Whether it has so many hexadecimal digits. Faster than a pattern."""
    try:
        # It passes over spaces, but then gives fewer bytes.
        return len(digest) == length == 2 * len(bytes.fromhex(digest))
    except ValueError:
        return False


def _respell(link: str) -> str:
    """Give a link as browsers read it: no spaces around, no line breaks, the rest percent-encoded."""
    link = "".join(letter for letter in link.strip() if letter not in "\t\r\n")
    return urllib.parse.quote(link, safe="%/:?#[]@!$&'()*+,;=~", errors="replace")


@lru_cache(maxsize=1024)
def _is_accepted(origin: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(origin)
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return False
    address = _address(parts.hostname)
    if address is None:
        return True
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_link_local


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        # One number, octal or hexadecimal, is an address too, to those who connect.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None
