"""What a feed's rules need to know beside what the sources list: licenses, and what was served before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.feed.feed import Feed
from proxy.feed.licenses import Licenses
from proxy.feed.page import Beside
from proxy.feed.pinning import Begun, Pinning
from proxy.rules.licenses import License
from proxy.rules.merge import Merged
from proxy.rules.pins import Pin
from proxy.simple.model import NormalizedName


class Knowledge:
    """Reads what the rules of a feed ask for, and nothing else."""

    def __init__(self, licenses: Licenses, pinning: Pinning) -> None:
        """Ask these."""
        self._licenses = licenses
        self._pinning = pinning

    def begin(self, project: NormalizedName, sources: Sequence[str]) -> Begun:
        """Begin to read what does not depend on the page, while that is on its way."""
        return self._pinning.begin(project, sources)

    async def of(self, feed: Feed, merged: Merged, begun: Begun | None = None) -> Beside:
        """Give what is known of a project's files."""
        pins: Mapping[tuple[str, str], Pin] = await self._pinning.of(merged, begun)
        licenses: Mapping[str, License] = {}
        until = float("inf")
        if feed.policy.licenses is not None:
            licenses, until = await self._licenses.of(feed, merged)
        return Beside(pins, licenses, until)
