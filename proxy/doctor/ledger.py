"""Examines the pin ledger: whether what was served before can be read, and what is served now written down."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from proxy.doctor.chart import Chart
from proxy.store.pins import Pins

_REMEDY = "name a file on a local disk that the server's user may write, as cache.pins; restore it, or begin anew"


async def examine_ledger(chart: Chart, file: Path) -> None:
    """Open it as the server does, without making one that is not there yet."""
    chart.reachable = False
    if not await asyncio.to_thread(file.exists):
        trouble = await asyncio.to_thread(_trouble_of, file)
    else:
        async with Pins(file) as ledger:
            trouble = ledger.trouble
    if trouble:
        chart.find(f"the pin ledger cannot be used: {trouble}", _REMEDY)
    else:
        chart.reachable = True


def _trouble_of(file: Path) -> str:
    """Say why a ledger cannot be made; empty where it can."""
    there = next(folder for folder in file.absolute().parents if folder.exists())
    if not there.is_dir():
        return f"{there} is not a folder"
    return "" if os.access(there, os.W_OK | os.X_OK) else f"{there} may not be written"
