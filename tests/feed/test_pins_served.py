"""A file is held to the bytes that were first served under its name."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.errors import Hidden
from proxy.feed.pinning import Pinning
from proxy.rules.merge import merge
from proxy.simple.filename import normalize
from proxy.simple.model import File, NormalizedName, Page
from proxy.store.neighbours import Neighbours
from proxy.store.pins import Pins
from tests.fakes.index import FakeIndex
from tests.fakes.server import LocalServer, folder, settings, simple
from tests.fakes.wheels import build_wheel
from tests.feed.command import wheelgate

FILE = "foo-1.0-py3-none-any.whl"
PAGE = Page(NormalizedName("foo"), (File(FILE, "there", "1.0", {"sha256": "a" * 64}),), ("1.0",))
ROUTES = (f"/files/foo/{FILE}", f"/files/foo/{FILE}.metadata")


@pytest.fixture
async def upstream() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        index.has(FILE, metadata=True)
        yield index


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def start(stack: AsyncExitStack, cache: Path, sources: dict[str, dict[str, Any]]) -> LocalServer:
    return await stack.enter_async_context(LocalServer(settings(cache, sources)))


async def served(server: LocalServer) -> None:
    # The second time it comes from here, and only after it was written down.
    for _ in range(2):
        assert (await server.get(f"/files/foo/{FILE}")).status == 200


def changed(index: FakeIndex, **said: Any) -> None:
    index.has(FILE, content=build_wheel("foo", "1.0", requires=["evil"]), metadata=True, **said)


async def test_changed_bytes_under_the_same_name_are_refused_everywhere_and_raise_the_alarm(
    stack: AsyncExitStack, cache_directory: Path, upstream: FakeIndex, capfd: pytest.CaptureFixture[str]
) -> None:
    server = await start(stack, cache_directory, {"public": simple(upstream.url)})
    await served(server)
    before = upstream.files[FILE].sha256

    changed(upstream)

    page = (await server.page("/simple/foo/")).json()
    assert page["files"] == []
    assert "1 by pins" in page["_reason"]
    for route in ROUTES:
        reply = await server.get(route)
        assert reply.status == 403
        assert reply.headers["Wheelgate-Reason"].startswith("pins: ")
        assert before in reply.headers["Wheelgate-Reason"]
    (file,) = (await server.get("/explain/foo")).json()["files"]
    assert (file["served"], file["rule"]) == (False, "pins")
    assert 'wheelgate_pin_alarms_total{source="public"} 1.0' in (await server.get("/metrics")).text
    assert "bytes changed under a file's name" in "".join(capfd.readouterr())


async def test_a_pin_outlives_the_server(stack: AsyncExitStack, cache_directory: Path, upstream: FakeIndex) -> None:
    async with LocalServer(settings(cache_directory, {"public": simple(upstream.url)})) as server:
        await served(server)
    changed(upstream)

    again = await start(stack, cache_directory, {"public": simple(upstream.url)})

    assert (await again.get(f"/files/foo/{FILE}")).status == 403


async def test_a_pin_of_another_process_counts_at_once(tmp_path: Path) -> None:
    """Nobody looks at the ledger for projects of which nobody told."""
    foo, merged = NormalizedName("foo"), merge(NormalizedName("foo"), [("public", PAGE)])
    async with (
        Pins(tmp_path / "pins.db") as ledger,
        Pins(tmp_path / "pins.db") as same,
        Neighbours(tmp_path) as here,
        Neighbours(tmp_path) as there,
    ):
        public = frozenset({"public"})
        mine = Pinning(ledger, public, alarm=lambda _: None, clock=lambda: 1.0, neighbours=here)
        theirs = Pinning(same, public, alarm=lambda _: None, clock=lambda: 1.0, neighbours=there)
        await mine.open()
        await theirs.open()
        assert mine.begin(foo, ["public"]) == {}
        assert await mine.of(merged) == {}

        await theirs.serve("public", foo, FILE, "a" * 64)

        assert [pin.sha256 for pin in (await mine.of(merged)).values()] == ["a" * 64]
        assert [pin.sha256 for pin in (await mine.of(merged, mine.begin(foo, ["public"]))).values()] == ["a" * 64]


async def test_each_source_has_pins_of_its_own(
    stack: AsyncExitStack, cache_directory: Path, upstream: FakeIndex
) -> None:
    async with LocalServer(settings(cache_directory, {"public": simple(upstream.url)})) as server:
        await served(server)
    changed(upstream)

    other = await start(stack, cache_directory, {"mirror": simple(upstream.url)})

    assert (await other.get(f"/files/foo/{FILE}")).status == 200


async def test_an_upstream_without_digests_is_held_to_the_bytes_themselves(
    stack: AsyncExitStack, cache_directory: Path, upstream: FakeIndex
) -> None:
    """What was served before goes on being served; other bytes never reach a client."""
    upstream.has(FILE, hashes=())
    server = await start(stack, cache_directory, {"public": simple(upstream.url)})
    await served(server)
    first = (await server.get(f"/files/foo/{FILE}")).body
    changed(upstream, hashes=())

    assert (await server.get(f"/files/foo/{FILE}")).body == first
    listed = (await server.page("/simple/foo/")).file(FILE)
    assert listed["hashes"]["sha256"]


@pytest.mark.parametrize("is_replaceable", [True, False])
async def test_private_files_may_be_replaced_unless_it_is_said_that_they_may_not(
    stack: AsyncExitStack, cache_directory: Path, tmp_path: Path, is_replaceable: bool
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / FILE).write_bytes(build_wheel("foo", "1.0"))
    server = await start(stack, cache_directory, {"shelf": folder(shelf, replaceable=is_replaceable)})
    await served(server)

    (shelf / FILE).write_bytes(build_wheel("foo", "1.0", requires=["bar"]))

    reply = await server.get(f"/files/foo/{FILE}")
    assert reply.status == (200 if is_replaceable else 403)


async def test_what_changed_is_shown_and_accepted_and_goes_from_one_server_to_another(
    cache_directory: Path, upstream: FakeIndex, tmp_path: Path
) -> None:
    file, other = tmp_path / "wheelgate.toml", tmp_path / "other.toml"
    text = (
        'cache.directory = "{}"\nfeeds.default.sources = ["public"]\n'
        'sources.public = {{ kind = "simple", url = "{}" }}\n'
    )
    file.write_text(text.format(cache_directory, upstream.url))
    other.write_text(text.format(tmp_path / "elsewhere", upstream.url))

    async def run(*arguments: str) -> tuple[int, str]:
        return await wheelgate("pins", *arguments)

    async with LocalServer(settings(cache_directory, {"public": simple(upstream.url)})) as server:
        await served(server)
        old = upstream.files[FILE].sha256
        assert (await run("accept", "Foo", FILE, "--config", str(file)))[0] == 1
        exported = tmp_path / "pins.jsonl"
        assert (await run("export", str(exported), "--config", str(file)))[0] == 0
        changed(upstream)
        assert (await server.get(f"/files/foo/{FILE}")).status == 403
        new = upstream.files[FILE].sha256

        code, shown = await run("show", "foo", "--config", str(file))
        assert code == 0
        assert old in shown
        assert f"CHANGED: its source has {new} now" in shown
        (pin,) = json.loads((await run("show", "--json", "--config", str(file)))[1])
        assert (pin["sha256"], pin["found"]) == (old, new)
        assert (await run("accept", "Foo", FILE, "--config", str(file)))[0] == 0
        await server.machine.rulebook.look()
        assert (await server.get(f"/files/foo/{FILE}")).status == 200

    assert (await run("import", str(exported), "--config", str(other)))[0] == 0
    code, told = await run("import", str(exported), "--config", str(file))
    assert code == 1
    assert f"here {new}, there {old}" in told
    assert (await run("import", str(file), "--config", str(other)))[0] == 1
    async with LocalServer(settings(tmp_path / "elsewhere", {"public": simple(upstream.url)})) as server:
        assert (await server.get(f"/files/foo/{FILE}")).status == 403


async def test_bytes_that_changed_unlisted_reach_nobody_and_raise_the_alarm(
    stack: AsyncExitStack, cache_directory: Path, upstream: FakeIndex
) -> None:
    """The source lists no digest, and the cache was lost: only the ledger knows what the file was."""
    upstream.has(FILE, hashes=())
    config = settings(cache_directory, {"public": simple(upstream.url)})
    async with LocalServer(config) as server:
        await served(server)
        good = (await server.get(f"/files/foo/{FILE}")).body
    forget(cache_directory)
    changed(upstream, hashes=())
    server = await stack.enter_async_context(LocalServer(config))

    with suppress(aiohttp.ClientError):
        assert (await server.get(f"/files/foo/{FILE}")).body not in {good, upstream.files[FILE].content}
    await server.until(lambda reply: "pin_alarms_total{" in reply.text, "/metrics")
    await server.machine.rulebook.look()

    refused = await server.get(f"/files/foo/{FILE}")
    assert refused.status == 403
    assert upstream.files[FILE].sha256 in refused.headers["Wheelgate-Reason"]


async def test_two_servers_that_first_serve_different_bytes_do_not_both_win(tmp_path: Path) -> None:
    project = normalize("foo")
    assert project is not None
    alarms: list[str] = []
    async with Pins(tmp_path / "pins.db") as pins:
        first = Pinning(pins, frozenset({"public"}), alarm=alarms.append, clock=lambda: 1.0)
        other = Pinning(pins, frozenset({"public"}), alarm=alarms.append, clock=lambda: 2.0)
        await first.serve("public", project, FILE, "a" * 64)
        await first.serve("public", project, FILE, "a" * 64)
        await other.serve("private", project, FILE, "b" * 64)

        with pytest.raises(Hidden) as refused:
            await other.serve("public", project, FILE, "b" * 64)

        assert refused.value.rule == "pins"
        assert alarms == ["public"]


async def test_while_the_ledger_cannot_be_read_no_upstream_file_is_served(
    stack: AsyncExitStack, cache_directory: Path, upstream: FakeIndex, tmp_path: Path
) -> None:
    """Nobody can say then whether its bytes are those of before; private files may change anyway."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "mine-1.0.tar.gz").write_bytes(b"mine")
    broken(cache_directory / "pins.db")
    server = await start(stack, cache_directory, {"shelf": folder(shelf), "public": simple(upstream.url)})

    for path in ("/simple/foo/", *ROUTES):
        refused = await server.get(path)
        assert refused.status == 503
        assert refused.headers["Retry-After"]
        assert "pin ledger" in refused.json()["detail"]
        assert "cache.pins" in refused.json()["remedy"]
    assert (await server.get("/files/mine/mine-1.0.tar.gz")).status == 200
    assert (await server.get("/readyz")).status == 200
    assert "wheelgate_pins_unusable 1.0" in (await server.get("/metrics")).text


def forget(cache: Path) -> None:
    shutil.rmtree(cache / "artifacts")
    shutil.rmtree(cache / "index")


def broken(file: Path) -> None:
    file.write_bytes(b"no database at all" * 100)
