"""Waiting for what happens beside the test: in a thread, in a background task, in another process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.fakes.process import PATIENCE


async def comes_true(is_so: Callable[[], bool]) -> None:
    """Wait until it is so. Raises: TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110 - whatever the test waits for
            await asyncio.sleep(0.02)
