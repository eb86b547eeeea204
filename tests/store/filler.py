"""A process of its own that wants one file: told by arguments, it prints what became of it.

filler.py FOLDER UPSTREAM-FOLDER SIZE STALL-AT LISTED
The upstream folder counts the openings: one file for each, named after the offset that was asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.errors import WheelgateError
from proxy.sources.base import Body
from proxy.store.artifacts import Artifacts
from proxy.store.download import Downloads, Wanted
from proxy.tasks import Background

folder, upstream, size, stall, listed = sys.argv[1:]
CONTENT = random.Random(7).randbytes(int(size))  # noqa: S311 - any bytes will do


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def chunks(start: int) -> AsyncIterator[bytes]:
    for offset in range(start, len(CONTENT), 50_000):
        if offset >= int(stall) >= 0:
            while not await asyncio.to_thread(Path(upstream, "go").exists):  # noqa: ASYNC110 - set by another process
                await asyncio.sleep(0.01)
        yield CONTENT[offset : offset + 50_000]
        await asyncio.sleep(0.001)


@asynccontextmanager
async def open_it(start: int) -> AsyncIterator[Body]:
    await asyncio.to_thread(Path(upstream, f"{os.getpid()}-{start}").touch)
    yield Body(chunks(start), start=start, size=len(CONTENT), etag='"one"')


async def main() -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    hashes = {"right": {"sha256": digest}, "wrong": {"sha256": "0" * 64}, "none": {}}[listed]
    wanted = Wanted("key", "demo.whl", "fake", None, hashes, open_it)
    async with Artifacts(Path(folder), size=10**9) as artifacts, Background() as background:
        download = Downloads(artifacts, background, backoff=0.01).join(wanted)
        seen = 0
        found = hashlib.sha256()
        try:
            async for chunk in download.read():
                if not seen:
                    tell("began", await download.started())
                seen += len(chunk)
                found.update(chunk)
            kept = await download.finished()
            assert kept.digest == found.hexdigest()
            tell("whole", seen, kept.digest == digest)
        except WheelgateError as error:
            tell("failed", seen < len(CONTENT), type(error).__name__)


asyncio.run(main())
