"""Promises about which form of a page a client gets."""

from __future__ import annotations

import gzip

import pytest
import zstandard

from proxy.simple.coding import compress
from proxy.simple.negotiation import Coding, MediaType, choose, choose_coding, content_type

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, MediaType.TEXT_HTML),
        ("", MediaType.TEXT_HTML),
        (" ", MediaType.TEXT_HTML),
        ("*/*", MediaType.TEXT_HTML),
        ("text/*", MediaType.TEXT_HTML),
        ("application/*", MediaType.HTML),
        ("text/html", MediaType.TEXT_HTML),
        ("TEXT/HTML; Charset=UTF-8", MediaType.TEXT_HTML),
        ("text/html;level=1", MediaType.TEXT_HTML),
        (HTML, MediaType.HTML),
        (JSON, MediaType.JSON),
        (JSON.upper(), MediaType.JSON),
        ("application/vnd.pypi.simple.latest+json", MediaType.JSON),
        ("application/vnd.pypi.simple.latest+html", MediaType.HTML),
        (f"{JSON}, {HTML}; q=0.1, text/html; q=0.01", MediaType.JSON),
        (f"{JSON}, {HTML};q=0.2, text/html;q=0.01", MediaType.JSON),
        (f"text/html; q=0.01, {HTML}; q=0.1, {JSON}", MediaType.JSON),
        (f"{JSON}, */*;q=0.1", MediaType.JSON),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", MediaType.TEXT_HTML),
        (f"{JSON};q=0.1, text/html;q=0.101", MediaType.TEXT_HTML),
        (f"{JSON};q=0.100, text/html;q=0.1", MediaType.JSON),
        (f"{JSON}, {HTML}, text/html", MediaType.JSON),
        (f"{HTML}, text/html", MediaType.HTML),
        (f"{HTML}, */*", MediaType.HTML),
        (f"{JSON};q=0, */*", MediaType.TEXT_HTML),
        ("text/html;q=0, */*", MediaType.HTML),
        ("text/html;q=0.5, */*", MediaType.HTML),
        ("text/html;q=0.5, application/*;q=0, */*", MediaType.TEXT_HTML),
        (f"text/html;q=0, {HTML};q=0, */*", MediaType.JSON),
        (f'text/html;title="a,b;q=0", {JSON};q=0.5', MediaType.TEXT_HTML),
        ("text/html; Q = 0.5", MediaType.TEXT_HTML),
        ("text/html;q=7", MediaType.TEXT_HTML),
    ],
)
def test_a_page_comes_in_the_form_that_is_liked_best(accept: str | None, form: MediaType) -> None:
    assert choose(accept, None) is form


@pytest.mark.parametrize(
    "accept",
    ["application/json", "text/html;q=0", "*/*;q=0", f"{JSON};q=0.000", "image/png, text/plain", f"{JSON[:-5]}2+json"],
)
def test_nothing_acceptable_is_none(accept: str) -> None:
    assert choose(accept, None) is None


@pytest.mark.parametrize("accept", ["garbage", ",,;", "text/html;q=high", "text/html;q=nan", "a/b/c", ";q=1", '"'])
def test_a_header_that_is_not_valid_counts_as_none(accept: str) -> None:
    assert choose(accept, None) is MediaType.TEXT_HTML


def test_the_format_parameter_beats_the_header() -> None:
    assert choose("text/html", JSON) is MediaType.JSON
    assert choose("application/json", "text/html") is MediaType.TEXT_HTML
    assert choose(JSON, "application/vnd.pypi.simple.latest+html") is MediaType.HTML


def test_a_plus_that_arrives_as_a_space_still_works() -> None:
    assert choose("text/html", "application/vnd.pypi.simple.v1 json") is MediaType.JSON


@pytest.mark.parametrize("format_", ["", "json", "*/*", "text/html;q=1", "application/json"])
def test_a_format_that_we_do_not_have_leaves_it_to_the_header(format_: str) -> None:
    assert choose(JSON, format_) is MediaType.JSON
    assert choose("application/json", format_) is None


def test_html_says_its_encoding_and_json_needs_none() -> None:
    assert content_type(MediaType.JSON) == JSON
    assert content_type(MediaType.HTML) == f"{HTML}; charset=utf-8"
    assert content_type(MediaType.TEXT_HTML) == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        (None, Coding.IDENTITY),
        ("", Coding.IDENTITY),
        ("identity", Coding.IDENTITY),
        ("gzip, deflate", Coding.GZIP),
        ("x-gzip", Coding.GZIP),
        ("gzip, deflate, zstd", Coding.ZSTD),
        ("ZSTD;q=0.8, gzip;q=0.8", Coding.ZSTD),
        ("zstd;q=0.5, gzip", Coding.GZIP),
        ("zstd;q=0, gzip", Coding.GZIP),
        ("gzip;q=0", Coding.IDENTITY),
        ("br", Coding.IDENTITY),
        ("*", Coding.GZIP),
        ("*;q=0, zstd", Coding.ZSTD),
        ("*;q=0", Coding.IDENTITY),
        ("identity;q=0", Coding.IDENTITY),
        ("identity;q=0, *", Coding.GZIP),
        ("gzip;q=0.5, identity", Coding.IDENTITY),
        ("gzip, identity", Coding.GZIP),
        ("gzip;q=x, =;", Coding.IDENTITY),
    ],
)
def test_the_coding_is_the_best_that_the_client_reads(accept_encoding: str | None, coding: Coding) -> None:
    assert choose_coding(accept_encoding) is coding


def test_compressed_bytes_are_the_same_every_time_and_read_back() -> None:
    body = b"page " * 1000

    assert compress(body, Coding.IDENTITY) is body
    assert compress(body, Coding.GZIP) == compress(body, Coding.GZIP)
    assert gzip.decompress(compress(body, Coding.GZIP)) == body
    assert compress(body, Coding.ZSTD) == compress(body, Coding.ZSTD)
    assert zstandard.ZstdDecompressor().decompress(compress(body, Coding.ZSTD)) == body


def test_gzip_carries_no_time_of_day() -> None:
    assert compress(b"page", Coding.GZIP)[4:8] == bytes(4)
