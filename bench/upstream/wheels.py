"""Wheels that pip and uv can read, always of the same bytes; and 140 projects that need each other."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

PROJECTS = 140
VERSIONS = 8
LARGE = 1_300_000
"""Bytes of each project's newest wheel: 140 of them are the 180 MB of a real resolution."""
_OLD = 20_000
_WANTED = 13


def wheel(stem: str, version: str, *, requires: tuple[str, ...] = (), padding: int = 0) -> tuple[bytes, bytes]:
    """Give a wheel and its METADATA; names of the same length give wheels of the same length."""
    info = f"{stem}-{version}.dist-info"
    metadata = _metadata(stem.replace("_", "-"), version, requires)
    files = {
        f"{stem}/__init__.py": b"",
        f"{stem}/padding.bin": _noise(padding),
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(body)},{len(body)}\n" for name, body in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), body)
    return out.getvalue(), metadata


def part(number: int) -> str:
    """Give the name of one of the 140 projects."""
    return f"part-{number:03d}"


def wanted() -> list[str]:
    """Give the requirements that all 140 projects follow from."""
    return [f"{part(number)}>=1.2" for number in range(_WANTED)]


def requirements(number: int) -> tuple[str, ...]:
    """Give what a project needs: always later ones, so that there is a solution, and each is needed by someone."""
    chosen = random.Random(number)  # noqa: S311 - the same every time
    children = range(_WANTED + number * 3, _WANTED + number * 3 + 3)
    more = [chosen.randrange(number + 1, PROJECTS) for _ in range(2)] if number + 1 < PROJECTS else []
    needed = sorted({child for child in (*children, *more) if child < PROJECTS})
    return tuple(f"{part(child)}>=1.{chosen.randrange(4)},<2" for child in needed)


def prepare(folder: Path) -> Path:
    """Write the wheels of all 140 projects into a folder below `folder`, once, and give that folder."""
    made = folder / "wheels-1"
    if made.exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as temporary:
        building = Path(temporary) / "wheels"
        building.mkdir()
        said = {part(number): _write(number, building) for number in range(PROJECTS)}
        (building / "index.json").write_text(json.dumps(said))
        building.rename(made)
    return made


def _write(number: int, folder: Path) -> list[dict[str, object]]:
    files: list[dict[str, object]] = []
    for minor in range(VERSIONS):
        stem, version = part(number).replace("-", "_"), f"1.{minor}"
        newest = minor == VERSIONS - 1
        body, metadata = wheel(stem, version, requires=requirements(number), padding=LARGE if newest else _OLD)
        filename = f"{stem}-{version}-py3-none-any.whl"
        (folder / filename).write_bytes(body)
        (folder / f"{filename}.metadata").write_bytes(metadata)
        digests = [hashlib.sha256(content).hexdigest() for content in (body, metadata)]
        files.append({"filename": filename, "size": len(body), "sha256": digests[0], "metadata": digests[1]})
    return files


def _metadata(name: str, version: str, requires: tuple[str, ...]) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Requires-Python: >=3.8"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    # As long as those of real projects, most of which is a description.
    return ("\n".join(lines) + "\n\n" + "What this project is good for. " * 100 + "\n").encode()


@cache
def _noise(size: int) -> bytes:
    return hashlib.shake_128(b"noise").digest(size)


def _digest(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()


def links(folder: Path, *, count: int) -> None:
    """Fill `folder` with `count` wheels that are names of a few: 100 versions of each project."""
    folder.mkdir(parents=True, exist_ok=True)
    per_original = 10_000  # file systems allow some ten thousand names for one file
    original = folder / ".original"
    for number in range(count):
        stem, version = f"acme_part_{number // 100:05d}", f"1.{number % 100}"
        if number % per_original == 0:
            original = folder / f"{stem}-{version}-py3-none-any.whl"
            original.write_bytes(wheel(stem, version)[0])
        else:
            os.link(original, folder / f"{stem}-{version}-py3-none-any.whl")
