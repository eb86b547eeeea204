"""An upstream index is asked for pages and lists, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from packaging.utils import canonicalize_name

from proxy.errors import SourceError, SourceNonsense, SourceUnavailable
from proxy.simple.model import Page
from proxy.sources.base import Answer, Unchanged
from proxy.sources.session import Session, Upstream
from proxy.sources.simple_index import SimpleIndex
from tests.fakes.index import FakeIndex

WHEEL = "bar-1.0-py3-none-any.whl"
BAR = canonicalize_name("bar")


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as session:
        yield session


@pytest.fixture
async def index() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        index.has(WHEEL, requires_python=">=3.8", metadata=True, provenance=b"{}", upload_time="2026-01-01T00:00:00Z")
        index.has("bar-0.9.tar.gz", yanked="broken")
        yield index


@pytest.fixture
def source(session: Session, index: FakeIndex) -> SimpleIndex:
    return SimpleIndex(Upstream(session, name="feed", timeout=2), url=index.url)


async def ask(source: SimpleIndex, validator: str | None = None) -> Answer:
    answer = await source.ask(BAR, validator)
    assert isinstance(answer, Answer)
    return answer


async def fail(source: SimpleIndex) -> SourceError:
    with pytest.raises(SourceError) as failure:
        await source.ask(BAR)
    return failure.value


def urls(page: Page) -> list[str]:
    return sorted(file.url for file in page.files)


@pytest.mark.parametrize("formats", [{"json"}, {"html"}, {"json", "html"}])
async def test_a_page_is_read_in_either_format(source: SimpleIndex, index: FakeIndex, formats: set[str]) -> None:
    index.formats = formats

    page = (await ask(source)).page

    wheel, sdist = sorted(page.files, key=lambda file: file.filename, reverse=True)
    assert (wheel.filename, wheel.version, wheel.requires_python) == (WHEEL, "1.0", ">=3.8")
    assert wheel.sha256 == index.files[WHEEL].sha256
    assert isinstance(wheel.core_metadata, str)
    assert wheel.provenance == f"{index.file_url(WHEEL)}.provenance"
    assert (sdist.filename, sdist.yanked) == ("bar-0.9.tar.gz", "broken")


async def test_json_is_preferred_and_html_accepted(source: SimpleIndex, index: FakeIndex) -> None:
    await ask(source)

    assert index.requests[0].headers["Accept"].startswith("application/vnd.pypi.simple.v1+json,")
    assert "text/html" in index.requests[0].headers["Accept"]


@pytest.mark.parametrize("links", ["relative", "absolute", "root", "protocol", "base"])
async def test_links_lead_to_the_same_place_however_they_are_written(
    source: SimpleIndex, index: FakeIndex, links: str
) -> None:
    index.formats = {"html"}
    index.links = links  # type: ignore[assignment] # one of the literals above

    assert urls((await ask(source)).page) == [index.file_url("bar-0.9.tar.gz"), index.file_url(WHEEL)]


@pytest.mark.parametrize("formats", [{"json"}, {"html"}])
async def test_links_are_relative_to_where_a_redirect_led(
    session: Session, index: FakeIndex, formats: set[str]
) -> None:
    index.formats = formats
    async with FakeIndex(path="/old/") as old:
        old.redirect("bar", f"{index.url}bar/", status=308)
        source = SimpleIndex(Upstream(session, name="feed"), url=old.url)

        assert urls((await ask(source)).page) == [index.file_url("bar-0.9.tar.gz"), index.file_url(WHEEL)]


@pytest.mark.parametrize("path", ["/simple/", "/pypi/my%20feed/pypi/simple/", "/", "/a/b/"])
@pytest.mark.parametrize("slash", [True, False])
async def test_an_index_may_lie_anywhere_with_or_without_the_slash(session: Session, path: str, *, slash: bool) -> None:
    async with FakeIndex(path=path.replace("%20", " ")) as index:
        index.has(WHEEL)
        url = f"{index.origin}{path}"
        source = SimpleIndex(Upstream(session, name="feed"), url=url if slash else url.rstrip("/"))

        await ask(source)

        assert [asked.path for asked in index.requests] == [f"{path}bar/"]


@pytest.mark.parametrize("status", [404, 410])
async def test_a_project_that_is_not_there_is_a_value(source: SimpleIndex, index: FakeIndex, status: int) -> None:
    index.status_for("bar", status)

    assert await source.ask(BAR) is None


# Asking again


async def test_a_page_that_did_not_change_is_not_sent_again(source: SimpleIndex, index: FakeIndex) -> None:
    first = await ask(source)

    assert isinstance(await source.ask(BAR, first.validator), Unchanged)
    assert index.requests[1].headers["If-None-Match"].startswith('"')


async def test_a_date_does_where_there_is_no_etag(source: SimpleIndex, index: FakeIndex) -> None:
    index.page_etags = False
    index.last_modified = "Thu, 01 Jan 2026 00:00:00 GMT"

    assert isinstance(await source.ask(BAR, (await ask(source)).validator), Unchanged)
    assert index.requests[1].headers["If-Modified-Since"] == index.last_modified


async def test_the_body_itself_does_where_a_feed_has_no_validators(source: SimpleIndex, index: FakeIndex) -> None:
    """Azure feeds have none; the page need not be parsed, merged and rendered again for that."""
    index.page_etags = False
    first = await ask(source)

    assert isinstance(await source.ask(BAR, first.validator), Unchanged)
    index.has("bar-1.1-py3-none-any.whl")
    assert "1.1" in (await ask(source, first.validator)).page.versions


async def test_a_changed_page_is_given_with_its_own_validator(source: SimpleIndex, index: FakeIndex) -> None:
    first = await ask(source)
    index.has("bar-1.1-py3-none-any.whl")

    second = await ask(source, first.validator)

    assert "1.1" in second.page.versions
    assert isinstance(await source.ask(BAR, second.validator), Unchanged)


@pytest.mark.parametrize("validator", ["", "null", "nonsense", '["x"]', '[0,"","\\"e\\"",null]'])
async def test_a_validator_of_an_older_release_asks_in_full(source: SimpleIndex, validator: str) -> None:
    await ask(source, validator)


async def test_a_304_that_nobody_asked_for_is_nonsense(source: SimpleIndex, index: FakeIndex) -> None:
    index.status_for("bar", 304)

    assert isinstance(await fail(source), SourceNonsense)


@pytest.mark.parametrize(
    ("said", "age", "meant"),
    [
        ("max-age=600, public", None, 600.0),
        ("max-age=600", "100", 500.0),
        ("no-store", None, None),
        ("s-maxage=9", None, None),
    ],
)
async def test_how_long_a_page_is_fresh_by_its_own_words_is_passed_on(
    source: SimpleIndex, index: FakeIndex, said: str, age: str | None, meant: float | None
) -> None:
    index.page_headers["Cache-Control"] = said
    if age is not None:
        index.page_headers["Age"] = age

    assert (await ask(source)).max_age == meant


# What is no page


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "text/html"),
        (b"  \n", "application/vnd.pypi.simple.v1+json"),
        (b"PK\x03\x04" + bytes(100), "text/html"),
        (b"\x1f\x8b\x08\x00" + bytes(50), "application/octet-stream"),
        (b"<html><title>Sign in</title><form><input type='password'></form></html>", "text/html"),
        (b'{"files": null}', "application/vnd.pypi.simple.v1+json"),
        (b'{"meta": {"api-version": "1.0"}, "name": "bar", "files": [{"filen', "application/json"),
        (b'{"meta": {"api-version": "2.0"}, "name": "bar", "files": []}', "application/json"),
        (b"[]", "application/json"),
        (b"no such page", "text/plain"),
    ],
)
async def test_what_is_no_page_is_an_error_and_never_an_empty_project(
    source: SimpleIndex, index: FakeIndex, body: bytes, content_type: str
) -> None:
    index.page_for("bar", body, content_type)

    error = await fail(source)

    assert isinstance(error, SourceNonsense)
    assert error.remedy


async def test_a_page_without_files_is_an_empty_project(source: SimpleIndex, index: FakeIndex) -> None:
    index.page_for("bar", b"<!DOCTYPE html><html><head><title>Links for bar</title></head><body></body></html>")

    assert (await ask(source)).page.files == ()


@pytest.mark.parametrize("formats", [{"json"}, {"html"}])
@pytest.mark.parametrize("content_type", ["text/html", "application/json", "application/octet-stream", "text/plain"])
async def test_a_wrong_content_type_does_not_matter(
    source: SimpleIndex, index: FakeIndex, formats: set[str], content_type: str
) -> None:
    index.formats = formats
    index.content_type = content_type

    assert len((await ask(source)).page.files) == 2


@pytest.mark.parametrize("formats", [{"json"}, {"html"}])
@pytest.mark.parametrize("lengths", [True, False])
async def test_a_page_that_is_cut_is_an_error(
    source: SimpleIndex, index: FakeIndex, formats: set[str], *, lengths: bool
) -> None:
    index.formats = formats
    if not lengths:
        index.no_lengths()
    index.cut_after("bar", 300)

    assert isinstance(await fail(source), SourceUnavailable)


async def test_a_compressed_page_is_read(source: SimpleIndex, index: FakeIndex) -> None:
    index.compresses_pages()

    assert len((await ask(source)).page.files) == 2


async def test_a_page_of_many_files_is_read_off_the_loop(source: SimpleIndex, index: FakeIndex) -> None:
    for number in range(3000):
        index.has(f"bar-2.{number}-py3-none-any.whl", content=b"x")

    assert len((await ask(source)).page.files) == 3002


async def test_links_that_may_not_be_asked_are_left_out(source: SimpleIndex, index: FakeIndex) -> None:
    for number, url in enumerate(
        [
            "file:///etc/passwd",
            "http://files.example/bar-3.0-py3-none-any.whl",
            "https://169.254.169.254/bar-3.1-py3-none-any.whl",
            "data:application/zip,PK",
        ]
    ):
        index.has(f"bar-3.{number}-py3-none-any.whl", url=url)

    assert urls((await ask(source)).page) == [index.file_url("bar-0.9.tar.gz"), index.file_url(WHEEL)]


async def test_plain_http_links_to_other_hosts_are_a_setting(session: Session, index: FakeIndex) -> None:
    url = "http://files.example/bar-3.0-py3-none-any.whl"
    index.has("bar-3.0-py3-none-any.whl", url=url)
    source = SimpleIndex(Upstream(session, name="feed", allow_http=True), url=index.url)

    assert url in urls((await ask(source)).page)


# The list


@pytest.mark.parametrize("formats", [{"json"}, {"html"}])
async def test_the_project_list_is_given_as_it_is_spelt(
    source: SimpleIndex, index: FakeIndex, formats: set[str]
) -> None:
    index.formats = formats
    index.has_project("Zope.Interface")

    assert [name async for name in source.ask_names()] == ["bar", "Zope.Interface"]


@pytest.mark.parametrize("status", [404, 405, 410, 501])
async def test_an_index_without_a_list_says_so(source: SimpleIndex, index: FakeIndex, status: int) -> None:
    index.status_for("/simple/", status)

    with pytest.raises(SourceNonsense, match="no project list"):
        _ = [name async for name in source.ask_names()]


async def test_a_long_list_is_given_whole(source: SimpleIndex, index: FakeIndex) -> None:
    for number in range(20_000):
        index.has_project(f"project-{number}")

    assert len([name async for name in source.ask_names()]) == 20_001
