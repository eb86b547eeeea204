"""What the fake upstream has: which files a project has, their bytes, and its pages."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

from bench.upstream.wheels import prepare

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "text/html"
SMALL, LARGE = 23, 4000
"""Files on a small page, which is some 7 kB of HTML, and on a large one."""
SMALL_FILE = 10_000
KNOWN = ("small-0", "large-0", "file-64000-0", "file-50000000-0", "file-200000000-0", "file-500000000-0")
"""The projects on the project list."""
BLOCK = 8 << 20
TAIL = 64
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as its project's page has it."""

    filename: str
    size: int
    sha256: str
    metadata: str
    """The sha256 of its core metadata."""


@dataclass(frozen=True, slots=True)
class Body:
    """Where the bytes of a file are: in `descriptor`, over and over where `repeats`, but for the `tail`."""

    descriptor: int
    size: int
    tail: bytes = b""
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class PageBody:
    """A finished page."""

    media_type: str
    coding: str
    body: bytes
    etag: str


class Contents:
    """Everything that can be asked for. Nothing of a file's size is ever in memory."""

    def __init__(self, wheels: Path) -> None:
        """Have the wheels that are below `wheels` beside what is made up."""
        self._folder = wheels
        self._noise = os.memfd_create("noise")
        os.write(self._noise, hashlib.shake_128(b"bench").digest(BLOCK))
        self._pages: dict[tuple[str, str, str, bool], PageBody] = {}

    @cached_property
    def _wheels(self) -> Path:
        return prepare(self._folder)

    @cached_property
    def _parts(self) -> dict[str, list[dict[str, object]]]:
        parts: dict[str, list[dict[str, object]]] = json.loads((self._wheels / "index.json").read_text())
        return parts

    def page(self, project: str, media_type: str, coding: str, *, with_metadata: bool) -> PageBody | None:
        """Give a page; `None`: there is no such project. Each is made once."""
        key = (project, media_type, coding, with_metadata)
        if key not in self._pages:
            files = self.files(project)
            if files is None:
                return None
            render = _json if media_type == JSON else _html
            body = render(project, files, with_metadata=with_metadata)
            if coding == "gzip":
                body = gzip.compress(body, _LEVEL, mtime=0)
            self._pages[key] = PageBody(media_type, coding, body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
        return self._pages[key]

    def files(self, project: str) -> list[Listed] | None:
        """Give the files of a project."""
        match project.split("-"):
            case ["part", _] if project in self._parts:
                return [Listed(**said) for said in self._parts[project]]  # type: ignore[arg-type] # as it was written
            case ["small", _]:
                return [made_up(project, f"1.{number}", SMALL_FILE) for number in range(SMALL)]
            case ["large", _]:
                return [made_up(project, f"1.{number}", SMALL_FILE) for number in range(LARGE)]
            case ["file", size, _] if size.isdigit():
                return [made_up(project, "1.0", int(size))]
        return None

    def body(self, project: str, filename: str) -> Body | None:
        """Give where a file's bytes are."""
        if project.startswith("part-"):
            descriptor = _opened(self._wheels / filename)
            return None if descriptor is None else Body(descriptor, os.fstat(descriptor).st_size)
        size = int(project.split("-")[1]) if project.startswith("file-") else SMALL_FILE
        return Body(self._noise, size, tail_of(filename), repeats=True)

    def metadata(self, project: str, filename: str) -> bytes | None:
        """Give a file's core metadata."""
        if project.startswith("part-"):
            path = self._wheels / f"{filename}.metadata"
            return path.read_bytes() if path.exists() else None
        return metadata_of(project, filename.split("-")[1])


@lru_cache(200_000)
def made_up(project: str, version: str, size: int) -> Listed:
    """Give a file that is nothing but its size and its name."""
    filename = f"{project.replace('-', '_')}-{version}-py3-none-any.whl"
    digest = _beginning(size - TAIL).copy()
    digest.update(tail_of(filename))
    return Listed(filename, size, digest.hexdigest(), hashlib.sha256(metadata_of(project, version)).hexdigest())


@cache
def _beginning(size: int) -> hashlib._Hash:
    """Give the digest of a file up to its tail: it is the same in all files of a size."""
    noise = hashlib.shake_128(b"bench").digest(BLOCK)
    digest = hashlib.sha256()
    for _ in range(size // BLOCK):
        digest.update(noise)
    digest.update(noise[: size % BLOCK])
    return digest


@lru_cache(2048)
def _opened(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None


def tail_of(filename: str) -> bytes:
    """Give the last `TAIL` bytes of such a file, which no other one has."""
    return hashlib.sha256(filename.encode()).hexdigest().encode()


def metadata_of(project: str, version: str) -> bytes:
    """Give the core metadata of such a file."""
    head = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\nRequires-Python: >=3.8\n"
    return (head + "Requires-Dist: something>=1.0\n" * 20 + "\n" + "What this project is good for. " * 60).encode()


def _json(project: str, files: list[Listed], *, with_metadata: bool) -> bytes:
    entries = []
    for file in files:
        entry: dict[str, object] = {
            "filename": file.filename,
            "url": f"../../files/{project}/{file.filename}",
            "hashes": {"sha256": file.sha256},
            "size": file.size,
            "upload-time": "2026-01-31T10:20:30.000000Z",
            "requires-python": ">=3.8",
            "yanked": False,
        }
        if with_metadata:
            entry["core-metadata"] = {"sha256": file.metadata}
        entries.append(entry)
    versions = [file.filename.split("-")[1] for file in files]
    said = {"meta": {"api-version": "1.1"}, "name": project, "versions": versions, "files": entries}
    return json.dumps(said, separators=(",", ":")).encode()


def _html(project: str, files: list[Listed], *, with_metadata: bool) -> bytes:
    lines = ["<!DOCTYPE html>", "<html><head>", '<meta name="pypi:repository-version" content="1.1">']
    lines += [f"<title>Links for {project}</title></head><body>", f"<h1>Links for {project}</h1>"]
    for file in files:
        # Under both names, as public indexes have it (PEP 714): clients of before 2023 know the first one only.
        known = f'"sha256={file.metadata}"'
        more = f" data-dist-info-metadata={known} data-core-metadata={known}" if with_metadata else ""
        href = f"../../files/{project}/{file.filename}#sha256={file.sha256}"
        lines.append(f'<a href="{href}" data-requires-python="&gt;=3.8"{more}>{file.filename}</a><br>')
    return "\n".join([*lines, "</body></html>", ""]).encode()
