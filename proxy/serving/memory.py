"""How a process that serves keeps memory: what a large page takes stays mapped, what has ended is given back."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

__all__ = ["give_back", "settle"]

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


def give_back() -> None:
    """Give the memory of what has ended back, to Python and to the system: a start, or a generation. Up to 0.1 s."""
    # The parts of a generation know each other, and all that it kept goes only with them: left to the collector, which
    # looks through a large process seldom, two or three of them were in memory.
    gc.collect()
    # glibc keeps what is freed for later, and the next generation was built beside it. Elsewhere there is no such call.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
