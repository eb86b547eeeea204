from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from proxy.errors import ArtifactWrong, FileGone, SourceNonsense, SourceUnavailable, WheelgateError, kept
from proxy.store.artifacts import Artifacts
from proxy.store.download import Download, Downloads
from tests.fakes.openers import Opener, Script


@pytest.fixture(autouse=True)
def _no_garbage_collection() -> Iterator[None]:
    """In a large process the next one may be hours away."""
    gc.disable()
    yield
    gc.enable()


def held(artifacts: Artifacts) -> list[str]:
    """Give the unfinished files that this process has open."""
    links = [Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]  # noqa: PTH208 - numbers
    targets = [str(link.readlink()) for link in links if link.is_symlink()]
    return [target for target in targets if target.startswith(str(artifacts.partials))]


async def read(download: Download, most: int | None = None) -> None:
    with suppress(WheelgateError):
        async with aclosing(download.read(0, most)) as chunks:
            async for _ in chunks:
                pass


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is nothing that tells open files")
@pytest.mark.parametrize(
    "script", [Script(content=bytes(3_000_000)), Script(cut=1_000_000)], ids=["wrong bytes", "breaks off for good"]
)
async def test_a_download_that_failed_holds_no_file(
    downloads: Downloads, artifacts: Artifacts, content: bytes, script: Script
) -> None:
    """A file that is removed takes its space on the disk until the last one who has it open lets go."""
    download = downloads.join(Opener(content, [script] * 20).wanted())

    await asyncio.gather(read(download), read(download), read(download, 500_000))
    while len(downloads):  # noqa: ASYNC110 - there is no word of it
        await asyncio.sleep(0)
    with pytest.raises(WheelgateError):
        await download.finished()
    await asyncio.sleep(0.05)

    assert held(artifacts) == []
    assert download.error is not None
    assert download.error.__traceback__ is None


@pytest.mark.parametrize(
    "error",
    [
        SourceUnavailable("public", "down", remedy="wait", retry_after=3.0),
        SourceNonsense("public", "no page"),
        FileGone("public", "a.whl"),
        ArtifactWrong("public", "a.whl", expected="sha256:1", found="sha256:2"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_is_kept_says_the_same_and_holds_nothing(error: WheelgateError) -> None:
    try:
        raise error
    except WheelgateError as raised:
        copy = kept(raised)

    assert (type(copy), str(copy), copy.remedy) == (type(error), str(error), error.remedy)
    assert vars(copy) == vars(error)
    assert copy.__traceback__ is None
