"""Finished pages: rendered once, compressed once, found by what was asked for.

A rendering is valid as long as the answers and rules it was made of; after that the feed is asked, and
the same bytes go on being served where its page is still the same object. That page is the feed's to keep:
what is kept here are bytes, and their number is all that has to be bounded.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import ref

from proxy.feed import Feed, FeedPage
from proxy.simple import as_html, as_json
from proxy.simple.coding import compress
from proxy.simple.links import Links
from proxy.simple.model import NormalizedName
from proxy.simple.negotiation import Coding, MediaType, content_type
from proxy.web.routes import DEFAULT

BYTES_IN_MEMORY = 16 << 20
"""How many bytes of finished pages are kept; the shelf in front has the same objects."""
BESIDE = 1 << 10
"""About how many bytes a rendering takes beside its body."""
LARGE = 800
"""Files on a page, or kB of it, above which rendering and compressing it goes to a thread."""
_TAGS = {MediaType.JSON: "j", MediaType.HTML: "h", MediaType.TEXT_HTML: "t"}
Key = tuple[str, NormalizedName, MediaType, Coding]


@dataclass(slots=True)
class Rendering:
    """One form of one page, ready to be sent."""

    body: bytes
    etag: str
    content_type: str
    coding: Coding
    digest: str
    """That of the bytes before their coding."""
    page: ref[FeedPage] = field(repr=False)
    max_age: float = 0.0
    changes_at: float | None = None
    generation: int = 0
    """Which of the feed's rules it was made by."""
    good_until: float = 0.0
    warning: str = ""

    @property
    def unchanging_until(self) -> float:
        """Until when its headers stay the same as well, in seconds since the epoch."""
        if self.changes_at is None:
            return self.good_until
        return min(self.good_until, self.changes_at - self.max_age - 1)

    def cache_control(self, now: float, *, private: bool) -> str:
        """Give `Cache-Control`: what the client may keep never outlives the next change of a rule's mind."""
        max_age = self.max_age if self.changes_at is None else max(0.0, min(self.max_age, self.changes_at - now))
        return f"private, max-age={int(max_age)}" if private else f"max-age={int(max_age)}"


class Renderings:
    """Keeps finished pages, bounded in bytes; the ones used longest ago go first."""

    def __init__(self, *, public_url: str | None, clock: Callable[[], float]) -> None:
        """Link provenance under `public_url`, where the server knows it."""
        self._public_url = public_url
        self._clock = clock
        self._kept: OrderedDict[Key, Rendering] = OrderedDict()
        self._size = 0

    def reconsider(self) -> None:
        """Ask the feeds again before anything that is kept is served."""
        for kept in self._kept.values():
            kept.good_until = 0.0

    async def get(self, feed: Feed, project: NormalizedName, media_type: MediaType, coding: Coding) -> Rendering:
        """Give a page in one form. Raises: what `Feed.page` raises."""
        key = (feed.name, project, media_type, coding)
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept.good_until and kept.generation == feed.generation:
            self._kept.move_to_end(key)
            return kept
        page = await feed.page(project)
        return await self._of(key, page)

    async def _of(self, key: Key, page: FeedPage) -> Rendering:
        kept = self._kept.get(key)
        if kept is None or kept.page() is not page:
            kept = await self._render(key, page)
            self._keep(key, kept)
        kept.good_until = page.good_until
        kept.max_age = page.max_age
        kept.changes_at = page.changes_at
        kept.generation = page.generation
        kept.warning = _warning(page)
        return kept

    async def _render(self, key: Key, page: FeedPage) -> Rendering:
        feed, project, media_type, coding = key
        bare: Key = (feed, project, media_type, Coding.IDENTITY)
        plain = self._kept.get(bare)
        if plain is not None and plain.page() is not page:
            plain = None
        links = Links(project, self._public_url, None if feed == DEFAULT else feed)

        def make() -> tuple[bytes, str, bytes]:
            body = _render(page, media_type, links) if plain is None else plain.body
            digest = hashlib.sha256(body).hexdigest() if plain is None else plain.digest
            return body, digest, compress(body, coding)

        large = len(page.page.files) > LARGE
        body, digest, coded = await asyncio.to_thread(make) if large else make()
        # That of a small page is made again for another coding: it is the largest part of what is kept otherwise.
        if large and plain is None and coding is not Coding.IDENTITY:
            self._keep(bare, _rendering(body, digest, media_type, Coding.IDENTITY, page))
        return _rendering(coded, digest, media_type, coding, page)

    def _keep(self, key: Key, rendering: Rendering) -> None:
        old = self._kept.pop(key, None)
        self._size += _weight(rendering) - (_weight(old) if old else 0)
        self._kept[key] = rendering
        while self._size > BYTES_IN_MEMORY and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._size -= _weight(gone)


def _weight(rendering: Rendering) -> int:
    return BESIDE + len(rendering.body)


def _rendering(body: bytes, digest: str, media_type: MediaType, coding: Coding, page: FeedPage) -> Rendering:
    etag = f'"{digest[:32]}-{_TAGS[media_type]}-{coding.value}"'
    return Rendering(body, etag, content_type(media_type), coding, digest, ref(page))


def _render(page: FeedPage, media_type: MediaType, links: Links) -> bytes:
    reason = page.why_empty
    if media_type is MediaType.JSON:
        return as_json.render_page(page.page, links, reason=reason)
    return as_html.render_page(page.page, links, reason=reason, explain_href=f"../../explain/{page.project}")


def _warning(page: FeedPage) -> str:
    """Say that a page is older than promised. Source: RFC 7234 §5.5.2 (111, Revalidation Failed)."""
    if not page.rescued_from:
        return ""
    names = ", ".join(error.source for error in page.rescued_from)
    return f'111 wheelgate "source {names} could not be asked, this page is remembered"'
