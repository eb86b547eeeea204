"""Promise: core metadata that is advertised can be had, is the wheel's own, and is never a guess."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from tests.fakes.index import FakeIndex
from tests.fakes.server import HTML, JSON, LocalServer, settings, simple
from tests.fakes.wheels import build_wheel, metadata
from tests.scenarios.conftest import Run

WHEEL = "bar-1.0-py3-none-any.whl"
PATH = f"/files/bar/{WHEEL}.metadata"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
async def server(run: Run, cache_directory: Path, public: FakeIndex) -> LocalServer:
    public.has(WHEEL, metadata=True, requires_python=">=3.9")
    return await run(settings(cache_directory, {"public": simple(public.url)}))


async def test_what_is_advertised_is_served_with_the_advertised_hash(server: LocalServer, public: FakeIndex) -> None:
    said = (await server.page("/simple/bar/")).file(WHEEL)
    as_html = (await server.get("/simple/bar/", accept=HTML)).text
    reply = await server.get(PATH)

    digest = sha256(reply.body)
    assert reply.status == 200
    assert reply.body == public.files[WHEEL].metadata
    assert said["core-metadata"] == {"sha256": digest}
    assert "dist-info-metadata" not in said
    assert f'data-core-metadata="sha256={digest}"' in as_html
    assert f'data-dist-info-metadata="sha256={digest}"' in as_html
    assert reply.headers["ETag"] == f'"{digest}"'
    assert reply.headers["Cache-Control"] == "max-age=365000000, immutable"
    assert (await server.get(PATH, if_none_match=reply.headers["ETag"])).status == 304


async def test_what_was_read_for_the_page_is_not_asked_for_again(
    run: Run, cache_directory: Path, public: FakeIndex
) -> None:
    """uv asks for it within a millisecond of the page, before anything of it is on the disk."""
    public.has(WHEEL)
    server = await run(settings(cache_directory, {"public": simple(public.url)}))
    assert "core-metadata" in (await server.page("/simple/bar/")).file(WHEEL)

    reply = await server.get(PATH)

    assert reply.body == metadata("bar", "1.0")
    assert [asked.path for asked in public.requests if WHEEL in asked.path] == [f"/files/{WHEEL}"]


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_a_sidecar_that_fails_is_replaced_by_the_wheels_own(
    server: LocalServer, public: FakeIndex, status: int
) -> None:
    public.status_for(f"{WHEEL}.metadata", status)

    reply = await server.get(PATH)

    assert reply.status == 200
    assert reply.body == public.files[WHEEL].metadata


async def test_a_sidecar_that_fails_is_replaced_without_ranges_too(server: LocalServer, public: FakeIndex) -> None:
    public.status_for(f"{WHEEL}.metadata", 404)
    public.no_ranges()

    reply = await server.get(PATH)

    assert reply.status == 200
    assert reply.body == public.files[WHEEL].metadata


async def test_a_wrong_sidecar_is_replaced_by_the_wheels_own(server: LocalServer, public: FakeIndex) -> None:
    public.status_for(f"{WHEEL}.metadata", 200, body=b"Metadata-Version: 2.1\nName: evil\nVersion: 1\n")

    reply = await server.get(PATH)

    assert reply.body == public.files[WHEEL].metadata


async def test_a_wrong_sidecar_that_cannot_be_replaced_is_an_error_and_advertised_no_longer(
    run: Run, tmp_path: Path, public: FakeIndex
) -> None:
    """To pip and uv, what differs from the wheel's own METADATA is a failed install."""
    public.has(WHEEL, metadata=b"Metadata-Version: 2.1\nName: evil\nVersion: 1\n")
    public.status_for(f"{WHEEL}.metadata", 200, body=b"Metadata-Version: 2.1\nName: worse\nVersion: 1\n")
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))
    assert "core-metadata" in (await server.page("/simple/bar/")).file(WHEEL)

    reply = await server.get(PATH)
    page = await server.until(lambda page: "core-metadata" not in page.file(WHEEL), "/simple/bar/")

    assert reply.status == 502
    assert reply.json()["source"] == "public"
    assert page.filenames() == [WHEEL]
    assert (await server.get(PATH)).status == 404
    assert (await server.get(f"/files/bar/{WHEEL}")).body == public.files[WHEEL].content


async def test_a_refused_sidecar_of_an_unreadable_wheel_is_advertised_no_longer(
    run: Run, tmp_path: Path, public: FakeIndex
) -> None:
    public.has(WHEEL, content=b"no zip at all" * 300, metadata=b"Metadata-Version: 2.1\n")
    public.status_for(f"{WHEEL}.metadata", 403)
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))

    assert (await server.get(PATH)).status == 502
    await server.until(lambda page: "core-metadata" not in page.file(WHEEL), "/simple/bar/")


async def test_a_sidecar_that_cannot_be_had_for_the_moment_stays_advertised(
    server: LocalServer, public: FakeIndex
) -> None:
    await server.page("/simple/bar/")
    public.status_for(f"{WHEEL}.metadata", 503)
    public.status_for(WHEEL, 503)

    assert (await server.get(PATH)).status == 503
    assert "core-metadata" in (await server.page("/simple/bar/")).file(WHEEL)

    public.truth_for(f"{WHEEL}.metadata")
    public.truth_for(WHEEL)
    assert (await server.get(PATH)).status == 200


async def test_metadata_is_read_out_of_wheels_where_the_upstream_has_none(
    run: Run, tmp_path: Path, public: FakeIndex
) -> None:
    public.has(
        "big-1.0-py3-none-any.whl",
        content=build_wheel("big", "1.0", requires_python=">=3.8", requires=["leaf"], size_padding=2 << 20),
    )
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))
    expected = metadata("big", "1.0", requires_python=">=3.8", requires=["leaf"])

    page = await server.page("/simple/big/")
    reply = await server.get("/files/big/big-1.0-py3-none-any.whl.metadata")

    said = page.file("big-1.0-py3-none-any.whl")
    assert said["core-metadata"] == {"sha256": sha256(expected)}
    assert said["requires-python"] == ">=3.8"
    assert reply.body == expected
    asked = [asked.headers.get("Range") for asked in public.requests if asked.path.endswith(".whl")]
    assert asked
    assert None not in asked


async def test_metadata_that_this_process_does_not_advertise_yet_are_read_for_who_asks(
    run: Run, tmp_path: Path, public: FakeIndex
) -> None:
    """Another process may advertise them already: clients do not know which one they ask."""
    for minor in range(60):
        public.has(f"many-1.{minor}-py3-none-any.whl")
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))

    page = await server.page("/simple/many/")
    reply = await server.get("/files/many/many-1.0-py3-none-any.whl.metadata")

    assert "core-metadata" not in page.file("many-1.0-py3-none-any.whl")
    assert reply.body == metadata("many", "1.0")


async def test_without_ranges_metadata_is_advertised_once_the_wheel_is_here(
    run: Run, tmp_path: Path, public: FakeIndex
) -> None:
    public.has("plain-1.0-py3-none-any.whl", size_padding=200_000)
    public.no_ranges()
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))
    path = "/files/plain/plain-1.0-py3-none-any.whl"

    assert "core-metadata" not in (await server.page("/simple/plain/")).json()["files"][0]
    assert (await server.get(f"{path}.metadata")).status == 404
    assert (await server.get(path)).status == 200
    await server.until(lambda page: "core-metadata" in page.json()["files"][0], "/simple/plain/")

    assert (await server.get(f"{path}.metadata")).body == metadata("plain", "1.0")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + bytes(18), b"x" * 70_000])
async def test_an_unreadable_wheel_is_not_advertised_and_stays_installable(
    run: Run, tmp_path: Path, public: FakeIndex, content: bytes
) -> None:
    public.has("odd-1.0-py3-none-any.whl", content=content)
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))

    page = await server.page("/simple/odd/")
    sidecar = await server.get("/files/odd/odd-1.0-py3-none-any.whl.metadata")
    file = await server.get("/files/odd/odd-1.0-py3-none-any.whl")

    assert page.status == 200
    assert "core-metadata" not in page.json()["files"][0]
    assert sidecar.status == 404
    assert file.body == content


async def test_the_first_answer_does_not_wait_for_many_wheels(run: Run, tmp_path: Path, public: FakeIndex) -> None:
    for minor in range(60):
        public.has(f"many-1.{minor}-py3-none-any.whl")
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))
    await server.page("/simple/many/")

    page = await server.until(
        lambda page: all("core-metadata" in file for file in page.json()["files"]), "/simple/many/"
    )

    assert len(page.filenames()) == 60


async def test_provenance_is_passed_through_where_the_source_has_it(
    run: Run, tmp_path: Path, public: FakeIndex
) -> None:
    public.has(WHEEL, provenance=b'{"version": 1}')
    server = await run(
        settings(
            tmp_path / "other",
            {"public": simple(public.url)},
            server={"public_url": "https://pypi.corp.example/"},
            feeds={"team": {"sources": ["public"]}},
        )
    )

    said, team = (await server.page("/simple/bar/")).file(WHEEL), (await server.page("/team/simple/bar/")).file(WHEEL)
    reply = await server.get(f"/files/bar/{WHEEL}.provenance")

    assert said["provenance"] == f"https://pypi.corp.example/files/bar/{WHEEL}.provenance"
    assert team["provenance"] == f"https://pypi.corp.example/team/files/bar/{WHEEL}.provenance"
    assert reply.body == b'{"version": 1}'
    assert reply.headers["Content-Type"] == "application/vnd.pypi.integrity.v1+json"
    public.has("other-1.0-py3-none-any.whl")
    assert (await server.get("/files/other/other-1.0-py3-none-any.whl.provenance")).status == 404


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"", b"[]", b'{"version": 1', b"\xff"])
async def test_a_sign_in_page_is_no_provenance(run: Run, tmp_path: Path, public: FakeIndex, body: bytes) -> None:
    public.has(WHEEL, provenance=b'{"version": 1}')
    public.status_for(f"{WHEEL}.provenance", 200, body=body)
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))

    refused = await server.get(f"/files/bar/{WHEEL}.provenance")
    public.truth_for(f"{WHEEL}.provenance")
    reply = await server.get(f"/files/bar/{WHEEL}.provenance")

    assert refused.status == 502
    assert refused.json()["source"] == "public"
    assert reply.body == b'{"version": 1}'


@pytest.mark.parametrize("said", [True, {"sha256": "no digest"}, {}, {"md5": "d41d8cd98f00b204e9800998ecf8427e"}])
@pytest.mark.parametrize(
    "published",
    [
        b"<html>sign in</html>",
        b"",
        b"\xff\xfe",
        b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n",
        b"Metadata-Version: 2.1\nName: bar\nVersion: 2.0\n",
    ],
)
async def test_what_is_published_without_a_digest_is_only_taken_where_it_is_of_the_file(
    run: Run, tmp_path: Path, public: FakeIndex, said: object, published: bytes
) -> None:
    """A sign-in page comes with status 200 too, and would break every install until the cache is emptied."""
    file = public.has(WHEEL, requires=["leaf"])
    entry = {"filename": WHEEL, "url": public.file_url(WHEEL), "hashes": {"sha256": file.sha256}, "core-metadata": said}
    public.page_for("bar", json.dumps({"meta": {"api-version": "1.1"}, "name": "bar", "files": [entry]}).encode(), JSON)
    public.status_for(f"{WHEEL}.metadata", 200, body=published)
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))

    page = await server.until(lambda page: "core-metadata" in page.file(WHEEL), "/simple/bar/")
    reply = await server.get(PATH)

    assert page.status == 200
    assert reply.status == 200
    assert reply.body == metadata("bar", "1.0", requires=["leaf"])


async def test_what_is_published_without_a_digest_is_passed_on(run: Run, tmp_path: Path, public: FakeIndex) -> None:
    file = public.has(WHEEL, content=b"no zip at all")
    entry = {"filename": WHEEL, "url": public.file_url(WHEEL), "hashes": {"sha256": file.sha256}, "core-metadata": True}
    public.page_for("bar", json.dumps({"meta": {"api-version": "1.1"}, "name": "bar", "files": [entry]}).encode(), JSON)
    published = b"Metadata-Version: 2.1\r\nName: Bar\r\nVersion: 1.0.0\r\n\r\ntext"
    public.status_for(f"{WHEEL}.metadata", 200, body=published)
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))

    assert (await server.page("/simple/bar/")).file(WHEEL)["core-metadata"] is True
    assert (await server.get(PATH)).body == published


async def test_provenance_that_is_gone_is_404(run: Run, tmp_path: Path, public: FakeIndex) -> None:
    public.has(WHEEL, provenance=b"{}")
    public.status_for(f"{WHEEL}.provenance", 404)
    server = await run(settings(tmp_path / "other", {"public": simple(public.url)}))

    assert (await server.get(f"/files/bar/{WHEEL}.provenance")).status == 404


async def test_a_herd_reads_one_sidecar(server: LocalServer, public: FakeIndex) -> None:
    replies = await asyncio.gather(*(server.get(PATH) for _ in range(30)))

    assert {reply.body for reply in replies} == {public.files[WHEEL].metadata}
    assert public.asked(f"/files/{WHEEL}.metadata") == 1
