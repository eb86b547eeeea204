"""Links of one form are resolved at once, to what each gives by itself."""

from __future__ import annotations

import urllib.parse

import pytest

from proxy.simple.tolerance import Resolver

BASE = "https://index.example/company/simple/bar/"


@pytest.mark.parametrize("start", ["https://files.example/f/", "/f/", "../../files/", "../"])
def test_plain_links_of_one_form_become_what_each_gives_by_itself(start: str) -> None:
    links = [f"{start}bar/bar-{number}.0.tar.gz" for number in range(3)]
    resolver = Resolver(BASE)

    alike = resolver.resolve_alike(links)

    assert alike == [resolved[0] for link in links if (resolved := resolver.resolve(link)) is not None]


@pytest.mark.parametrize("steps", ["/", "../", "../../", "../../../../"])
@pytest.mark.parametrize(
    "base",
    [
        "https://index.example/",
        "https://index.example:8443/simple/bar",
        "https://index.example/company/simple/bar/",
        "https://index.example/company//bar/",
        "https://index.example//simple/foo/bar",
        "https://index.example/company/./../bar/",
        "https://index.example/simple/bar/?page=/2/",
        "https://[2001:db8::1]/simple/bar/",
    ],
)
def test_steps_upwards_lead_where_the_standard_says(base: str, steps: str) -> None:
    assert Resolver(base).resolve_alike([f"{steps}a", f"{steps}b"]) == [
        urllib.parse.urljoin(base, f"{steps}a"),
        urllib.parse.urljoin(base, f"{steps}b"),
    ]


def test_steps_upwards_from_a_link_local_address_are_refused() -> None:
    assert Resolver("http://169.254.169.254/simple/bar/").resolve_alike(["../a", "../b"]) is None


@pytest.mark.parametrize(
    "links",
    [
        [],
        ["bar-1.0.tar.gz"],
        ["/f/bar-1.0.tar.gz", "../bar-2.0.tar.gz"],
        ["/f/../bar-1.0.tar.gz"],
        ["../f/../bar-1.0.tar.gz"],
        ["/f/./bar-1.0.tar.gz"],
        ["//files.example/bar-1.0.tar.gz"],
        ["/f/bar-1.0.tar.gz#sha256=00"],
        ["/f/bar 1.0.tar.gz"],
        ["/f/bar-1.0.tar.gz|/f/", "bar-2.0.tar.gz"],
        ["/f/b\u00e4r-1.0.tar.gz"],
        ["/f\\bar-1.0.tar.gz"],
        ["http://169.254.169.254/bar-1.0.tar.gz"],
    ],
)
def test_whatever_is_odd_about_one_link_sends_all_the_longer_way(links: list[str]) -> None:
    assert Resolver(BASE).resolve_alike(links) is None


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://me:pa55@files.example/f/bar-1.0.tar.gz", "https://files.example/f/bar-1.0.tar.gz"),
        ("//pa55@files.example/bar-1.0.tar.gz", "https://files.example/bar-1.0.tar.gz"),
        ("https://a@b:pa55@files.example:8443/@x/bar-1.0.tar.gz", "https://files.example:8443/@x/bar-1.0.tar.gz"),
        ("/me:pa55@files/bar-1.0.tar.gz", "https://index.example/me:pa55@files/bar-1.0.tar.gz"),
    ],
)
def test_a_password_in_a_link_is_not_kept(link: str, url: str) -> None:
    resolved = Resolver(BASE).resolve(link)

    assert resolved is not None
    assert resolved[0] == url


def test_a_password_does_not_hide_a_link_local_address() -> None:
    assert Resolver(BASE).resolve("http://files.example@169.254.169.254/bar-1.0.tar.gz") is None
