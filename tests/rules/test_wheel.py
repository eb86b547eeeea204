from __future__ import annotations

import os
import random
import struct
import zipfile

import pytest

from proxy.rules.wheel import (
    CoreMetadata,
    WheelUnreadable,
    fields_of,
    find_metadata,
    headers_of,
    read_by,
    requires_python_of,
)
from tests.fakes.archives import FOLDER, METADATA, WHEEL, Part, build, drive, find, wheel

KIB = 1 << 10
NAME = f"{FOLDER}/METADATA"


def read_in_all(ranges: list[tuple[int, int]]) -> int:
    return sum(end - start for start, end in ranges)


def noise(size: int) -> bytes:
    return random.Random(7).randbytes(size)  # noqa: S311 - bytes that do not compress


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_metadata_is_given_byte_for_byte(method: int) -> None:
    metadata = b"Name: foo\r\nVersion: 1.0\n\n\xff\xfe" + noise(5000)

    found, _ = find(wheel(metadata, method=method))

    assert found == metadata


def test_a_wheel_of_any_size_costs_one_read_of_its_tail() -> None:
    archive = wheel(before=[("foo/weights.bin", noise(3_000_000))])

    found, ranges = find(archive)

    assert found == METADATA
    assert len(ranges) == 1
    assert read_in_all(ranges) <= 32 * KIB


def test_a_large_record_behind_metadata_costs_one_read_more() -> None:
    record = (f"{FOLDER}/RECORD", noise(500 * KIB))

    found, ranges = find(wheel(before=[("foo/weights.bin", noise(KIB))], after=[record]))

    assert found == METADATA
    assert len(ranges) == 2
    assert read_in_all(ranges) <= 64 * KIB


def test_a_directory_that_begins_before_the_tail_is_read_together_with_metadata() -> None:
    modules = [(f"foo/module_{number:04}.py", b"") for number in range(1000)]
    archive = wheel(before=[("foo/weights.bin", noise(300 * KIB)), *modules])

    found, ranges = find(archive)

    assert found == METADATA
    assert len(ranges) <= 2
    assert read_in_all(ranges) <= 200 * KIB


def test_of_a_huge_directory_only_the_end_is_read() -> None:
    """The largest wheels have 20,000 members: two megabytes of names, and METADATA among the last of them."""
    modules = [Part("foo/" + "folder/" * 8 + f"module_{number:05}.py") for number in range(20_000)]
    archive = build([*modules, Part(NAME, METADATA), Part(f"{FOLDER}/RECORD", noise(500 * KIB))])

    found, ranges = find(archive)

    assert found == METADATA
    assert len(ranges) <= 3
    assert read_in_all(ranges) <= 64 * KIB


@pytest.mark.parametrize("licences", [100, 500, 1000, 5000])
def test_a_huge_directory_is_read_backwards_until_metadata_is_in_it(licences: int) -> None:
    modules = [Part(f"foo/module_{number:05}.py") for number in range(20_000)]
    texts = [Part(f"{FOLDER}/licenses/of/something/{number:05}.txt") for number in range(licences)]

    found, ranges = find(build([*modules, Part(NAME, METADATA), *texts]))

    assert found == METADATA
    assert len(ranges) <= 5


def test_metadata_at_the_very_front_of_a_huge_directory_is_found() -> None:
    modules = [Part(f"foo/module_{number:05}.py") for number in range(10_000)]

    assert find(build([Part(NAME, METADATA), *modules]))[0] == METADATA


def test_a_comment_of_an_entry_that_looks_like_an_entry_does_not_confuse() -> None:
    comment = b"PK\x01\x02" + bytes(60)
    modules = [Part(f"foo/module_{number:05}.py", comment=comment) for number in range(10_000)]

    assert find(build([*modules, Part(NAME, METADATA)]))[0] == METADATA


@pytest.mark.parametrize(
    ("folder", "filename"),
    [
        ("Foo_Bar-1.0.dist-info", "foo_bar-1.0-py3-none-any.whl"),
        ("foo.bar-1.0.0.dist-info", "foo.bar-1.0.0-py3-none-any.whl"),
        ("foo-bar-1.0.dist-info", "foo_bar-1.0-py3-none-any.whl"),
        ("foo_bar-1.0RC1.dist-info", "Foo_Bar-1.0rc1-1-cp311-cp311-linux_x86_64.whl"),
        ("foo-1.dist-info", "foo-1.0.0-py3-none-any.whl"),
        ("foo_bar-1.0+cu_118.dist-info", "foo_bar-1.0+cu.118-py3-none-any.whl"),
        ("foo_bar-1.0_1.dist-info", "foo_bar-1.0.post1-py3-none-any.whl"),
    ],
)
def test_the_folder_may_be_spelt_otherwise_than_the_file(folder: str, filename: str) -> None:
    assert find(wheel(folder=folder), filename)[0] == METADATA


@pytest.mark.parametrize("folder", ["foobar-1.0", "foo-baz-1.0", "foo_bar", "foo_bar_1.0", "a-" * 250 + "1"])
def test_the_folder_of_another_project_is_not_it(folder: str) -> None:
    archive = build([Part(f"{folder}.dist-info/METADATA", METADATA)])

    with pytest.raises(WheelUnreadable, match="no METADATA"):
        find(archive, "foo_bar-1.0-py3-none-any.whl")


def test_what_is_vendored_is_not_taken_for_the_wheels_own() -> None:
    others = [
        ("foo/_vendor/foo-1.0.dist-info/METADATA", b"wrong"),
        ("bar-1.0.dist-info/METADATA", b"wrong"),
        ("foo-2.0.dist-info/METADATA", b"wrong"),
        ("foo-1.0.dist-info/METADATA.orig", b"wrong"),
        ("foo-1.0.dist-info/sub/METADATA", b"wrong"),
        ("foo-1.0.data/METADATA", b"wrong"),
        ("f\u00f6o-1.0.dist-info/METADATA", b"wrong"),
        ("-" * 10_000 + ".dist-info/METADATA", b"wrong"),
    ]

    assert find(wheel(before=others[:4], after=others[4:]))[0] == METADATA


def test_two_that_could_be_it_are_none() -> None:
    """Clients would disagree on which one counts."""
    twice = [Part(NAME, METADATA), Part(NAME, b"other")]
    spelt = [Part(NAME, METADATA), Part("Foo-1.0.0.dist-info/METADATA", b"other")]

    for parts in (twice, spelt):
        with pytest.raises(WheelUnreadable, match="more than once"):
            find(build(parts))


@pytest.mark.parametrize(
    "comment",
    [
        b"PK\x05\x06",
        b"text PK\x05\x06" + bytes(18) + b"more",
        b"PK\x05\x06" * 8000,
        b"x" * 0xFFFF,
        b"PK\x05\x06" + bytes(0xFFFF - 4),
    ],
)
def test_a_comment_that_holds_the_signature_does_not_hide_the_end(comment: bytes) -> None:
    assert find(wheel(comment=comment))[0] == METADATA
    assert find(build([Part(NAME, METADATA)], comment=comment, zip64=True))[0] == METADATA


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("descriptor", [False, True])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_every_way_to_write_the_numbers_is_read(*, zip64: bool, descriptor: bool, method: int) -> None:
    part = Part(NAME, METADATA, method, zip64=zip64, descriptor=descriptor, local_extra=b"\x01\x00\x10\x00" + bytes(16))

    assert find(build([Part("foo.py", b"1"), part], zip64=zip64))[0] == METADATA


def test_a_header_far_longer_than_the_directory_lets_expect_is_read() -> None:
    part = Part(NAME, METADATA, local_extra=bytes(40_000))

    found, ranges = find(build([part, Part(f"{FOLDER}/RECORD", noise(100 * KIB))]))

    assert found == METADATA
    assert len(ranges) == 3


def test_what_stands_before_the_archive_is_passed_over() -> None:
    assert find(b"#!/bin/sh\n" + wheel())[0] == METADATA
    assert find(build([Part(NAME, METADATA, zip64=True)], zip64=True, prefix=b"#!/bin/sh\n"))[0] == METADATA


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (Part(NAME, METADATA, flags=1), "encrypted"),
        (Part(NAME, METADATA, flags=0x40), "encrypted"),
        (Part(NAME, METADATA, method=zipfile.ZIP_LZMA), "method 14"),
        (Part(NAME, METADATA, says={"crc": 1}), "checksum"),
        (Part(NAME, METADATA, says={"unpacked": 5}), "length"),
        (Part(NAME, METADATA, says={"unpacked": len(METADATA) + 1}), "length"),
        (Part(NAME, METADATA, zipfile.ZIP_STORED, says={"packed": 5}), "length"),
        (Part(NAME, METADATA, says={"packed": 5}), "length"),
        (Part(NAME, METADATA, says={"packed": 10_000}), "reaches into"),
        (Part(NAME, METADATA, says={"offset": 1}), "not where"),
        (Part(NAME, METADATA, says={"offset": 0xFFFFFFFE}), "not where"),
        (Part(NAME, METADATA, says={"offset": 0xFFFFFFFF}), "not where"),
        (Part(NAME, METADATA, local_name="foo-1.0.dist-info/METADATX"), "another name"),
        (Part(NAME, METADATA, says={"unpacked": 17 << 20}), "larger than"),
        (Part(NAME, METADATA, says={"packed": 18 << 20}), "larger than"),
        (Part("foo-1.0.dist-info/metadata", METADATA), "no METADATA of foo 1.0"),
        (Part("foo.py", METADATA), "no METADATA of foo 1.0"),
    ],
)
def test_what_cannot_be_trusted_is_refused_with_the_reason(part: Part, reason: str) -> None:
    with pytest.raises(WheelUnreadable, match=reason):
        find(build([part]))


def test_content_that_does_not_inflate_is_refused() -> None:
    archive = build([Part(NAME, METADATA)])
    content = archive.index(b"METADATA") + len("METADATA")

    with pytest.raises(WheelUnreadable, match="inflated"):
        find(archive[:content] + b"\xff" * 4 + archive[content + 4 :])


def test_a_zip64_field_that_is_too_short_is_refused() -> None:
    archive = build([Part(NAME, METADATA, zip64=True)])
    field = struct.pack("<2H", 1, 24)

    with pytest.raises(WheelUnreadable, match="too short"):
        find(archive.replace(field, struct.pack("<2H", 1, 20)))


def test_a_bomb_is_inflated_no_further_than_it_says_it_is_long() -> None:
    with pytest.raises(WheelUnreadable, match="length"):
        find(build([Part(NAME, bytes(50 << 20), says={"unpacked": 1000})]))
    with pytest.raises(WheelUnreadable, match="larger than"):
        find(build([Part(NAME, bytes(50 << 20))]))


def test_a_very_large_metadata_is_still_read() -> None:
    metadata = METADATA + b"word " * (3 << 20)

    assert find(wheel(metadata))[0] == metadata


@pytest.mark.parametrize("kept", [0, 1, 21, 22, 100, 300, -1, -22])
def test_a_cut_archive_is_refused(kept: int) -> None:
    with pytest.raises(WheelUnreadable):
        find(wheel()[:kept])


def test_an_archive_that_lost_its_front_is_refused() -> None:
    with pytest.raises(WheelUnreadable, match="cut"):
        find(wheel()[100:])


@pytest.mark.parametrize(
    "garbage", [b"<html>Sign in</html>", bytes(100_000), b"PK\x05\x06" * 20_000, os.urandom(90_000)]
)
def test_what_is_no_archive_is_refused(garbage: bytes) -> None:
    with pytest.raises(WheelUnreadable):
        find(garbage)


def test_a_zip64_record_that_is_not_there_is_refused() -> None:
    archive = build([Part(NAME, METADATA)], zip64=True)

    with pytest.raises(WheelUnreadable, match="zip64"):
        find(archive.replace(b"PK\x06\x06", b"PK\x00\x00"))


def test_an_archive_of_several_disks_is_refused() -> None:
    archive = bytearray(wheel())
    archive[-18] = 1

    with pytest.raises(WheelUnreadable, match="disks"):
        find(bytes(archive))


def test_a_directory_larger_than_any_wheels_is_refused_unread() -> None:
    archive = build([Part("x" * 60_000, comment=b"y" * 60_000) for _ in range(80)])

    with pytest.raises(WheelUnreadable, match="central directory is larger"):
        find(archive)


@pytest.mark.parametrize("filename", ["foo-1.0.tar.gz", "foo.whl", "", "foo-bar-baz-1-2-3.whl"])
def test_what_is_not_named_like_a_wheel_is_not_read(filename: str) -> None:
    with pytest.raises(WheelUnreadable, match="not the name of a wheel"):
        next(find_metadata(1000, filename))


def test_bytes_that_do_not_come_are_an_archive_that_is_cut() -> None:
    archive = wheel()

    with pytest.raises(WheelUnreadable, match="cut"):
        drive(len(archive), WHEEL, lambda start, end: archive[start : end - 1])


async def test_it_is_driven_by_whatever_reads_ranges() -> None:
    archive = wheel(
        before=[("foo/weights.bin", noise(100 * KIB))], after=[("foo-1.0.dist-info/RECORD", noise(50 * KIB))]
    )
    ranges = []

    async def read(start: int, end: int) -> bytes:
        ranges.append((start, end))
        return archive[start:end]

    found = await read_by(read, len(archive), WHEEL)

    assert found == METADATA
    assert len(ranges) == 2


async def test_a_large_directory_and_large_metadata_are_read_all_the_same() -> None:
    """Both take so long that they are read in a thread."""
    metadata = METADATA + b"\n" + noise(300 * KIB)
    members = [(f"foo/module_{number}.py", b"") for number in range(1500)]
    archive = wheel(metadata, before=members)

    async def read(start: int, end: int) -> bytes:
        return archive[start:end]

    assert await read_by(read, len(archive), WHEEL) == metadata


async def test_what_reading_raises_is_passed_on() -> None:
    async def read(_start: int, _end: int) -> bytes:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await read_by(read, 1000, WHEEL)


async def test_an_unreadable_wheel_is_told_while_driving() -> None:
    async def read(start: int, end: int) -> bytes:
        return bytes(end - start)

    with pytest.raises(WheelUnreadable):
        await read_by(read, 1000, WHEEL)


def test_the_fields_are_read() -> None:
    assert fields_of(METADATA) == CoreMetadata("foo", "1.0", ">=3.9")
    assert requires_python_of(METADATA) == ">=3.9"


@pytest.mark.parametrize(
    ("metadata", "requires_python"),
    [
        (b"", None),
        (b"Name: foo\n\nRequires-Python: >=3\n", None),
        (b"Requires-Python:\n", None),
        (b"requires-python:   >=3.8,\n  <4  \nName: x\n", ">=3.8, <4"),
        (b"Name: x\r\nRequires-Python: >=3.8\r\n\r\ntext", ">=3.8"),
        (b"Requires-Python: >=3\nRequires-Python: >=4\n", None),
        (b"Requires-Python: \xff\n", None),
        (b"Requires-Python: >=3\x00\n", None),
        (b"Requires-Python: " + b"9" * 2000 + b"\n", None),
        (b"Description: \xff\xfe\nRequires-Python: >=3\n", ">=3"),
        (b"Content-Type: multipart/mixed; boundary=x\nRequires-Python: >=3\n\n--x\n", ">=3"),
    ],
)
def test_requires_python_is_on_one_line_or_not_there(metadata: bytes, requires_python: str | None) -> None:
    assert requires_python_of(metadata) == requires_python


def test_of_megabytes_of_headers_only_the_first_are_read() -> None:
    """A parser takes seconds for them, and a wheel of some kilobytes can hold sixteen megabytes."""
    many = b"Requires-Python: >=3.9\n" + b"Requires-Dist: a\n" * 900_000

    assert len(headers_of(many)) <= 512 << 10
    assert headers_of(many).endswith(b"Requires-Dist: a\n")
    assert headers_of(b"Name: foo\n\n" + b"x" * (1 << 20)) == b"Name: foo"
    assert requires_python_of(many) == ">=3.9"
