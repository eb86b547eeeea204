"""Who may own a name: combinations before claims before the order."""

from __future__ import annotations

import pytest
from packaging.utils import canonicalize_name

from proxy.rules.ownership import Ownership, matches

FEED = Ownership(
    ("curated", "team", "public"),
    claims={"curated": ("Acme_*", "foo"), "team": ("bar", "acme.*")},
    combine={"Torch": ("curated", "public")},
)


@pytest.mark.parametrize(
    ("name", "sources", "together", "why"),
    [
        ("acme-sdk", ("curated",), False, "claimed by curated"),
        ("foo", ("curated",), False, "claimed by curated"),
        ("bar", ("team",), False, "claimed by team"),
        ("torch", ("curated", "public"), True, "combine Torch"),
        ("torch-vision", ("curated", "team", "public"), False, "first source in order"),
        ("acme", ("curated", "team", "public"), False, "first source in order"),
    ],
)
def test_a_name_has_its_candidates_and_the_reason(
    name: str, sources: tuple[str, ...], together: bool, why: str
) -> None:
    found = FEED.candidates(canonicalize_name(name))

    assert found.sources == sources
    assert found.together is together
    assert why in found.why


@pytest.mark.parametrize(
    ("pattern", "name", "is_meant"),
    [
        ("Acme_SDK", "acme-sdk", True),
        ("acme.__-sdk", "acme-sdk", True),
        ("*", "anything", True),
        ("a*c", "abc", True),
        ("a*c", "abcd", False),
        ("a.c", "abc", False),
        ("acme", "acme-sdk", False),
    ],
)
def test_a_pattern_means_names_after_normalising(pattern: str, name: str, is_meant: bool) -> None:
    assert matches(pattern, canonicalize_name(name)) is is_meant
