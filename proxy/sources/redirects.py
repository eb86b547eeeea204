"""Which URLs may be asked, and where a redirect leads: decisions on text, without I/O.

A URL goes out as its author wrote it, byte for byte, because a signature may cover it; only what no
request line can hold is escaped. What is refused, wherever a page or a `Location` names it:
anything but http and https, plain `http` to other machines, a step down from https, and link-local
addresses (the metadata services of clouds live there).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import lru_cache
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from yarl import URL

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_HOPS = 5

# A URL that goes out as it is written, in the form that nearly all have.
_PLAIN = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?/[\x21\x24-\x3e\x41-\x5b\x5d-\x7e]*")
_UNSENDABLE = re.compile(r"[^\x21-\x7e]+")
_LOGIN_HOSTS = re.compile(r"^(login|signin|sso|auth|accounts|adfs|sts)\.", re.IGNORECASE)
_LOGIN_NAMES = frozenset({"login", "signin", "_signin", "sign_in", "sign-in", "sso"})


def as_target(url: str) -> URL:
    """Give the URL to ask: without fragment and user name, and otherwise as it is written.

    Raises: ValueError where it is no URL with a host.
    """
    if _PLAIN.fullmatch(url):
        return URL(url, encoded=True)
    scheme, netloc, path, query, _ = urlsplit(url.strip())
    netloc = netloc.rpartition("@")[2]
    if not netloc:
        raise ValueError("it names no host")
    if not netloc.isascii():
        netloc = URL(f"http://{netloc}").raw_authority
    return URL(_escape(urlunsplit((scheme.lower(), netloc, path or "/", query, ""))), encoded=True)


def with_query(url: URL, query: str) -> URL:
    """Append a raw, already encoded query."""
    if not query:
        return url
    return URL(f"{url}{'&' if url.raw_query_string else '?'}{query}", encoded=True)


def next_hop(current: URL, location: str) -> URL:
    """Give where `location`, found in an answer to `current`, leads.

    Source: RFC 9110 §10.2.2 (relative references, as in RFC 3986 §5).

    Raises: ValueError where it is no URL with a host.
    """
    return as_target(urljoin(str(current.with_query(None)), location.strip()))


def why_refused(url: URL, *, allow_http: bool, coming_from: URL | None = None) -> str | None:
    """Give the reason for which `url` is not asked, or `None` where it may be.

    `coming_from` is the page or the answer that led to it.
    """
    host = url.host or ""
    if url.scheme not in {"http", "https"}:
        return f"a {url.scheme or 'relative'}: URL is not asked"
    if not host:
        return "it names no host"
    address = _literal_address(host)
    if address is not None and address.is_link_local:
        return f"{host} is a link-local address"
    if url.scheme == "http" and not allow_http:
        if coming_from is not None and coming_from.scheme == "https":
            return "it steps down from https to http"
        if not is_loopback(host):
            return "it is plain http, which is readable and changeable on its way"
    return None


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by its literal name or address."""
    address = _literal_address(host)
    if address is not None:
        return address.is_loopback
    return host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost")


def is_sign_in(target: URL, *, coming_from: URL) -> bool:
    """Whether a redirect leads to a page where a person is to sign in.

    A project may itself be called `login`: a redirect that only adds its slash is none.
    """
    if target.host != coming_from.host and _LOGIN_HOSTS.match(target.host or ""):
        return True
    if "_signin" in target.raw_parts or "oauth2" in target.raw_parts:
        return True
    return _last_name(target) in _LOGIN_NAMES and _last_name(target) != _last_name(coming_from)


def redacted(url: str | URL) -> str:
    """Give a URL as it may stand in a message: no user, no password, no query, no fragment."""
    try:
        scheme, netloc, path, _, _ = urlsplit(str(url))
    except ValueError:
        return "a URL that cannot be read"
    return urlunsplit((scheme, netloc.rpartition("@")[2], path, "", ""))


def _escape(url: str) -> str:
    return _UNSENDABLE.sub(lambda match: quote(match[0], safe=""), url)


def _last_name(url: URL) -> str:
    return url.raw_path.rstrip("/").rpartition("/")[2].lower()


# A source has a host or two, and each request asks twice.
@lru_cache(maxsize=1024)
def _literal_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address in any spelling that the resolver would take for one (`0xa9fea9fe`, `169.254.43518`)."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0].strip("[]"))
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeEncodeError):
            return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
