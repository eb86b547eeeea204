"""The seam where errors of the HTTP client become ours, each as a sentence that says what to do."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import aiohttp

from proxy.errors import SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from proxy.sources.authorisation import Authorisation
from proxy.sources.outside import AuthoritiesUnreadable
from proxy.sources.redirects import redacted

MORE_ATTEMPTS = 2
"""How often the same question is asked after its first failure."""
_PROXY_AUTHENTICATION_REQUIRED = 407

P = ParamSpec("P")
T = TypeVar("T")


class Passing(SourceUnavailable):
    """A failure that may be over in a moment, so that the same question is worth asking again."""


async def again(ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Ask once more after a passing failure, and once more after that, with growing pauses.

    Made, and even imported, only after a failure: the machinery of retries costs more than many an answer.
    """
    from tenacity import (  # noqa: PLC0415 - as above
        AsyncRetrying,
        retry_if_exception_type,
        stop_after_attempt,
        wait_exponential_jitter,
    )

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(Passing),
        stop=stop_after_attempt(MORE_ATTEMPTS),
        wait=wait_exponential_jitter(multiplier=0.4, max=2, jitter=0.3),
        reraise=True,
    )
    await asyncio.sleep(random.uniform(0.2, 0.5))  # noqa: S311 - jitter
    return await retrying(ask, *args, **kwargs)


def translate(
    error: Exception, *, source: str, url: object, timeout: float, ca_file: Path | None = None
) -> SourceError:
    """Give our error for one of aiohttp's, met while `url` was asked or its answer was read."""
    place = redacted(str(url))
    match error:
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
        case aiohttp.ClientConnectorError():
            return _unreachable(error, source=source, place=place, ca_file=ca_file)
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


def refusal(source: str, url: object, what: str, authorisation: Authorisation | None) -> SourceRefused:
    """Give the error for a credential that is not accepted at `url`, or that is missing there."""
    place = redacted(str(url))
    if authorisation is None:
        remedy = f"no connection covers {place}: configure one whose `target` does"
    else:
        remedy = f"check that {authorisation.connection or 'the credential'} is valid, not expired, and may read it"
    return SourceRefused(source, f"{what} at {place}", remedy=remedy)


_ASK_AGAIN = "asked again by itself; if it stays, look at the source's own health and at proxies on the way"
_PROXY_REMEDY = "check HTTPS_PROXY, or name the host in NO_PROXY"


def _unreachable(
    error: aiohttp.ClientConnectorError, *, source: str, place: str, ca_file: Path | None
) -> SourceUnavailable:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return _untrusted(error, source=source, place=place, ca_file=ca_file)
        case aiohttp.ClientConnectorSSLError() | aiohttp.ClientSSLError():
            why = getattr(error.os_error, "reason", None) or type(error.os_error).__name__
            return SourceUnavailable(
                source,
                f"no TLS connection to {place}: {why}",
                remedy="check the scheme and the port of the source's `url`, and what TLS versions it speaks",
            )
        case aiohttp.ClientProxyConnectionError():
            return Passing(source, f"the proxy on the way to {place} cannot be reached", remedy=_PROXY_REMEDY)
        case aiohttp.ClientConnectorDNSError():
            return Passing(
                source,
                f"no address for the host {error.host}",
                remedy="check the host name in the source's `url` and the name service of this machine; "
                "behind a proxy set HTTPS_PROXY",
            )
        case _:
            why = _strerror(error.os_error)
            return Passing(
                source,
                f"no connection to {error.host}:{error.port}: {why}",
                remedy="check that the source is up, and that a firewall or a proxy (HTTPS_PROXY) lets us through",
            )


def _untrusted(
    error: aiohttp.ClientConnectorCertificateError, *, source: str, place: str, ca_file: Path | None
) -> SourceUnavailable:
    cause = error.certificate_error
    why = getattr(cause, "verify_message", "") or type(cause).__name__
    if ca_file is None:
        remedy = "set the source's `ca_file` (or SSL_CERT_FILE) to the company's certificate authority, in PEM"
    else:
        remedy = f"check that `ca_file` ({ca_file.name}) holds the authority that signed the source's certificate"
    return SourceUnavailable(source, f"the TLS certificate at {place} is not trusted: {why}", remedy=remedy)


def _strerror(error: OSError) -> str:
    # asyncio's own text repeats the address; the system's is the reason alone.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or type(error).__name__
