"""Where redirects may lead, and which credential goes along, over real sockets."""

from __future__ import annotations

import pytest

from proxy.errors import SourceNonsense, SourceRefused
from proxy.sources.redirects import as_target, redacted, why_refused
from proxy.sources.session import Session, Upstream
from tests.fakes.credentials import FakeCredentials
from tests.fakes.fetching import WHEEL, basic, fail, fetch
from tests.fakes.index import SIGNATURE, FakeIndex


async def test_a_credential_stays_behind_when_a_redirect_leads_to_signed_storage(
    session: Session, index: FakeIndex, other: FakeIndex
) -> None:
    """Azure feeds do this, and storage answers 400 to a signed URL with an Authorization header."""
    credentials = FakeCredentials(index.origin, basic("any", "pat"))
    upstream = Upstream(session, name="feed", credentials=credentials)
    index.redirect_files_to(other)

    body = await fetch(upstream, index.file_url(WHEEL), bulk=True)

    assert body == index.files[WHEEL].content
    assert index.requests[0].headers["Authorization"] == basic("any", "pat")
    assert "Authorization" not in other.requests[0].headers
    assert credentials.asked == [index.file_url(WHEEL), f"{other.origin}/blobs/{WHEEL}?{SIGNATURE}"]


async def test_a_signed_location_goes_out_byte_for_byte(upstream: Upstream, index: FakeIndex, other: FakeIndex) -> None:
    signed = "/blobs/a%2Fb.whl?sig=x%2By%2Fz%3D%3d&se=2026-01-01T00%3A00:00Z&sp=r|w&q=%7E~*'()"
    other.status_for("/blobs/a/b.whl", 200, body=b"yes")
    index.redirect("bar", f"{other.origin}{signed}", status=303)

    assert await fetch(upstream, f"{index.url}bar/") == b"yes"
    assert other.requests[0].path == signed


async def test_what_was_meant_for_one_place_does_not_travel_to_another(
    session: Session, index: FakeIndex, other: FakeIndex
) -> None:
    upstream = Upstream(session, name="feed", extra_headers={"X-Api-Key": "secret"})
    other.has_project("bar")
    index.redirect("bar", f"{other.url}bar/")

    async with upstream.get(f"{index.url}bar/", headers={"Accept": "text/html", "X-Other": "1"}) as response:
        assert response.status == 200

    assert index.requests[0].headers["X-Api-Key"] == "secret"
    assert other.requests[0].headers["Accept"] == "text/html"
    assert not {"X-Api-Key", "X-Other"} & set(other.requests[0].headers)


async def test_relative_redirects_are_followed(upstream: Upstream, index: FakeIndex) -> None:
    index.redirect("/simple/Bar", "bar/", status=301)

    async with upstream.get(f"{index.url}Bar") as response:
        assert str(response.url) == f"{index.url}bar/"


async def test_a_loop_of_redirects_ends(upstream: Upstream, index: FakeIndex) -> None:
    index.redirect("bar", f"{index.url}bar/")

    error = await fail(upstream, f"{index.url}bar/")

    assert isinstance(error, SourceNonsense)
    assert "more than 5 times" in error.reason
    assert len(index.requests) == 6


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://169.254.169.254/metadata",
        "https://169.254.169.254/metadata",
        "https://[fe80::1]/",
        "https://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://feed.example/simple/",
        "https://[broken/",
        "data:text/html,hello",
        "javascript:alert(1)",
    ],
)
async def test_a_redirect_to_where_nothing_may_be_asked_is_refused(
    upstream: Upstream, index: FakeIndex, location: str
) -> None:
    index.redirect("bar", location)

    error = await fail(upstream, f"{index.url}bar/")

    assert isinstance(error, SourceNonsense)
    assert len(index.requests) == 1


@pytest.mark.parametrize("url", ["http://feed.example/simple/", "file:///srv/x", "https://169.254.1.2/", "nothing"])
async def test_a_url_that_may_not_be_asked_is_refused(upstream: Upstream, url: str) -> None:
    assert isinstance(await fail(upstream, url), SourceNonsense)


async def test_a_user_in_a_location_is_not_used(upstream: Upstream, index: FakeIndex) -> None:
    index.redirect("old", f"http://someone:secret@127.0.0.1:{index.port}/simple/bar/")

    await fetch(upstream, f"{index.url}old/")

    assert "Authorization" not in index.requests[1].headers


async def test_a_sas_is_added_to_the_query_and_shown_nowhere(session: Session, index: FakeIndex) -> None:
    credentials = FakeCredentials(index.origin, query="sv=1&sig=se%2Fcret%3D")
    upstream = Upstream(session, name="feed", credentials=credentials)
    index.status_for("gone", 418)

    await fetch(upstream, f"{index.url}bar/")
    error = await fail(upstream, f"{index.url}gone/?v=1")

    assert index.requests[0].path == "/simple/bar/?sv=1&sig=se%2Fcret%3D"
    assert index.requests[1].path == "/simple/gone/?v=1&sv=1&sig=se%2Fcret%3D"
    assert "sig" not in f"{error} {error.remedy}"


async def test_a_refused_credential_is_re_read_and_tried_once_more(session: Session, index: FakeIndex) -> None:
    index.require_auth(None, "new")
    credentials = FakeCredentials(index.origin, basic("any", "old"), basic("any", "new"))
    upstream = Upstream(session, name="feed", credentials=credentials)

    await fetch(upstream, f"{index.url}bar/")

    assert credentials.refusals == [f"{index.url}bar/"]
    assert len(index.requests) == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_names_the_credential_and_nothing_of_it(
    session: Session, index: FakeIndex, status: int
) -> None:
    index.status_for("bar", status)
    credentials = FakeCredentials(index.origin, basic("any", "secret"))
    upstream = Upstream(session, name="feed", credentials=credentials)

    error = await fail(upstream, f"{index.url}bar/")

    assert isinstance(error, SourceRefused)
    assert "connection-1" in error.remedy
    assert "secret" not in f"{error}{error.remedy}"
    assert len(index.requests) == 1


async def test_a_refusal_without_a_credential_says_that_none_covers_the_url(
    upstream: Upstream, index: FakeIndex
) -> None:
    index.status_for("bar", 401)

    error = await fail(upstream, f"{index.url}bar/")

    assert isinstance(error, SourceRefused)
    assert "no connection covers" in error.remedy


@pytest.mark.parametrize(
    ("status", "location"),
    [
        (203, None),
        (302, "https://login.microsoft.example/common/oauth2/authorize?x=1"),
        (302, "https://spsprod.visualstudio.example/_signin?realm=x"),
        (302, "/users/sign_in"),
    ],
)
async def test_a_sign_in_page_is_a_refusal(
    upstream: Upstream, index: FakeIndex, status: int, location: str | None
) -> None:
    index.status_for("bar", status, {"Location": location} if location else {}, body=b"<html>Sign in</html>")

    assert isinstance(await fail(upstream, f"{index.url}bar/"), SourceRefused)
    assert len(index.requests) == 1


async def test_a_project_may_be_called_login(upstream: Upstream, index: FakeIndex) -> None:
    index.has_project("login")
    index.redirect("/simple/login", "/simple/login/", status=301)

    assert await fetch(upstream, f"{index.url}login")


# The decisions alone


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("HTTPS://feed.example", "https://feed.example/"),
        ("https://me:secret@feed.example/a?b#c", "https://feed.example/a?b"),
        ("https://feed.example/a b\r\nX: y", "https://feed.example/a%20bX:%20y"),
        ("https://feed.example/%zz/%2f/%2F", "https://feed.example/%zz/%2f/%2F"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
    ],
)
def test_a_url_becomes_one_that_a_request_line_can_hold(url: str, target: str) -> None:
    assert str(as_target(url)) == target


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.1]", True),
        ("0x7f000001", True),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("10.0.0.1", False),
        ("[2001:db8::1]", False),
    ],
)
def test_plain_http_is_for_this_machine_alone(host: str, *, is_ours: bool) -> None:
    assert (why_refused(as_target(f"http://{host}/"), allow_http=False) is None) is is_ours


def test_what_is_no_url_is_shown_as_that() -> None:
    assert redacted("https://[broken/?secret") == "a URL that cannot be read"
    assert redacted("https://me:secret@feed.example/a?sig=secret#secret") == "https://feed.example/a"
