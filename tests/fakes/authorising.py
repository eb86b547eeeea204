"""What a keyring sends along to a feed."""

from __future__ import annotations

import base64

from proxy.sources.credentials import Keyring

FEED = "https://pkgs.dev.azure.com/my-org/_packaging/my-feed/pypi/simple/"
TARGET = "https://pkgs.dev.azure.com/my-org"


async def pair(keyring: Keyring, url: str = FEED) -> str:
    authorisation = await keyring.for_source("team").authorise(url)
    assert authorisation is not None
    kind, _, value = authorisation.headers["Authorization"].partition(" ")
    assert kind == "Basic"
    return base64.b64decode(value).decode()
