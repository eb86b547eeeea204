"""Examines a folder: whether it is there and can be read, what it has, and what is passed over."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from proxy.config.models import DirectorySource
from proxy.doctor.chart import Chart, counted
from proxy.simple.filename import parse
from proxy.sources.directory import Directory
from proxy.sources.folder import Tree

_ARCHIVES = (".whl", ".tar.gz", ".zip")
_MOST_SHOWN = 5


@dataclass(slots=True)
class _Names:
    misnamed: list[str] = field(default_factory=list)
    """What looks like a wheel or an sdist, and is none by its name."""
    other: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


async def examine_directory(chart: Chart, settings: DirectorySource) -> None:
    """Examine one folder. Raises: SourceUnavailable."""
    if settings.create and not await asyncio.to_thread(settings.path.exists):
        chart.note(f"{settings.path} is not there yet: the server makes it when it starts")
        return
    begun = time.perf_counter()
    chart.reachable = False
    listing = await Directory(chart.name, settings.path).list(None)
    chart.latency_ms = round((time.perf_counter() - begun) * 1000, 1)
    chart.reachable = chart.authorised = chart.ranges = True
    count = sum(map(len, listing.projects.values()))
    chart.note(f"{settings.path}: {counted(count, 'file')} of {counted(len(listing.projects), 'project')}")
    names = await asyncio.to_thread(_read_names, settings.path)
    if names.unreadable:
        chart.authorised = False
        what = f"{counted(len(names.unreadable), 'file')} cannot be read by this user: {_shown(names.unreadable)}"
        chart.find(what, f"let the user that the server runs as read what is in {settings.path}")
    if names.misnamed:
        chart.warn(
            f"{counted(len(names.misnamed), 'archive')} passed over, for want of a name that wheels and sdists have: "
            f"{_shown(names.misnamed)}"
        )
    if names.other:
        chart.note(f"{counted(len(names.other), 'other file')} passed over: {_shown(names.other)}")
    if not count:
        chart.warn(f"there is no wheel or sdist in {settings.path}: put some there, or correct `path`")


def _read_names(path: Path) -> _Names:
    """Go through the folder as the source does; runs in a thread. Raises: OSError."""
    tree = Tree(os.path.realpath(path))
    names = _Names()
    waiting = deque([""])
    while waiting:
        contents = tree.read(waiting.popleft())
        waiting.extend(contents.folders)
        for found in contents.files:
            filename = found.path.rpartition("/")[2]
            if parse(filename) is None:
                (names.misnamed if filename.endswith(_ARCHIVES) else names.other).append(filename)
            elif not os.access(found.where, os.R_OK):
                names.unreadable.append(filename)
    return names


def _shown(names: list[str]) -> str:
    return ", ".join(sorted(names)[:_MOST_SHOWN]) + (" …" if len(names) > _MOST_SHOWN else "")
