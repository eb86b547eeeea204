"""`python -m bench.upstream PORT FOLDER`: run the fake upstream, with its wheels in FOLDER."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bench.machine import HOST
from bench.upstream.contents import Contents
from bench.upstream.server import Connection, Service


async def main(port: int, folder: Path) -> None:
    """Serve until the process is ended."""
    service = Service(Contents(folder))
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(service), HOST, port, backlog=1024, reuse_address=True
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
