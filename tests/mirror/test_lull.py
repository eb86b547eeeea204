"""What nobody asked for waits until nobody waits."""

from __future__ import annotations

import asyncio

import pytest

from proxy.mirror import lull
from proxy.mirror.lull import Lull


async def test_it_comes_at_once_where_nobody_waited() -> None:
    async with asyncio.timeout(1):
        await Lull().come()


async def test_it_comes_after_the_last_wait_and_in_any_case_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lull, "LULL", 0.02)
    monkeypatch.setattr(lull, "LONGEST", 0.1)
    waiting = Lull()

    async def keep_busy() -> None:
        while True:
            waiting.disturb()
            await asyncio.sleep(0.001)

    busy = asyncio.create_task(keep_busy())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await waiting.come()
    assert not busy.done()
    busy.cancel()
