"""Going on with a body where an earlier one ended, without ever mixing two."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from proxy.sources.base import Chunk
from proxy.store.digests import Digests
from proxy.store.partial import Identity
from proxy.store.wanted import Body


class Changed(Exception):
    """The bytes that come are not those that the bytes here are the beginning of."""


def is_another(body: Body, known: Identity, *, digest_listed: bool) -> bool:
    """Whether `body` tells that it is of other bytes than those that are here."""
    if None not in (known.size, body.size) and known.size != body.size:
        return True
    if known.etag == body.etag:
        return False
    # Where one of the two is missing, the digest will tell in the end, if there is one.
    return not digest_listed or None not in (known.etag, body.etag)


async def rest_of(body: Body, start: int, digests: Digests) -> AsyncIterator[Chunk]:
    """Give the bytes of `body` from `start` on, `digests` being those of all that comes before.

    Where the source ignored the range, the beginning comes again, and is compared.

    Raises: Changed where it is another beginning.
    """
    left, again = start - body.start, hashlib.sha256()
    async for chunk in body.chunks:
        rest = chunk[left:]
        if left:
            again.update(chunk[:left])
            left -= len(chunk) - len(rest)
            if not left and again.hexdigest() != digests.sha256:
                raise Changed
        if rest:
            yield rest
