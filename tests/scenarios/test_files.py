"""Promise: a file comes with its digest, in whole or in part, whether it is here, on its way, or not asked for yet."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.folders import large_files
from tests.fakes.index import FakeIndex
from tests.fakes.patience import comes_true
from tests.fakes.server import LocalServer, Reply, folder, settings, simple
from tests.fakes.wheels import build_wheel
from tests.scenarios.conftest import Run

LARGE, SDIST = "big-1.0-py3-none-any.whl", "big-1.0.tar.gz"
PATH = f"/files/big/{LARGE}"


@pytest.fixture
async def server(run: Run, cache_directory: Path, public: FakeIndex) -> LocalServer:
    public.has(LARGE, size_padding=3 << 20, metadata=True)
    public.has(SDIST)
    return await run(settings(cache_directory, {"public": simple(public.url, fresh="1 h")}))


@pytest.fixture(params=["cached", "uncached", "growing"])
async def state(request: pytest.FixtureRequest, server: LocalServer, public: FakeIndex) -> str:
    """Bring the large file into each of its three states."""
    if request.param == "cached":
        await server.get(PATH)
    if request.param == "growing":
        public.stall_after(LARGE, 1 << 20, times=1)
        async with server.open(PATH) as response:
            await response.content.readexactly(1 << 20)
    return str(request.param)


RANGES = {
    "bytes=0-0": (0, 1),
    "bytes=10-19": (10, 20),
    "bytes=-1": (-1, None),
    "bytes=-5000": (-5000, None),
    "bytes=3145000-": (3145000, None),
    "bytes=1000-99999999": (1000, None),
    "bytes=-99999999": (0, None),
}


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize("asked", RANGES)
async def test_a_single_range_is_exactly_that(server: LocalServer, public: FakeIndex, state: str, asked: str) -> None:
    content = public.files[LARGE].content
    if state == "growing" and asked in {"bytes=1000-99999999", "bytes=-99999999"}:
        public.is_up()

    reply = await server.get(PATH, range=asked)

    start, end, _ = slice(*RANGES[asked]).indices(len(content))
    assert reply.status == 206
    assert reply.body == content[start:end]
    assert reply.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(content)}"
    assert reply.headers["Content-Length"] == str(end - start)
    assert reply.headers["ETag"] == f'"{public.files[LARGE].sha256}"'


@pytest.mark.usefixtures("state")
async def test_a_range_behind_the_end_is_416(server: LocalServer, public: FakeIndex) -> None:
    size = len(public.files[LARGE].content)

    for asked in (f"bytes={size}-", f"bytes={size + 5}-{size + 9}", "bytes=-0"):
        reply = await server.get(PATH, range=asked)

        assert reply.status == 416
        assert reply.headers["Content-Range"] == f"bytes */{size}"


@pytest.mark.parametrize("state", ["cached", "uncached"], indirect=True)
@pytest.mark.usefixtures("state")
async def test_a_stale_if_range_gives_the_whole_file(server: LocalServer, public: FakeIndex) -> None:
    """A part of what the client does not have the rest of would be a wrong file."""
    tag = f'"{public.files[LARGE].sha256}"'

    for stale in ('"another"', f"W/{tag}", "Wed, 21 Oct 2026 07:28:00 GMT"):
        reply = await server.get(PATH, range="bytes=0-9", if_range=stale)

        assert reply.status == 200
        assert reply.body == public.files[LARGE].content
    assert (await server.get(PATH, range="bytes=0-9", if_range=tag)).status == 206


async def test_a_stale_if_range_gives_the_whole_of_a_growing_file(server: LocalServer, public: FakeIndex) -> None:
    public.slow(6e6)
    first = asyncio.create_task(server.get(PATH))
    await public.until(lambda it: it.open_files == 1)

    reply = await server.get(PATH, range="bytes=0-9", if_range='"another"')

    assert reply.status == 200
    assert reply.body == (await first).body == public.files[LARGE].content
    assert public.asked(f"/files/{LARGE}") == 1


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize("odd", ["bytes=5-2", "bytes=a-b", "items=0-1", "bytes=0-1,5-6", "bytes="])
async def test_a_range_that_is_none_gives_the_whole_file(server: LocalServer, public: FakeIndex, odd: str) -> None:
    public.is_up()

    reply = await server.get(PATH, range=odd)

    assert reply.status == 200
    assert reply.body == public.files[LARGE].content


@pytest.mark.usefixtures("state")
async def test_a_client_that_has_it_gets_304(server: LocalServer, public: FakeIndex) -> None:
    tag = f'"{public.files[LARGE].sha256}"'

    for header in (tag, f'"other", {tag}', "*", f"W/{tag}"):
        for range_ in ({}, {"range": "bytes=0-9"}):
            reply = await server.get(PATH, if_none_match=header, **range_)

            assert reply.status == 304
            assert reply.body == b""
            assert reply.headers["ETag"] == tag
            assert reply.headers["Cache-Control"] == "max-age=365000000, immutable"
    assert (await server.get(PATH, if_none_match='"other"', range="bytes=0-9")).status == 206


@pytest.mark.usefixtures("state")
async def test_head_has_the_headers_of_get(server: LocalServer, public: FakeIndex) -> None:
    head = await server.head(PATH)
    ranged = await server.head(PATH, range="bytes=0-9")
    public.is_up()
    get = await server.get(PATH)

    assert head.status == 200
    assert head.body == ranged.body == b""
    assert without_date(head) == without_date(get)
    assert ranged.status == 206
    assert ranged.headers["Content-Range"] == f"bytes 0-9/{len(get.body)}"


def without_date(reply: Reply) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name != "Date"}


async def test_head_of_a_file_that_is_not_here_fetches_nothing(server: LocalServer, public: FakeIndex) -> None:
    head = await server.head(PATH)

    assert head.headers["Content-Length"] == str(len(public.files[LARGE].content))
    assert public.asked(f"/files/{LARGE}") == 0


async def test_a_short_range_far_ahead_is_answered_without_the_whole_file(
    server: LocalServer, public: FakeIndex
) -> None:
    """A resolver that reads the end of a large wheel waits for those bytes alone."""
    reply = await server.get(PATH, range="bytes=-2000")

    assert reply.body == public.files[LARGE].content[-2000:]
    asked = [asked for asked in public.requests if asked.path.endswith(LARGE)]
    assert all("Range" in one.headers for one in asked)


@pytest.mark.parametrize("filename", [LARGE, SDIST])
async def test_files_have_no_content_coding(server: LocalServer, public: FakeIndex, filename: str) -> None:
    for _ in range(3):
        reply = await server.get(f"/files/big/{filename}", accept_encoding="gzip, deflate, br, zstd")

        assert "Content-Encoding" not in reply.headers
        assert reply.headers["Content-Length"] == str(len(reply.body))
        assert reply.headers["Accept-Ranges"] == "bytes"
        assert reply.body == public.files[filename].content


async def test_a_name_with_a_plus_is_one_file_however_it_is_spelled(server: LocalServer, public: FakeIndex) -> None:
    public.has("big-1.0+cu118-py3-none-any.whl", content=build_wheel("big", "1.0+cu118"))
    content = public.files["big-1.0+cu118-py3-none-any.whl"].content

    for plus in ("+", "%2B", "%2b"):
        assert (await server.get(f"/files/big/big-1.0{plus}cu118-py3-none-any.whl")).body == content
    page = await server.get("/simple/big/")

    whole = [asked for asked in public.asked_of("big-1.0+cu118-py3-none-any.whl") if "Range" not in asked.headers]
    assert len(whole) == 1
    assert whole[0].path == "/files/big-1.0%2Bcu118-py3-none-any.whl"
    assert "../../files/big/big-1.0%2Bcu118-py3-none-any.whl" in page.hrefs()


async def test_an_artifact_that_was_deleted_behind_the_servers_back_is_a_miss(
    server: LocalServer, public: FakeIndex, cache_directory: Path
) -> None:
    for _ in range(2):
        assert (await server.get(f"/files/big/{SDIST}")).status == 200
        assert (await server.get(PATH)).status == 200
    digest = public.files[LARGE].sha256
    await public.until(lambda _: (cache_directory / "artifacts" / digest[:2] / digest[2:]).exists())
    for path in (cache_directory / "artifacts").rglob("*"):
        if path.is_file():
            path.unlink()

    reply = await server.get(PATH)

    assert reply.status == 200
    assert reply.body == public.files[LARGE].content
    assert public.asked(f"/files/{LARGE}") == 2


async def test_a_damaged_artifact_folder_is_made_anew(
    server: LocalServer, public: FakeIndex, cache_directory: Path
) -> None:
    digest = public.files[LARGE].sha256
    (cache_directory / "artifacts" / digest[:2]).mkdir(parents=True)
    (cache_directory / "artifacts" / digest[:2] / digest[2:]).mkdir()

    assert (await server.get(PATH)).body == public.files[LARGE].content


async def test_files_of_a_folder_have_ranges_and_etags_too(run: Run, tmp_path: Path, shelf: Path) -> None:
    wheel = build_wheel("mine", "1.0", size_padding=100_000)
    (shelf / "mine-1.0-py3-none-any.whl").write_bytes(wheel)
    server = await run(settings(tmp_path / "other", {"shelf": folder(shelf)}))
    path = "/files/mine/mine-1.0-py3-none-any.whl"

    whole = await server.get(path)
    part = await server.get(path, range="bytes=5-9", if_range=whole.headers["ETag"])
    same = await server.get(path, if_none_match=whole.headers["ETag"])
    head = await server.head(path)

    assert whole.body == wheel
    assert part.status == 206
    assert part.body == wheel[5:10]
    assert same.status == 304
    assert without_date(head) == without_date(whole)
    assert (await server.get(path, range=f"bytes={len(wheel)}-")).status == 416


async def test_a_file_of_no_bytes_is_served(run: Run, tmp_path: Path, public: FakeIndex) -> None:
    public.has("void-1.0.tar.gz", content=b"")
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))

    for _ in range(2):
        reply = await server.get("/files/void/void-1.0.tar.gz")
        ranged = await server.get("/files/void/void-1.0.tar.gz", range="bytes=0-0")

        assert reply.status == 200
        assert reply.body == b""
        assert reply.headers["Content-Length"] == "0"
        assert ranged.status == 416


async def test_a_file_larger_than_the_cache_is_streamed_and_not_kept(
    run: Run, tmp_path: Path, public: FakeIndex
) -> None:
    public.has(LARGE, size_padding=3 << 20)
    config = settings(tmp_path / "small", {"public": simple(public.url)}, size="1 MiB")
    server = await run(config)

    reply = await server.get(PATH)
    again = await server.get(PATH)

    assert reply.body == again.body == public.files[LARGE].content
    await comes_true(lambda: large_files(tmp_path / "small" / "artifacts", size=1 << 20) == [])


async def test_a_source_that_tells_no_length_and_no_digest_is_served_all_the_same(
    run: Run, tmp_path: Path, public: FakeIndex
) -> None:
    public.has("plain-1.0.tar.gz", content=b"p" * (5 << 20), hashes=[])
    public.formats = {"html"}
    public.no_lengths()
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))

    reply = await server.get("/files/plain/plain-1.0.tar.gz")

    assert reply.status == 200
    assert reply.body == b"p" * (5 << 20)
    again = await server.get("/files/plain/plain-1.0.tar.gz", range="bytes=-5")
    assert again.body == b"p" * 5
