"""Whether the bytes under a file's name are still those that this index first served.

A lock file, a colleague and yesterday's build have the digest of then: other bytes under the same name are a
mistake or an attack, and never what anybody asked for.
"""

from __future__ import annotations

import msgspec

from proxy.rules.verdict import SERVED, Verdict, shown_time
from proxy.simple.model import File


class Pin(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a file was when it was first served."""

    source: str
    project: str
    filename: str
    sha256: str
    first_served: float
    """In seconds since the epoch."""
    found: str = ""
    """The digest that its source has for it now; empty where that is the same."""
    found_at: float = 0.0
    """When that was first seen, in seconds since the epoch."""


def judge_pin(file: File, pin: Pin | None) -> Verdict:
    """Judge what a source lists by what was served; where it lists no digest, by what its bytes turned out to be."""
    if pin is None:
        return SERVED
    now = file.sha256 or pin.found or pin.sha256
    if now == pin.sha256:
        return SERVED
    reason = (
        f"source {pin.source} has {file.filename} with sha256 {now}, "
        f"but it had {pin.sha256} when this index first served it at {shown_time(pin.first_served)}"
    )
    return Verdict(served=False, rule="pins", reason=reason)
