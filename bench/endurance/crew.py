"""The load: which clients there are, how many of each, and how long they pause."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.endurance import polite, rude
from bench.endurance.ask import Asking, World, asking
from bench.endurance.goods import contents, file

Client = Callable[[Asking], Awaitable[None]]

_CREW: tuple[tuple[Client, int, float], ...] = (
    (polite.cold_page, 4, 0.6),
    (polite.huge_page, 1, 5.0),
    (polite.warm_page, 4, 0.3),
    (polite.bare_page, 2, 1.0),
    (polite.young_page, 2, 0.5),
    (polite.shelf_page, 1, 0.5),
    (polite.cold_big, 2, 3.0),
    (polite.warm_big, 2, 2.0),
    (polite.ranges, 2, 0.5),
    (polite.absent, 1, 1.0),
    (polite.others, 1, 3.0),
    (rude.noise, 1, 1.0),
    (rude.half_open, 16, 2.0),
    (rude.leaving, 3, 1.5),
    (rude.slow, 3, 1.0),
    (rude.pipelined, 1, 3.0),
)
"""Each kind of client, how many of it, and the seconds it pauses in the mean."""
_SHELVES, _VERSIONS = 10, 8


async def load(world: World) -> None:
    """Ask until cancelled."""
    async with asking(world) as client, asyncio.TaskGroup() as group:
        for ask, number, pause in _CREW:
            for _ in range(number):
                group.create_task(_repeat(client, ask, pause))


async def exercise(world: World) -> None:
    """Ask for everything once, so that whatever is made on first use is there."""
    async with asking(world) as client:
        for ask in (
            polite.cold_page,
            polite.bare_page,
            polite.young_page,
            polite.shelf_page,
            polite.others,
            polite.cold_big,
            polite.warm_big,
            polite.ranges,
            polite.absent,
            polite.huge_page,
            rude.noise,
        ):
            await ask(client)


async def fill(world: World, seconds: float) -> None:
    """Ask for new pages only, so that what is bounded is full before anybody measures."""
    async with asking(world) as client:
        end = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(_until(client, end))


async def stock(shelf: Path, chance: random.Random) -> None:
    """Let wheels come to a folder and go again, until cancelled."""
    while True:
        project = f"shelf-{chance.randrange(_SHELVES)}"
        number = chance.randrange(_VERSIONS)
        path = shelf / file(project, number).filename
        if path.exists():
            path.unlink()
        else:
            coming = shelf / f".{path.name}"
            coming.write_bytes(contents(project, number))
            os.replace(coming, path)  # noqa: PTH105 - one call, no Path for what is gone
        await asyncio.sleep(1.0)


async def _repeat(client: Asking, ask: Client, pause: float) -> None:
    while True:
        await asyncio.sleep(client.world.chance.expovariate(1 / pause))
        try:
            await ask(client)
        except Exception as error:  # noqa: BLE001 - half an hour of load does not end for it, but it is told
            client.note("the load itself", ask.__name__, repr(error), time.time(), depends=False)


async def _until(client: Asking, end: float) -> None:
    while asyncio.get_running_loop().time() < end:
        await polite.cold_page(client)
