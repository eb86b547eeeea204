"""What holds of the names of all projects and files."""

from __future__ import annotations

import urllib.parse

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName, canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from proxy.simple.filename import (
    are_normal,
    are_plain,
    are_safe,
    is_normalized,
    is_safe,
    normalize,
    normalize_version,
    parse,
    quote,
    version_of,
    versions_of,
)

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,12}[A-Za-z0-9])?", fullmatch=True)
VERSIONS = st.from_regex(
    r"([1-9]!)?[0-9]{1,3}(\.[0-9]{1,3}){0,3}((a|b|rc)[0-9])?(\.post[0-9])?(\+[a-z0-9]{1,4})?", fullmatch=True
)
SPELLINGS = st.text(alphabet="aZ09._-+! %\\/\n\x00\u00e9", max_size=40) | st.text(max_size=40)


@PATIENT
@given(st.text(max_size=40) | NAMES)
def test_normalising_twice_changes_nothing(name: str) -> None:
    normal = normalize(name)

    assert normal is None or (normalize(normal) == normal and is_normalized(normal))


@PATIENT
@given(NAMES)
def test_valid_names_are_normalised_as_packaging_does(name: str) -> None:
    assert normalize(name) == canonicalize_name(name, validate=True)


@PATIENT
@given(SPELLINGS, st.sampled_from(["", ".whl", ".tar.gz", ".zip", ".egg", "-py3-none-any.whl"]))
def test_no_spelling_breaks_anything(stem: str, ending: str) -> None:
    filename = stem + ending
    distribution = parse(filename)

    version_of(filename, NormalizedName("a"))
    assert is_safe(filename) in {True, False}
    if distribution is not None:
        assert is_safe(filename)
        assert normalize(distribution.project) == distribution.project
        assert str(Version(distribution.version)) == distribution.version
        assert version_of(filename, distribution.project) == distribution.version


@PATIENT
@given(NAMES, VERSIONS)
def test_what_packaging_reads_of_built_names_is_read_alike(name: str, version: str) -> None:
    escaped = canonicalize_name(name).replace("-", "_")
    wheel, sdist = f"{escaped}-{version}-py3-none-any.whl", f"{escaped}-{version}.tar.gz"

    read = [parse(wheel), parse(sdist)]

    expected = [parse_wheel_filename(wheel)[:2], parse_sdist_filename(sdist)]
    assert [(file.project, file.version) for file in read if file] == [(name, str(said)) for name, said in expected]


@PATIENT
@given(VERSIONS)
def test_versions_are_normalised_as_packaging_does(version: str) -> None:
    assert normalize_version(version) == str(Version(version))


@PATIENT
@given(SPELLINGS.filter(is_safe))
def test_a_quoted_name_is_one_segment_that_reads_back(filename: str) -> None:
    url = urllib.parse.urljoin("https://index.example/simple/foo/", f"../../files/foo/{quote(filename)}")

    assert urllib.parse.unquote(urllib.parse.urlsplit(url).path) == f"/files/foo/{filename}"


ODD_VERSIONS = st.text(alphabet="0123.|abrc!+", max_size=6)


@PATIENT
@given(st.lists(VERSIONS | ODD_VERSIONS | st.just("1" * 256), max_size=4))
def test_of_many_versions_what_is_said_at_once_is_so_of_each(versions: list[str]) -> None:
    each = all(bool(version) and normalize_version(version) == version for version in versions)

    # Local versions are told apart one by one.
    assert are_normal(versions) == each or (each and "+" in "".join(versions))


@PATIENT
@given(st.lists(SPELLINGS | NAMES, max_size=4))
def test_of_many_names_what_is_said_at_once_is_so_of_each(names: list[str]) -> None:
    assert are_plain(names) == all(quote(name) == name for name in names)
    assert not are_safe(names) or all(is_safe(name) for name in names)


@PATIENT
@given(
    st.lists(
        st.builds(
            "{}-{}{}".format,
            st.sampled_from(["a", "A", "a-b", "b"]),
            VERSIONS | ODD_VERSIONS,
            st.sampled_from(["-py3-none-any.whl", ".whl", ".tar.gz", "-1.tar.gz", "-1-py3-none-any.whl"]),
        ),
        max_size=5,
    )
)
def test_the_versions_of_many_files_are_those_of_each(filenames: list[str]) -> None:
    project = NormalizedName("a")

    assert versions_of(filenames, project) == [version_of(filename, project) for filename in filenames]
