"""What operators and people ask for: health, metrics, explanations, and a page to read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from html import escape
from http import HTTPStatus

from aiohttp import web
from packaging.specifiers import SpecifierSet

from proxy.feed import Feed
from proxy.feed.explain import explain
from proxy.telemetry.metrics import Metrics
from proxy.web.routes import DEFAULT, Route

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Wheelgate</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; color: #1c2733 }}
code, pre {{ font: 14px/1.5 ui-monospace, monospace; background: #f1f4f8; border-radius: 4px; padding: .15em .35em }}
pre {{ padding: .8em 1em; overflow-x: auto }}
h1 {{ margin-bottom: 0 }} td, th {{ text-align: left; padding-right: 2em }}
</style></head><body>
<h1>Wheelgate</h1>
<p>A private Python package index. Give pip one URL, and no other:</p>
<pre>pip install --index-url {index}simple/ PROJECT</pre>
<pre>uv pip install --default-index {index}simple/ PROJECT</pre>
<h2>Feeds</h2>
<table><tr><th>feed</th><th>asks, in this order</th><th></th></tr>
{feeds}
</table>
<h2>Why is a version not there?</h2>
<p><code>{index}explain/PROJECT</code> or <code>wheelgate explain PROJECT</code> says which sources were asked,
what each said, who owns the project, and which rule hides a file.</p>
<p><a href="livez">livez</a> · <a href="readyz">readyz</a> · <a href="metrics">metrics</a></p>
</body></html>
"""


_READABLE = re.compile(r"^\s*text/(html|plain)", re.IGNORECASE)
"""What browsers, and people who want to read, name first."""


class Operations:
    """Answers that are not for installers."""

    def __init__(
        self, feeds: Mapping[str, Feed], metrics: Metrics, *, public_url: str | None, is_ready: Callable[[], bool]
    ) -> None:
        """Tell of `feeds`; `is_ready` never asks an upstream."""
        self._feeds = feeds
        self._metrics = metrics
        self._public_url = public_url
        self._is_ready = is_ready

    async def livez(self, request: web.BaseRequest, found: Route, feed: Feed) -> web.StreamResponse:  # noqa: ARG002 - as all answers
        """Say that the process lives."""
        return web.Response(text="ok\n")

    async def readyz(self, request: web.BaseRequest, found: Route, feed: Feed) -> web.StreamResponse:  # noqa: ARG002 - as above
        """Say whether requests can be served."""
        if self._is_ready():
            return web.Response(text="ok\n")
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text="not ready: shutting down\n")

    async def metrics(self, request: web.BaseRequest, found: Route, feed: Feed) -> web.StreamResponse:  # noqa: ARG002 - as above
        """Give the metrics in Prometheus' text format."""
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        # What processes occupy, and with many of them everything else, is read from files.
        return web.Response(body=await asyncio.to_thread(self._metrics.render), headers=headers)

    async def explain(self, request: web.BaseRequest, found: Route, feed: Feed) -> web.StreamResponse:
        """Say why the feed shows what it shows of a project: as JSON, or as text where that is what is asked for."""
        explanation = await explain(feed, found.named, SpecifierSet(found.specifier))
        status = HTTPStatus.NOT_FOUND if explanation.is_absent else HTTPStatus.OK
        headers = {"Cache-Control": "max-age=0", "Vary": "Accept"}
        if _READABLE.search(request.headers.get("Accept", "")):
            headers["Content-Type"] = "text/plain; charset=utf-8"
            return web.Response(status=status, text=explanation.as_text(), headers=headers)
        headers["Content-Type"] = "application/json"
        return web.Response(status=status, body=explanation.as_json() + b"\n", headers=headers)

    async def root(self, request: web.BaseRequest, found: Route, feed: Feed) -> web.StreamResponse:  # noqa: ARG002 - as above
        """Give a page that a person can read."""
        base = self._public_url or f"http://{request.headers.get('Host', 'localhost')}/"
        rows = "\n".join(
            f'<tr><td><a href="{"" if name == DEFAULT else name + "/"}simple/">{escape(name)}</a></td>'
            f"<td>{escape(' → '.join(one.ownership.order))}</td></tr>"
            for name, one in self._feeds.items()
        )
        first = DEFAULT if DEFAULT in self._feeds else next(iter(self._feeds))
        index = base if first == DEFAULT else f"{base}{first}/"
        page = _PAGE.format(index=escape(index), feeds=rows)
        return web.Response(body=page.encode(), headers={"Content-Type": "text/html; charset=utf-8"})
