"""Promises about the names of projects and files."""

from __future__ import annotations

import pytest
from packaging.utils import NormalizedName

from proxy.simple.filename import (
    is_file,
    is_normalized,
    is_safe,
    kind_of,
    normalize,
    normalize_version,
    parse,
    quote,
    version_of,
)

FOO_BAR = NormalizedName("foo-bar")


@pytest.mark.parametrize("name", ["Foo__Bar.-baz", "foo-bar-baz", "FOO.BAR_BAZ", "foo_-_bar-.-baz"])
def test_every_spelling_of_a_name_normalises_to_one(name: str) -> None:
    assert normalize(name) == "foo-bar-baz"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a\n", "a\x00b", "-x", "x-", "_", "a b", "foo/bar", "%2e%2e", "f\u043eo", "\u212aelvin", "a" * 256],
)
def test_a_name_that_no_project_can_have_is_none(name: str) -> None:
    assert normalize(name) is None
    assert not is_normalized(name)


def test_only_the_spelling_of_urls_is_normalised() -> None:
    assert is_normalized("foo-bar")
    assert not is_normalized("Foo.Bar")


@pytest.mark.parametrize(
    ("filename", "project", "version", "kind"),
    [
        ("foo_bar-1.0-py3-none-any.whl", "foo-bar", "1.0", "wheel"),
        ("Foo.Bar-01.0-py3-none-any.whl", "foo-bar", "1.0", "wheel"),
        ("foo__bar-1.0+CU118-1b-cp311-cp311-linux_x86_64.whl", "foo-bar", "1.0+cu118", "wheel"),
        ("foo_bar-1.0_1-py3-none-any.whl", "foo-bar", "1.0.post1", "wheel"),
        ("foo_bar-1.0-py3-none-any-cu12.whl", "foo-bar", "1.0", "wheel"),
        ("foo_bar-1.0-1-py3-none-any-cu12.whl", "foo-bar", "1.0", "wheel"),
        ("Foo_Bar-1.0.tar.gz", "foo-bar", "1.0", "sdist"),
        ("foo-bar-1.0.tar.gz", "foo-bar", "1.0", "sdist"),
        ("foo-bar-1.0.zip", "foo-bar", "1.0", "sdist"),
        ("foo-bar-1.0-1.tar.gz", "foo-bar", "1.0.post1", "sdist"),
        ("foo-bar-1.0-rc1.tar.gz", "foo-bar", "1.0rc1", "sdist"),
        ("foo-2-1.0.tar.gz", "foo-2", "1.0", "sdist"),
    ],
)
def test_a_private_file_tells_its_project_and_version(filename: str, project: str, version: str, kind: str) -> None:
    distribution = parse(filename)

    assert distribution is not None
    assert (distribution.project, distribution.version, distribution.kind) == (project, version, kind)


@pytest.mark.parametrize(
    "filename",
    [
        "../x-1.0.tar.gz",
        "..\\x-1.0.tar.gz",
        "fo\u00f6-1.0-py3-none-any.whl",
        "foo-1.0 -py3-none-any.whl",
        "foo bar-1.0.tar.gz",
        "foo-1.0-py3-none.whl",
        "foo-bar-1.0-py3-none-any.whl",
        "foo-1.0-py3-none-any-a-b-c.whl",
        "foo-1.0-x-py3-none-any-a.whl",
        "foo-1.0--none-any.whl",
        "-1.0-py3-none-any.whl",
        "foo-one-py3-none-any.whl",
        "foo.tar.gz",
        "-1.0.tar.gz",
        "foo-2004d.tar.gz",
        "foo-1.0.tar.bz2",
        "foo-1.0-py3.6.egg",
        "foo-1.0-py3-none-any.whl.metadata",
        "README.md",
        "",
    ],
)
def test_a_private_file_that_tells_nothing_for_certain_is_none(filename: str) -> None:
    assert parse(filename) is None


@pytest.mark.parametrize(
    ("filename", "version"),
    [
        ("foo_bar-1.0-py3-none-any.whl", "1.0"),
        ("foo__bar-1.0-py3-none-any.whl", "1.0"),
        ("FOO.BAR-1.0.0-1-cp39-cp39-win_amd64.whl", "1.0.0"),
        ("foo_bar-1.0-py3-none-any-cu12.whl", "1.0"),
        ("foo-bar-1.0.tar.gz", "1.0"),
        ("Foo__Bar-1.0.zip", "1.0"),
        ("foo-----bar-1.0.tar.gz", "1.0"),
        ("foo-bar-1.0-1.tar.gz", "1.0.post1"),
        ("foo.bar-1.0.tar.bz2", "1.0"),
        ("foo-bar-1.0-py3.6.egg", "1.0"),
        ("foo-bar-1.0-py2.7-linux-x86_64.egg", "1.0"),
        ("foo-bar-1.0.win32-py2.7.exe", "1.0"),
        ("foo-bar-1.0.win-amd64-py3.6.msi", "1.0"),
        ("foo-bar-1.0.linux-x86_64.tar.gz", "1.0"),
        ("foo-bar-1.0-1.noarch.rpm", "1.0"),
        ("foo_bar-1.0-variants.json", "1.0"),
        ("foo-bar-2004d.tar.gz", ""),
        ("foo-bar-baz-1.0.tar.gz", ""),
        ("foo-1.0.tar.gz", ""),
        ("foo_bar.whl", ""),
        ("foo-1.0-py3-none-any.whl", ""),
        ("anything", ""),
    ],
)
def test_a_listed_file_tells_its_version_or_nothing(filename: str, version: str) -> None:
    assert version_of(filename, FOO_BAR) == version


@pytest.mark.parametrize("text", ["", " 1.0", "1.0\n", "1.\u0660", "one", "1" * 300, "1.0+"])
def test_what_is_no_version_has_no_normal_form(text: str) -> None:
    assert normalize_version(text) == ""


@pytest.mark.parametrize(
    "filename",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a\nb",
        "a\x00b",
        "\x7f",
        " a",
        "a ",
        "\u00e9",
        "x" * 256,
        "a.whl.metadata",
        "a.provenance",
    ],
)
def test_a_name_that_is_no_segment_of_a_url_is_not_safe(filename: str) -> None:
    assert not is_safe(filename)


@pytest.mark.parametrize("filename", ["foo-1.0+cu118.whl", "foo bar-1.0.zip", "1!2.tar.gz", '"<&>.zip', "a%2Fb.zip"])
def test_odd_but_harmless_names_are_safe(filename: str) -> None:
    assert is_safe(filename)


@pytest.mark.parametrize(
    ("filename", "quoted"),
    [
        ("foo_bar-1.0~a-py3-none-any.whl", "foo_bar-1.0~a-py3-none-any.whl"),
        ("foo-1.0+cu118.whl", "foo-1.0%2Bcu118.whl"),
        ("foo bar.zip", "foo%20bar.zip"),
        ("1!2%2B#?&.zip", "1%212%252B%23%3F%26.zip"),
    ],
)
def test_a_name_is_quoted_as_one_segment(filename: str, quoted: str) -> None:
    assert quote(filename) == quoted


@pytest.mark.parametrize(
    ("filename", "kind"),
    [
        ("a.whl", "wheel"),
        ("a.tar.gz", "sdist"),
        ("a.zip", "sdist"),
        ("a.tgz", "sdist"),
        ("a.egg", "other"),
        ("a", "other"),
    ],
)
def test_a_file_has_the_kind_that_rules_speak_of(filename: str, kind: str) -> None:
    assert kind_of(filename) == kind


def test_links_to_other_pages_are_no_files() -> None:
    assert is_file("foo-1.0.TAR.GZ")
    assert is_file("foo-1.0-variants.json")
    assert not is_file("index.html")
    assert not is_file("foo-1.0.tar.gz.asc")
    assert not is_file("a/b.whl")
