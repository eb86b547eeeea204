"""The folders that a server works in: looked at, or taken away, while it does."""

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


def large_files(folder: Path, *, size: int = 1000) -> list[Path]:
    """Give the files of more than `size` bytes; one that vanishes meanwhile is none of them."""
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_size > size:
                found.append(path)
    return found
