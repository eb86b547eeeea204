"""How the C library keeps memory for a process that serves: one arena, and what a large page takes stays mapped."""

from __future__ import annotations

import ctypes
from contextlib import suppress

__all__ = ["settle"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Source: `mallopt(3)`, and `malloc.h` of glibc."""
KEPT = 8 << 20
"""Bytes that are freed at the end of the heap and kept all the same."""
OF_ITS_OWN = 4 << 20
"""Bytes from which on memory is mapped for itself, and unmapped at once when it is freed."""


def settle() -> None:
    """Let what large pages take be used again by the next one; to be called before there are other threads.

    By default each thread has an arena of its own, and large pieces are mapped anew: of the 40 ms of a page of 4,000
    files, 10 were the kernel's, which gave 2,400 pages of memory and took them back. Elsewhere than with glibc nothing
    is changed.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, OF_ITS_OWN)
        mallopt(_TRIM_THRESHOLD, KEPT)
