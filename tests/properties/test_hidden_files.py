"""No route, spelling, format, conditional request or range reveals a hidden file; what is not hidden is not refused.

One real server, asked over one connection that stays open, so that its finished answers are asked for too. Each
example is a project of its own: drawn files in an index or a folder, drawn rules in two feeds, and then other rules.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from proxy.advisories import Database
from proxy.config.loading import validate
from proxy.rulebook import policy_of
from proxy.rules.advisories import index, read_entry
from tests.fakes.clock import FakeClock
from tests.fakes.gates import (
    DAY,
    DRAWN,
    GATES,
    PUBLIC,
    SHELF,
    Expected,
    Gate,
    Listed,
    Moment,
    advisories,
    expect,
    stamp,
    written,
)
from tests.fakes.index import FakeIndex
from tests.fakes.listing import make_file
from tests.fakes.server import HTML, JSON, TEXT, LocalServer, Reply, folder, settings, simple
from tests.fakes.wheels import metadata

LATEST = "application/vnd.pypi.simple.latest+json"
PROVENANCE = b'{"version": 1, "attestation_bundles": []}'
LONG_AGO = "Thu, 01 Jan 1970 00:00:00 GMT"


class Stage:
    """The server, its two feeds over the same two places, and one connection to it."""

    def __init__(self, path: Path) -> None:
        self.shelf = path / "shelf"
        self.clock = FakeClock(1_767_225_600.5)
        self.public = FakeIndex()
        self.server: LocalServer
        self._path = path
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._number = 0
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    def open(self) -> None:
        self.shelf.mkdir()
        self._runner.run(self._open())

    def close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def play(self, example: Example) -> None:
        self._number += 1
        self._runner.run(self._play(example, f"gate-{self._number}"))

    async def ask(self, target: str, *, method: str = "GET", **headers: str) -> Reply:
        """Ask on the one connection, for the target as it is spelled."""
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in {"host": "x", **headers}.items()]
        self._writer.write("\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head.rstrip().split("\r\n")
        status = int(first.split(" ")[1])
        found = CIMultiDict((name, value.strip()) for name, _, value in (line.partition(":") for line in rest))
        size = 0 if method == "HEAD" or status == 304 else int(found["Content-Length"])
        return Reply(status, CIMultiDictProxy(found), await self._reader.readexactly(size))

    def rule(self, feed: str, drawn: Mapping[str, Any], project: str, moment: Moment) -> None:
        """Let other rules hold from now on, as the rulebook does."""
        database = Database(self._path / "osv")
        database.advisories = index(read_entry(advisories(drawn.get("vulnerabilities", ()), project)))
        rules = written(drawn, project, moment, str(database.path))
        sources = {PUBLIC: simple(self.public.url), SHELF: folder(self.shelf)}
        config = validate(settings(self._path / "cache", sources, rules=rules), "the property")
        machine = self.server.machine
        machine.feeds[feed].adopt(policy_of(config.feeds["default"].rules, database))
        machine.shelf.clear()

    async def _open(self) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.public)
            sources = {
                SHELF: folder(self.shelf),
                PUBLIC: simple(self.public.url, fresh="1000 d", stale="2000 d", rescue="3000 d"),
            }
            config = settings(self._path / "cache", sources, feeds={"other": {"sources": [SHELF, PUBLIC]}})
            self.server = await stack.enter_async_context(LocalServer(config, clock=self.clock))
            self._stack = stack.pop_all()

    async def _play(self, example: Example, project: str) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", int(self.server.url.rpartition(":")[2]))
        try:
            await example.play(self, project)
        finally:
            self._writer.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("hidden"))
    made.open()
    yield made
    made.close()


@dataclass
class Example:
    """A project, the rules that it meets, and what was learned of it on the way."""

    gate: Gate
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    elsewhere: Mapping[str, Any]
    days: int
    project: str = ""
    contents: dict[Listed, bytes] = field(default_factory=dict)
    received: set[Listed] = field(default_factory=set)
    """Those whose bytes the server has had: it knows their digest from then on."""
    pages: dict[str, tuple[set[str], set[str] | None]] = field(default_factory=dict)
    """What was on the pages that were given: files and, where it says so, versions, by ETag."""

    async def play(self, stage: Stage, project: str) -> None:
        self.project = project
        moment = Moment(stage.clock.now, stage.clock.now)
        self._list(stage, moment)
        await self._visit(stage, "default", self.before, moment)
        await self._visit(stage, "other", self.elsewhere, moment)
        stage.clock.pass_by(self.days * DAY)
        await self._visit(stage, "default", self.after, Moment(moment.began, stage.clock.now))
        stage.public.lacks(project)

    def _list(self, stage: Stage, moment: Moment) -> None:
        for file in self.gate.files:
            uploaded = moment.uploaded(file)
            listed = make_file(
                file.filename(self.project),
                metadata=self.gate.metadata(self.project, file) if file.is_wheel else False,
                yanked=file.yanked,
                hashes=file.hashes,
                upload_time=None if uploaded is None else stamp(uploaded),
                provenance=PROVENANCE if file.has_provenance else None,
            )
            self.contents[file] = listed.content
            if self.gate.place == PUBLIC:
                stage.public.files[listed.filename] = listed
            else:
                path = stage.shelf / listed.filename
                path.write_bytes(listed.content)
                os.utime(path, (uploaded or 0.0, uploaded or 0.0))
        if self.gate.place == PUBLIC:
            stage.public.has_project(self.project)
            if self.gate.status != "active":
                stage.public.mark(self.project, self.gate.status)

    async def _visit(self, stage: Stage, feed: str, drawn: Mapping[str, Any], moment: Moment) -> None:
        if self.gate.place == SHELF:
            # When METADATA has been read out of a wheel there is its own affair.
            drawn = {rule: said for rule, said in drawn.items() if rule != "licenses"}
        stage.rule(feed, drawn, self.project, moment)
        visit = Visit(self, stage, feed, expect(self.gate, drawn, self.project, moment))
        await visit.pages()
        for file in self.gate.files:
            await visit.file(file)
        await visit.pages()
        await visit.around()


class Visit:
    """A look at everything that a feed has of the project, in every way."""

    def __init__(self, example: Example, stage: Stage, feed: str, expected: Expected) -> None:
        self.example = example
        self.stage = stage
        self.prefixes = ("", "/default") if feed == "default" else ("/other",)
        self.expected = expected
        self.project = example.project
        self.others = (self.project.upper().replace("-", "__"), f"%67{self.project[1:]}")
        shown = {file for file, rule in expected.hidden.items() if not rule}
        # What a source lists without a digest has one when its bytes were here once, or are read in a folder.
        unsure = {
            file
            for file, rule in expected.hidden.items()
            if rule == "requires_digest" and (file in example.received or example.gate.place == SHELF)
        }
        self.shown = self._names(shown)
        self.unsure = self._names(unsure)
        self.hidden = self._names(set(expected.hidden) - shown - unsure)

    async def pages(self) -> None:
        """Look at the page in each form, by each spelling, and as one that was had before."""
        for prefix in self.prefixes:
            page = f"{prefix}/simple/{self.project}/"
            for path in (page, f"{prefix}/simple//{self.project}/"):
                for accept in (JSON, LATEST, HTML, TEXT):
                    self._check(await self.stage.ask(path, accept=accept))
            self._check(await self.stage.ask(f"{page}?format={quote(JSON)}", accept=HTML))
            self._check(await self.stage.ask(page, if_modified_since=LONG_AGO))
            for accept in (JSON, HTML):
                for tag in list(self.example.pages):
                    self._check(await self.stage.ask(page, accept=accept, if_none_match=tag))
                head = await self.stage.ask(page, method="HEAD", accept=accept)
                assert head.status == (403 if self.expected.is_refused else 200)
            for spelled in self.others:
                moved = await self.stage.ask(f"{prefix}/simple/{spelled}")
                assert moved.status == 301
                assert not self._is_told(moved)

    async def file(self, file: Listed) -> None:
        """Ask for a file, and for what belongs to it."""
        filename = file.filename(self.project)
        if filename in self.unsure:
            return
        gate, bodies = self.example.gate, {"": self.example.contents[file]}
        if file.is_wheel:
            own = gate.place == SHELF
            bodies[".metadata"] = metadata(self.project, file.version) if own else gate.metadata(self.project, file)
        if file.has_provenance:
            bodies[".provenance"] = PROVENANCE
        for suffix in ("", ".metadata", ".provenance"):
            path = f"{quote(filename)}{suffix}"
            if filename in self.hidden:
                await self._is_hidden(path, self.expected.hidden[file], bodies.get(suffix, PROVENANCE))
            elif suffix in bodies:
                await self._is_served(path, bodies[suffix])
            else:
                assert (await self.stage.ask(f"{self.prefixes[0]}/files/{self.project}/{path}")).status == 404
        if filename in self.shown:
            self.example.received.add(file)

    async def around(self) -> None:
        """Look at what shows more than one project, and at what explains."""
        for prefix in self.prefixes:
            listed = await self.stage.ask(f"{prefix}/simple/", accept=JSON)
            assert not self._is_told(listed)
            assert self.expected.is_listed or f'"{self.project}"' not in listed.text
            links = await self.stage.ask(f"{prefix}/links/")
            linked = {name for name in _linked(links) if name.startswith(self.project.replace("-", "_") + "-")}
            is_private = self.example.gate.place == SHELF
            assert linked - self.unsure == (self.shown if is_private and not self.expected.is_refused else set())
            for accept in (JSON, TEXT):
                explained = await self.stage.ask(f"{prefix}/explain/{self.project}", accept=accept)
                assert explained.status == 200
                assert "/files/" not in explained.text
                for content in self.example.contents.values():
                    assert hashlib.sha256(content).hexdigest() not in explained.text
        told = _explained(await self.stage.ask(f"{self.prefixes[0]}/explain/{self.project}"))
        for file, rule in self.expected.hidden.items():
            name = file.filename(self.project)
            assert name in self.unsure or told[name] == (not rule, rule or told[name][1])

    def _check(self, reply: Reply) -> None:
        """Hold a page to what is expected; an unchanged one to what it had when it was given."""
        if self.expected.is_refused:
            assert reply.status == 403
            assert reply.headers["Wheelgate-Reason"].partition(":")[0] in {"allow", "deny"}
            return
        if reply.status == 304:
            names, versions = self.example.pages[reply.headers["ETag"]]
        elif "json" in reply.headers["Content-Type"]:
            names, versions = set(reply.filenames()), set(reply.json()["versions"])
        else:
            names, versions = _linked(reply), None
        assert self.shown <= names <= self.shown | self.unsure
        if versions is not None:
            assert versions == {file.version for file in self.expected.hidden if file.filename(self.project) in names}
        # An empty page says why it is empty.
        assert not names or not self._is_told(reply)
        self.example.pages[reply.headers["ETag"]] = names, versions

    async def _is_hidden(self, path: str, rule: str, secret: bytes) -> None:
        digest = hashlib.sha256(secret).hexdigest()
        for prefix in self.prefixes:
            plain = f"{prefix}/files/{self.project}/{path}"
            for asked in (
                await self.stage.ask(plain),
                await self.stage.ask(plain),
                await self.stage.ask(plain, range="bytes=0-9"),
                await self.stage.ask(plain, range="bytes=-1", if_range=f'"{digest}"'),
                await self.stage.ask(plain, if_none_match=f'"{digest}"'),
                await self.stage.ask(plain, if_none_match="*", accept_encoding="gzip"),
                await self.stage.ask(plain, if_modified_since=LONG_AGO),
                await self.stage.ask(plain, method="HEAD"),
                await self.stage.ask(f"{plain}?x=1"),
                await self.stage.ask(f"http://x{plain}"),
                await self.stage.ask(f"{prefix}/simple/files/{self.project}/{path}"),
                *[await self.stage.ask(f"{prefix}/files/{other}/{path}") for other in self.others],
                await self.stage.ask(f"{prefix}/files/{self.project}/{path.replace('-', '%2D')}"),
            ):
                assert asked.status == 403
                named = asked.headers["Wheelgate-Reason"].partition(":")[0]
                assert named in ({"allow", "deny"} if self.expected.is_refused else {rule})
                assert secret not in asked.body
                assert digest not in str(asked.headers)
            for odd in (f"{plain}/", f"{prefix}/files//{self.project}/{path}", plain.upper(), f"{plain}.metadata"):
                asked = await self.stage.ask(odd)
                assert asked.status in {403, 404}
                assert secret not in asked.body

    async def _is_served(self, path: str, body: bytes) -> None:
        tag = f'"{hashlib.sha256(body).hexdigest()}"'
        for prefix in self.prefixes:
            plain = f"{prefix}/files/{self.project}/{path}"
            for asked in (
                await self.stage.ask(plain),
                await self.stage.ask(plain),
                await self.stage.ask(f"{plain}?x=1"),
                await self.stage.ask(f"{prefix}/files/{self.others[0]}/{path}"),
                await self.stage.ask(plain, if_none_match='"other"'),
            ):
                assert asked.status == 200
                assert asked.body == body
            assert (await self.stage.ask(plain, method="HEAD")).status == 200
            assert (await self.stage.ask(plain, if_none_match=tag)).status == 304
            ranged = await self.stage.ask(plain, range="bytes=0-3", if_range=tag)
            assert ranged.body == (body[:4] if ranged.status == 206 else body)

    def _names(self, files: Iterable[Listed]) -> set[str]:
        return {file.filename(self.project) for file in files}

    def _is_told(self, reply: Reply) -> bool:
        return any(name in reply.text or quote(name) in reply.text for name in self.hidden)


def _linked(reply: Reply) -> set[str]:
    return {unquote(href.rpartition("/")[2]) for href in reply.hrefs() if "/files/" in href}


def _explained(reply: Reply) -> dict[str, tuple[bool, str]]:
    return {file["filename"]: (file["served"], file["rule"]) for file in reply.json()["files"]}


@given(gate=GATES, before=DRAWN, after=DRAWN, elsewhere=DRAWN, days=st.sampled_from([0, 1, 5]))
@hypothesis_settings(max_examples=25, deadline=None)
def test_what_a_rule_hides_is_had_in_no_way_and_nothing_else_is_refused(
    stage: Stage,
    gate: Gate,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    elsewhere: Mapping[str, Any],
    days: int,
) -> None:
    stage.play(Example(gate, before, after, elsewhere, days))
