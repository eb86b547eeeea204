"""What the server says once it serves. Apart from `cli_output.py`, whose library for tables it would keep in memory."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TextIO
from urllib.parse import urlsplit

from proxy.config import Config
from proxy.config.values import is_loopback

_EVERYWHERE = {"0.0.0.0", "::", ""}  # noqa: S104 - recognised here, not listened at


def announce(config: Config, host: str, port: int, out: TextIO | None = None) -> None:
    """Print where the server is, its feeds, and the line to give pip."""
    everywhere = host in _EVERYWHERE
    shown = "127.0.0.1" if everywhere else f"[{host}]" if ":" in host else host
    url = config.server.public_url or f"http://{shown}:{port}/"
    lines = [f"Wheelgate serves at {url}"]
    for name, feed in config.feeds.items():
        lines += [f"  feed {name}: {', then '.join(feed.sources)}", f"  {_pip_line(url, name)}"]
    if everywhere and config.server.public_url is None:
        lines.append("  from other machines: this machine's name instead of 127.0.0.1 (or set server.public_url)")
    # Whoever started us may not listen any more, which is no reason not to serve.
    with suppress(BrokenPipeError):
        # In one piece and at once: whoever waits for it in a pipe may start now.
        print("\n".join(lines), file=out or sys.stdout, flush=True)


def _pip_line(url: str, feed: str) -> str:
    index = f"{url}simple/" if feed == "default" else f"{url}{feed}/simple/"
    parts = urlsplit(url)
    # pip refuses plain http to other machines unless it is told to trust them.
    trusted = f" --trusted-host {parts.hostname}" if parts.scheme == "http" and not is_loopback(parts.hostname) else ""
    return f"pip install --index-url {index}{trusted} PROJECT"
