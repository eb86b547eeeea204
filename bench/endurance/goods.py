"""What the upstream has at which moment. Nothing here is random: whoever knows when the run began can check any answer.

PROJECT is one of
    page-N      8 to 150 files; every third one gets a new file every ten seconds
    huge-N      3,000 files
    young-N     a new file every ten seconds, with the moment of its upload
    bare-N      five real wheels, whose source publishes no core metadata
    big-N       one file of 0.2 to 50 MB
    shelf-N     real wheels in a folder, which come and go
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from html import escape
from pathlib import Path

from bench.upstream.contents import JSON, SMALL_FILE, Body, Contents, Listed, PageBody, made_up, metadata_of, tail_of
from bench.upstream.wheels import wheel

STEP = 10.0
"""Seconds between two new files."""
LONG_AGO = datetime(2026, 1, 31, 10, 20, 30, tzinfo=UTC).timestamp()
_PAGES = (8, 23, 60, 150)
_HUGE = 3_000
_WHEELS = 5
_PADDING = 20_000
_BIG = (200_000, 2_000_000, 20_000_000, 35_000_000, 50_000_000)
_BEFORE = 30
"""How many files of a young project are there when the run begins."""


def count(project: str, start: float, at: float) -> int:
    """Give how many files a project has at a moment; 0: there is no such project. They never become fewer."""
    steps = max(0, int((at - start) / STEP))
    match project.split("-"):
        case ["page", number] if number.isdigit():
            return _PAGES[int(number) % len(_PAGES)] + (steps if int(number) % 3 == 0 else 0)
        case ["huge", number] if number.isdigit():
            return _HUGE
        case ["young", number] if number.isdigit():
            return _BEFORE + steps
        case ["bare", number] if number.isdigit():
            return _WHEELS
        case ["big", number] if number.isdigit():
            return 1
    return 0


def uploaded(project: str, number: int, start: float) -> float:
    """Give when a file was uploaded, in seconds since the epoch."""
    return start + (number + 1 - _BEFORE) * STEP if project.startswith("young-") else LONG_AGO


def file(project: str, number: int) -> Listed:
    """Give one file of a project, as its page lists it."""
    kind, _, which = project.partition("-")
    if kind in {"bare", "shelf"}:
        return _real(project, number)[0]
    return made_up(project, f"1.{number}", _BIG[int(which) % len(_BIG)] if kind == "big" else SMALL_FILE)


def contents(project: str, number: int) -> bytes:
    """Give the bytes of a real wheel."""
    return _real(project, number)[1]


def metadata(project: str, number: int) -> bytes:
    """Give the core metadata of a file."""
    return _real(project, number)[2] if project.startswith(("bare-", "shelf-")) else metadata_of(project, f"1.{number}")


@lru_cache(2_000)
def _real(project: str, number: int) -> tuple[Listed, bytes, bytes]:
    stem, version = project.replace("-", "_"), f"1.{number}"
    body, said = wheel(stem, version, padding=_PADDING)
    digests = [hashlib.sha256(each).hexdigest() for each in (body, said)]
    return Listed(f"{stem}-{version}-py3-none-any.whl", len(body), digests[0], digests[1]), body, said


def number_of(filename: str) -> int:
    """Give which file of its project a file is."""
    return int(filename.split("-")[1].partition(".")[2])


class Goods(Contents):
    """The same as contents of an upstream."""

    def __init__(self, folder: Path, start: float) -> None:
        """Have what there is since `start`."""
        super().__init__(folder)
        self._start = start
        self.are_wrong = False
        """Whether the bytes of files differ from what their pages say."""

    def page(self, project: str, media_type: str, coding: str, *, with_metadata: bool) -> PageBody | None:
        """Give a page as it is now."""
        files = self.files(project)
        if files is None:
            return None
        body = _page(project, media_type, len(files), self._start, with_metadata=with_metadata)
        if coding == "gzip":
            body = gzip.compress(body, 1, mtime=0)
        return PageBody(media_type, coding, body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')

    def files(self, project: str) -> list[Listed] | None:
        """Give the files that a project has now."""
        number = count(project, self._start, time.time())
        return [file(project, each) for each in range(number)] or None

    def body(self, project: str, filename: str) -> Body | None:
        """Give where a file's bytes are."""
        known = file(project, number_of(filename))
        if known.filename != filename:
            return None
        tail = tail_of(filename)
        return Body(self._noise, known.size, tail[::-1] if self.are_wrong else tail, repeats=True)

    def wheel(self, project: str, filename: str) -> bytes | None:
        """Give the bytes of a real wheel; `None`: it is none."""
        if not project.startswith("bare-"):
            return None
        body = contents(project, number_of(filename))
        return body[:-1] + bytes([body[-1] ^ 1]) if self.are_wrong else body

    def metadata(self, project: str, filename: str) -> bytes | None:
        """Give a file's core metadata."""
        return metadata(project, number_of(filename))


@lru_cache(64)
def _page(project: str, media_type: str, number: int, start: float, *, with_metadata: bool) -> bytes:
    files = [file(project, each) for each in range(number)]
    times = [uploaded(project, each, start) for each in range(number)]
    render = _json if media_type == JSON else _html
    return render(project, files, times, with_metadata=with_metadata)


def _json(project: str, files: Sequence[Listed], times: Sequence[float], *, with_metadata: bool) -> bytes:
    entries = [
        {
            "filename": file.filename,
            "url": f"../../files/{project}/{file.filename}",
            "hashes": {"sha256": file.sha256},
            "size": file.size,
            "upload-time": _moment(at),
            **({"core-metadata": {"sha256": file.metadata}} if with_metadata else {}),
        }
        for file, at in zip(files, times, strict=True)
    ]
    said = {"meta": {"api-version": "1.1"}, "name": project, "files": entries}
    return json.dumps(said | {"versions": [file.filename.split("-")[1] for file in files]}).encode()


def _html(project: str, files: Sequence[Listed], times: Sequence[float], *, with_metadata: bool) -> bytes:
    lines = [f"<!DOCTYPE html><html><head><title>{escape(project)}</title></head><body>"]
    for file, _ in zip(files, times, strict=True):
        more = f' data-core-metadata="sha256={file.metadata}"' if with_metadata else ""
        href = f"../../files/{project}/{file.filename}#sha256={file.sha256}"
        lines.append(f'<a href="{href}"{more}>{file.filename}</a><br>')
    return "\n".join([*lines, "</body></html>"]).encode()


@cache
def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
