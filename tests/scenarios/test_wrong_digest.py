"""Promise: no client ever completes a file whose bytes are not those that were listed, and nothing of it is kept."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.fakes.folders import large_files
from tests.fakes.index import FakeIndex
from tests.fakes.patience import comes_true
from tests.fakes.server import LocalServer, settings, simple
from tests.scenarios.conftest import Run

LARGE = "big-1.0-py3-none-any.whl"


@pytest.fixture
async def server(run: Run, cache_directory: Path, public: FakeIndex) -> LocalServer:
    public.has(LARGE, size_padding=3 << 20, metadata=True)
    return await run(settings(cache_directory, {"public": simple(public.url)}))


async def test_a_wrong_file_is_broken_off_before_its_end_and_not_kept(
    server: LocalServer, public: FakeIndex, cache_directory: Path
) -> None:
    public.wrong_bytes(LARGE)

    with capture_logs() as logs, pytest.raises(aiohttp.ClientError):
        await server.get(f"/files/big/{LARGE}")

    assert any(line["log_level"] == "error" and line["filename"] == LARGE for line in logs)
    await comes_true(lambda: large_files(cache_directory / "artifacts") == [])


async def test_the_last_byte_of_a_wrong_file_never_arrives(server: LocalServer, public: FakeIndex) -> None:
    """A client that goes by the length alone must not have it whole either."""
    public.wrong_bytes(LARGE)
    received = 0

    async def read() -> None:
        nonlocal received
        async with server.open(f"/files/big/{LARGE}") as response:
            assert response.status == 200
            async for chunk in response.content.iter_any():
                received += len(chunk)

    with pytest.raises(aiohttp.ClientError):
        await read()

    assert received < len(public.files[LARGE].content)


async def test_a_wrong_file_is_right_again_when_its_source_is(server: LocalServer, public: FakeIndex) -> None:
    """Nothing of the wrong bytes may be in what comes later, from whatever process or range."""
    public.wrong_bytes(LARGE)
    with pytest.raises(aiohttp.ClientError):
        await server.get(f"/files/big/{LARGE}")

    # For some seconds a source that lied is left at rest; a new release of the file is another one.
    public.truth_for(LARGE)
    public.has("big-1.1-py3-none-any.whl", size_padding=1 << 20)
    reply = await server.get("/files/big/big-1.1-py3-none-any.whl")
    again = await server.get(f"/files/big/{LARGE}")

    assert reply.body == public.files["big-1.1-py3-none-any.whl"].content
    assert again.status in {200, 502}
    assert again.status != 200 or again.body == public.files[LARGE].content


async def test_a_file_of_another_length_is_refused_before_the_answer_begins(
    server: LocalServer, public: FakeIndex, cache_directory: Path
) -> None:
    public.has("odd-1.0.tar.gz", content=b"x" * 5000)
    await server.page("/simple/odd/")
    right = public.files["odd-1.0.tar.gz"].content
    public.status_for("odd-1.0.tar.gz", 200, body=right + b"more")

    with capture_logs() as logs:
        reply = await server.get("/files/odd/odd-1.0.tar.gz")

    assert reply.status == 502
    assert reply.json()["source"] == "public"
    assert any(line["log_level"] == "error" for line in logs)
    await comes_true(lambda: large_files(cache_directory / "artifacts") == [])


async def test_an_md5_is_checked_where_it_is_all_there_is(server: LocalServer, public: FakeIndex) -> None:
    public.has("old-1.0.tar.gz", content=b"o" * 3000, hashes=["md5"])
    public.has("old-1.1.tar.gz", content=b"p" * 3000, hashes=["md5"])
    public.wrong_bytes("old-1.1.tar.gz")

    right = await server.get("/files/old/old-1.0.tar.gz")
    try:
        wrong = (await server.get("/files/old/old-1.1.tar.gz")).status
    except aiohttp.ClientError:
        wrong = 0

    assert right.body == b"o" * 3000
    assert right.headers["ETag"] == f'"{public.files["old-1.0.tar.gz"].sha256}"'
    assert wrong != 200


async def test_a_hashless_file_keeps_its_digest_once_it_was_received(
    server: LocalServer, public: FakeIndex, cache_directory: Path
) -> None:
    """From then on it is listed with it, and evicting the bytes does not take that back."""
    public.has("bare-1.0.tar.gz", content=b"b" * 3000, hashes=[])
    digest = public.files["bare-1.0.tar.gz"].sha256

    assert (await server.get("/files/bare/bare-1.0.tar.gz")).status == 200
    await server.until(lambda page: page.file("bare-1.0.tar.gz")["hashes"] == {"sha256": digest}, "/simple/bare/")
    for path in large_files(cache_directory / "artifacts"):
        path.unlink()
    again = await server.get("/files/bare/bare-1.0.tar.gz")
    page = await server.page("/simple/bare/")

    assert again.body == b"b" * 3000
    assert page.file("bare-1.0.tar.gz")["hashes"] == {"sha256": digest}
