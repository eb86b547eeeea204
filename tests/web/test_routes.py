"""What a path means: the cases that no request over the wire is needed for."""

from __future__ import annotations

import pytest

from proxy.web.routes import Kind, Route, route

FEEDS = ("default", "team")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", Kind.ROOT),
        ("/livez", Kind.LIVEZ),
        ("/readyz", Kind.READYZ),
        ("/metrics", Kind.METRICS),
        ("/simple/", Kind.NAMES),
        ("/simple/bar/", Kind.PAGE),
        ("/files/bar/bar-1.0.tar.gz", Kind.FILE),
        ("/files/bar/bar-1.0-py3-none-any.whl.metadata", Kind.METADATA),
        ("/files/bar/bar-1.0-py3-none-any.whl.provenance", Kind.PROVENANCE),
        ("/links/", Kind.LINKS),
        ("/explain/bar", Kind.EXPLAIN),
    ],
)
def test_each_route_has_its_kind_with_and_without_a_feed(path: str, kind: Kind) -> None:
    found = route(path, FEEDS)

    assert found is not None
    assert found.kind is kind
    if kind not in {Kind.ROOT, Kind.LIVEZ, Kind.READYZ, Kind.METRICS}:
        of_team = route(f"/team{path}", FEEDS)
        assert of_team is not None
        assert (of_team.kind, of_team.feed) == (kind, "team")
        assert (of_team.project, of_team.filename) == (found.project, found.filename)


@pytest.mark.parametrize(("path", "location"), [("/team", "team/simple/"), ("/team/", "simple/")])
def test_a_feed_alone_leads_to_its_list(path: str, location: str) -> None:
    found = route(path, FEEDS)

    assert found is not None
    assert (found.kind, found.location) == (Kind.REDIRECT, location)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "nothing",
        "*",
        "/team/livez",
        "/team/team/simple/",
        "/simple/bar/baz/",
        "/files/bar/.metadata",
        "/files/bar/x.whl.metadata.metadata",
        "/files/-/x.whl",
        "/links/bar/",
        "/explain/bar/",
        "/simple/%/",
        "/simple/a%2",
        "/simple/%80/",
    ],
)
def test_what_is_no_route_is_none(path: str) -> None:
    assert route(path, FEEDS) is None


def test_the_links_of_a_page_that_was_asked_for_with_two_slashes_lead_to_its_files() -> None:
    found = route("/simple/files/bar/bar-1.0.tar.gz", FEEDS)

    assert found is not None
    assert (found.kind, found.project, found.filename) == (Kind.FILE, "bar", "bar-1.0.tar.gz")


def test_without_a_default_feed_the_short_routes_are_none() -> None:
    assert route("/simple/", ("team",)) is None


def test_a_route_that_names_no_project_says_so() -> None:
    with pytest.raises(LookupError):
        _ = Route(Kind.NAMES).named
