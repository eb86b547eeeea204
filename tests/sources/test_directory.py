from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from proxy.errors import FileGone, SourceUnavailable
from proxy.simple.model import File, NormalizedName
from proxy.sources.base import CHUNK, Listing
from proxy.sources.directory import Directory
from tests.fakes.archives import wheel

FOO = NormalizedName("foo")
WHEEL = "foo-1.0-py3-none-any.whl"
LONG_AGO = (1_700_000_000, 1_700_000_000)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    path = tmp_path / "shelf"
    path.mkdir()
    return path


def fill(path: Path, *, content: bytes = b"bytes") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def settle(shelf: Path) -> None:
    """Let folders look as if nothing had come or gone for long, so that their time stamps are relied on."""
    for folder in (shelf, *(path for path in shelf.rglob("*") if path.is_dir())):
        os.utime(folder, LONG_AGO)


def urls(listing: Listing) -> dict[str, list[str]]:
    return {project: [file.url for file in files] for project, files in listing.projects.items()}


async def read(source: Directory, file: File) -> bytes:
    async with source.open(file) as body:
        return b"".join([chunk async for chunk in body.chunks])


async def test_files_lie_flat_or_in_folders_and_their_names_decide(shelf: Path) -> None:
    fill(shelf / WHEEL)
    fill(shelf / "bar" / "foo-2.0.tar.gz")
    fill(shelf / "foo" / "3.0" / "foo-3.0.tar.gz")
    fill(shelf / "a" / "b" / "c" / "foo-4.0.tar.gz")

    listing = await Directory("shelf", shelf).list(None)

    assert urls(listing) == {"foo": [WHEEL, "bar/foo-2.0.tar.gz", "foo/3.0/foo-3.0.tar.gz"]}


async def test_hidden_and_unfinished_files_and_folders_are_not_served(shelf: Path) -> None:
    for name in (".hidden/a-1.0.tar.gz", ".a-1.0.tar.gz", "a-1.0.tar.gz.part", "b.tmp/a-1.0.tar.gz", "~a-1.0.tar.gz"):
        fill(shelf / name)
    fill(shelf / "lost+found" / "a-1.0.tar.gz")

    assert urls(await Directory("shelf", shelf).list(None)) == {}


async def test_a_name_that_is_no_text_disturbs_nobody(shelf: Path) -> None:
    fill(shelf / WHEEL)
    fill(shelf / os.fsdecode(b"a\xff-1.0.tar.gz"))

    assert urls(await Directory("shelf", shelf).list(None)) == {"foo": [WHEEL]}


async def test_of_one_name_twice_the_flat_one_wins_until_it_goes(shelf: Path) -> None:
    fill(shelf / "z" / WHEEL, content=b"z")
    fill(shelf / "a" / WHEEL, content=b"a")
    flat = fill(shelf / WHEEL, content=b"flat")
    source = Directory("shelf", shelf)

    first = await source.list(None)
    flat.unlink()
    look = await source.look(FOO, first)
    second = await source.list(first)

    assert urls(first) == {"foo": [WHEEL]}
    assert look is None
    assert urls(second) == {"foo": [f"a/{WHEEL}"]}


async def test_links_are_followed_within_and_never_out(shelf: Path, tmp_path: Path) -> None:
    outside = fill(tmp_path / "outside" / "secret-1.0.tar.gz")
    fill(shelf / "..2026" / WHEEL)
    (shelf / "..now").symlink_to("..2026")
    (shelf / WHEEL).symlink_to(f"..now/{WHEEL}")
    (shelf / "secret-1.0.tar.gz").symlink_to(outside)
    (shelf / "more").symlink_to(outside.parent)
    (shelf / "nowhere-1.0.tar.gz").symlink_to("nowhere")
    (shelf / "round-1.0.tar.gz").symlink_to("round-1.0.tar.gz")
    (shelf / "here").symlink_to(".")
    source = Directory("shelf", shelf)

    listing = await source.list(None)

    assert urls(listing) == {"foo": [WHEEL]}
    assert await read(source, listing.projects[FOO][0]) == b"bytes"
    assert await source.look(NormalizedName("secret"), listing) == ()


async def test_the_folder_itself_may_be_a_link_that_is_switched(tmp_path: Path) -> None:
    fill(tmp_path / "one" / WHEEL)
    fill(tmp_path / "two" / "foo-2.0.tar.gz")
    now = tmp_path / "now"
    now.symlink_to("one")
    source = Directory("shelf", now)

    first = await source.list(None)
    now.unlink()
    now.symlink_to("two")

    assert urls(await source.list(first)) == {"foo": ["foo-2.0.tar.gz"]}


@pytest.mark.parametrize(
    "url",
    ["../outside/a-1.0.tar.gz", "/etc/hostname", "", ".", "a/../../b", "foo\0", "out/a-1.0.tar.gz", "foo//x", "d"],
)
async def test_no_path_leads_out_of_the_folder(shelf: Path, tmp_path: Path, url: str) -> None:
    fill(tmp_path / "outside" / "a-1.0.tar.gz")
    (shelf / "out").symlink_to(tmp_path / "outside")
    (shelf / "d").mkdir()
    source = Directory("shelf", shelf)
    file = File("a-1.0.tar.gz", url)

    with pytest.raises(FileGone):
        await read(source, file)
    assert await asyncio.to_thread(source.path_of, file) is None


async def test_a_folder_that_became_a_link_outwards_is_not_followed(shelf: Path, tmp_path: Path) -> None:
    fill(shelf / "in" / WHEEL)
    source = Directory("shelf", shelf)
    listing = await source.list(None)
    (shelf / "in").rename(tmp_path / "out")
    (shelf / "in").symlink_to(tmp_path / "out")

    with pytest.raises(FileGone):
        await read(source, listing.projects[FOO][0])
    assert urls(await source.list(listing)) == {}


async def test_bytes_written_in_place_with_the_date_put_back_are_another_file(shelf: Path) -> None:
    path = fill(shelf / WHEEL, content=b"one")
    os.utime(path, LONG_AGO)
    settle(shelf)
    source = Directory("shelf", shelf)
    listing = await source.list(None)
    path.write_bytes(b"two")
    os.utime(path, LONG_AGO)
    settle(shelf)

    looked = await source.look(FOO, listing)

    assert looked is not None
    assert looked[0].etag != listing.projects[FOO][0].etag
    assert (await source.list(listing)).projects[FOO] == looked


async def test_what_comes_in_any_folder_is_seen_by_a_look(shelf: Path) -> None:
    fill(shelf / "a" / "bar-1.0.tar.gz")
    source = Directory("shelf", shelf)
    for trusted in (True, False):
        listing = await source.list(None)
        if trusted:
            settle(shelf)
            listing = await source.list(listing)
        fill(shelf / "a" / f"foo-1.{trusted:d}.tar.gz")
        fill(shelf / "new" / str(trusted) / f"Foo-2.{trusted:d}.tar.gz")

        looked = await source.look(FOO, listing)

        assert looked is not None
        assert {f"a/foo-1.{trusted:d}.tar.gz", f"new/{trusted}/Foo-2.{trusted:d}.tar.gz"} <= {one.url for one in looked}


async def test_a_look_tells_projects_apart_whose_names_begin_alike(shelf: Path) -> None:
    source = Directory("shelf", shelf)
    listing = await source.list(None)
    fill(shelf / "foo-bar-1.0.tar.gz")
    fill(shelf / "foobar-1.0.tar.gz")

    assert await source.look(FOO, listing) == ()


async def test_a_wheel_that_is_being_copied_is_shown_once_it_is_whole(shelf: Path) -> None:
    content = wheel(before=[("foo/big", os.urandom(100_000))])
    path = fill(shelf / WHEEL, content=content[:50_000])
    fill(shelf / "foo-2.0.tar.gz", content=b"PK\x03\x04 is no ZIP archive by its name")
    source = Directory("shelf", shelf)

    growing = await source.list(None)
    settle(shelf)
    growing = await source.list(growing)
    with path.open("ab") as file:
        file.write(content[50_000:])
    os.utime(shelf, LONG_AGO)
    looked = await source.look(FOO, growing)

    assert urls(growing) == {"foo": ["foo-2.0.tar.gz"]}
    assert looked is not None
    assert [file.filename for file in looked] == [WHEEL, "foo-2.0.tar.gz"]


async def test_a_wheel_that_stays_broken_is_shown_as_it_is(shelf: Path) -> None:
    os.utime(fill(shelf / WHEEL, content=wheel()[:-5]), LONG_AGO)

    assert urls(await Directory("shelf", shelf).list(None)) == {"foo": [WHEEL]}


async def test_the_upload_time_is_that_of_the_last_change(shelf: Path) -> None:
    os.utime(fill(shelf / WHEEL), (0, 1_769_854_830.5))

    listing = await Directory("shelf", shelf).list(None)

    assert listing.projects[FOO][0].upload_time == "2026-01-31T10:20:30Z"


async def test_a_vanished_folder_is_an_outage_that_says_what_to_do(shelf: Path) -> None:
    source = Directory("shelf", shelf / "missing")

    with pytest.raises(SourceUnavailable, match=r"source shelf: .*missing cannot be read: no such file") as raised:
        await source.list(None)
    assert "`path` of the source shelf" in raised.value.remedy

    with pytest.raises(SourceUnavailable):
        await asyncio.to_thread(source.path_of, File(WHEEL, WHEEL))


async def test_a_file_in_place_of_the_folder_is_an_outage(shelf: Path) -> None:
    with pytest.raises(SourceUnavailable, match="not a directory"):
        await Directory("shelf", fill(shelf / "file")).list(None)


async def test_a_folder_is_made_once_if_that_is_wished(shelf: Path) -> None:
    path = shelf / "deep" / "packages"
    source = Directory("packages", path, create=True)

    listing = await source.list(None)
    path.rmdir()

    assert urls(listing) == {}
    with pytest.raises(SourceUnavailable):
        await source.list(listing)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads everything")
async def test_a_folder_that_may_not_be_read_is_an_outage(shelf: Path) -> None:
    fill(shelf / "private" / WHEEL)
    (shelf / "private").chmod(0)

    with pytest.raises(SourceUnavailable, match="permission denied") as raised:
        await Directory("shelf", shelf).list(None)
    (shelf / "private").chmod(0o700)
    assert "let the user" in raised.value.remedy


async def test_a_mount_that_hangs_is_an_outage(shelf: Path) -> None:
    with pytest.raises(SourceUnavailable, match="silent for 0 s"):
        await Directory("shelf", shelf, timeout=0).list(None)


async def test_what_is_no_regular_file_is_not_served(shelf: Path) -> None:
    os.mkfifo(shelf / WHEEL)
    (shelf / "bar-1.0.tar.gz").mkdir()

    assert urls(await Directory("shelf", shelf).list(None)) == {}


async def test_a_folder_of_very_many_files_is_read_for_all_projects_at_once_where_many_are_asked_for(
    shelf: Path,
) -> None:
    for number in range(1001):
        fill(shelf / f"p{number}-1.0.tar.gz")
    settle(shelf)
    source = Directory("shelf", shelf)
    listing = await source.list(None)

    unchanged = await source.look(NormalizedName("p7"), listing)
    fill(shelf / WHEEL)

    assert unchanged is listing.projects[NormalizedName("p7")]
    looks = 0
    while await source.look(FOO, listing) is not None:
        looks += 1
        assert looks < 10_000
    assert FOO in (await source.list(listing)).projects


async def test_one_new_file_among_very_many_is_found_by_its_name(shelf: Path) -> None:
    """Reading all of them for it would cost as much as all of them are."""
    for number in range(1001):
        fill(shelf / f"p{number}-1.0.tar.gz")
    fill(shelf / "Foo_-Bar-1.0.tar.gz")
    settle(shelf)
    source = Directory("shelf", shelf)
    listing = await source.list(None)

    fill(shelf / "Foo._bar-2.0.tar.gz")
    fill(shelf / "more" / "foo-bar-3.0.tar.gz")
    (shelf / "link").symlink_to("more")
    found = await source.look(NormalizedName("foo-bar"), listing)

    assert found is not None
    assert {file.version for file in found} == {"1.0", "2.0", "3.0"}
    assert found == (await source.list(listing)).projects[NormalizedName("foo-bar")]


async def test_among_very_many_folders_a_look_knows_where_to_go(shelf: Path) -> None:
    for number in range(300):
        fill(shelf / f"p{number}" / f"p{number}-1.0.tar.gz")
    fill(shelf / "misc" / WHEEL)
    source = Directory("shelf", shelf)
    listing = await source.list(None)
    settle(shelf)
    listing = await source.list(listing)
    fill(shelf / "misc" / "foo-2.0.tar.gz")
    fill(shelf / "Foo" / "foo-3.0.tar.gz")

    looked = await source.look(FOO, listing)

    assert looked is not None
    assert [file.version for file in looked] == ["1.0", "2.0", "3.0"]


async def test_a_file_knows_where_it_is_as_long_as_it_is_the_one(shelf: Path) -> None:
    path = fill(shelf / "a" / WHEEL)
    source = Directory("shelf", shelf)
    (file,) = (await source.list(None)).projects[FOO]

    found = await asyncio.to_thread(source.path_of, file)
    path.write_bytes(b"other")

    assert found == path.resolve()
    assert await asyncio.to_thread(source.path_of, file) is None


async def test_a_file_written_while_it_is_read_is_given_to_nobody(shelf: Path) -> None:
    path = fill(shelf / WHEEL, content=bytes(3 * CHUNK))
    source = Directory("shelf", shelf)
    (file,) = (await source.list(None)).projects[FOO]

    async with source.open(file) as body:
        await anext(aiter(body.chunks))
        with path.open("r+b") as writer:
            writer.seek(CHUNK)
            writer.write(b"other")
        os.utime(path, LONG_AGO)

        with pytest.raises(FileGone):
            [chunk async for chunk in body.chunks]


async def test_a_file_replaced_while_it_is_read_is_given_whole(shelf: Path) -> None:
    content = os.urandom(3 * CHUNK)
    path = fill(shelf / WHEEL, content=content)
    source = Directory("shelf", shelf)
    (file,) = (await source.list(None)).projects[FOO]

    async with source.open(file) as body:
        got = bytes(await anext(aiter(body.chunks)))
        fill(shelf / ".new", content=b"other").replace(path)
        got += b"".join([chunk async for chunk in body.chunks])

    assert got == content


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_cancelled_at_any_moment_it_leaves_nothing_open(shelf: Path) -> None:
    fill(shelf / WHEEL, content=bytes(4 * CHUNK))
    source = Directory("shelf", shelf)
    (file,) = (await source.list(None)).projects[FOO]
    await read(source, file)
    before = open_files()

    for turns in range(60):
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(read(source, file))
            for _ in range(turns):
                await asyncio.sleep(0 if turns % 2 else 0.0001)
            reader.cancel()

    # Threads that were left behind finish first.
    for _ in range(1000):
        if open_files() == before:
            break
        await asyncio.sleep(0.01)
    assert open_files() == before


async def test_a_listing_that_was_expensive_stands_while_no_folder_changes(shelf: Path) -> None:
    """Reading 100,000 files takes a second; folders' time stamps tell most of it in none."""
    fill(shelf / WHEEL)
    settle(shelf)
    source = Directory("shelf", shelf, cheap=-1.0, share=1e9)

    first = await source.list(None)
    second = await source.list(first)
    fill(shelf / "foo-2.0.tar.gz")
    third = await source.list(second)

    assert second is first
    assert urls(third) == {"foo": [WHEEL, "foo-2.0.tar.gz"]}
