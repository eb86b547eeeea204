"""The seam where errors of the HTTP client become ours, each as a sentence that says what to do."""

from __future__ import annotations

import os
from pathlib import Path

import aiohttp

from proxy.errors import SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from proxy.sources.outside import AuthoritiesUnreadable
from proxy.sources.redirects import redacted

_PROXY_AUTHENTICATION_REQUIRED = 407


class Passing(SourceUnavailable):
    """A failure that may be over in a moment, so that the same question is worth asking again."""


def translate(  # noqa: C901, PLR0911 - one table, read from top to bottom
    error: Exception, *, source: str, url: object, timeout: float, ca_file: Path | None = None
) -> SourceError:
    """Give our error for one of aiohttp's, met while `url` was asked or its answer was read."""
    place = redacted(str(url))
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError() | aiohttp.ClientSSLError():
            return _untrusted(error, source=source, place=place, ca_file=ca_file)
        case AuthoritiesUnreadable():
            return SourceUnavailable(
                source,
                f"the file of certificate authorities cannot be used: {error}",
                remedy="correct the source's `ca_file`, or REQUESTS_CA_BUNDLE",
            )
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return SourceUnavailable(
                source,
                f"silent for {timeout:g} s at {place}",
                remedy="check that the source is up and reachable from here, or raise its `timeout`",
            )
        case aiohttp.ClientHttpProxyError(status=status) if status == _PROXY_AUTHENTICATION_REQUIRED:
            return proxy_wants_a_password(source)
        case aiohttp.ClientHttpProxyError(status=status):
            return Passing(source, f"the proxy answered {status} to a tunnel to {place}", remedy=_PROXY_REMEDY)
        case aiohttp.ClientProxyConnectionError():
            return Passing(source, f"the proxy on the way to {place} cannot be reached", remedy=_PROXY_REMEDY)
        case aiohttp.ClientConnectorDNSError(host=host):
            return Passing(
                source,
                f"no address for the host {host}",
                remedy="check the host name in the source's `url` and the name service of this machine; "
                "behind a proxy set HTTPS_PROXY",
            )
        case aiohttp.ClientConnectorError(host=host, port=port, os_error=cause):
            why = _strerror(cause)
            return Passing(
                source,
                f"no connection to {host}:{port}: {why}",
                remedy="check that the source is up, and that a firewall or a proxy (HTTPS_PROXY) lets us through",
            )
        case aiohttp.ClientPayloadError():
            return Passing(source, f"the answer from {place} broke off before its end", remedy=_ASK_AGAIN)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return Passing(source, f"the connection to {place} was closed in the middle", remedy=_ASK_AGAIN)
        case aiohttp.ClientResponseError() | aiohttp.InvalidURL():
            return SourceNonsense(source, f"no valid HTTP from {place}", remedy="check the source's `url`")
        case _:
            return Passing(source, f"{type(error).__name__} at {place}", remedy=_ASK_AGAIN)


def proxy_wants_a_password(source: str) -> SourceRefused:
    """Give the error for a 407."""
    return SourceRefused(
        source,
        "the proxy on the way wants a user name and a password",
        remedy="put them into HTTPS_PROXY (http://user:password@host:port)",
    )


_ASK_AGAIN = "asked again by itself; if it stays, look at the source's own health and at proxies on the way"
_PROXY_REMEDY = "check HTTPS_PROXY, or name the host in NO_PROXY"


def _untrusted(error: Exception, *, source: str, place: str, ca_file: Path | None) -> SourceUnavailable:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    why = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or type(cause).__name__
    if ca_file is None:
        remedy = "set the source's `ca_file` (or SSL_CERT_FILE) to the company's certificate authority, in PEM"
    else:
        remedy = f"check that `ca_file` ({ca_file.name}) holds the authority that signed the source's certificate"
    return SourceUnavailable(source, f"the TLS certificate at {place} is not trusted: {why}", remedy=remedy)


def _strerror(error: OSError) -> str:
    # asyncio's own text repeats the address; the system's is the reason alone.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or type(error).__name__
