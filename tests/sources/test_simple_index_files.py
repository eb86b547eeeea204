"""The bytes of an upstream index's files, and what is published beside them, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from packaging.utils import canonicalize_name

from proxy.errors import FileGone, SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from proxy.simple.model import File
from proxy.sources.base import Answer, Body
from proxy.sources.session import Session, Upstream
from proxy.sources.simple_index import SimpleIndex
from tests.fakes.index import FakeIndex

WHEEL = "bar-1.0-py3-none-any.whl"
CONTENT = bytes(range(256)) * 8


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as session:
        yield session


@pytest.fixture
async def index() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        index.has(WHEEL, content=CONTENT)
        yield index


@pytest.fixture
def source(session: Session, index: FakeIndex) -> SimpleIndex:
    return SimpleIndex(Upstream(session, name="feed", timeout=1), url=index.url)


@pytest.fixture
def wheel(index: FakeIndex) -> File:
    return File(WHEEL, index.file_url(WHEEL), core_metadata=True, provenance=f"{index.file_url(WHEEL)}.provenance")


async def read(source: SimpleIndex, file: File, *, start: int = 0, end: int | None = None) -> tuple[Body, bytes]:
    async with source.open(file, start=start, end=end) as body:
        return body, b"".join([chunk async for chunk in body.chunks])


async def fail(source: SimpleIndex, file: File, *, start: int = 0) -> tuple[SourceError, int]:
    """Give the error, and how many bytes came before it."""
    received = 0

    async def count() -> None:
        nonlocal received
        async with source.open(file, start=start) as body:
            async for chunk in body.chunks:
                received += len(chunk)

    with pytest.raises(SourceError) as failure:
        await count()
    assert failure.value.remedy
    return failure.value, received


async def test_the_whole_file_is_asked_for_without_a_range(source: SimpleIndex, index: FakeIndex, wheel: File) -> None:
    body, got = await read(source, wheel)

    assert got == CONTENT
    assert (body.start, body.size) == (0, len(CONTENT))
    assert body.etag == f'"{index.files[WHEEL].sha256[:16]}"'
    assert "Range" not in index.requests[0].headers
    assert index.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("start", "end", "asked"), [(7, None, "7-"), (0, 9, "0-8"), (5, 6, "5-5"), (2047, None, "2047-")]
)
async def test_a_part_is_asked_for_with_a_range(
    source: SimpleIndex, index: FakeIndex, wheel: File, start: int, end: int | None, asked: str
) -> None:
    body, got = await read(source, wheel, start=start, end=end)

    assert got == CONTENT[start:end]
    assert (body.start, body.size) == (start, len(CONTENT))
    assert index.requests[0].headers["Range"] == f"bytes={asked}"


async def test_where_a_range_is_ignored_the_bytes_begin_at_0(
    source: SimpleIndex, index: FakeIndex, wheel: File
) -> None:
    index.no_ranges()

    body, got = await read(source, wheel, start=100)

    assert (body.start, body.size, got) == (0, len(CONTENT), CONTENT)


async def test_to_resume_at_the_end_gives_nothing_more(source: SimpleIndex, wheel: File) -> None:
    body, got = await read(source, wheel, start=len(CONTENT))

    assert (body.start, body.size, got) == (len(CONTENT), len(CONTENT), b"")


async def test_to_resume_beyond_the_end_is_nonsense(source: SimpleIndex, wheel: File) -> None:
    """What is here is longer than the file there: it was another file."""
    error, _ = await fail(source, wheel, start=len(CONTENT) + 1)

    assert isinstance(error, SourceNonsense)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Range": "bytes 0-4/2048"},
        {"Content-Range": "bytes */2048"},
        {"Content-Range": "nonsense"},
        {"Content-Type": "multipart/byteranges; boundary=x"},
    ],
)
async def test_another_range_than_that_asked_for_is_nonsense(
    source: SimpleIndex, index: FakeIndex, wheel: File, headers: dict[str, str]
) -> None:
    index.status_for(WHEEL, 206, headers, body=b"12345")

    error, received = await fail(source, wheel, start=7)

    assert isinstance(error, SourceNonsense)
    assert received == 0


async def test_a_range_that_is_shorter_than_it_says_is_an_error(
    source: SimpleIndex, index: FakeIndex, wheel: File
) -> None:
    index.status_for(WHEEL, 206, {"Content-Range": "bytes 7-99/2048"}, body=b"12345")

    error, received = await fail(source, wheel, start=7)

    assert isinstance(error, SourceUnavailable)
    assert received == 5


@pytest.mark.parametrize("etag", ['W/"weak"', "", '""', "unquoted"])
async def test_only_a_strong_etag_is_an_identity(source: SimpleIndex, index: FakeIndex, wheel: File, etag: str) -> None:
    index.status_for(WHEEL, 200, {"ETag": etag}, body=b"x")

    body, _ = await read(source, wheel)

    assert body.etag is None


@pytest.mark.parametrize("lengths", [True, False])
async def test_a_body_that_breaks_off_is_an_error_after_what_came(
    source: SimpleIndex, index: FakeIndex, wheel: File, *, lengths: bool
) -> None:
    if not lengths:
        index.no_lengths()
    index.cut_after(WHEEL, 1000)

    error, received = await fail(source, wheel)

    assert isinstance(error, SourceUnavailable)
    assert received <= 1000


async def test_a_body_that_stalls_is_an_error_after_the_timeout(
    source: SimpleIndex, index: FakeIndex, wheel: File
) -> None:
    index.stall_after(WHEEL, 1000)

    error, received = await fail(source, wheel)

    assert isinstance(error, SourceUnavailable)
    assert "silent" in error.reason
    assert received == 1000


async def test_a_file_without_a_length_is_read_to_its_end(source: SimpleIndex, index: FakeIndex, wheel: File) -> None:
    index.no_lengths()

    body, got = await read(source, wheel)

    assert (body.size, got) == (None, CONTENT)


@pytest.mark.parametrize("status", [404, 410])
async def test_a_file_that_is_not_there_any_more_is_gone(
    source: SimpleIndex, index: FakeIndex, wheel: File, status: int
) -> None:
    index.status_for(WHEEL, status)

    with pytest.raises(FileGone):
        await read(source, wheel)


@pytest.mark.parametrize(("status", "kind"), [(500, SourceUnavailable), (403, SourceRefused), (401, SourceRefused)])
async def test_a_file_that_cannot_be_asked_for_is_not_gone(
    source: SimpleIndex, index: FakeIndex, wheel: File, status: int, kind: type[SourceError]
) -> None:
    index.status_for(WHEEL, status)

    error, _ = await fail(source, wheel)

    assert isinstance(error, kind)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://files.example/x.whl", "https://169.254.169.254/x.whl", "ftp://127.0.0.1/x"]
)
async def test_a_file_where_nothing_may_be_asked_is_refused(source: SimpleIndex, url: str) -> None:
    error, _ = await fail(source, File(WHEEL, url))

    assert isinstance(error, SourceNonsense)


async def test_a_web_page_in_place_of_a_wheel_is_told_from_it(
    source: SimpleIndex, index: FakeIndex, wheel: File
) -> None:
    index.status_for(WHEEL, 200, {"Content-Type": "text/html"}, body=b"<!DOCTYPE html><html>Sign in</html>")

    error, received = await fail(source, wheel)

    assert isinstance(error, SourceNonsense)
    assert received == 0


async def test_a_wheel_in_a_coding_that_was_not_asked_for_is_refused(
    source: SimpleIndex, index: FakeIndex, wheel: File
) -> None:
    index.status_for(WHEEL, 200, {"Content-Encoding": "gzip"}, body=b"\x1f\x8b...")

    error, received = await fail(source, wheel)

    assert isinstance(error, SourceNonsense)
    assert received == 0


async def test_an_sdist_that_is_labelled_as_coded_comes_as_it_is(source: SimpleIndex, index: FakeIndex) -> None:
    """Some web servers label every `.gz` so; to decode it would change its digest."""
    sdist = index.has("bar-1.0.tar.gz")
    index.status_for("bar-1.0.tar.gz", 200, {"Content-Encoding": "x-gzip"}, body=sdist.content)

    _, got = await read(source, File("bar-1.0.tar.gz", index.file_url("bar-1.0.tar.gz")))

    assert got == sdist.content


@pytest.mark.parametrize(
    "name", ["a+b-1.0-py3-none-any.whl", "a%2Bb-1.0-py3-none-any.whl", "a%2bb-1.0-py3-none-any.whl"]
)
async def test_a_file_s_url_goes_out_as_the_page_wrote_it(source: SimpleIndex, index: FakeIndex, name: str) -> None:
    index.status_for("/files/a+b-1.0-py3-none-any.whl", 200, body=b"x")

    await read(source, File("a+b-1.0-py3-none-any.whl", f"{index.origin}/files/{name}"))

    assert index.requests[0].path == f"/files/{name}"


# Beside the file


async def test_published_metadata_is_given_as_it_is(source: SimpleIndex, index: FakeIndex) -> None:
    file = index.has("baz-1.0-py3-none-any.whl", metadata=True)
    answer = await source.ask(canonicalize_name("baz"))
    assert isinstance(answer, Answer)

    assert await source.read_metadata(answer.page.files[0]) == file.metadata


async def test_a_sidecar_s_name_goes_before_the_query(source: SimpleIndex, index: FakeIndex) -> None:
    index.status_for(f"/files/{WHEEL}.metadata", 200, body=b"Name: bar\n")

    assert await source.read_metadata(File(WHEEL, f"{index.file_url(WHEEL)}?v=1#sha256=00")) == b"Name: bar\n"
    assert index.requests[0].path == f"/files/{WHEEL}.metadata?v=1"


@pytest.mark.parametrize("status", [404, 410])
async def test_a_sidecar_that_is_missing_is_none(
    source: SimpleIndex, index: FakeIndex, wheel: File, status: int
) -> None:
    index.status_for(f"{WHEEL}.metadata", status)
    index.status_for(f"{WHEEL}.provenance", status)

    assert await source.read_metadata(wheel) is None
    assert await source.read_provenance(wheel) is None


@pytest.mark.parametrize("status", [403, 500])
async def test_a_sidecar_that_fails_is_an_error(
    source: SimpleIndex, index: FakeIndex, wheel: File, status: int
) -> None:
    index.status_for(f"{WHEEL}.metadata", status)

    with pytest.raises(SourceError):
        await source.read_metadata(wheel)


async def test_a_sidecar_beyond_all_sense_is_not_read(source: SimpleIndex, index: FakeIndex, wheel: File) -> None:
    index.status_for(f"{WHEEL}.metadata", 200, body=bytes((16 << 20) + 1))

    with pytest.raises(SourceNonsense, match="larger than 16 MiB"):
        await source.read_metadata(wheel)


async def test_provenance_is_read_from_where_the_page_says(source: SimpleIndex, index: FakeIndex, wheel: File) -> None:
    index.status_for("/integrity/bar", 200, body=b'{"version": 1}')
    file = File(WHEEL, wheel.url, provenance=f"{index.origin}/integrity/bar")

    assert await source.read_provenance(file) == b'{"version": 1}'
    assert index.requests[0].headers["Accept"].startswith("application/vnd.pypi.integrity.v1+json")
    assert await source.read_provenance(File(WHEEL, wheel.url)) is None
