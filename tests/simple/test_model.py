"""Promises about the values that all layers share."""

from __future__ import annotations

import pytest
from packaging.utils import NormalizedName

from proxy.simple.model import File, Page, ProjectStatus, decode_page, encode


def test_a_file_tells_its_digest_and_whether_it_can_have_metadata() -> None:
    wheel = File("foo-1.0-py3-none-any.whl", "u", hashes={"sha256": "ab"})
    sdist = File("foo-1.0.tar.gz", "u", hashes={"md5": "cd"})

    assert (wheel.sha256, wheel.is_wheel) == ("ab", True)
    assert (sdist.sha256, sdist.is_wheel) == (None, False)


def test_a_page_is_remembered_as_it_was() -> None:
    page = Page(NormalizedName("foo"), (File("foo-1.0.zip", "u"),), ("1.0",), ProjectStatus("archived", "done"))

    assert decode_page(encode(page)) == page


@pytest.mark.parametrize("record", [b"", b"\x00", b"\x93\x01\x02\x03", b"not a record"])
def test_a_record_of_another_shape_is_none(record: bytes) -> None:
    assert decode_page(record) is None
