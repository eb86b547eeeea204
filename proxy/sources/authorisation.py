"""What is added to a request so that it is let in, and who decides that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from proxy.errors import SourceError


@dataclass(frozen=True, slots=True)
class Authorisation:
    """What is added to one request, for exactly that hop."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: str = field(default="", repr=False)
    """Raw and already encoded (a SAS)."""
    connection: str | None = None
    """The credential's name, for messages."""
    doubt: SourceError | None = None
    """Why a credential that may exist is not here yet: what to raise rather than believe a 4xx, and a 404 above all."""


class Credentials(Protocol):
    """Which credential belongs to which URL."""

    async def authorise(self, url: str) -> Authorisation | None:
        """Give what to add for `url`; `None`: nothing covers it.

        Raises: SourceRefused where the credential cannot be had.
        """

    async def refused(self, url: str) -> bool:
        """Take note that `url` was refused, and re-read its secret; whether another try is worthwhile."""


class NoCredentials:
    """For places that are open to everybody."""

    async def authorise(self, url: str) -> Authorisation | None:  # noqa: ARG002 - the protocol's
        """Give nothing."""
        return None

    async def refused(self, url: str) -> bool:  # noqa: ARG002 - the protocol's
        """Know nothing better."""
        return False
