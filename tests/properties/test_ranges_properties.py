from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.ranges import Range, Unsatisfiable, Whole, if_none_match, parse

sizes = st.integers(0, 50)
offsets = st.integers(0, 60)
tags = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'), max_size=8)


def naive(size: int, wanted: list[int]) -> Range | Unsatisfiable:
    """Say which of the wanted offsets a file has, by looking at each."""
    there = [offset for offset in wanted if 0 <= offset < size]
    return Range(there[0], there[-1] + 1, size) if there else Unsatisfiable(size)


@given(sizes, offsets, offsets)
def test_from_one_offset_to_another(size: int, first: int, last: int) -> None:
    found = parse(f"bytes={first}-{last}", size, if_range=None, etag='"e"')

    assert found == (naive(size, list(range(first, last + 1))) if first <= last else Whole())


@given(sizes, offsets)
def test_from_an_offset_on(size: int, first: int) -> None:
    assert parse(f"bytes={first}-", size, if_range=None, etag='"e"') == naive(size, list(range(first, 100)))


@given(st.integers(1, 50), offsets)
def test_the_last_bytes(size: int, length: int) -> None:
    found = parse(f"bytes=-{length}", size, if_range=None, etag='"e"')

    assert found == naive(size, list(range(size - length, size)))


@given(st.text(), sizes, st.none() | st.text(), st.text())
def test_no_header_breaks_it(header: str, size: int, if_range: str | None, etag: str) -> None:
    found = parse(header, size, if_range=if_range, etag=etag)

    assert not isinstance(found, Range) or 0 <= found.start < found.end <= size
    if_none_match(header, etag)


@given(st.lists(st.tuples(st.booleans(), tags), max_size=5), tags)
def test_a_list_of_tags_matches_when_one_of_them_does(listed: list[tuple[bool, str]], own: str) -> None:
    header = ", ".join(("W/" if weak else "") + f'"{tag}"' for weak, tag in listed)

    assert if_none_match(header, f'"{own}"') == any(tag == own for _, tag in listed)
