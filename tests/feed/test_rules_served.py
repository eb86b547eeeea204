"""What a rule hides is hidden on every route: one decision, with its reason, judged anew when it has to be."""

from __future__ import annotations

import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.server import HTML, JSON, TEXT, LocalServer, settings, simple

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
YOUNG = "foo-2.0-py3-none-any.whl"
OLD = "foo-1.0-py3-none-any.whl"


class Clock:
    def __init__(self) -> None:
        self.now = START.timestamp()

    def __call__(self) -> float:
        return self.now


def stamp(**ago: float) -> str:
    return (START - timedelta(**ago)).isoformat().replace("+00:00", "Z")


@pytest.fixture
async def upstream() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        index.has(OLD, upload_time=stamp(days=30), metadata=True)
        index.has(YOUNG, upload_time=stamp(days=1), metadata=True, provenance=b"{}")
        yield index


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Serve:
    def __init__(self, stack: AsyncExitStack, cache: Path, upstream: FakeIndex, clock: Clock) -> None:
        self._stack, self._cache, self._upstream, self._clock = stack, cache, upstream, clock

    async def __call__(self, rules: dict[str, Any] | None = None, **source: Any) -> LocalServer:
        sources = {"public": simple(self._upstream.url, **source)}
        server = LocalServer(settings(self._cache, sources, rules=rules), clock=self._clock)
        return await self._stack.enter_async_context(server)


@pytest.fixture
async def serve(cache_directory: Path, upstream: FakeIndex, clock: Clock) -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:
        yield Serve(stack, cache_directory, upstream, clock)


HIDING = [
    {"min_age": "3 d"},
    {"as_of": "2026-11-01"},
    {"deny": ["foo>=2"]},
    {"allow": ["foo<2"]},
    {"kinds": ["sdist"]},
    {"licenses": {"allow": ["MIT"]}},
]
ROUTES = [
    f"/files/foo/{YOUNG}",
    f"/files/Foo/{YOUNG}",
    f"/files/FOO/{YOUNG.replace('-', '%2D')}",
    f"/files/foo/{YOUNG}.metadata",
    f"/files/foo/{YOUNG}.provenance",
    f"/default/files/foo/{YOUNG}",
    f"/simple/files/foo/{YOUNG}",
]


@pytest.mark.parametrize("rules", HIDING, ids=lambda rules: next(iter(rules)))
@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
async def test_no_route_spelling_format_condition_or_range_reveals_a_hidden_file(
    serve: Serve, upstream: FakeIndex, rules: dict[str, Any], is_warm: bool
) -> None:
    etags = []
    if is_warm:
        open_server = await serve({"min_age": "0 s"})
        etags = [(await open_server.get(f"/files/foo/{YOUNG}")).headers["ETag"]]
        etags += [(await open_server.get("/simple/foo/", accept=form)).headers["ETag"] for form in (JSON, HTML, TEXT)]
    server = await serve(rules)

    for route in ROUTES:
        for headers in ({}, {"range": "bytes=0-0"}, {"if_none_match": "*"}, *({"if_none_match": tag} for tag in etags)):
            for method in ("GET", "HEAD"):
                reply = await server.get(route, method=method, **headers)
                assert reply.status == 403, (route, method, headers)
                rule, _, reason = reply.headers["Wheelgate-Reason"].partition(": ")
                assert rule == next(iter(rules))
                assert reason
    for form in (JSON, HTML, TEXT):
        for tag in (None, *etags):
            page = await server.get("/simple/foo/", accept=form, **({} if tag is None else {"if_none_match": tag}))
            assert page.status == 200
            assert YOUNG not in page.text
    assert (await server.page("/simple/foo/")).json().get("versions") in (["1.0"], [])
    # Neither the file nor its metadata were fetched on behalf of anybody who may not have them.
    assert is_warm or upstream.asked(f"/files/{YOUNG}") == 0


async def test_a_lock_file_of_before_the_rule_is_held_back_by_the_rule_after(serve: Serve) -> None:
    before = await serve()
    locked = (await before.page("/simple/foo/")).file(YOUNG)
    assert (await before.get(f"/files/foo/{YOUNG}")).status == 200
    after = await serve({"deny": ["foo==2.0"]})

    reply = await after.get(f"/files/foo/{YOUNG}")

    assert locked["hashes"]
    assert reply.status == 403
    assert reply.json()["rule"] == "deny"


async def test_a_file_comes_of_age_at_its_moment_with_a_new_etag(serve: Serve, clock: Clock) -> None:
    server = await serve({"min_age": "3 d"}, fresh="10 d", stale="10 d")
    before = await server.page("/simple/foo/")
    assert before.filenames() == [OLD]
    assert before.headers["Cache-Control"] == "max-age=600"

    clock.now += 2 * 86_400 - 60
    late = await server.page("/simple/foo/")
    clock.now += 59.5
    later = await server.page("/simple/foo/")
    clock.now += 0.5
    after = await server.page("/simple/foo/", if_none_match=before.headers["ETag"])

    assert late.headers["ETag"] == later.headers["ETag"] == before.headers["ETag"]
    assert late.headers["Cache-Control"] == "max-age=60"
    assert later.headers["Cache-Control"] == "max-age=0"
    assert after.status == 200
    assert set(after.filenames()) == {OLD, YOUNG}
    assert after.headers["Cache-Control"] == "max-age=600"


async def test_an_exception_ends_with_its_day(serve: Serve, clock: Clock) -> None:
    server = await serve(
        {"deny": ["foo"], "exceptions": ["foo==2 until 2026-11-22: the demo"]}, fresh="10 d", stale="10 d"
    )
    page = await server.page("/simple/foo/")
    file = await server.get(f"/files/foo/{YOUNG}")
    explained = (await server.get("/explain/foo")).json()

    clock.now += 12 * 3600

    assert page.filenames() == [YOUNG]
    assert file.status == 200
    assert "immutable" not in file.headers["Cache-Control"]
    assert next(one for one in explained["files"] if one["filename"] == YOUNG)["rule"] == "exceptions"
    assert (await server.page("/simple/foo/")).status == 403
    assert (await server.get(f"/files/foo/{YOUNG}")).status == 403


async def test_a_page_is_judged_once_and_not_for_each_request(serve: Serve, clock: Clock) -> None:
    server = await serve({"min_age": "3 d"}, fresh="1 h")
    feed = server.machine.feeds["default"]

    first = await feed.page("foo")  # type: ignore[arg-type]
    for form in (JSON, HTML, TEXT):
        assert (await server.get("/simple/foo/", accept=form)).status == 200
    assert (await server.get(f"/files/foo/{OLD}")).status == 200
    clock.now += 1800

    assert await feed.page("foo") is first  # type: ignore[arg-type]


async def test_a_page_whose_files_are_all_hidden_says_why_to_people_and_machines(serve: Serve) -> None:
    server = await serve({"min_age": "60 d"})

    page = (await server.page("/simple/foo/")).json()
    html = (await server.get("/simple/foo/", accept=TEXT)).text

    assert page["files"] == page["versions"] == []
    assert "2 by min_age" in page["_reason"]
    assert "says public" in page["_reason"]
    assert "2 by min_age" in html
    assert "../../explain/foo" in html


async def test_a_refusal_says_the_rule_the_reason_and_what_to_do(serve: Serve) -> None:
    server = await serve({"min_age": "3 d"})

    reply = await server.get(f"/files/foo/{YOUNG}")

    problem = reply.json()
    assert problem["rule"] == "min_age"
    assert "uploaded 2026-11-21T12:00:00Z (says public), less than 3 d ago" in problem["detail"]
    assert "wait until 2026-11-24T12:00:00Z" in problem["remedy"]
    assert "/explain/foo" in problem["explain"]
    header = reply.headers["Wheelgate-Reason"]
    assert header.startswith("min_age: ")
    assert "wait until 2026-11-24T12:00:00Z" in header


async def test_a_license_is_read_where_the_source_publishes_it(serve: Serve, upstream: FakeIndex) -> None:
    free = b"Metadata-Version: 2.4\nName: foo\nVersion: 3.0\nLicense-Expression: MIT\n\n"
    upstream.has("foo-3.0-py3-none-any.whl", metadata=free)
    upstream.has("foo-3.0.tar.gz")
    upstream.has("foo-4.0-py3-none-any.whl", metadata=free.replace(b"MIT", b"GPL-3.0-only").replace(b"3.0\n", b"4.0\n"))
    server = await serve({"licenses": {"allow": ["MIT"]}}, fresh="1 h")

    page = await server.until(lambda reply: "foo-3.0.tar.gz" in reply.filenames(), "/simple/foo/")

    assert page.filenames() == ["foo-3.0-py3-none-any.whl", "foo-3.0.tar.gz"]
    reply = await server.get("/files/foo/foo-4.0-py3-none-any.whl")
    assert "GPL-3.0-only" in reply.headers["Wheelgate-Reason"]


def osv(name: str, fixed: str) -> str:
    package = {"ecosystem": "PyPI", "name": name}
    events = [{"introduced": "0"}, {"fixed": fixed}]
    affected = [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}]
    return json.dumps({"id": f"X-{name}", "affected": affected})


@pytest.mark.parametrize("is_zip", [False, True], ids=["folder", "zip"])
async def test_the_database_of_advisories_is_read_again_when_it_changes(
    serve: Serve, tmp_path: Path, is_zip: bool
) -> None:
    place = tmp_path / ("all.zip" if is_zip else "osv")

    def write(fixed: str) -> None:
        if is_zip:
            with zipfile.ZipFile(place, "w") as archive:
                archive.writestr("X-foo.json", osv("Foo", fixed))
        else:
            place.mkdir(exist_ok=True)
            (place / "X-foo.json").write_text(osv("Foo", fixed))

    write("1.5")
    server = await serve({"vulnerabilities": {"database": str(place)}}, fresh="1 h")
    assert (await server.page("/simple/foo/")).filenames() == [YOUNG]

    write("3.0.0")
    await look(server)
    assert (await server.page("/simple/foo/")).filenames() == []

    if is_zip:
        place.write_bytes(b"PK not a whole one")
    else:
        (place / "Y.json").write_text("{")
    await look(server)
    assert (await server.page("/simple/foo/")).filenames() == []
    assert "not the newest" in (await server.get("/explain/foo")).json()["warnings"][0]
    assert 'wheelgate_rules_stale{feed="default"} 1.0' in (await server.get("/metrics")).text


async def test_without_a_readable_database_nothing_is_shown(serve: Serve, tmp_path: Path) -> None:
    server = await serve({"vulnerabilities": {"database": str(tmp_path / "none.zip")}})

    reply = await server.get(f"/files/foo/{OLD}")

    assert reply.status == 403
    assert "none.zip" in reply.headers["Wheelgate-Reason"]


async def look(server: LocalServer) -> None:
    await server.machine.rulebook.look()
