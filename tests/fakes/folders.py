"""Folders that are taken away while a server works in them."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

_TRIES = 100


def remove_in_use(folder: Path) -> None:
    """Remove a folder as an operator's `rm -rf` would, again where the server put something there in between."""
    for _ in range(_TRIES):
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
            return
    raise AssertionError(f"{folder} came back {_TRIES} times while it was removed")
