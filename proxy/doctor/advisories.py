"""Examines a database of advisories: whether it can be read as a whole, and how much it knows."""

from __future__ import annotations

import asyncio
from pathlib import Path

from proxy.advisories import REMEDY, Unreadable, read
from proxy.doctor.chart import Chart, counted


async def examine_database(chart: Chart, path: Path) -> None:
    """Read the whole database, as the server does: a feed hides every file while it cannot."""
    chart.reachable = False
    try:
        advisories = await asyncio.to_thread(read, path)
    except OSError as error:
        chart.find(f"the database of advisories cannot be read: {(error.strerror or str(error)).lower()}", REMEDY)
        return
    except Unreadable as error:
        chart.find(str(error), REMEDY)
        return
    chart.reachable = True
    chart.note(f"advisories for {counted(len(advisories), 'project')}")
