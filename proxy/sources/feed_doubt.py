"""What a feed means that answers 401 for a project: that it is not there, or that the credential is bad.

Azure feeds do either. To take the second for the first would let a stranger's project of the same name through, so
absence needs a proof: the feed's own words, or the same credential being let in elsewhere in the feed, at a URL that
is closed to everybody else, *after* the 401 came.
"""

from __future__ import annotations

import asyncio
import re
import time
from enum import Enum, auto

from proxy.errors import SourceRefused
from proxy.simple.model import NormalizedName
from proxy.sources.redirects import redacted
from proxy.sources.session import Upstream

CLOSED_FOR = 600.0
"""Seconds for which a URL that was closed to strangers is taken to be so."""

_OK, _UNAUTHORIZED = 200, 401
_NOT_THERE = re.compile(
    r"not found|does not exist|doesn't exist|cannot be found|could not be found|no such", re.IGNORECASE
)
_MAY_NOT_SAVE = re.compile(r"AddUpstreamPackage|upstream reader|save .{0,200}upstream", re.IGNORECASE)
_BAD_CREDENTIAL = re.compile(r"TF400813|TF401444|VS30063|VS800075|expired|not authorized", re.IGNORECASE)


class Said(Enum):
    """What the text of a 401 says of its cause."""

    NOTHING = auto()
    NOT_THERE = auto()
    MAY_NOT_SAVE = auto()
    """The feed would have to save it from its own upstream, and the credential's role does not allow that."""
    BAD_CREDENTIAL = auto()


def what_it_says(body: bytes, project: NormalizedName) -> Said:
    """Read the text of a 401 for `project`."""
    text = body.decode("utf-8", "replace")
    if _MAY_NOT_SAVE.search(text):
        return Said.MAY_NOT_SAVE
    if _BAD_CREDENTIAL.search(text):
        return Said.BAD_CREDENTIAL
    spelt = re.sub(r"[-_.]+", "-", text).lower()
    if _NOT_THERE.search(text) and re.search(rf"(?<![a-z0-9-]){re.escape(project)}(?![a-z0-9-])", spelt):
        return Said.NOT_THERE
    return Said.NOTHING


class FeedDoubt:
    """Finds out, for one feed, what its 401s mean."""

    def __init__(self, upstream: Upstream) -> None:
        """Ask over `upstream` where there is doubt."""
        self._upstream = upstream
        self._served: str | None = None
        self._asked_at = float("-inf")
        self._let_in = False
        self._asking = asyncio.Lock()
        self._closed: dict[str, tuple[float, bool]] = {}

    def is_served(self, url: str) -> None:
        """Take note that `url` was given to our credential."""
        self._served = url

    async def resolve(self, url: str, said: Said, *, index: str) -> None:
        """Return where the 401 at `url` means that the project is not there.

        Raises: SourceRefused where it means the credential, or may mean it; SourceError where that cannot be asked.
        """
        now = time.monotonic()
        match said:
            case Said.NOT_THERE:
                return
            case Said.MAY_NOT_SAVE:
                raise SourceRefused(
                    self._upstream.name,
                    f"it answered {_UNAUTHORIZED} at {redacted(url)}",
                    remedy="give it the role Feed and Upstream Reader (Collaborator), and a token the scope to save",
                )
            case Said.NOTHING if await self._is_let_in(index, since=now):
                return
        raise await self._upstream.refusal(url, f"it answered {_UNAUTHORIZED}")

    async def _is_let_in(self, index: str, *, since: float) -> bool:
        """Whether our credential was let in after `since`. Those who wait meanwhile share the answer.

        A page that was served before is asked for, else the project list.
        """
        async with self._asking:
            if self._asked_at < since:
                asked_at = time.monotonic()
                self._let_in = await self._tells(self._served) or (index != self._served and await self._tells(index))
                self._asked_at = asked_at
            return self._let_in

    async def _tells(self, url: str | None) -> bool:
        if url is None:
            return False
        async with self._upstream.get(url, expect=_ANY) as response:
            if response.status != _OK:
                return False
        return await self._is_closed(url)

    async def _is_closed(self, url: str) -> bool:
        """Whether strangers are kept out: where they are let in, being let in proves nothing."""
        asked_at, closed = self._closed.get(url, (float("-inf"), False))
        if time.monotonic() - asked_at > CLOSED_FOR:
            async with self._upstream.get(url, expect=_ANY, anonymous=True) as response:
                closed = response.status in {401, 403}
            self._closed = {url: (time.monotonic(), closed)}
        return closed


_ANY = frozenset({200, 203, 302, 401, 403, 404, 405, 410})
