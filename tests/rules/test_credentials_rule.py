from __future__ import annotations

from dataclasses import dataclass

import pytest

from proxy.rules.credentials import choose, covers, is_azure_devops, place_of

FEED = "https://pkgs.dev.azure.com/my-org/my-project/_packaging/my-feed/pypi/simple/"
OLD_FEED = "https://my-org.pkgs.visualstudio.com/my-project/_packaging/my-feed/pypi/simple/"


@dataclass(frozen=True)
class Held:
    name: str
    target: str
    configured: bool = True


@pytest.mark.parametrize(
    ("target", "url", "length"),
    [
        ("https://feeds.example", "https://feeds.example/simple/", 0),
        ("https://feeds.example/", "https://feeds.example", 0),
        ("https://FEEDS.example", "https://feeds.EXAMPLE:443/simple/", 0),
        ("http://127.0.0.1", "http://127.0.0.1:80/x", 0),
        ("http://[::1]:8080", "http://[::1]:8080/x", 0),
        ("https://feeds.example/a", "https://feeds.example/a", 1),
        ("https://feeds.example/a/", "https://feeds.example/a", 1),
        ("https://feeds.example/a//", "https://feeds.example/a", 1),
        ("https://feeds.example/a/b", "https://feeds.example/a/b/c?x=1#y", 2),
        ("https://feeds.example/My%20Project", "https://feeds.example/My Project/x", 1),
        ("https://feeds.example/a%62", "https://feeds.example/ab/x", 1),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example/x", 0),
    ],
)
def test_a_target_covers_what_is_under_it(target: str, url: str, length: int) -> None:
    assert covers(target, url) == length


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("https://example.com", "https://example.com.evil/"),
        ("https://example.com", "https://evil-example.com/"),
        ("https://example.com", "https://sub.example.com/"),
        ("https://example.com", "https://example.com@evil.example/"),
        ("https://example.com", "https://example.com:x@evil.example/"),
        ("https://example.com", "https://evil.example\\@example.com/"),
        ("https://example.com", "https://example.com\\.evil.example/"),
        ("https://example.com", "https://user@example.com/"),
        ("https://example.com", "https://example.com./"),
        ("https://example.com", "https://exa%6dple.com/"),
        ("https://example.com", "https://example.com:8443/"),
        ("https://example.com", "https://example.com:0/"),
        ("https://example.com", "https://example.com:99999/"),
        ("https://example.com", "https://example.com:x/"),
        ("https://example.com", "http://example.com/"),
        ("https://example.com", "http://example.com:443/"),
        ("https://example.com", "ftp://example.com/"),
        ("https://example.com", "//example.com/"),
        ("https://example.com", "https:example.com/"),
        ("https://example.com", "https:///example.com/"),
        ("https://example.com", "https://[::1/"),
        ("https://example.com", " https://example.com/"),
        ("https://example.com", "https://exa\tmple.com/"),
        ("https://user:x@example.com", "https://example.com/"),
        ("https://strasse.example", "https://stra\u00dfe.example/"),
        ("https://example.com", "https://" + "\u00fc" * 64 + ".example/"),
        ("https://example.com", "https://ex\u0430mple.com/"),
        ("not a url", "not a url"),
    ],
)
def test_another_host_port_or_scheme_is_never_covered(target: str, url: str) -> None:
    assert covers(target, url) is None


@pytest.mark.parametrize(
    "path",
    [
        "/my-project-2/x",
        "/my-projec",
        "/MY-PROJECT/x",
        "/other/my-project/",
        "//my-project/",
        "/my-project%2Fx",
        "/my-project/../other",
        "/my-project/%2e%2e/other",
        "/my-project/%2E./other",
        "/my-project/%252e%252e/other",
        "/my-project/..%2Fother",
        "/my-project/x%2F..%2F..%2Fother",
        "/my-project/..;x/other",
        "/my-project/..%5Cother",
        "/my-project/./other",
        "/other/../my-project/",
        "/my-project/%25252525252525252e",
    ],
)
def test_a_path_is_compared_in_whole_segments_and_never_left_by_dots(path: str) -> None:
    assert covers("https://example.com/my-project", "https://example.com" + path) is None


def test_bytes_that_are_no_text_are_told_apart() -> None:
    assert covers("https://example.com/%FF", "https://example.com/%FE/x") is None
    assert covers("https://example.com/%FF", "https://example.com/%ff/x") == 1


def test_a_target_with_dots_covers_nothing() -> None:
    assert covers("https://example.com/a/../b", "https://example.com/b/x") is None


def test_a_bare_host_covers_even_a_path_with_dots() -> None:
    """There is nothing to escape from: the credential is for all of the host."""
    assert covers("https://example.com", "https://example.com/a/../b") == 0


@pytest.mark.parametrize(
    ("target", "length"),
    [
        ("https://my-org.pkgs.visualstudio.com", 1),
        ("https://MY-ORG.pkgs.visualstudio.com/", 1),
        ("https://pkgs.dev.azure.com/My-Org", 1),
        ("https://my-org.pkgs.visualstudio.com/My-Project", 2),
        ("https://pkgs.dev.azure.com/my-org/my-project", 2),
        ("https://pkgs.dev.azure.com/my-org/my-project/_packaging/my-feed", 4),
        ("https://pkgs.dev.azure.com", 0),
    ],
)
@pytest.mark.parametrize("url", [FEED, OLD_FEED])
def test_both_spellings_of_azure_devops_are_the_same_place(target: str, length: int, url: str) -> None:
    assert covers(target, url) == length


@pytest.mark.parametrize(
    "url",
    [
        "https://my-org-evil.pkgs.visualstudio.com/my-project/",
        "https://x.my-org.pkgs.visualstudio.com/my-project/",
        "https://my-org.pkgs.visualstudio.com.evil/my-project/",
        "https://my-org.pkgs.visualstudio.com:8443/my-project/",
        "http://my-org.pkgs.visualstudio.com/my-project/",
        "https://pkgs.dev.azure.com/my-org-2/",
        "https://pkgs.dev.azure.com/",
        "https://pkgs.visualstudio.com/my-org/",
        "https://dev.azure.com/my-org/",
        "https://my-account.vsblob.vsassets.io/my-org/",
    ],
)
def test_another_organisation_is_not_covered(url: str) -> None:
    assert covers("https://my-org.pkgs.visualstudio.com", url) is None
    assert covers("https://pkgs.dev.azure.com/my-org", url) is None


def test_the_longest_target_wins() -> None:
    held = [
        Held("host", "https://pkgs.dev.azure.com"),
        Held("project", "https://pkgs.dev.azure.com/my-org/my-project", configured=False),
        Held("organisation", "https://my-org.pkgs.visualstudio.com"),
    ]

    assert choose(OLD_FEED, held) == held[1]


def test_of_equals_the_configuration_wins_over_a_workspace() -> None:
    workspace = Held("workspace", "https://pkgs.dev.azure.com/my-org", configured=False)
    configured = Held("configured", "https://my-org.pkgs.visualstudio.com")

    assert choose(FEED, [workspace, configured]) == configured
    assert choose(FEED, [configured, workspace]) == configured


def test_of_two_that_are_equal_in_everything_the_first_wins() -> None:
    first, second = Held("first", "https://a.example"), Held("second", "https://a.example/")

    assert choose("https://a.example/x", [first, second]) == first


def test_no_target_that_covers_means_no_credential() -> None:
    assert choose(FEED, [Held("other", "https://a.example")]) is None
    assert choose(FEED, []) is None


@pytest.mark.parametrize(
    ("url", "is_one"),
    [(FEED, True), (OLD_FEED, True), ("https://a.example/pkgs.dev.azure.com", False), ("nonsense", False)],
)
def test_feed_hosts_of_azure_devops_are_known_in_both_spellings(url: str, *, is_one: bool) -> None:
    assert is_azure_devops(url) is is_one


def test_a_place_has_its_default_port() -> None:
    place = place_of("https://a.example")

    assert place is not None
    assert place.port == 443
    assert place.segments == ()
