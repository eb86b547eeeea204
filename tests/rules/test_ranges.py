from __future__ import annotations

import pytest

from proxy.rules.ranges import Range, Unsatisfiable, Whole, if_none_match, parse

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-4", 2, 5),
        ("bytes=9-9", 9, 10),
        ("bytes=4-", 4, 10),
        ("bytes=0-", 0, 10),
        ("bytes=-1", 9, 10),
        ("bytes=-10", 0, 10),
        ("bytes=-11", 0, 10),
        ("bytes=-" + "9" * 400, 0, 10),
        ("bytes=5-" + "9" * 400, 5, 10),
        ("bytes=0005-0007", 5, 8),
        ("BYTES=1-2", 1, 3),
        ("bytes= 1-2 ", 1, 3),
        ("bytes=,1-2,", 1, 3),
    ],
)
def test_a_single_range_is_cut_to_the_file(header: str, start: int, end: int) -> None:
    found = parse(header, 10, if_range=None, etag=ETAG)

    assert found == Range(start, end, 10)


def test_a_range_says_its_length_and_its_header() -> None:
    found = parse("bytes=2-4", 10, if_range=None, etag=ETAG)

    assert isinstance(found, Range)
    assert found.length == 3
    assert found.content_range == "bytes 2-4/10"


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=" + "9" * 400 + "-"])
def test_a_range_behind_the_end_is_unsatisfiable(header: str) -> None:
    found = parse(header, 10, if_range=None, etag=ETAG)

    assert found == Unsatisfiable(10)
    assert found.content_range == "bytes */10"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=--1",
        "bytes=1",
        "bytes=a-b",
        "bytes=3-2",
        "bytes=1 - 2",
        "bytes=+1-2",
        "bytes=1-2x",
        "bytes=1-2\n",
        "bytes=\u0661-\u0662",
        "bytes=0-0,2-3",
        "bytes=0-" + "9" * 5000,
        "bytes=-" + "9" * 5000,
        "items=0-1",
        "0-1",
        "=0-1",
    ],
)
def test_what_is_not_one_byte_range_gives_the_whole(header: str) -> None:
    assert parse(header, 10, if_range=None, etag=ETAG) == Whole()


def test_no_range_gives_the_whole() -> None:
    assert parse(None, 10, if_range=ETAG, etag=ETAG) == Whole()


def test_an_empty_file_has_no_first_byte_and_all_of_its_last_ones() -> None:
    assert parse("bytes=0-0", 0, if_range=None, etag=ETAG) == Unsatisfiable(0)
    assert parse("bytes=0-", 0, if_range=None, etag=ETAG) == Unsatisfiable(0)
    assert parse("bytes=-5", 0, if_range=None, etag=ETAG) == Whole()
    assert parse("bytes=-0", 0, if_range=None, etag=ETAG) == Unsatisfiable(0)


def test_the_same_strong_tag_lets_a_client_resume() -> None:
    assert parse("bytes=5-", 10, if_range='"abc" ', etag=ETAG) == Range(5, 10, 10)


@pytest.mark.parametrize("if_range", ['"old"', 'W/"abc"', "abc", "", "*", "Sat, 31 Jan 2026 10:20:30 GMT"])
def test_any_other_condition_gives_the_whole_file(if_range: str) -> None:
    """To append the rest of another file to what is there would corrupt it without a word."""
    assert parse("bytes=5-", 10, if_range=if_range, etag=ETAG) == Whole()
    assert parse("bytes=50-", 10, if_range=if_range, etag=ETAG) == Whole()


@pytest.mark.parametrize("etag", ['W/"abc"', ""])
def test_a_representation_without_a_strong_tag_is_never_resumed(etag: str) -> None:
    assert parse("bytes=5-", 10, if_range=etag, etag=etag) == Whole()


@pytest.mark.parametrize(
    "header", ["*", " * ", '"abc"', 'W/"abc"', '"x", "abc"', '"x",W/"abc" , "y"', ',, "abc"', '"a,b","abc"']
)
def test_a_client_that_has_it_is_told_so(header: str) -> None:
    assert if_none_match(header, ETAG)
    assert if_none_match(header, "W/" + ETAG)


@pytest.mark.parametrize(
    "header", [None, "", "abc", '"x"', '"ABC"', 'w/"abc"', '"x" "abc"', 'y"abc"', '"abc', "*, x", '",abc,"', "  "]
)
def test_a_client_that_has_something_else_is_sent_this(header: str | None) -> None:
    assert not if_none_match(header, ETAG)
