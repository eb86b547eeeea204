"""Hashing the bytes of a file as they come, and comparing with what its page lists."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from proxy.sources.base import Chunk

# The strongest first: where there is no sha256, only the first that is listed is computed beside it.
_OTHERS = (
    ("sha512", 128),
    ("sha3_512", 128),
    ("blake2b", 128),
    ("sha384", 96),
    ("sha3_384", 96),
    ("sha3_256", 64),
    ("blake2s", 64),
    ("sha224", 56),
    ("sha3_224", 56),
    ("sha1", 40),
    ("md5", 32),
)


class Digests:
    """The sha256 of the bytes so far, and the listed digest they are checked by."""

    def __init__(self, listed: Mapping[str, str]) -> None:
        """Start with no bytes; `listed`: hex by algorithm, as on the page."""
        self._sha256 = hashlib.sha256()
        self.listed = _choose(listed)
        name = self.listed[0] if self.listed else "sha256"
        self._checked = self._sha256 if name == "sha256" else hashlib.new(name, usedforsecurity=False)

    def update(self, chunks: Iterable[Chunk]) -> None:
        """Go on with these bytes."""
        for chunk in chunks:
            self._sha256.update(chunk)
            if self._checked is not self._sha256:
                self._checked.update(chunk)

    @property
    def sha256(self) -> str:
        """The digest of the bytes so far, in hex."""
        return self._sha256.hexdigest()

    def fault(self) -> tuple[str, str] | None:
        """Give the listed and the found digest as `algorithm:hex` where they differ."""
        if self.listed is None:
            return None
        name, listed = self.listed
        found = self._checked.hexdigest()
        return None if found == listed else (f"{name}:{listed}", f"{name}:{found}")


def _choose(listed: Mapping[str, str]) -> tuple[str, str] | None:
    """Choose the digest to check: sha256, else the strongest one that this machine can compute."""
    lower = {name.lower(): digest.lower() for name, digest in listed.items()}
    for name, length in (("sha256", 64), *_OTHERS):
        digest = lower.get(name, "")
        if len(digest) == length and name in hashlib.algorithms_available:
            return name, digest
    return None
