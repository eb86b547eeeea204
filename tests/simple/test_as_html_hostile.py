"""Pages that are made to keep the parser busy."""

from __future__ import annotations

import pytest
from packaging.utils import NormalizedName

from proxy.simple.as_html import PageUnreadable, parse_page

BASE = "https://index.example/simple/bar/"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>" + b"<div>" * 200_000 + b"</html>",
        b"<html>" + b"<a href=x><div>" * 100_000 + b"</html>",
        b"<a " + b" ".join(b'a%d="x"' % number for number in range(50_000)) + b">x</a>",
        b"<a " + b"/".join(b"a%d" % number for number in range(50_000)) + b">x</a>",
        b"<a " + b"".join(b"a%d='>'" % number for number in range(50_000)) + b">x</a>",
        b"".join(b"<font a=%d>" % number for number in range(50_000)) + b"</font>",
    ],
    ids=["nested", "nested in anchors", "attributes", "by slashes", "by nothing", "formatting"],
)
def test_a_page_that_would_keep_the_parser_busy_for_minutes_is_unreadable(body: bytes) -> None:
    """Its thread cannot be stopped, and a few of them would be all that the server has."""
    with pytest.raises(PageUnreadable):
        parse_page(body, base_url=BASE, project=NormalizedName("bar"))


def test_a_page_of_many_files_is_no_such_page() -> None:
    body = b"".join(b'<li><a href="bar-1.%d.zip" data-requires-python=">=3">x</a></li>' % n for n in range(21_000))

    page = parse_page(b"<!DOCTYPE html><html><body><ul>" + body, base_url=BASE, project=NormalizedName("bar"))

    assert len(page.files) == 21_000
