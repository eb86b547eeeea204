from __future__ import annotations

import contextlib
import io
import zipfile
from dataclasses import dataclass

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from proxy.rules.wheel import WheelUnreadable, fields_of
from tests.fakes.archives import FOLDER, METADATA, Part, build, drive, find, wheel

NAME = f"{FOLDER}/METADATA"
CUT_IN = st.sampled_from(
    [b"PK\x05\x06", b"PK\x01\x02", b"PK\x06\x06", b"PK\x06\x07", b"PK\x03\x04", b"\xff\xff\xff\xff"]
)
pieces = st.binary(max_size=40) | CUT_IN
some_bytes = st.lists(pieces, max_size=8).map(b"".join)
methods = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
names = st.text(st.sampled_from("abcPK/.-_"), min_size=1, max_size=30).filter(lambda name: not name.startswith("/"))
parts = st.builds(
    Part,
    names,
    some_bytes,
    methods,
    zip64=st.booleans(),
    local_extra=st.binary(max_size=60),
    comment=some_bytes,
    descriptor=st.booleans(),
)


SIGNATURE = b"PK\x05\x06"
END_SIZE = 22
LOCATOR_SIGNATURE = b"PK\x06\x07"
LOCATOR_SIZE = 20


@dataclass
class Case:
    """An archive, and what its METADATA holds."""

    archive: bytes
    metadata: bytes
    zipfile_reads_it: bool


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Give archives in which METADATA stands anywhere, written in any way that is allowed."""
    members = draw(st.lists(parts, max_size=6, unique_by=lambda part: part.name))
    metadata = draw(some_bytes)
    own = Part(NAME, metadata, draw(methods), zip64=draw(st.booleans()), descriptor=draw(st.booleans()))
    members.insert(draw(st.integers(0, len(members))), own)
    filler = Part("filler", draw(st.sampled_from([b"", bytes(20_000), bytes(100_000)])), zipfile.ZIP_STORED)
    members.insert(draw(st.integers(0, len(members))), filler)
    # A comment in which another archive ends exactly where this one does would be that archive.
    comment = draw(some_bytes.filter(lambda text: SIGNATURE not in text[:-21]))
    zip64 = draw(st.booleans())
    archive = build(members, comment=comment, zip64=zip64, prefix=draw(st.sampled_from([b"", b"#!\n"])))
    # A last entry whose comment ends in a locator of nothing is refused: readers differ about such an archive.
    assume(zip64 or not archive.startswith(LOCATOR_SIGNATURE, len(archive) - len(comment) - END_SIZE - LOCATOR_SIZE))
    return Case(archive, metadata, SIGNATURE not in comment)


@given(cases())
def test_it_finds_what_is_there_and_what_zipfile_finds(case: Case) -> None:
    assert find(case.archive)[0] == case.metadata
    if case.zipfile_reads_it:
        with zipfile.ZipFile(io.BytesIO(case.archive)) as opened:
            assert opened.read(NAME) == case.metadata


@given(
    st.lists(st.tuples(names, st.binary(max_size=100)), max_size=5, unique_by=lambda member: member[0]),
    st.binary(max_size=200),
    some_bytes,
)
def test_it_finds_what_zipfile_wrote(before: list[tuple[str, bytes]], metadata: bytes, comment: bytes) -> None:
    if SIGNATURE in comment[:-21]:
        comment = b""

    archive = wheel(metadata, before=before, comment=comment)

    assert find(archive)[0] == metadata


@given(st.binary(max_size=2000) | some_bytes, st.sampled_from([b"", wheel(), wheel(comment=b"x" * 100)]))
def test_garbage_is_unreadable_and_nothing_worse(garbage: bytes, end: bytes) -> None:
    with contextlib.suppress(WheelUnreadable):
        find(garbage + end)
    with contextlib.suppress(WheelUnreadable):
        find(garbage + end + garbage)


@settings(max_examples=400)
@given(cases(), st.data())
def test_a_damaged_archive_is_unreadable_and_nothing_worse(case: Case, choose: st.DataObject) -> None:
    damaged = bytearray(case.archive)
    # The headers at the end are where damage hurts.
    last = min(len(damaged), 600)
    for _ in range(choose.draw(st.integers(1, 6))):
        at = len(damaged) - choose.draw(st.integers(1, last))
        new = choose.draw(st.binary(min_size=1, max_size=8) | CUT_IN)
        damaged[at : at + len(new)] = new

    with contextlib.suppress(WheelUnreadable):
        find(bytes(damaged))


@given(st.integers(0, 1 << 40), some_bytes)
def test_a_source_that_sends_anything_breaks_nothing(size: int, sent: bytes) -> None:
    with contextlib.suppress(WheelUnreadable):
        drive(size, "foo-1.0-py3-none-any.whl", lambda start, end: (sent + bytes(end - start))[-(end - start) :])


@given(
    st.binary()
    | st.lists(st.sampled_from([b"Name", b"Requires-Python", b":", b" ", b"\n", b"\r", b">=3", b"\xff"])).map(b"".join)
)
def test_no_metadata_breaks_the_reading_of_its_fields(metadata: bytes) -> None:
    found = fields_of(metadata)

    assert found.requires_python is None or "\n" not in found.requires_python
    assert fields_of(METADATA + metadata).name in {"foo", None}
