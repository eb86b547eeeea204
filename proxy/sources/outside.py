"""What the environment says of the way out: certificate authorities and proxies."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from pathlib import Path
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed has not all

from yarl import URL


def make_ssl_context(ca_file: Path | None) -> ssl.SSLContext:
    """Give a context that trusts the system's authorities, those of the environment, and those of `ca_file`.

    SSL_CERT_FILE and SSL_CERT_DIR are OpenSSL's own; REQUESTS_CA_BUNDLE names a file or a folder.

    Raises: OSError where a file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")
    for place in filter(None, (Path(bundle) if bundle else None, ca_file)):
        try:
            if place.is_dir():
                context.load_verify_locations(capath=place)
            else:
                context.load_verify_locations(cafile=place)
        except (ssl.SSLError, OSError) as error:
            raise AuthoritiesUnreadable(place, error) from error
    return context


class AuthoritiesUnreadable(OSError):
    """A file with certificate authorities is missing, or holds none."""

    def __init__(self, place: Path, cause: Exception) -> None:
        """Name the file as it is configured."""
        self.place = place
        why = (
            "it holds no certificate in PEM" if isinstance(cause, ssl.SSLError) else str(getattr(cause, "strerror", ""))
        )
        super().__init__(f"{place}: {why}")


_VARIABLES = tuple(
    spelled for name in ("http_proxy", "https_proxy", "no_proxy", "request_method") for spelled in (name, name.upper())
)


@lru_cache(maxsize=4)
def _proxies(values: tuple[str | None, ...]) -> dict[str, str]:  # noqa: ARG001 - what the environment says, as the key
    # Going through the whole environment takes a quarter of a millisecond.
    return getproxies_environment()


def find_proxy(url: URL, configured: str | None = None) -> URL | None:
    """Give the proxy for `url`: `configured`, else that of HTTPS_PROXY or HTTP_PROXY; `None`: go straight.

    NO_PROXY holds for both. Follows the environment as it is at every request.
    """
    host = url.host
    proxies = _proxies(tuple(map(os.environ.get, _VARIABLES)))
    if not (configured or proxies) or not host or proxy_bypass_environment(f"{host}:{url.port}", proxies):
        return None
    proxy = configured or proxies.get(url.scheme)
    if not proxy:
        return None
    return URL(proxy if "://" in proxy else f"http://{proxy}")
