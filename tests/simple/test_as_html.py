"""Promises about reading and writing pages and project lists as HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Literal

import pytest
from packaging.utils import NormalizedName

from proxy.simple.as_html import (
    PageUnreadable,
    iter_names,
    parse_names,
    parse_page,
    render_links,
    render_names,
    render_page,
    sniff,
)
from proxy.simple.links import Links, flat_href
from proxy.simple.model import File, Page, ProjectStatus

FOO = NormalizedName("foo")
BASE = "https://index.example/team/simple/foo/"
SHA256 = "0123456789abcdef" * 4
WHEEL = "foo-1.0-py3-none-any.whl"


def read(markup: str | bytes, encoding: str | None = None) -> Page:
    body = markup.encode() if isinstance(markup, str) else markup
    return parse_page(body, base_url=BASE, project=FOO, encoding=encoding)


def read_one(attributes: str, href: str = f"https://files.example/{WHEEL}") -> File:
    (file,) = read(f'<a href="{href}" {attributes}>{WHEEL}</a>').files
    return file


class Anchors(HTMLParser):
    """Reads a page as pip does: with the standard library."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self.tags: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "a":
            self.found.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.found and self.lasttag == "a" and not self.found[-1][1]:
            self.found[-1] = (self.found[-1][0], data)


def test_a_page_of_today_is_read_whole() -> None:
    page = read(
        f"""<!DOCTYPE html><html><head>
        <meta name="pypi:repository-version" content="1.4">
        <meta name="pypi:project-status" content="archived">
        <meta name="pypi:project-status-reason" content="done &amp; dusted">
        <title>Links for foo</title></head><body><h1>Links for foo</h1>
        <a href="../../packages/ab/{WHEEL}#sha256={SHA256}" data-requires-python="&gt;=3.9" data-yanked="broken"
           data-core-metadata="sha256={SHA256}" data-dist-info-metadata="sha256={SHA256}" data-gpg-sig="true"
           data-provenance="https://files.example/p">{WHEEL}</a><br>
        </body></html>"""
    )

    assert page == Page(
        name=FOO,
        files=(
            File(
                filename=WHEEL,
                url=f"https://index.example/team/packages/ab/{WHEEL}",
                version="1.0",
                hashes={"sha256": SHA256},
                requires_python=">=3.9",
                core_metadata=SHA256,
                yanked="broken",
                provenance="https://files.example/p",
            ),
        ),
        versions=("1.0",),
        status=ProjectStatus("archived", "done & dusted"),
    )


@pytest.mark.parametrize(
    "markup",
    [
        f"<A HREF={WHEEL}>x</A>",
        f"<a href='{WHEEL}'>x</a>",
        f'<a\n  href = "{WHEEL}"\n>\n  foo\n  1.0\n</a>',
        f"<a href={WHEEL}>never closed",
        f'<p>text first</p><a class=x href=" {WHEEL}\n">x</a>',
        f'Links<br/><a href="{WHEEL}">x</a>',
        f'<?xml version="1.0"?><!DOCTYPE html><html><body><a href="{WHEEL}">x</a></body></html>',
        f'\ufeff<html><body><a href="{WHEEL}">x</a></body></html>',
        f'<form><input type=password></form><a href="{WHEEL}">x</a>',
    ],
)
def test_markup_of_every_style_is_read(markup: str) -> None:
    assert [file.url for file in read(markup).files] == [BASE + WHEEL]


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://cdn.example/x/", f"https://cdn.example/x/{WHEEL}"),
        ("../", f"https://index.example/team/simple/{WHEEL}"),
        ("javascript:x", BASE + WHEEL),
        ("", BASE + WHEEL),
    ],
)
def test_a_base_element_moves_relative_links(base: str, url: str) -> None:
    page = read(f'<html><head><base href="{base}"></head><body><a href="{WHEEL}">x</a></body></html>')

    assert page.files[0].url == url


def test_entities_in_links_are_read() -> None:
    assert read_one("", "foo-1.0&#43;cu&amp;x-py3-none-any.whl").filename == "foo-1.0+cu&x-py3-none-any.whl"


def test_the_name_is_the_end_of_the_link_decoded() -> None:
    file = read_one("", f"https://files.example/foo-1.0%2Bcu-py3-none-any.whl?sig=a/b.zip#sha256={SHA256}")

    assert file.filename == "foo-1.0+cu-py3-none-any.whl"
    assert file.version == "1.0+cu"
    assert file.url == "https://files.example/foo-1.0%2Bcu-py3-none-any.whl?sig=a/b.zip"


@pytest.mark.parametrize(
    "markup",
    [
        f"<script>document.write('<a href=\"{WHEEL}\">x</a>')</script>",
        f'<!-- <a href="{WHEEL}">x</a> -->',
        f'<template><a href="{WHEEL}">x</a></template>',
        f'<textarea><a href="{WHEEL}">x</a></textarea>',
        f"<a>{WHEEL}</a>",
        f'<a name="{WHEEL}">{WHEEL}</a>',
        "<a href>x</a>",
        '<a href="../">up</a><a href="/simple/">list</a><a href="https://foo.example/">home</a>',
        f'<a href="file:///{WHEEL}">x</a><a href="data:x,{WHEEL}">x</a><a href="javascript:{WHEEL}">x</a>',
        f'<a href="https://files.example/..%2F{WHEEL}">x</a>',
        f'<a href="{WHEEL}.metadata">x</a><a href="{WHEEL}.asc">x</a>',
        '<a href="https://[/foo-1.0.zip">x</a>',
    ],
)
def test_what_only_looks_like_a_link_to_a_file_is_none(markup: str) -> None:
    page = read(f'<html><head><meta name="pypi:repository-version" content="1.0"></head><body>{markup}</body></html>')

    assert page == Page(name=FOO)


@pytest.mark.parametrize(
    ("fragment", "hashes"),
    [
        ("", {}),
        ("#", {}),
        (f"#sha256={SHA256}", {"sha256": SHA256}),
        (f"#SHA256={SHA256.upper()}", {"sha256": SHA256}),
        ("#md5=" + "a" * 32, {"md5": "a" * 32}),
        ("#sha512=" + "a" * 128, {"sha512": "a" * 128}),
        (f"#egg=foo&amp;sha256={SHA256}&amp;md5={'a' * 32}", {"sha256": SHA256}),
        ("#egg=foo", {}),
        ("#top", {}),
        ("#sha256=short", {}),
    ],
)
def test_the_digest_is_in_the_fragment(fragment: str, hashes: dict[str, str]) -> None:
    file = read_one("", f"https://files.example/{WHEEL}{fragment}")

    assert file.hashes == hashes
    assert file.url == f"https://files.example/{WHEEL}"


@pytest.mark.parametrize(
    ("attributes", "core_metadata"),
    [
        ("", False),
        (f'data-core-metadata="sha256={SHA256}"', SHA256),
        (f'data-core-metadata="SHA256={SHA256}"', True),
        (f'data-dist-info-metadata="sha256={SHA256.upper()}"', SHA256),
        ('data-core-metadata="true"', True),
        ("data-core-metadata", True),
        ('data-core-metadata="false" data-dist-info-metadata="true"', False),
        ('data-core-metadata="md5=abc"', True),
    ],
)
def test_core_metadata_is_read_by_both_names(attributes: str, core_metadata: bool | str) -> None:
    assert read_one(attributes).core_metadata == core_metadata


def test_only_wheels_have_core_metadata() -> None:
    assert read_one("data-core-metadata=true", "foo-1.0.tar.gz").core_metadata is False


@pytest.mark.parametrize(
    ("attributes", "yanked"),
    [("", False), ("data-yanked", True), ('DATA-YANKED=""', True), ('data-yanked=" bad\n&lt;b&gt; "', "bad <b>")],
)
def test_a_yank_is_read_with_and_without_a_reason(attributes: str, yanked: bool | str) -> None:
    assert read_one(attributes).yanked == yanked


@pytest.mark.parametrize(
    ("value", "requires_python"),
    [("&gt;=3.9", ">=3.9"), (">=3.9", ">=3.9"), ("&amp;gt;=3.9", ">=3.9"), ("", None), ("junk", None)],
)
def test_a_requirement_is_read_however_it_is_escaped(value: str, requires_python: str | None) -> None:
    assert read_one(f'data-requires-python="{value}"').requires_python == requires_python


def test_of_two_links_with_one_name_the_first_counts() -> None:
    page = read(f'<a href="a/{WHEEL}">x</a><a href="b/{WHEEL}">x</a>')

    assert [file.url for file in page.files] == [f"{BASE}a/{WHEEL}"]


@pytest.mark.parametrize("encoding", [None, "utf-8", "windows-1252", "US-ASCII", "base64", "idna", "no such", "utf-16"])
def test_a_wrong_or_odd_encoding_does_not_cost_the_page(encoding: str | None) -> None:
    body = f'<html><body><a href="{WHEEL}" data-yanked="x">x</a></body></html>'.encode()

    assert read(body, encoding).files[0].filename == WHEEL


@pytest.mark.parametrize("encoding", ["windows-1252", None])
def test_a_page_that_says_its_encoding_is_read_in_it(encoding: str | None) -> None:
    declared = '<meta charset="windows-1252">' if encoding is None else ""
    body = f'<html>{declared}<a href="{WHEEL}" data-yanked="caf\u00e9">x</a></html>'.encode("cp1252")

    assert read(body, encoding).files[0].yanked == "caf\u00e9"


@pytest.mark.parametrize(
    "markup",
    [
        "<html><head><title>Links for foo</title></head><body><h1>Links for foo</h1></body></html>",
        "<!doctype html><body></body>",
        "<html><head><title>Links for flask-login</title></head><body></body></html>",
        '<html><head><meta name="pypi:repository-version" content="1.0"></head><script>x()</script></html>',
    ],
)
def test_a_page_without_anchors_is_an_empty_project(markup: str) -> None:
    assert read(markup) == Page(name=FOO)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \r\n\t",
        b"\x89PNG\r\n\x1a\n\x00\x00<a href='foo-1.0.zip'>x</a>",
        b"PK\x03\x04\x00",
        b"just text",
        b'{"error": "no"}',
        b"<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code></Error>",
        b"<html><head><title>Sign in to your account</title></head><body></body></html>",
        b"<html><head><title>Corp</title></head><body><h1>Log in</h1></body></html>",
        b"<html><body><form><input name=p TYPE='Password'></form></body></html>",
        b"<html><head><meta name='pypi:repository-version' content='1.0'></head><input type=password></html>",
        b"<html><body><div id=root></div><script src=app.js></script></body></html>",
        b"<html><head><meta http-equiv='Refresh' content='0;url=/login'></head></html>",
        b"<html><head><meta name='pypi:repository-version' content='2.0'></head></html>",
        b"<html><a href='foo-1.0.zip'>foo-1.0.zip</a><br><a href='foo-2.0.z",
        b"<html><a href='foo-1.0.zip'>foo-1.0.zip</a><br><a href='foo-2.0.zip'>foo-2",
        b"<html><a href='foo-1.0.zip'>foo-1.0.zip</a",
    ],
)
def test_what_is_no_index_page_is_never_an_empty_project(body: bytes) -> None:
    with pytest.raises(PageUnreadable) as caught:
        read(body)

    assert caught.value.reason


@pytest.mark.parametrize(
    ("body", "content_type", "form"),
    [
        (b'{"files": []}', "text/html", "json"),
        (b' \n[{"name": "a"}]', None, "json"),
        (b'\xef\xbb\xbf{"a": 1}', "application/octet-stream", "json"),
        (b"<!DOCTYPE html>", "application/vnd.pypi.simple.v1+json", "html"),
        (b"\xef\xbb\xbf <a href=x>", None, "html"),
        (b"Links <a href=x>", "Text/HTML; charset=utf-8", "html"),
        (b"Links <a href=x>", "application/vnd.pypi.simple.v1+html", "html"),
        (b"Links <a href=x>", None, "html"),
        (b"Links <a href=x>", "application/json", None),
        (b"Links", "text/html", None),
        (b"", "text/html", None),
        (b"\x1f\x8b\x08", "application/json", None),
        (b"<a>\x00", "text/html", None),
    ],
)
def test_a_body_is_told_by_what_it_is_not_by_its_label(
    body: bytes, content_type: str | None, form: Literal["json", "html"] | None
) -> None:
    assert sniff(body, content_type) == form


def test_what_is_written_is_what_clients_of_all_ages_read() -> None:
    file = File(
        "foo-1.0+cu-py3-none-any.whl",
        "https://secret.example/a?sig=x",
        hashes={"sha256": SHA256},
        requires_python=">=3",
        core_metadata=SHA256,
        yanked="bad",
        provenance="https://secret.example/p",
    )

    page = render_page(Page(FOO, (file,)), Links(FOO, "https://pypi.corp.example/"))

    assert Anchors(page).found == [
        (
            {
                "href": f"../../files/foo/foo-1.0%2Bcu-py3-none-any.whl#sha256={SHA256}",
                "data-requires-python": ">=3",
                "data-core-metadata": f"sha256={SHA256}",
                "data-dist-info-metadata": f"sha256={SHA256}",
                "data-yanked": "bad",
                "data-provenance": "https://pypi.corp.example/files/foo/foo-1.0%2Bcu-py3-none-any.whl.provenance",
            },
            "foo-1.0+cu-py3-none-any.whl",
        )
    ]
    assert b'<meta name="pypi:repository-version" content="1.4">' in page
    assert b"secret" not in page


def test_attributes_without_a_value_are_left_out() -> None:
    page = render_page(
        Page(FOO, (File(WHEEL, "u", core_metadata=True, yanked=True), File("foo-1.zip", "u"))), Links(FOO)
    )

    (first, _), (second, _) = Anchors(page).found
    assert first == {
        "href": f"../../files/foo/{WHEEL}",
        "data-core-metadata": "true",
        "data-dist-info-metadata": "true",
        "data-yanked": "",
    }
    assert second == {"href": "../../files/foo/foo-1.zip"}


def test_nothing_of_an_upstreams_markup_survives() -> None:
    hostile = '"><script>alert(1)</script>'
    file = File(f"{hostile}.whl", "u", requires_python=hostile, yanked=hostile, provenance=hostile)
    status = ProjectStatus(hostile, hostile)

    page = render_page(Page(FOO, (file,), status=status), Links(FOO), reason=hostile, explain_href=hostile)
    flat = render_links([(file, flat_href(FOO, file.filename))], title=hostile)

    for rendered in (page, flat):
        assert b"<script" not in rendered
        assert len(Anchors(rendered).found) == 1


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (None, None),
        (ProjectStatus("active"), None),
        (ProjectStatus("archived"), "<p>This project is archived</p>"),
        (ProjectStatus("quarantined", "malware"), "<p>This project is quarantined: malware</p>"),
    ],
)
def test_a_status_is_shown_to_clients_and_to_people(status: ProjectStatus | None, text: str | None) -> None:
    rendered = render_page(Page(FOO, status=status), Links(FOO))

    assert read(rendered).status == status
    assert text is None or text in rendered.decode()
    assert (text is None) == (b"This project" not in rendered)


def test_a_person_is_told_why_and_clients_still_see_no_link() -> None:
    rendered = render_page(Page(FOO), Links(FOO), explain_href="../../explain/foo", reason="2 files are hidden")

    assert b"<p>2 files are hidden</p>" in rendered
    assert b'action="../../explain/foo"' in rendered
    assert "a" not in Anchors(rendered).tags
    assert read(rendered) == Page(FOO)


def test_a_flat_page_links_files_of_many_projects() -> None:
    bar = NormalizedName("bar")
    flat = render_links(
        [
            (File(WHEEL, "u", hashes={"sha256": SHA256}, provenance="p"), flat_href(FOO, WHEEL)),
            (File("bar-1+a.zip", "u"), flat_href(bar, "bar-1+a.zip")),
        ],
        title="All files",
    )

    assert Anchors(flat).found == [
        ({"href": f"../files/foo/{WHEEL}#sha256={SHA256}"}, WHEEL),
        ({"href": "../files/bar/bar-1%2Ba.zip"}, "bar-1+a.zip"),
    ]


def test_a_project_list_is_written_piece_by_piece_and_reads_back() -> None:
    names = [f"Project.{number}" for number in range(5000)]

    pieces = list(iter_names(iter(names)))

    assert len(pieces) == 5
    assert b'<a href="project-7/">Project.7</a>' in pieces[1]
    assert parse_names(b"".join(pieces), base_url=BASE) == names
    assert parse_names(render_names([]), base_url=BASE) == []
    assert b"<b>" not in render_names(["<b>"])


def test_a_project_list_has_links_to_other_things() -> None:
    markup = b"""<html><body><a href="../">../</a><a href="/">Home</a><a href="Foo_Bar/">Foo_Bar</a>
    <a href="/team/simple/x-y/">\n X.Y \n</a><a href="https://index.example/z">z/</a><a href>q</a>
    <a href="a-very-long-name/">a-very-lo..&gt;</a><a href="//[/">w</a></body></html>"""

    names = parse_names(markup, base_url="https://index.example/team/simple/", encoding="utf-8")

    assert names == ["Foo_Bar", "X.Y", "z", "a-very-long-name"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<title>Log in</title>",
        b"<html><script></script></html>",
        b"<meta name='pypi:repository-version' content='2.0'>",
    ],
)
def test_what_is_no_project_list_is_unreadable(body: bytes) -> None:
    with pytest.raises(PageUnreadable):
        parse_names(body, base_url=BASE)
