"""Promises about reading and writing pages and project lists as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from packaging.utils import NormalizedName

from proxy.simple.as_json import (
    PageUnreadable,
    iter_names,
    parse_names,
    parse_page,
    render_names,
    render_page,
)
from proxy.simple.links import Links, flat_href
from proxy.simple.model import File, Page, ProjectStatus, decode_page, encode

FOO = NormalizedName("foo")
BASE = "https://index.example/team/simple/foo/"
SHA256 = "0123456789abcdef" * 4
WHEEL = "foo-1.0-py3-none-any.whl"
ENTRY: dict[str, Any] = {"filename": WHEEL, "url": f"https://files.example/{WHEEL}", "hashes": {"sha256": SHA256}}


def read(*files: dict[str, Any], **page: Any) -> Page:
    return parse_page(json.dumps({"files": files, **page}).encode(), base_url=BASE, project=FOO)


def read_one(**entry: Any) -> File:
    # The second entry must survive whatever the first one says.
    page = read(ENTRY | entry, {"filename": "foo-0.tar.gz", "url": "foo-0.tar.gz", "hashes": {}})
    assert page.files[-1].filename == "foo-0.tar.gz"
    assert len(page.files) == 2
    return page.files[0]


def write(*files: File, status: ProjectStatus | None = None, reason: str | None = None) -> dict[str, Any]:
    page = Page(FOO, files, status=status)
    written: dict[str, Any] = json.loads(render_page(page, Links(FOO), reason=reason))
    return written


def test_a_page_of_today_is_read_whole() -> None:
    page = read(
        ENTRY
        | {
            "size": 11050,
            "upload-time": "2024-05-06T10:11:12.123456Z",
            "requires-python": ">=3.9",
            "core-metadata": {"sha256": SHA256},
            "yanked": "broken",
            "provenance": f"https://files.example/{WHEEL}.provenance",
        },
        name="Foo",
        meta={"api-version": "1.4"},
        versions=["1.0", "2.0"],
        **{"project-status": {"status": "archived", "reason": "done"}},
    )

    assert page == Page(
        name=FOO,
        files=(
            File(
                filename=WHEEL,
                url=f"https://files.example/{WHEEL}",
                version="1.0",
                hashes={"sha256": SHA256},
                size=11050,
                upload_time="2024-05-06T10:11:12.123456Z",
                requires_python=">=3.9",
                core_metadata=SHA256,
                yanked="broken",
                provenance=f"https://files.example/{WHEEL}.provenance",
            ),
        ),
        versions=("1.0", "2.0"),
        status=ProjectStatus("archived", "done"),
    )


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        (WHEEL, f"https://index.example/team/simple/foo/{WHEEL}"),
        (f"./{WHEEL}", f"https://index.example/team/simple/foo/{WHEEL}"),
        (f"../../packages/ab/{WHEEL}", f"https://index.example/team/packages/ab/{WHEEL}"),
        (f"a/../b/{WHEEL}", f"https://index.example/team/simple/foo/b/{WHEEL}"),
        (f"/files/{WHEEL}", f"https://index.example/files/{WHEEL}"),
        (f"//cdn.example/{WHEEL}", f"https://cdn.example/{WHEEL}"),
        (f"http://plain.example:8080/{WHEEL}", f"http://plain.example:8080/{WHEEL}"),
        (f"HTTPS://files.example/{WHEEL}?sig=a%2Bb", f"https://files.example/{WHEEL}?sig=a%2Bb"),
        (f"https://files.example/{WHEEL}?sig=a%2Bb", f"https://files.example/{WHEEL}?sig=a%2Bb"),
        ("foo 1.0.whl", "https://index.example/team/simple/foo/foo%201.0.whl"),
        ("\n caf\u00e9.whl ", "https://index.example/team/simple/foo/caf%C3%A9.whl"),
        ("a/foo-1.0%2Bcu.whl", "https://index.example/team/simple/foo/a/foo-1.0%2Bcu.whl"),
        (f"https://[2001:db8::1]/{WHEEL}", f"https://[2001:db8::1]/{WHEEL}"),
        (f"https://10.1.2.3/{WHEEL}", f"https://10.1.2.3/{WHEEL}"),
    ],
)
def test_links_are_made_absolute(url: str, absolute: str) -> None:
    assert read_one(url=url).url == absolute


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "data:text/plain,x",
        "javascript:alert(1)",
        "ftp://files.example/a.whl",
        "http:///a.whl",
        "https://host:port/a.whl",
        "https://[::1/a.whl",
        "https://good.example\\@evil.example/a.whl",
        "http://169.254.169.254/metadata",
        "http://2852039166/metadata",
        "http://[fe80::1]/a.whl",
        "http://[::ffff:169.254.169.254]/a.whl",
        "",
        None,
        5,
    ],
)
def test_a_link_that_no_index_means_drops_its_file_only(url: object) -> None:
    page = read(ENTRY | {"url": url}, ENTRY | {"filename": "foo-2.0.tar.gz"})

    assert [file.filename for file in page.files] == ["foo-2.0.tar.gz"]


def test_relative_links_of_a_page_that_may_not_be_followed_are_dropped() -> None:
    body = json.dumps({"files": [ENTRY | {"url": WHEEL}, ENTRY | {"url": WHEEL}]}).encode()

    assert parse_page(body, base_url="http://169.254.1.1/simple/", project=FOO).files == ()


@pytest.mark.parametrize("host", ["http://169.254.169.254", "https://169.254.1.1:8443"])
def test_a_page_of_nothing_but_refused_links_has_no_files(host: str) -> None:
    assert read(ENTRY | {"url": f"{host}/{WHEEL}"}, ENTRY | {"url": f"{host}/2", "filename": "foo-2.zip"}).files == ()


@pytest.mark.parametrize(
    "odd",
    [
        {"url": "https://files.example/a b.zip"},
        {"url": f"https://files.example/foo-2.zip#sha256={SHA256}"},
        {"url": "https://other.example/foo-2.zip"},
        {"url": "http://169.254.169.254/foo-2.zip"},
        {"url": "https://files.example.evil/foo-2.zip"},
        {"filename": "a/b.zip"},
        {"filename": "foo-1.0-py3-none-any.whl.metadata"},
        {"filename": ".."},
        {"filename": "x" * 256},
        {"filename": "\u00e9"},
        {"hashes": {"sha256": SHA256.upper()}},
        {"hashes": {"sha256": SHA256[:-2] + "zz"}},
        {"core-metadata": {"sha256": "short"}},
    ],
)
def test_an_odd_entry_is_read_alike_with_and_without_plain_ones(odd: dict[str, Any]) -> None:
    """Plain pages are read all at once, which must make no difference to any of their files."""
    entry = ENTRY | {"filename": "foo-2.0-py3-none-any.whl"} | odd
    plain = ENTRY | {"filename": "foo-3.0-py3-none-any.whl"}

    assert read(ENTRY, entry, plain).files == read(ENTRY).files + read(entry).files + read(plain).files


@pytest.mark.parametrize("filename", ["../x.whl", "a/b.whl", "\u00e9.whl", "a\x00.whl", " ", "foo.whl.metadata"])
def test_a_file_with_a_hostile_name_is_dropped(filename: str) -> None:
    assert read(ENTRY | {"filename": filename}).files == ()


@pytest.mark.parametrize("filename", [None, "", 7])
def test_without_a_name_the_link_tells_it(filename: object) -> None:
    assert read_one(filename=filename, url="https://files.example/foo-1.0%2Bcu-py3-none-any.whl?x=/y").filename == (
        "foo-1.0+cu-py3-none-any.whl"
    )


@pytest.mark.parametrize(
    ("hashes", "kept"),
    [
        ({"sha256": SHA256}, {"sha256": SHA256}),
        ({"sha256": "1" * 64}, {"sha256": "1" * 64}),
        ({"SHA256": SHA256.upper()}, {"sha256": SHA256}),
        ({"md5": "a" * 32, "sha256": SHA256, "blake2b_256": "b" * 64}, {"sha256": SHA256}),
        ({"md5": "a" * 32, "sha512": "b" * 128}, {"sha512": "b" * 128}),
        ({"md5": "a" * 32}, {"md5": "a" * 32}),
        ({"sha256": "abc", "md5": "a" * 32}, {"md5": "a" * 32}),
        ({"sha256": "z" * 64}, {}),
        ({"sha256": "ab " * 21 + "a"}, {}),
        ({"blake2b": "ab"}, {}),
        ({"sha256": None, "md5": "a" * 32}, {"md5": "a" * 32}),
        (None, {}),
        ({}, {}),
        ([], {}),
    ],
)
def test_of_several_digests_the_best_usable_one_is_kept(hashes: object, kept: dict[str, str]) -> None:
    assert read_one(hashes=hashes).hashes == kept


def test_a_digest_in_the_fragment_counts_where_no_other_is_given() -> None:
    file = read_one(hashes={}, url=f"https://files.example/{WHEEL}#sha256={SHA256}")

    assert file.hashes == {"sha256": SHA256}
    assert file.url == f"https://files.example/{WHEEL}"


@pytest.mark.parametrize(
    ("size", "kept"),
    [
        (1, 1),
        (0, None),
        (-1, None),
        (None, None),
        ("11050", 11050),
        (11050.0, 11050),
        (1.5, None),
        ("x", None),
        (True, None),
        (1e309, None),
        (1 << 70, None),
        ([], None),
        ("\u0661", None),
    ],
)
def test_a_size_is_a_number_of_bytes_or_unknown(size: object, kept: int | None) -> None:
    assert read_one(size=size).size == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("2024-05-06T10:11:12Z", "2024-05-06T10:11:12Z"),
        ("2024-05-06T10:11:12.123Z", "2024-05-06T10:11:12.123Z"),
        ("2024-05-06T10:11:12.123456Z", "2024-05-06T10:11:12.123456Z"),
        ("2024-05-06T10:11:12.1234567Z", "2024-05-06T10:11:12.123456Z"),
        ("2024-05-06T10:11:12.123456789+00:00", "2024-05-06T10:11:12.123456Z"),
        ("2024-05-06T10:11:12+0200", "2024-05-06T08:11:12Z"),
        ("2024-05-06 10:11:12.5", "2024-05-06T10:11:12.5Z"),
        ("2024-02-29T10:11:12Z", "2024-02-29T10:11:12Z"),
        ("2023-02-29T10:11:12Z", None),
        ("2024-13-01T10:11:12Z", None),
        ("2024-05-06T25:11:12Z", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("2024-05-06", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1714990272, None),
    ],
)
def test_an_upload_time_is_in_utc_or_unknown(said: object, kept: str | None) -> None:
    assert read_one(**{"upload-time": said}).upload_time == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (">=3.9", ">=3.9"),
        (" >=3,<4 ", ">=3,<4"),
        ("", None),
        (None, None),
        ("3.9+", None),
        (">=\u00b2", None),
        (3, None),
    ],
)
def test_a_requirement_that_is_none_leaves_the_file_installable(said: object, kept: str | None) -> None:
    assert read_one(**{"requires-python": said}).requires_python == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (False, False),
        (None, False),
        ("", False),
        (True, True),
        ("bad\n wheel", "bad wheel"),
        ("\n", True),
        (["x"], True),
        ({}, False),
        ("half a letter \ud800", "half a letter"),
    ],
)
def test_a_yank_is_never_lost(said: object, kept: bool | str) -> None:
    assert read_one(yanked=said).yanked == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({}, False),
        ({"core-metadata": True}, True),
        ({"core-metadata": False}, False),
        ({"core-metadata": None}, False),
        ({"core-metadata": {"sha256": SHA256.upper()}}, SHA256),
        ({"core-metadata": {"sha512": "ab"}}, True),
        ({"core-metadata": {"sha256": None}}, True),
        ({"core-metadata": [1]}, True),
        ({"core-metadata": {}}, False),
        ({"core-metadata": f"sha256={SHA256}"}, SHA256),
        ({"core-metadata": "true"}, True),
        ({"core-metadata": "false"}, False),
        ({"dist-info-metadata": {"sha256": SHA256}}, SHA256),
        ({"data-dist-info-metadata": {"sha256": SHA256}}, SHA256),
        ({"core-metadata": False, "dist-info-metadata": True}, False),
        ({"dist-info-metadata": False, "data-dist-info-metadata": True}, False),
    ],
)
def test_core_metadata_is_read_by_every_name_it_had(said: dict[str, object], kept: bool | str) -> None:
    assert read_one(**said).core_metadata == kept


def test_only_wheels_have_core_metadata() -> None:
    assert read_one(filename="foo-1.0.tar.gz", **{"core-metadata": True}).core_metadata is False


@pytest.mark.parametrize(
    ("base", "said", "kept"),
    [
        (BASE, "../x.provenance", "https://index.example/team/simple/x.provenance"),
        (BASE, "http://files.example/x.provenance", None),
        ("http://127.0.0.1/simple/foo/", "x.provenance", "http://127.0.0.1/simple/foo/x.provenance"),
        (BASE, "javascript:x", None),
        (BASE, None, None),
    ],
)
def test_provenance_of_a_secure_page_is_secure(base: str, said: str | None, kept: str | None) -> None:
    body = json.dumps({"files": [ENTRY | {"provenance": said}]}).encode()

    assert parse_page(body, base_url=base, project=FOO).files[0].provenance == kept


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({}, None),
        ({"project-status": None}, None),
        ({"project-status": {"status": "Quarantined"}}, ProjectStatus("quarantined")),
        ({"project-status": {"state": "archived", "reason": 5}}, ProjectStatus("archived")),
        ({"project-status": {"reason": "why"}}, None),
        ({"project-status": "deprecated"}, ProjectStatus("deprecated")),
        ({"project-status": "<b>"}, None),
        ({"project-status": "retired"}, ProjectStatus("retired")),
        (
            {"meta": {"project-status": "archived", "project-status-reason": "old"}},
            ProjectStatus("archived", "old"),
        ),
        ({"meta": "1.4"}, None),
    ],
)
def test_a_status_is_read_in_every_shape_it_had(said: dict[str, Any], status: ProjectStatus | None) -> None:
    assert read(ENTRY, **said).status == status


def test_versions_are_normal_distinct_and_cover_every_file() -> None:
    page = read(ENTRY, ENTRY | {"filename": "foo-1.0.tar.gz"}, versions=["2.00", "2.0", "2.00", "junk", 5, None])

    assert page.versions == ("2.0", "1.0")
    assert read(ENTRY, versions=None).versions == ("1.0",)
    assert read(ENTRY, versions="1.0").versions == ("1.0",)


def test_of_two_entries_with_one_name_the_first_counts() -> None:
    page = read(ENTRY | {"size": 1}, ENTRY | {"size": 2}, 5, None)  # type: ignore[arg-type]

    assert [file.size for file in page.files] == [1]


def test_the_projects_name_may_be_spelt_in_any_way() -> None:
    assert read(ENTRY, name="FOO").name == "foo"
    assert read(ENTRY, name=None).name == "foo"
    assert read(ENTRY, name=["x"]).name == "foo"


@pytest.mark.parametrize("version", ["1.0", "1.99", 1.1, 2, None, "odd", "", []])
def test_every_version_of_the_first_api_is_read(version: object) -> None:
    assert read(ENTRY, meta={"api-version": version}).files


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"files": null}',
        b'{"files": {}}',
        b'{"files": [], "name": "bar"}',
        b'{"files": [], "meta": {"api-version": "2.0"}}',
        b"[" * 200_000,
        b"<html></html>",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_what_is_no_page_is_never_an_empty_project(body: bytes) -> None:
    with pytest.raises(PageUnreadable) as caught:
        parse_page(body, base_url=BASE, project=FOO)

    assert caught.value.reason == str(caught.value) != ""


def test_a_byte_order_mark_is_read_over() -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"files": [ENTRY]}).encode()

    assert len(parse_page(body, base_url=BASE, project=FOO).files) == 1


def test_a_page_without_files_is_an_empty_project() -> None:
    assert read() == Page(name=FOO)
    assert write() == {"meta": {"api-version": "1.4"}, "name": "foo", "files": [], "versions": []}


def test_keys_without_a_value_are_left_out() -> None:
    page = write(File(WHEEL, "https://secret.example/a", size=5))

    assert page["files"] == [{"filename": WHEEL, "url": f"../../files/foo/{WHEEL}", "hashes": {}, "size": 5}]
    assert "project-status" not in page
    assert "_reason" not in page


def test_everything_known_is_written_by_its_present_name_only() -> None:
    file = File(
        "foo-1.0+cu-py3-none-any.whl",
        "https://secret.example/a?sig=x",
        version="1.0+cu",
        hashes={"md5": "a" * 32, "sha256": SHA256},
        size=5,
        upload_time="2024-05-06T10:11:12Z",
        requires_python=">=3",
        core_metadata=SHA256,
        yanked="bad",
        provenance="https://secret.example/p",
    )
    page = Page(FOO, (file,), versions=("0.9",), status=ProjectStatus("archived", "done"))

    written = json.loads(render_page(page, Links(FOO, "https://pypi.corp.example/", "ml"), reason="2 files hidden"))

    assert written == {
        "meta": {"api-version": "1.4"},
        "name": "foo",
        "files": [
            {
                "filename": "foo-1.0+cu-py3-none-any.whl",
                "url": "../../files/foo/foo-1.0%2Bcu-py3-none-any.whl",
                "hashes": {"sha256": SHA256},
                "requires-python": ">=3",
                "size": 5,
                "upload-time": "2024-05-06T10:11:12Z",
                "core-metadata": {"sha256": SHA256},
                "yanked": "bad",
                "provenance": "https://pypi.corp.example/ml/files/foo/foo-1.0%2Bcu-py3-none-any.whl.provenance",
            }
        ],
        "versions": ["0.9", "1.0+cu"],
        "project-status": {"status": "archived", "reason": "done"},
        "_reason": "2 files hidden",
    }


def test_a_page_with_an_unknown_size_claims_the_version_before_sizes() -> None:
    page = write(File(WHEEL, "a", size=5), File("foo-2.tar.gz", "b"), status=ProjectStatus("active"))

    assert page["meta"] == {"api-version": "1.0"}
    assert page["project-status"] == {"status": "active"}


def test_digests_that_nobody_ranks_are_shown_as_they_are() -> None:
    assert write(File(WHEEL, "a", hashes={"sha1": "a", "sha224": "b"}))["files"][0]["hashes"] == {"sha1": "a"}


def test_true_metadata_is_written_as_true() -> None:
    assert write(File(WHEEL, "a", core_metadata=True, yanked=True))["files"][0]["core-metadata"] is True


def test_links_are_relative_but_for_provenance_of_a_server_that_knows_its_name() -> None:
    assert Links(FOO).file("foo-1+a.zip") == "../../files/foo/foo-1%2Ba.zip"
    assert Links(FOO).provenance(WHEEL) == f"../../files/foo/{WHEEL}.provenance"
    public = Links(FOO, "https://pypi.corp.example/prefix")
    assert public.provenance("a b.whl") == "https://pypi.corp.example/prefix/files/foo/a%20b.whl.provenance"
    assert flat_href(FOO, "foo-1+a.zip") == "../files/foo/foo-1%2Ba.zip"


def test_a_page_with_odd_values_can_be_remembered() -> None:
    page = read(ENTRY | {"size": 1 << 80, "yanked": "\ud800x", "requires-python": 5})

    assert decode_page(encode(page)) == page


def test_a_project_list_is_written_piece_by_piece_and_reads_back() -> None:
    names = [f"project-{number}" for number in range(5000)]

    pieces = list(iter_names(iter(names)))

    assert len(pieces) == 4
    assert json.loads(b"".join(pieces)) == {
        "meta": {"api-version": "1.4"},
        "projects": [{"name": name} for name in names],
    }
    assert parse_names(render_names(names)) == names
    assert json.loads(render_names([])) == {"meta": {"api-version": "1.4"}, "projects": []}


def test_an_odd_project_list_keeps_its_usable_names() -> None:
    assert parse_names(b'{"projects": [{"name": "Foo.Bar"}, {"name": null}, 5, {"name": "<b>"}]}') == ["Foo.Bar"]
    assert parse_names(b'{"projects": [{"name": "a"}], "meta": {"api-version": "1.4"}}') == ["a"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"projects": null}', b'{"projects": [], "meta": {"api-version": "3.1"}}', b"[]"]
)
def test_what_is_no_project_list_is_unreadable(body: bytes) -> None:
    with pytest.raises(PageUnreadable):
        parse_names(body)
