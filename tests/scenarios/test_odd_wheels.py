"""Promise: a wheel that cannot be read, or is not what it was, harms its own core metadata and nothing else."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from proxy.mirror.inspector import MOST_BYTES
from tests.fakes import archives
from tests.fakes.index import FakeIndex
from tests.fakes.server import HTML, LocalServer, Reply, settings, simple
from tests.scenarios.conftest import Run

NAMES = [f"foo-1.{minor}-py3-none-any.whl" for minor in range(12)]
NEWEST = NAMES[-1]
SIDECAR = f"/files/foo/{NEWEST}.metadata"


@pytest.fixture
async def server(run: Run, cache_directory: Path, public: FakeIndex) -> LocalServer:
    for name in NAMES:
        public.has(name, size_padding=50_000)
    return await run(settings(cache_directory, {"public": simple(public.url)}))


def advertised(page: Reply) -> list[str]:
    return [file["filename"] for file in page.json()["files"] if "core-metadata" in file]


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (
            206,
            {"Content-Type": "multipart/byteranges; boundary=x"},
            b"--x\r\nContent-Range: bytes 0-1/2\r\n\r\nab\r\n--x--",
        ),
        (206, {"Content-Range": "bytes 0-99/100000"}, b"x" * 100),
        (206, {}, b""),
        (200, {"Content-Type": "text/html"}, b"<html>sign in"),
        (200, {}, b"x" * 100_000),
        (302, {"Location": "http://example.com/elsewhere.whl"}, b""),
        (401, {}, b""),
        (403, {}, b""),
        (416, {}, b""),
        (500, {}, b""),
    ],
)
async def test_a_wheel_that_cannot_be_read_keeps_no_other_from_being_read(
    server: LocalServer, public: FakeIndex, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """It stands first in the order of reading, today and in a minute."""
    public.status_for(NEWEST, status, headers, body=body)

    page = await server.until(lambda page: len(advertised(page)) == len(NAMES) - 1, "/simple/foo/")

    assert NEWEST not in advertised(page)
    assert page.filenames() == NAMES
    assert (await server.get(SIDECAR)).status == 404


async def test_an_upstream_that_is_down_is_not_asked_for_one_wheel_after_the_other(
    server: LocalServer, public: FakeIndex
) -> None:
    for name in NAMES:
        public.status_for(name, 403)

    await server.page("/simple/foo/")
    await server.page("/simple/foo/")
    await public.until(lambda it: sum(asked.path.endswith(".whl") for asked in it.requests) >= 8)
    page = await server.page("/simple/foo/")

    assert advertised(page) == []
    assert {name for name in NAMES if public.asked(f"/files/{name}")} < set(NAMES)


def replaced(said: bytes, padding: int = 0) -> bytes:
    """Give a wheel whose size does not depend on what its METADATA says."""
    before = (("foo/padding.bin", bytes(padding)),)
    return archives.wheel(said, folder="foo-1.11.dist-info", before=before, method=zipfile.ZIP_STORED)


@pytest.mark.parametrize("padding", [0, 1000])
async def test_metadata_is_that_of_the_bytes_that_come_where_a_file_was_replaced(
    run: Run, tmp_path: Path, public: FakeIndex, padding: int
) -> None:
    """Nothing on a page without digests tells the two apart: only a whole download shows it, or another length."""
    old = b"Metadata-Version: 2.1\nName: foo\nVersion: 1.11\nRequires-Dist: leaf\n"
    new = old.replace(b"leaf", b"twig")
    public.formats = {"html"}
    public.has(NEWEST, hashes=(), content=replaced(old))
    server = await run(settings(tmp_path / "cache", {"public": simple(public.url)}))
    await server.until(lambda page: advertised(page) == [NEWEST], "/simple/foo/")
    public.has(NEWEST, hashes=(), content=replaced(new, padding))
    digest = hashlib.sha256(new).hexdigest()

    reply = await server.get(f"/files/foo/{NEWEST}")
    await server.until(lambda page: page.file(NEWEST).get("core-metadata") == {"sha256": digest}, "/simple/foo/")

    assert reply.status == (502 if padding else 200)
    assert f'data-core-metadata="sha256={digest}"' in (await server.get("/simple/foo/", accept=HTML)).text
    assert (await server.get(SIDECAR)).body == new


async def test_wheels_that_unpack_to_megabytes_do_not_fill_the_index(
    run: Run, tmp_path: Path, public: FakeIndex
) -> None:
    """Else one page of small wheels would drive all that is remembered of other projects out."""
    largest = 16 << 20
    for minor in range(16):
        said = b"Metadata-Version: 2.1\nName: foo\nVersion: 1.%d\n\n" % minor
        bomb = archives.wheel(said.ljust(largest), folder=f"foo-1.{minor}.dist-info", after=())
        public.has(f"foo-1.{minor}-py3-none-any.whl", content=bomb)
    server = await run(settings(tmp_path / "cache", {"public": simple(public.url)}))

    page = await server.until(lambda page: len(advertised(page)) >= MOST_BYTES // largest, "/simple/foo/")
    later = await server.page("/simple/foo/")

    assert len(later.filenames()) == 16
    assert len(advertised(page)) <= len(advertised(later)) < 16
