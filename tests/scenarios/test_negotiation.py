"""Promise: every client gets the form it asks for, with headers that let it keep it rightly."""

from __future__ import annotations

import gzip
from pathlib import Path
from urllib.parse import urljoin

import pytest
import zstandard

from tests.fakes.index import FakeIndex
from tests.fakes.server import HTML, JSON, TEXT, LocalServer, folder, settings, simple
from tests.scenarios.conftest import Run

WHEEL = "bar-1.0-py3-none-any.whl"
VARY = "Accept, Accept-Encoding"
FORMS = {TEXT: f"{TEXT}; charset=utf-8", HTML: f"{HTML}; charset=utf-8", JSON: JSON}


@pytest.fixture
async def server(run: Run, cache_directory: Path, public: FakeIndex) -> LocalServer:
    public.has(WHEEL, metadata=True, requires_python=">=3.9,<4", yanked='bad <b>"build"</b>')
    return await run(settings(cache_directory, {"public": simple(public.url)}, feeds={"team": {"sources": ["public"]}}))


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, TEXT),
        ("*/*", TEXT),
        (TEXT, TEXT),
        (HTML, HTML),
        (JSON, JSON),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("application/vnd.pypi.simple.latest+html", HTML),
        (f"{JSON}, {HTML};q=0.1, text/html;q=0.01", JSON),
        (f"{JSON}, {HTML};q=0.2, text/html;q=0.01", JSON),
    ],
)
async def test_a_client_gets_the_form_it_asks_for(server: LocalServer, accept: str | None, form: str) -> None:
    asked = {} if accept is None else {"accept": accept}

    for path in ("/simple/bar/", "/simple/", "/team/simple/bar/"):
        reply = await server.get(path, **asked)

        assert reply.status == 200
        assert reply.headers["Content-Type"] == FORMS[form]
        assert reply.headers["Vary"] == VARY


@pytest.mark.parametrize("accept", ["image/png", "application/json", f"{JSON};q=0, */*;q=0"])
async def test_nothing_acceptable_is_406(server: LocalServer, accept: str) -> None:
    for path in ("/simple/bar/", "/simple/"):
        reply = await server.get(path, accept=accept)

        assert reply.status == 406
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert JSON in reply.json()["remedy"]


@pytest.mark.parametrize("query", [f"format={JSON}", f"format={JSON.replace('+', '%2B')}", f"x=1&format={JSON}"])
async def test_the_query_beats_accept(server: LocalServer, query: str) -> None:
    reply = await server.get(f"/simple/bar/?{query}", accept=TEXT)

    assert reply.headers["Content-Type"] == JSON


async def test_each_form_has_its_own_etag_and_never_a_304_for_another(server: LocalServer) -> None:
    for path in ("/simple/bar/", "/simple/"):
        tags = {}
        for accept in FORMS:
            for coding in ("identity", "gzip", "zstd"):
                reply = await server.get(path, accept=accept, accept_encoding=coding)
                tags[accept, coding] = reply.headers["ETag"]
                assert reply.headers.get("Content-Encoding", "identity") == coding
        assert len(set(tags.values())) == len(tags) == 9
        assert all(tag.startswith('"') and tag.endswith('"') for tag in tags.values())

        for asked in tags:
            for held, tag in tags.items():
                reply = await server.get(path, accept=asked[0], accept_encoding=asked[1], if_none_match=tag)
                assert reply.status == (304 if asked == held else 200)
        everything = ", ".join(tags.values())
        assert (await server.get(path, accept=JSON, if_none_match=everything)).status == 304
        assert (await server.get(path, accept=JSON, if_none_match=f"W/{tags[JSON, 'identity']}")).status == 304


async def test_a_304_has_the_headers_of_the_200(server: LocalServer) -> None:
    for path, max_age in (("/simple/bar/", "max-age=600"), ("/simple/", "max-age=60")):
        whole = await server.get(path, accept=JSON, accept_encoding="gzip")
        same = await server.get(path, accept=JSON, accept_encoding="gzip", if_none_match=whole.headers["ETag"])

        assert same.status == 304
        assert same.body == b""
        for name in ("ETag", "Vary", "Cache-Control"):
            assert same.headers[name] == whole.headers[name]
        assert whole.headers["Cache-Control"] == max_age


async def test_codings_hold_the_same_bytes(server: LocalServer) -> None:
    for path in ("/simple/bar/", "/simple/", f"/files/bar/{WHEEL}.metadata"):
        plain = await server.get(path, accept=JSON)
        packed = await server.get(path, accept=JSON, accept_encoding="gzip, deflate")
        best = await server.get(path, accept=JSON, accept_encoding="gzip, deflate, br, zstd")

        assert "Content-Encoding" not in plain.headers
        assert gzip.decompress(packed.body) == plain.body
        assert zstandard.ZstdDecompressor().decompressobj().decompress(best.body) == plain.body
        assert best.headers["Content-Encoding"] == "zstd"


@pytest.mark.parametrize(
    "path", ["/simple/bar/", "/simple/", "/links/", f"/files/bar/{WHEEL}.metadata", "/explain/bar", "/", "/livez"]
)
async def test_head_has_the_headers_of_get(server: LocalServer, path: str) -> None:
    for coding in ("identity", "gzip"):
        for _ in range(2):
            get = await server.get(path, accept=JSON if "simple" in path else "*/*", accept_encoding=coding)
            head = await server.head(path, accept=JSON if "simple" in path else "*/*", accept_encoding=coding)

            assert head.status == get.status == 200
            assert head.body == b""
            ignored = {"Date"}
            assert {k: v for k, v in head.headers.items() if k not in ignored} == {
                k: v for k, v in get.headers.items() if k not in ignored
            }


async def test_the_etag_changes_with_the_upstreams_page(server: LocalServer, public: FakeIndex) -> None:
    before = await server.page("/simple/bar/")
    public.has("bar-1.1-py3-none-any.whl")
    after = await server.page("/simple/bar/", if_none_match=before.headers["ETag"])

    assert after.status == 200
    assert after.headers["ETag"] != before.headers["ETag"]


async def test_a_client_that_sent_a_credential_keeps_its_page_to_itself(server: LocalServer) -> None:
    for path, max_age in (("/simple/bar/", 600), ("/simple/", 60)):
        for _ in range(2):
            plain = await server.page(path)
            own = await server.page(path, authorization="Basic dTpw")

            assert plain.headers["Cache-Control"] == f"max-age={max_age}"
            assert own.headers["Cache-Control"] == f"private, max-age={max_age}"


async def test_pages_of_private_sources_are_asked_for_each_time(run: Run, tmp_path: Path, shelf: Path) -> None:
    (shelf / "mine-1.0.tar.gz").write_bytes(b"x" * 100)
    server = await run(settings(tmp_path / "other", {"shelf": folder(shelf)}))

    assert (await server.page("/simple/mine/")).headers["Cache-Control"] == "max-age=0"
    assert (await server.get("/files/mine/mine-1.0.tar.gz")).headers["Cache-Control"] == "max-age=0"
    assert (await server.get("/links/")).headers["Cache-Control"] == "max-age=0"


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("/simple/Bar/", "/simple/bar/"),
        ("/simple/BAR", "/simple/bar/"),
        ("/simple/bar", "/simple/bar/"),
        ("/simple/Foo__Bar.-baz/", "/simple/foo-bar-baz/"),
        ("/simple", "/simple/"),
        ("/team/simple/Bar", "/team/simple/bar/"),
        ("/team/simple", "/team/simple/"),
        ("/links", "/links/"),
        ("/team/links", "/team/links/"),
        ("/simple/B%61r/", "/simple/bar/"),
    ],
)
async def test_redirects_are_relative_and_keep_the_query(server: LocalServer, path: str, to: str) -> None:
    """So they hold under a prefix, and behind a front end that ends TLS."""
    reply = await server.get(f"{path}?format={JSON}&x=%2F")

    location = reply.headers["Location"]
    assert reply.status == 301
    assert not location.startswith(("/", "http"))
    assert urljoin(f"https://corp.example/prefix{path}", location) == (
        f"https://corp.example/prefix{to}?format={JSON}&x=%2F"
    )


async def test_two_slashes_answer_like_one(server: LocalServer) -> None:
    assert (await server.page("/simple//bar/")).body == (await server.page("/simple/bar/")).body
    assert (await server.get("/simple//")).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/simple/../",
        "/simple/..",
        "/simple/%2e%2e/",
        "/simple/.%2E/",
        "/simple/bar/../bar/",
        "/simple/a%00b/",
        "/simple/-x/",
        "/simple/x-/",
        "/simple/b%C3%A4r/",
        "/simple/b%D0%B0r/",
        "/simple/%FF/",
        "/simple/a%2Fb/",
        "/simple/a%5Cb/",
        "/simple/a%0Ab/",
        "/simple/%20/",
        "/simple/bar/extra/",
        "/simple//",
        "/simple///bar/",
        "/files/bar/",
        "/files/bar/../bar/x.whl",
        "/files/../x.whl",
        "/files/bar/..%2Fx.whl",
        "/files/bar/%2e%2e",
        "/files/bar/a%00.whl",
        f"/files/bar/{WHEEL}/",
        "/explain/../",
        "/explain/a%00b",
        "/explain/",
        "/legacy/",
        "/static/x",
        "//simple/bar/",
        "/team//simple/bar/",
        "/livez/",
        "/..",
        "/%2e%2e/simple/bar/",
    ],
)
async def test_what_nothing_can_be_called_is_404_before_a_source_is_asked(
    server: LocalServer, public: FakeIndex, path: str
) -> None:
    reply = await server.raw(path)

    assert reply.status == 404
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert public.requests == []


@pytest.mark.parametrize(
    "name", ["simple", "files", "links", "legacy", "livez", "readyz", "metrics", "explain", "static"]
)
async def test_projects_may_be_called_as_feeds_may_not(server: LocalServer, public: FakeIndex, name: str) -> None:
    public.has(f"{name}-1.0.tar.gz")

    assert (await server.page(f"/simple/{name}/")).filenames() == [f"{name}-1.0.tar.gz"]
    assert (await server.get(f"/files/{name}/{name}-1.0.tar.gz")).status == 200


async def test_other_methods_are_refused(server: LocalServer, public: FakeIndex) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        reply = await server.get("/simple/bar/", method=method)

        assert reply.status == 405
        assert reply.headers["Allow"] == "GET, HEAD"
    assert public.requests == []


async def test_what_an_upstream_writes_is_escaped(server: LocalServer) -> None:
    page = await server.get("/simple/bar/", accept=HTML)

    assert "<b>" not in page.text
    assert 'data-yanked="bad &lt;b&gt;&quot;build&quot;&lt;/b&gt;"' in page.text
    assert 'data-requires-python="&gt;=3.9,&lt;4"' in page.text
    assert (await server.page("/simple/bar/")).file(WHEEL)["yanked"] == 'bad <b>"build"</b>'


async def test_no_null_is_on_a_page(server: LocalServer, public: FakeIndex) -> None:
    """One makes uv refuse the whole page."""
    public.has("bar-0.1.tar.gz")

    assert "null" not in (await server.page("/simple/bar/")).text
    assert "null" not in (await server.page("/simple/")).text
