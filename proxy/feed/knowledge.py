"""What a feed's rules need to know beside what the sources list: licenses, and what was served before."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.feed.feed import Feed
from proxy.feed.licenses import Licenses
from proxy.feed.page import Beside
from proxy.feed.pinning import Pinning
from proxy.rules.licenses import License
from proxy.rules.merge import Merged
from proxy.rules.pins import Pin


class Knowledge:
    """Reads what the rules of a feed ask for, and nothing else."""

    def __init__(self, licenses: Licenses, pinning: Pinning) -> None:
        """Ask these."""
        self._licenses = licenses
        self._pinning = pinning

    async def of(self, feed: Feed, merged: Merged) -> Beside:
        """Give what is known of a project's files."""
        pins: Mapping[tuple[str, str], Pin] = await self._pinning.of(merged)
        licenses: Mapping[str, License] = {}
        until = float("inf")
        if feed.policy.licenses is not None:
            licenses, until = await self._licenses.of(feed, merged)
        return Beside(pins, licenses, until)
