"""Serving in many processes: what has to be so before the first of them is started."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.config import Config
    from proxy.serving.reloading import Orders

_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - with a folder of its own in it


def serve(config: Config, sockets: list[socket.socket], orders: Orders) -> int:
    """Serve until SIGTERM or SIGINT, and give the exit code. Raises: NotStarted."""
    # Mapped files of counters: on a disk that runs full, counting would be the end of the process.
    parent = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK | os.X_OK) else None
    folder = tempfile.mkdtemp(prefix="wheelgate-metrics-", dir=parent)
    # The library looks for it when it is imported, which is why that has not happened before.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        from proxy.serving.supervisor import Supervisor  # noqa: PLC0415 - as above

        with Supervisor(orders) as supervisor:
            # What is there now is shared by all workers; the collector would touch, and so copy, every page of it.
            gc.collect()
            gc.freeze()
            return supervisor.run(config, sockets)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
