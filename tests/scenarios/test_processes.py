"""Promise: many processes serve like one; each may be killed, and all be renewed, while clients notice nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.patience import comes_true
from tests.fakes.process import ServerProcess, StartServer
from tests.fakes.server import JSON, Reply, client, fetch, opened
from tests.fakes.wheels import build_wheel
from tests.scenarios.conftest import toml

LARGE = "big-1.0-py3-none-any.whl"
PRIVATE = "acme-1.0-py3-none-any.whl"


@pytest.fixture
def upstream() -> Iterator[FakeIndex]:
    with FakeIndex.in_thread() as index:
        index.has(LARGE, size_padding=2 << 20, metadata=True)
        yield index


@pytest.fixture
def config(cache_directory: Path, upstream: FakeIndex) -> str:
    return "[server]\nprocesses = 2\n" + toml(cache_directory, upstream.url)


@pytest.fixture
async def server(start_server: StartServer, config: str) -> ServerProcess:
    return await asyncio.to_thread(start_server, config)


def said(server: ServerProcess, event: str) -> list[dict[str, Any]]:
    """Give the lines of the log about one event."""
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def workers(server: ServerProcess) -> list[int]:
    """Give the processes that have begun to serve, in this order."""
    return [line["pid"] for line in said(server, "worker serves")]


async def ask(url: str, **headers: str) -> Reply:
    """Ask over a connection of its own."""
    async with client() as session:
        return await fetch(session, url, **headers)


async def ask_many(url: str, count: int, **headers: str) -> list[Reply]:
    """Ask over as many connections, so that both processes are asked."""
    return await asyncio.gather(*(ask(url, **headers) for _ in range(count)))


def reload(server: ServerProcess, config: str) -> None:
    (server.folder / "wheelgate.toml").write_text(config)
    os.kill(server.pid, signal.SIGHUP)


@asynccontextmanager
async def load(url: str) -> AsyncIterator[list[int]]:
    """Ask all the time, each time over a connection of its own, and collect the statuses."""
    statuses: list[int] = []
    is_over = asyncio.Event()

    async def one() -> None:
        while not is_over.is_set():
            statuses.append((await ask(url)).status)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(one())
        yield statuses
        is_over.set()


async def test_a_herd_over_two_processes_asks_for_a_cold_page_once(
    start_server: StartServer, upstream: FakeIndex, config: str
) -> None:
    fresh = config.replace('fresh = "0 s"', 'fresh = "1 min"').replace('stale = "0 s"', 'stale = "1 min"')
    server = await asyncio.to_thread(start_server, fresh)
    upstream.delay = 0.3

    replies = await ask_many(f"{server.url}/simple/big/", 100)

    assert {reply.status for reply in replies} == {200}
    assert upstream.asked("/simple/big/") == 1
    await comes_true(lambda: len({line["worker"] for line in said(server, "request") if line["route"] == "page"}) == 2)


async def test_a_herd_over_two_processes_asks_for_a_cold_file_once(server: ServerProcess, upstream: FakeIndex) -> None:
    upstream.slow(8e6)

    replies = await ask_many(f"{server.url}/files/big/{LARGE}", 60)

    assert {hashlib.sha256(reply.body).hexdigest() for reply in replies} == {upstream.files[LARGE].sha256}
    assert upstream.asked(f"/files/{LARGE}") == 1


async def test_a_wheel_is_inspected_once_for_all_processes(
    start_server: StartServer, upstream: FakeIndex, config: str
) -> None:
    upstream.has("bare-1.0-py3-none-any.whl")
    server = await asyncio.to_thread(start_server, config)

    await ask_many(f"{server.url}/simple/bare/", 40, accept=JSON)
    [*pages] = await ask_many(f"{server.url}/simple/bare/", 40, accept=JSON)

    assert all(page.file("bare-1.0-py3-none-any.whl")["core-metadata"] for page in pages)
    ranges = [asked.headers.get("Range") for asked in upstream.requests if asked.path.startswith("/files/bare")]
    assert len(ranges) == len(set(ranges))


async def test_a_killed_process_loses_no_request_that_had_not_begun(server: ServerProcess, upstream: FakeIndex) -> None:
    """One that hangs takes no connection, and so none ends with it; with sockets of their own, half of them would."""
    assert upstream
    victim = workers(server)[0]
    os.kill(victim, signal.SIGSTOP)

    hanging = await ask_many(f"{server.url}/simple/big/", 40)
    async with load(f"{server.url}/simple/big/") as statuses:
        os.kill(victim, signal.SIGKILL)
        await comes_true(lambda: len(workers(server)) == 3)
        await asyncio.sleep(0.3)

    assert {reply.status for reply in hanging} == set(statuses) == {200}
    [ended] = said(server, "worker ended")
    [first, *_] = said(server, "worker serves")
    assert (ended["worker"], ended["reason"]) == (first["worker"], "killed by SIGKILL")


async def test_a_process_killed_in_the_middle_of_a_download_leaves_it_to_the_other(
    server: ServerProcess, upstream: FakeIndex
) -> None:
    upstream.slow(1e6)
    url = f"{server.url}/files/big/{LARGE}"

    asking = [asyncio.ensure_future(ask(url)) for _ in range(8)]
    await asyncio.sleep(0.7)
    os.kill(workers(server)[0], signal.SIGKILL)
    upstream.slow(None)
    replies = await asyncio.gather(*asking, return_exceptions=True)
    whole = [reply for reply in replies if isinstance(reply, Reply)]
    again = await ask_many(url, 8)

    assert {reply.status for reply in [*whole, *again]} == {200}
    assert {hashlib.sha256(reply.body).hexdigest() for reply in [*whole, *again]} == {upstream.files[LARGE].sha256}
    assert all(isinstance(reply, Reply | aiohttp.ClientError) for reply in replies)


async def test_a_process_that_ends_again_and_again_is_started_ever_later(server: ServerProcess) -> None:
    for count in (3, 4):
        os.kill(workers(server)[-1], signal.SIGKILL)
        await comes_true(lambda count=count: len(workers(server)) == count)  # type: ignore[misc]

    pauses = [line["again_in_seconds"] for line in said(server, "worker ended")]
    assert pauses == [0.0, 0.5]


async def test_a_good_new_configuration_takes_over_without_a_lost_request(server: ServerProcess, config: str) -> None:
    async with load(f"{server.url}/simple/big/") as statuses:
        reload(server, config + '\n[feeds.extra]\nsources = ["public"]\n')
        await comes_true(lambda: bool(said(server, "reloaded")))
        await comes_true(lambda: len(said(server, "worker stops")) == 2)
        await asyncio.sleep(0.3)

    assert set(statuses) == {200}
    assert {reply.status for reply in await ask_many(f"{server.url}/extra/simple/big/", 20)} == {200}
    assert len(workers(server)) == 4


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_wrong_new_configuration_changes_nothing_and_says_why(
    start_server: StartServer, config: str, processes: int
) -> None:
    server = await asyncio.to_thread(start_server, config.replace("processes = 2", f"processes = {processes}"))

    reload(server, config.replace('fresh = "0 s"', 'fresh = "soon"'))
    await comes_true(lambda: bool(said(server, "the new configuration is not taken over, the old one stays")))

    [refusal] = said(server, "the new configuration is not taken over, the old one stays")
    assert refusal["level"] == "error"
    assert refusal["reason"].startswith("sources.public.fresh: ")
    assert "wheelgate check --offline" in refusal["remedy"]
    assert {reply.status for reply in await ask_many(f"{server.url}/simple/big/", 10)} == {200}


async def test_one_process_alone_takes_over_a_new_configuration_too(
    start_server: StartServer, upstream: FakeIndex, config: str
) -> None:
    config = config.replace("processes = 2", "processes = 1")
    server = await asyncio.to_thread(start_server, config)
    upstream.slow(1e6)

    async with client() as session, opened(session, f"{server.url}/files/big/{LARGE}") as response:
        first = await response.content.readexactly(100_000)
        async with load(f"{server.url}/simple/big/") as statuses:
            reload(server, config + '\n[feeds.extra]\nsources = ["public"]\n')
            await comes_true(lambda: bool(said(server, "reloaded")))
            await asyncio.sleep(0.8)
        upstream.slow(None)
        rest = await response.content.read()

    assert first + rest == upstream.files[LARGE].content
    assert set(statuses) == {200}
    assert (await ask(f"{server.url}/extra/simple/big/")).status == 200


@pytest.mark.parametrize("processes", [1, 2])
async def test_who_is_being_replaced_calls_the_server_ready(
    start_server: StartServer, config: str, processes: int
) -> None:
    """A front end that asks over the connection it has would take a server out that serves without a pause."""
    server = await asyncio.to_thread(start_server, config.replace("processes = 2", f"processes = {processes}"))

    async with client() as session:
        kept = [await fetch(session, f"{server.url}/readyz")]
        reload(server, config)
        while "Connection" not in kept[-1].headers:
            kept.append(await fetch(session, f"{server.url}/readyz"))

    assert {reply.status for reply in kept} == {200}
    assert kept[-1].headers["Connection"] == "close"


async def test_told_to_stop_all_finish_what_streams(server: ServerProcess, upstream: FakeIndex) -> None:
    upstream.slow(1e6)

    async with client() as session, opened(session, f"{server.url}/files/big/{LARGE}") as response:
        first = await response.content.readexactly(100_000)
        os.kill(server.pid, signal.SIGTERM)
        await comes_true(lambda: len(said(server, "worker stops")) == 2)
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(f"{server.url}/livez")
        upstream.slow(None)
        rest = await response.content.read()

    assert first + rest == upstream.files[LARGE].content
    assert await asyncio.to_thread(server.wait) == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize("processes", [1, 2])
async def test_told_twice_it_ends_at_once(
    start_server: StartServer, upstream: FakeIndex, config: str, processes: int
) -> None:
    server = await asyncio.to_thread(start_server, config.replace("processes = 2", f"processes = {processes}"))
    upstream.stall_after(LARGE, 1 << 20)

    async with client() as session, opened(session, f"{server.url}/files/big/{LARGE}") as response:
        await response.content.readexactly(100_000)
        os.kill(server.pid, signal.SIGTERM)
        await comes_true(lambda: bool(said(server, "stopping")))
        os.kill(server.pid, signal.SIGTERM)

        async with asyncio.timeout(10):
            assert await asyncio.to_thread(server.wait) == 1
    assert "Traceback" not in server.log


async def test_without_their_supervisor_processes_end(server: ServerProcess) -> None:
    os.kill(server.pid, signal.SIGKILL)

    await comes_true(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers(server)))

    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(f"{server.url}/livez")


async def test_metrics_are_the_sums_of_all_processes(server: ServerProcess) -> None:
    await ask_many(f"{server.url}/simple/big/", 30)
    counted = re.compile(rb'wheelgate_requests_total\{route="page",status="200"\} (\S+)')

    async def sums() -> set[float]:
        found = [counted.search(reply.body) for reply in await ask_many(f"{server.url}/metrics", 10)]
        return {float(match[1]) for match in found if match}

    async with asyncio.timeout(5):
        while await sums() != {30.0}:  # noqa: ASYNC110 - of other processes
            await asyncio.sleep(0.2)

    os.kill(workers(server)[0], signal.SIGKILL)
    await comes_true(lambda: len(workers(server)) == 3)
    assert await sums() == {30.0}


async def test_metrics_tell_what_the_processes_that_live_occupy(server: ServerProcess) -> None:
    told = re.compile(rb"^(wheelgate_tasks|process_open_fds|process_resident_memory_bytes) (\S+)$", re.MULTILINE)

    async def occupied() -> dict[bytes, float]:
        return {name: float(value) for name, value in told.findall((await ask(f"{server.url}/metrics")).body)}

    await comes_true(lambda: len(workers(server)) == 2)
    async with asyncio.timeout(5):
        while len(before := await occupied()) < 3 or not before[b"wheelgate_tasks"]:  # noqa: ASYNC110 - of others
            await asyncio.sleep(0.2)
    os.kill(workers(server)[0], signal.SIGKILL)
    await comes_true(lambda: len(workers(server)) == 3)
    after = await occupied()

    assert 2 * 10 < before[b"process_open_fds"] < 200
    assert after[b"process_resident_memory_bytes"] < before[b"process_resident_memory_bytes"] * 1.5


async def test_what_one_process_has_seen_all_show_within_a_second(
    start_server: StartServer, cache_directory: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shelf"
    folder.mkdir()
    config = f"""
[server]
processes = 2

[cache]
directory = "{cache_directory}"

[sources.shelf]
kind = "directory"
path = "{folder}"
refresh = "3 s"

[feeds.default]
sources = ["shelf"]
"""
    (folder / PRIVATE).write_bytes(build_wheel("acme", "1.0"))
    server = await asyncio.to_thread(start_server, config)
    url = f"{server.url}/simple/acme/"
    await ask_many(url, 20, accept=JSON)
    new = PRIVATE.replace("1.0", "1.1")

    (folder / new).write_bytes(build_wheel("acme", "1.1"))
    async with asyncio.timeout(10):
        while new not in (await ask(url, accept=JSON)).filenames():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)

    assert all(new in reply.filenames() for reply in await ask_many(url, 40, accept=JSON))


def test_an_address_that_is_taken_is_told_in_one_sentence(server: ServerProcess) -> None:
    config = server.folder / "wheelgate.toml"
    command = ["serve", "--config", str(config), "--host", "127.0.0.1", "--port", str(server.port)]

    result = server.run(*command)

    assert result.returncode == 1
    assert result.stderr == (
        f"wheelgate: port {server.port} on 127.0.0.1 is in use "
        "(choose another with --port, or stop what listens there)\n"
    )


def test_a_server_that_cannot_start_says_so_once(start_server: StartServer, config: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    server = start_server(config)
    broken = server.folder / "broken.toml"
    broken.write_text(re.sub(r'directory = ".*"', f'directory = "{tmp_path}/taken"', config))

    result = server.run("serve", "--config", str(broken), "--host", "127.0.0.1", "--port", "0")

    assert result.returncode == 1
    assert result.stderr.count("wheelgate: ") == 1
    assert str(tmp_path / "taken") in result.stderr
