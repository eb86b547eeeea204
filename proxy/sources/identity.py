"""Tokens of the server's own Azure identity: who gives them, and to whom they go."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from proxy.rules.credentials import covers
from proxy.secret import Secret
from proxy.sources.authorisation import Authorisation


class Tokens(Protocol):
    """One identity, and the tokens that it is given."""

    async def token(self, scope: str) -> Secret:
        """Give a token for `scope` that is valid now.

        Raises: SourceRefused where there is no such identity, or it gets none; SourceUnavailable where
        the token service cannot be asked.
        """

    async def refused(self, scope: str) -> bool:
        """Take note that the token for `scope` was refused, and get another; whether there is another one now."""


class BearerOf:
    """Sends an identity's token to one origin and to nowhere else."""

    def __init__(self, tokens: Tokens, *, scope: str, origin: str, label: str) -> None:
        """Send tokens for `scope` to what is under `origin`; `label` names the identity in messages."""
        self._tokens = tokens
        self._scope = scope
        self._origin = origin
        self._label = label

    async def authorise(self, url: str) -> Authorisation | None:
        """Give the token where `url` is under the origin."""
        if covers(self._origin, url) is None:
            return None
        token = await self._tokens.token(self._scope)
        return Authorisation(headers={"Authorization": f"Bearer {token.reveal()}"}, connection=self._label)

    async def refused(self, url: str) -> bool:
        """Get another token."""
        return covers(self._origin, url) is not None and await self._tokens.refused(self._scope)


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a token says of itself, and nothing that would let anybody in."""

    audience: str
    who: str
    expires: float | None
    """Epoch seconds."""

    def __str__(self) -> str:
        """Say for whom and until when."""
        until = f", until {datetime.fromtimestamp(self.expires, UTC):%Y-%m-%d %H:%M} UTC" if self.expires else ""
        return f"token of {self.who} for {self.audience}{until}"


def read_claims(token: Secret) -> TokenClaims | None:
    """Read the claims of a token without checking its signature; `None` where it is opaque."""
    parts = token.reveal().split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature (RFC 7519 §3)
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    if not isinstance(claims, Mapping):
        return None
    expires = claims.get("exp")
    return TokenClaims(
        audience=str(claims.get("aud", "nobody in particular")),
        who=str(claims.get("app_displayname") or claims.get("appid") or claims.get("oid") or "an unnamed identity"),
        expires=float(expires) if isinstance(expires, int | float) else None,
    )
