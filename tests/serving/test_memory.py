"""A process that serves keeps its memory in one place, whatever thread asked for it."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COUNT = """
import ctypes, threading
libc = ctypes.CDLL(None)
libc.open_memstream.restype = ctypes.c_void_p
barrier = threading.Barrier(4)

def work():
    kept = [ctypes.create_string_buffer(100_000) for _ in range(10)]
    barrier.wait()

threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
text, size = ctypes.c_char_p(), ctypes.c_size_t()
stream = ctypes.c_void_p(libc.open_memstream(ctypes.byref(text), ctypes.byref(size)))
libc.malloc_info(0, stream)
libc.fclose(stream)
print(text.value.count(b"<heap "))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="only glibc can be told")
def test_threads_share_one_arena() -> None:
    settled = "from proxy.serving.memory import settle; settle()"

    assert arenas(COUNT) > 1
    assert arenas(settled + COUNT) == 1


def arenas(program: str) -> int:
    run = [sys.executable, "-c", program]
    said = subprocess.run(run, cwd=ROOT, capture_output=True, check=True, text=True)
    return int(said.stdout)
