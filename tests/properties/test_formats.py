"""What holds of all pages that are written, and of all bodies that are read."""

from __future__ import annotations

import contextlib
import json
from html.parser import HTMLParser

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from proxy.simple import as_html, as_json
from proxy.simple.filename import is_safe, version_of
from proxy.simple.links import Links
from proxy.simple.model import File, Page, ProjectStatus, decode_page, encode
from proxy.simple.tolerance import PageUnreadable, build_page

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

FOO = NormalizedName("foo")
LINKS = Links(FOO)
BASE = "https://index.example/team/simple/foo/"
FILES = "https://index.example/team/files/foo/"

REASONS = st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
DIGESTS: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just({}),
    *(
        st.fixed_dictionaries({name: st.from_regex(f"[0-9a-f]{{{length}}}", fullmatch=True)})
        for name, length in {"sha256": 64, "sha512": 128, "md5": 32}.items()
    ),
)
NAMES_OF_FILES = st.builds(
    lambda version, odd, ending: f"foo-{version}{odd}{ending}",
    st.sampled_from(["1.0", "2.0rc1", "1!3.0", "junk"]),
    st.text(alphabet="+ \"<>&%#?'!=a", max_size=6),
    st.sampled_from(["-py3-none-any.whl", ".tar.gz", ".zip", "-py3.6.egg"]),
).filter(is_safe)
TIMES = st.datetimes().map(lambda time: f"{time.isoformat()}Z")


@st.composite
def pages(draw: st.DrawFn, *, as_markup: bool) -> Page:
    """Give a page with whatever the form can carry, as a reader would give it."""

    def file(filename: str) -> File:
        maybe = st.none() if as_markup else st.none() | st.integers(1, 1 << 62)
        return File(
            filename=filename,
            url="",
            version=version_of(filename, FOO),
            hashes=draw(DIGESTS),
            size=draw(maybe),
            upload_time=None if as_markup else draw(st.none() | TIMES),
            requires_python=draw(st.sampled_from([None, ">=3.9", ">=2.7,!=3.0.*,<4"])),
            core_metadata=draw(st.booleans() | st.just("ab" * 32)) if filename.endswith(".whl") else False,
            yanked=draw(st.booleans() | REASONS),
            provenance=draw(st.sampled_from([None, "known"])),
        )

    filenames = draw(st.lists(NAMES_OF_FILES, unique=True, max_size=5))
    status = draw(st.none() | st.builds(ProjectStatus, st.sampled_from(["active", "archived"]), st.none() | REASONS))
    versions = [] if as_markup else draw(st.lists(st.sampled_from(["0.1", "9.9"]), unique=True))
    return build_page(FOO, [file(filename) for filename in filenames], versions=versions, status=status)


def without_urls(page: Page) -> Page:
    """Give the page as both sides of a round trip must have it: links differ, what they lead to does not."""
    for file in page.files:
        assert not file.url or file.url.startswith(FILES)
    return msgspec.structs.replace(
        page,
        files=tuple(
            msgspec.structs.replace(file, url="", provenance="known" if file.provenance else None)
            for file in page.files
        ),
    )


@PATIENT
@given(pages(as_markup=False))
def test_a_page_loses_nothing_on_its_way_through_json(page: Page) -> None:
    read = as_json.parse_page(as_json.render_page(page, LINKS), base_url=BASE, project=FOO)

    assert without_urls(read) == page
    assert decode_page(encode(read)) == read


@PATIENT
@given(pages(as_markup=True))
def test_a_page_loses_nothing_that_html_can_carry(page: Page) -> None:
    read = as_html.parse_page(as_html.render_page(page, LINKS), base_url=BASE, project=FOO)

    assert without_urls(read) == page


@PATIENT
@given(pages(as_markup=False))
def test_written_json_has_no_null_and_a_version_for_every_file(page: Page) -> None:
    written = as_json.render_page(page, LINKS)

    assert b":null" not in written
    listed = json.loads(written)
    assert {file.version for file in page.files if file.version} <= set(listed["versions"])
    assert (listed["meta"]["api-version"] == "1.4") == all("size" in file for file in listed["files"])


class Tags(HTMLParser):
    """Notes the elements and attributes of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen |= {tag, *(name for name, _ in attrs)}


@PATIENT
@given(st.text(max_size=30).map(lambda text: f"\"'><img src=x onerror=y>{text}"))
def test_hostile_text_never_becomes_markup(text: str) -> None:
    file = File(text, text, requires_python=text, yanked=text, provenance=text)
    page = Page(FOO, (file,), status=ProjectStatus(text, text))

    rendered = as_html.render_page(page, LINKS, reason=text, explain_href=text)

    assert not {"img", "src", "onerror"} & Tags(rendered).seen


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ENTRIES = st.dictionaries(
    st.sampled_from(
        ["filename", "url", "hashes", "size", "upload-time", "requires-python", "yanked", "core-metadata", "provenance"]
    ),
    JSON,
)
GOOD = {"filename": "foo-1.0.zip", "url": "foo-1.0.zip", "hashes": {}}


@PATIENT
@given(ENTRIES, st.dictionaries(st.sampled_from(["versions", "project-status", "meta"]), JSON))
def test_no_odd_entry_costs_the_good_one(entry: dict[str, object], rest: dict[str, object]) -> None:
    body = json.dumps({**rest, "files": [entry, GOOD]}).encode()

    try:
        page = as_json.parse_page(body, base_url=BASE, project=FOO)
    except PageUnreadable as error:
        # A string of a version 2 or later, and nothing else.
        assert "version" in error.reason  # noqa: PT017 - either outcome is right
    else:
        assert "foo-1.0.zip" in {file.filename for file in page.files}
        assert decode_page(encode(page)) == page
        assert b":null" not in as_json.render_page(page, LINKS)


@PATIENT
@given(st.binary(max_size=200) | st.text(alphabet="<>a=\"'/ href.whl#&;!-\n", max_size=200).map(str.encode))
def test_no_body_breaks_the_readers(body: bytes) -> None:
    with contextlib.suppress(PageUnreadable):
        as_json.parse_page(body, base_url=BASE, project=FOO)
    with contextlib.suppress(PageUnreadable):
        as_html.parse_page(body, base_url=BASE, project=FOO)
    with contextlib.suppress(PageUnreadable):
        as_json.parse_names(body)
    with contextlib.suppress(PageUnreadable):
        as_html.parse_names(body, base_url=BASE)


@PATIENT
@given(st.text(max_size=60))
def test_no_link_breaks_the_readers(link: str) -> None:
    body = json.dumps({"files": [{"url": link}]}).encode()

    for file in as_json.parse_page(body, base_url=BASE, project=FOO).files:
        assert file.url.startswith(("https://", "http://"))
        assert file.url.isascii()
        assert "#" not in file.url
