from __future__ import annotations

import pytest

from proxy.simple.model import File, NormalizedName
from proxy.sources.listed import describe, gather

FOO = NormalizedName("foo")


def test_an_object_is_described_by_its_name() -> None:
    found = describe("any/Foo-1.0.0.tar.gz", size=5, upload_time="2026-01-31T10:20:30Z", etag="e", hashes={"md5": "0"})

    assert found == (
        FOO,
        File(
            "Foo-1.0.0.tar.gz",
            "any/Foo-1.0.0.tar.gz",
            "1.0.0",
            {"md5": "0"},
            5,
            "2026-01-31T10:20:30Z",
            etag="e",
        ),
    )


@pytest.mark.parametrize(
    "path",
    ["", "foo", "foo/", "a/.b/foo-1.0.tar.gz", "foo-1.0.tar.gz.tmp", "up.part/foo-1.0.tar.gz", "foo-1.0.tar.gz/x"],
)
def test_what_is_no_distribution_is_not_there(path: str) -> None:
    assert describe(path, size=1, upload_time=None, etag=None) is None


def test_an_upload_that_has_not_begun_is_not_there() -> None:
    assert describe("foo-1.0.tar.gz", size=0, upload_time=None, etag=None) is None
    assert describe("foo-1.0.tar.gz", size=None, upload_time=None, etag=None) is not None


def test_files_are_gathered_in_the_same_order_however_they_come() -> None:
    found = [(FOO, File(name, path)) for name, path in [("b", "b"), ("a", "x/a"), ("a", "w/a"), ("a", "a/b/a")]]

    assert gather(found) == gather(reversed(found)) == {FOO: (File("a", "w/a"), File("b", "b"))}


def test_what_is_known_stays_the_same_object() -> None:
    known = {FOO: (File("a", "a"),)}

    assert gather([(FOO, File("a", "a"))], known)[FOO] is known[FOO]
    assert gather([(FOO, File("a", "a", etag="new"))], known)[FOO] is not known[FOO]
