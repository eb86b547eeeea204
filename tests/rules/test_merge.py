"""One page out of several: the earlier source wins, file by file."""

from __future__ import annotations

from packaging.utils import canonicalize_name

from proxy.rules.merge import merge
from proxy.simple.model import File, Page, ProjectStatus

BAR = canonicalize_name("bar")


def file(name: str, digest: str, version: str = "1.0") -> File:
    return File(name, f"there/{digest}", version, {"sha256": digest})


def test_a_file_of_two_sources_is_the_earlier_ones_with_its_digest() -> None:
    first = Page(BAR, (file("bar-1.0.tar.gz", "a"), file("bar.egg", "e", "")), ("1.0", "0.9"))
    second = Page(BAR, (file("bar-1.0.tar.gz", "b"), file("bar-2.0.tar.gz", "c", "2.0")), ("1.0", "2.0"))

    merged = merge(BAR, [("one", first), ("two", second)])

    assert [(each.filename, each.sha256, source) for each, source in merged.files] == [
        ("bar-1.0.tar.gz", "a", "one"),
        ("bar.egg", "e", "one"),
        ("bar-2.0.tar.gz", "c", "two"),
    ]
    assert merged.versions == ("1.0", "0.9", "2.0")


def test_the_status_is_the_first_sources_and_each_ones_own_is_kept() -> None:
    quarantined = ProjectStatus("quarantined", "malware")
    merged = merge(
        BAR,
        [("one", Page(BAR, status=ProjectStatus("archived"))), ("two", Page(BAR, status=quarantined))],
    )

    assert merged.status == ProjectStatus("archived")
    assert dict(merged.statuses) == {"one": ProjectStatus("archived"), "two": quarantined}


def test_nothing_merged_is_nothing() -> None:
    merged = merge(BAR, [])

    assert (merged.files, merged.versions, merged.status) == ((), (), None)


def test_of_a_name_that_one_place_has_twice_the_first_counts() -> None:
    page = Page(BAR, (file("bar-1.0.tar.gz", "a"), file("bar-1.0.tar.gz", "b")), ("1.0",))

    merged = merge(BAR, [("one", page)])

    assert [(each.sha256, source) for each, source in merged.files] == [("a", "one")]
    assert merged.versions == ("1.0",)
