from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing

import pytest

from proxy.errors import ArtifactWrong, FileGone, SourceNonsense, SourceUnavailable
from proxy.store.artifacts import Artifacts
from proxy.store.download import Download, Downloads
from proxy.tasks import Background
from tests.fakes.folders import remove_in_use
from tests.fakes.openers import Opener, Script


async def collect(download: Download, start: int = 0, end: int | None = None) -> bytes:
    async with aclosing(download.read(start, end)) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def collect_until_error(download: Download) -> tuple[bytes, Exception]:
    seen = bytearray()
    try:
        async with aclosing(download.read()) as chunks:
            async for chunk in chunks:
                seen += chunk
    except Exception as error:  # noqa: BLE001 - it is what the test is about
        return bytes(seen), error
    raise AssertionError("the read ended as if all were well")


async def test_a_reader_gets_the_bytes_and_the_artifact_is_kept(
    downloads: Downloads, artifacts: Artifacts, content: bytes
) -> None:
    opener = Opener(content)

    download = downloads.join(opener.wanted())

    assert await download.started() == len(content)
    assert await collect(download) == content
    artifact = await download.finished()
    assert artifact == artifacts.find(hashlib.sha256(content).hexdigest())
    assert artifact.path.read_bytes() == content
    assert list(artifacts.partials.iterdir()) == []
    assert len(downloads) == 0


async def test_a_hundred_readers_cost_one_request(downloads: Downloads, content: bytes) -> None:
    opener = Opener(content)

    whole = await asyncio.gather(*(collect(downloads.join(opener.wanted())) for _ in range(100)))

    assert all(got == content for got in whole)
    assert opener.opens == [0]


async def test_the_first_bytes_come_before_the_rest_is_there(downloads: Downloads, content: bytes) -> None:
    opener = Opener(content, [Script(stall=100)])
    download = downloads.join(opener.wanted())

    async with aclosing(download.read()) as chunks:
        assert await anext(chunks) == content[:100]
        opener.go.set()
        rest = b"".join([chunk async for chunk in chunks])

    assert content[:100] + rest == content


async def test_the_first_client_leaves_and_the_others_get_everything(downloads: Downloads, content: bytes) -> None:
    opener = Opener(content, [Script(stall=300_000)])
    first = asyncio.ensure_future(collect(downloads.join(opener.wanted())))
    others = [asyncio.ensure_future(collect(downloads.join(opener.wanted()))) for _ in range(5)]
    await opener.stalled.wait()

    first.cancel()
    opener.go.set()

    assert all(got == content for got in await asyncio.gather(*others))
    assert opener.opens == [0]
    assert first.cancelled()


async def test_the_only_client_leaves_and_the_fill_goes_on(
    downloads: Downloads, artifacts: Artifacts, content: bytes
) -> None:
    opener = Opener(content, [Script(stall=300_000)])
    download = downloads.join(opener.wanted())
    async with aclosing(download.read()) as chunks:
        await anext(chunks)

    opener.go.set()

    assert (await download.finished()).size == len(content)
    assert artifacts.find(download.digest or "") is not None


async def test_wrong_bytes_are_never_seen_whole_nor_kept(
    downloads: Downloads, artifacts: Artifacts, content: bytes
) -> None:
    lie = b"\x00" + content[1:]
    opener = Opener(content, [Script(content=lie)])
    download = downloads.join(opener.wanted())

    readers = await asyncio.gather(*(collect_until_error(download) for _ in range(5)))

    assert all(len(seen) < len(content) and isinstance(error, ArtifactWrong) for seen, error in readers)
    with pytest.raises(ArtifactWrong):
        await download.finished()
    assert artifacts.find(hashlib.sha256(lie).hexdigest()) is None
    assert artifacts.find(hashlib.sha256(content).hexdigest()) is None
    assert list(artifacts.partials.iterdir()) == []


async def test_a_source_that_sent_wrong_bytes_is_left_alone_for_a_while(downloads: Downloads, content: bytes) -> None:
    opener = Opener(content, [Script(content=content[::-1])])
    with pytest.raises(ArtifactWrong):
        await downloads.join(opener.wanted()).finished()

    with pytest.raises(ArtifactWrong):
        await downloads.join(opener.wanted()).started()

    assert opener.opens == [0]


async def test_a_cut_connection_is_resumed_where_it_broke(downloads: Downloads, content: bytes) -> None:
    opener = Opener(content, [Script(cut=1_234_567), Script(short=2_000_000), Script()])

    assert await collect(downloads.join(opener.wanted())) == content

    assert opener.opens == [0, 1_234_567, 2_000_000]
    assert opener.sent == len(content)


async def test_a_source_that_ignores_ranges_is_read_again_from_the_start(downloads: Downloads, content: bytes) -> None:
    opener = Opener(content, [Script(cut=1_000_000), Script(ranges=False)])

    assert await collect(downloads.join(opener.wanted())) == content


async def test_other_bytes_at_the_start_of_a_resumed_body_are_never_mixed(downloads: Downloads, content: bytes) -> None:
    """No digest is listed, and no identity: only the bytes themselves tell."""
    other = content[::-1]
    opener = Opener(content, [Script(cut=1_000_000), Script(content=other, ranges=False)])
    download = downloads.join(opener.wanted(hashes={}, key="opaque"))

    _, error = await collect_until_error(download)

    assert isinstance(error, SourceUnavailable)
    assert (await download.finished()).path.read_bytes() == other


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_file_that_changes_meanwhile_begins_anew(downloads: Downloads, content: bytes, *, ranges: bool) -> None:
    other = content[::-1]
    opener = Opener(content, [Script(cut=1_000_000, etag='"a"'), Script(content=other, etag='"b"', ranges=ranges)])
    download = downloads.join(opener.wanted(hashes={}, key="opaque", size=None))

    seen, error = await collect_until_error(download)

    assert isinstance(error, SourceUnavailable)
    assert content.startswith(seen)
    artifact = await download.finished()
    assert artifact.path.read_bytes() == other
    assert artifact.digest == hashlib.sha256(other).hexdigest()


async def test_silence_is_given_up_and_resumed(downloads: Downloads, content: bytes) -> None:
    opener = Opener(content, [Script(stall=500_000), Script()])

    assert await collect(downloads.join(opener.wanted(silence=0.05))) == content

    assert opener.opens == [0, 500_000]


async def test_a_source_that_stays_away_ends_the_readers_and_leaves_the_beginning(
    downloads: Downloads, content: bytes
) -> None:
    gone = Script(error=SourceUnavailable("fake", "down"))
    opener = Opener(content, [Script(cut=2_000_000), gone])

    seen, error = await collect_until_error(downloads.join(opener.wanted()))

    assert isinstance(error, SourceUnavailable)
    assert content.startswith(seen)
    again = Opener(content)
    assert await collect(downloads.join(again.wanted())) == content
    assert again.opens == [2_000_000]


@pytest.mark.parametrize("error", [SourceUnavailable("fake", "down"), FileGone("fake", "demo")])
async def test_a_refused_opening_is_told_before_anything_starts(
    downloads: Downloads, artifacts: Artifacts, content: bytes, error: Exception
) -> None:
    opener = Opener(content, [Script(error=error)])
    download = downloads.join(opener.wanted())

    with pytest.raises(type(error)):
        await download.started()

    assert opener.opens == [0]
    assert list(artifacts.partials.iterdir()) == []


@pytest.mark.parametrize("listed", [2_999_999, 3_000_001])
async def test_a_length_other_than_listed_is_wrong(downloads: Downloads, content: bytes, listed: int) -> None:
    told = downloads.join(Opener(content).wanted(size=listed, key="told"))
    silent = downloads.join(Opener(content, [Script(size=None)]).wanted(size=listed, key="silent"))

    for download in (told, silent):
        with pytest.raises((ArtifactWrong, SourceUnavailable)):
            await collect(download)


async def test_ranges_are_read_while_the_file_grows(downloads: Downloads, content: bytes) -> None:
    opener = Opener(content, [Script(stall=1_500_000)])
    download = downloads.join(opener.wanted())

    assert await collect(download, 0, 1) == content[:1]
    assert await collect(download, 700_000, 1_400_000) == content[700_000:1_400_000]
    late = asyncio.ensure_future(collect(download, 1_400_000, 1_600_000))
    tail = asyncio.ensure_future(collect(download, len(content) - 5))
    await opener.stalled.wait()
    assert not late.done()
    opener.go.set()

    assert await late == content[1_400_000:1_600_000]
    assert await tail == content[-5:]


async def test_an_unknown_size_is_none_until_the_end(downloads: Downloads, content: bytes) -> None:
    opener = Opener(content, [Script(size=None, stall=1_000_000)])
    download = downloads.join(opener.wanted(size=None))

    assert await download.started() is None
    opener.go.set()

    assert await collect(download) == content
    assert await download.started() == len(content)


@pytest.mark.parametrize("algorithm", ["md5", "sha512", "SHA1"])
async def test_another_digest_is_checked_where_it_is_all_there_is(
    downloads: Downloads, content: bytes, algorithm: str
) -> None:
    right = hashlib.new(algorithm, content).hexdigest().upper()
    good = downloads.join(Opener(content).wanted(key="good", hashes={algorithm: right}))
    bad = downloads.join(Opener(content[::-1]).wanted(key="bad", hashes={algorithm: right}))

    assert (await good.finished()).digest == hashlib.sha256(content).hexdigest()
    with pytest.raises(ArtifactWrong):
        await bad.finished()


async def test_the_digest_is_computed_where_none_is_listed(downloads: Downloads, content: bytes) -> None:
    download = downloads.join(Opener(content).wanted(key="container/demo@etag", hashes={}))

    artifact = await download.finished()

    assert artifact.digest == download.digest == hashlib.sha256(content).hexdigest()


async def test_a_key_is_never_a_path(downloads: Downloads, artifacts: Artifacts, content: bytes) -> None:
    download = downloads.join(Opener(content).wanted(key="../../escape", hashes={}, filename="../x"))

    await download.finished()

    assert not [path for path in artifacts.directory.parent.rglob("*") if "escape" in path.name]


async def test_a_folder_removed_behind_our_back_is_made_anew(
    downloads: Downloads, artifacts: Artifacts, content: bytes
) -> None:
    await asyncio.to_thread(remove_in_use, artifacts.directory)

    artifact = await downloads.join(Opener(content).wanted()).finished()

    assert artifacts.find(artifact.digest) == artifact


async def test_an_artifact_larger_than_the_whole_cache_is_streamed_and_not_kept(
    artifacts: Artifacts, downloads: Downloads, content: bytes
) -> None:
    artifacts.size = 1_000_000
    download = downloads.join(Opener(content).wanted())

    assert await collect(download) == content

    artifact = await download.finished()
    assert artifacts.find(artifact.digest) is None
    assert list(artifacts.partials.iterdir()) == []


async def test_shut_down_ends_readers_and_leaves_the_beginning_to_resume(artifacts: Artifacts, content: bytes) -> None:
    opener = Opener(content, [Script(stall=2_000_000)])
    async with Background() as background:
        download = Downloads(artifacts, background).join(opener.wanted())
        reader = asyncio.ensure_future(collect_until_error(download))
        await opener.stalled.wait()

    _, error = await reader
    assert isinstance(error, SourceUnavailable)
    assert artifacts.find(opener.wanted().key) is None
    async with Background() as background:
        again = Opener(content)
        assert await collect(Downloads(artifacts, background).join(again.wanted())) == content
    assert again.opens[0] > 0


async def test_a_damaged_beginning_from_an_earlier_life_is_fetched_anew(
    downloads: Downloads, artifacts: Artifacts, content: bytes
) -> None:
    opener = Opener(content, [Script(cut=2_000_000), Script(error=ConnectionResetError())])
    await collect_until_error(downloads.join(opener.wanted()))
    (partial,) = [path for path in artifacts.partials.iterdir() if not path.suffix]
    with partial.open("r+b") as file:
        file.write(bytes(10))

    again = Opener(content)
    download = downloads.join(again.wanted())

    assert (await download.finished()).path.read_bytes() == content
    assert again.opens == [2_000_000, 0]


async def test_a_finished_file_that_only_lacks_its_name_needs_no_source(
    downloads: Downloads, artifacts: Artifacts, content: bytes
) -> None:
    """A crash between the last byte and the rename."""
    opener = Opener(content, [Script(cut=len(content) - 1), Script(error=SourceUnavailable("fake", "down"))])
    await collect_until_error(downloads.join(opener.wanted()))
    (partial,) = [path for path in artifacts.partials.iterdir() if not path.suffix]
    with partial.open("ab") as file:
        file.write(content[-1:])

    again = Opener(content)
    assert await collect(downloads.join(again.wanted())) == content

    assert again.opens == []


async def test_a_range_refused_on_resuming_an_earlier_life_begins_anew(downloads: Downloads, content: bytes) -> None:
    down = Script(error=SourceUnavailable("fake", "down"))
    await collect_until_error(downloads.join(Opener(content, [Script(cut=2_000_000), down]).wanted()))

    again = Opener(content, [Script(error=SourceNonsense("fake", "416")), Script()])

    assert await collect(downloads.join(again.wanted())) == content
    assert again.opens == [2_000_000, 0]


async def test_a_beginning_of_unknown_size_is_not_resumed_in_another_life(downloads: Downloads, content: bytes) -> None:
    """It may be whole already, and nothing comes after the end."""
    down = Script(error=SourceUnavailable("fake", "down"))
    opener = Opener(content, [Script(size=None, cut=2_000_000), down])
    await collect_until_error(downloads.join(opener.wanted(size=None)))

    again = Opener(content)

    assert await collect(downloads.join(again.wanted(size=None))) == content
    assert again.opens == [0]


async def test_a_file_gone_in_the_middle_leaves_nothing(
    downloads: Downloads, artifacts: Artifacts, content: bytes
) -> None:
    opener = Opener(content, [Script(cut=2_000_000), Script(error=FileGone("fake", "demo"))])

    _, error = await collect_until_error(downloads.join(opener.wanted()))

    assert isinstance(error, FileGone)
    assert list(artifacts.partials.iterdir()) == []


async def test_a_range_of_somewhere_else_is_nonsense(downloads: Downloads, content: bytes) -> None:
    opener = Opener(content, [Script(cut=1_000_000), Script(shift=5)])

    _, error = await collect_until_error(downloads.join(opener.wanted()))

    assert isinstance(error, SourceNonsense)


async def test_an_empty_file_ends_at_once(downloads: Downloads) -> None:
    download = downloads.join(Opener(b"").wanted())

    assert await collect(download) == b""
    assert (await download.finished()).size == 0


async def test_a_source_that_asks_to_be_left_alone_for_long_ends_the_readers(
    downloads: Downloads, content: bytes
) -> None:
    busy = Script(error=SourceUnavailable("fake", "429", retry_after=600))
    opener = Opener(content, [Script(cut=1_000_000), busy, Script()])

    _, error = await collect_until_error(downloads.join(opener.wanted()))

    assert isinstance(error, SourceUnavailable)
    assert opener.opens == [0, 1_000_000]


async def test_a_source_whose_file_changes_all_the_time_is_given_up(downloads: Downloads, content: bytes) -> None:
    scripts = [Script(cut=1_000_000 + number, etag=f'"{number}"') for number in range(30)]

    _, error = await collect_until_error(downloads.join(Opener(content, scripts).wanted(key="opaque", hashes={})))

    assert isinstance(error, SourceUnavailable)
