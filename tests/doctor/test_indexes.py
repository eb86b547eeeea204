"""`wheelgate check` on indexes: what it finds out, and that each failure says what to change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from proxy.doctor import Report, Row
from tests.fakes.azure_devops import FakeAzureDevOps
from tests.fakes.certificates import make_authority
from tests.fakes.index import FakeIndex
from tests.fakes.key_vault import FakeKeyVault

Check = Callable[..., Awaitable[Report]]

NOBODY = "127.0.0.1:9"


def simple(url: str, extra: str = "") -> str:
    return f'[sources.team]\nkind = "simple"\nurl = "{url}"\n{extra}\n[feeds.default]\nsources = ["team"]\n'


def connection(target: str, value: str = '{ env = "FEED_PAT" }') -> str:
    return f'[connections.devops]\ntarget = "{target}"\nauth_type = "PAT"\nvalue = {value}\n'


def said(row: Row) -> str:
    assert row.problems, row
    return " / ".join([*row.problems, *row.remedies])


async def only(report: Awaitable[Report]) -> Row:
    (row,) = (await report).rows
    return row


async def test_a_good_index_is_said_to_be_good_in_everything(check: Check, index: FakeIndex) -> None:
    row = await only(check(simple(index.url)))

    assert (row.problems, row.warnings) == ((), ())
    assert (row.reachable, row.authorised, row.ranges, row.metadata, row.hashes) == (True, True, True, True, True)
    assert row.formats == ("JSON", "HTML")
    assert row.latency_ms is not None
    assert any("127.0.0.1 is this machine" in note for note in row.notes)


async def test_an_index_is_asked_for_either_format_alone(check: Check, index: FakeIndex) -> None:
    index.formats = {"html"}

    assert (await only(check(simple(index.url)))).formats == ("HTML",)


async def test_a_source_that_no_feed_uses_gets_a_row_too(check: Check, index: FakeIndex) -> None:
    text = simple(index.url) + f'[sources.idle]\nkind = "simple"\nurl = "{index.url}"\n'

    assert [row.name for row in (await check(text)).rows] == ["team", "idle"]


async def test_a_source_that_is_offline_is_not_asked(check: Check, index: FakeIndex) -> None:
    row = await only(check(simple(index.url, "offline = true")))

    assert (row.is_good, row.reachable, index.requests) == (True, None, [])
    assert "offline" in row.notes[0]


class TestCredentials:
    async def test_a_feed_is_let_into_and_its_credential_named(
        self, check: Check, feed: FakeAzureDevOps, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FEED_PAT", feed.pat)

        row = await only(check(simple(feed.index_url) + connection(feed.root)))

        assert (row.problems, row.authorised, row.formats) == ((), True, ("HTML",))
        assert (row.ranges, row.metadata, row.hashes) == (True, False, True)
        assert any("connection devops (personal access token)" in note for note in row.notes)
        assert feed.pat not in repr(row)

    async def test_an_expired_token_is_named_with_its_connection(
        self, check: Check, feed: FakeAzureDevOps, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FEED_PAT", "an-expired-pat")

        row = await only(check(simple(feed.index_url) + connection(feed.root)))

        assert (row.reachable, row.authorised) == (True, False)
        assert "401" in said(row)
        assert "connection devops" in said(row)
        assert "expired" in said(row)
        assert "an-expired-pat" not in repr(row)

    async def test_a_feed_without_a_connection_says_that_none_covers_it(
        self, check: Check, feed: FakeAzureDevOps
    ) -> None:
        row = await only(check(simple(feed.index_url) + connection(f"{feed.url}/other-org")))

        assert "no connection covers" in said(row)

    async def test_a_connection_that_covers_nothing_is_pointed_at(self, check: Check, index: FakeIndex) -> None:
        report = await check(simple(index.url) + connection("https://feed.example/other"))

        assert report.exit_code == 0
        assert "connection devops covers" in report.warnings[0]

    async def test_a_connection_of_another_category_is_pointed_at(self, check: Check, index: FakeIndex) -> None:
        report = await check(simple(index.url) + connection(index.url) + 'category = "S3"\n')

        assert (report.exit_code, "its category is not PythonFeed" in report.warnings[0]) == (0, True)

    async def test_a_missing_secret_stops_only_its_own_source(
        self, check: Check, index: FakeIndex, feed: FakeAzureDevOps
    ) -> None:
        text = simple(feed.index_url) + connection(feed.root)
        text += f'[sources.other]\nkind = "simple"\nurl = "{index.url}"\n'

        report = await check(text)

        team, other = report.rows
        assert (report.exit_code, other.is_good, team.authorised) == (1, True, False)
        assert "FEED_PAT" in said(team)

    async def test_a_secret_that_a_vault_does_not_have_is_named_with_the_vault(
        self, check: Check, feed: FakeAzureDevOps, vault: FakeKeyVault, identity: object
    ) -> None:
        assert identity
        where = f'{{ key_vault = "{vault.url}/secrets/feed-pat" }}'

        row = await only(check(simple(feed.index_url) + connection(feed.root, where)))

        assert "has no secret feed-pat" in said(row)
        assert vault.url.removeprefix("http://") in said(row)
        assert "create feed-pat there" in said(row)

    async def test_a_target_that_covers_pages_but_not_files_is_to_be_widened(
        self, check: Check, feed: FakeAzureDevOps, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Azure feeds link files under the ids of project and feed."""
        monkeypatch.setenv("FEED_PAT", feed.pat)
        text = simple(feed.index_url) + connection(f"{feed.root}/my-project")

        row = await only(check(text))

        assert "covers its pages, but not its files" in said(row)
        assert f"{feed.root} instead of {feed.root}/my-project" in said(row)

    async def test_a_role_that_may_not_save_from_upstream_is_named(
        self, check: Check, feed: FakeAzureDevOps, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        feed.files[0].saved = False
        feed.roles["reader"] = "reader"
        monkeypatch.setenv("FEED_PAT", "reader")

        row = await only(check(simple(feed.index_url) + connection(feed.root)))

        assert "Feed and Upstream Reader (Collaborator)" in said(row)


class TestTheWayThere:
    async def test_an_index_that_is_down_is_not_reachable(self, check: Check) -> None:
        row = await only(check(simple(f"http://{NOBODY}/simple/")))

        assert (row.reachable, row.authorised) == (False, None)
        assert "firewall" in said(row)

    async def test_a_host_without_an_address_is_named(self, check: Check) -> None:
        row = await only(check(simple("https://feed.invalid/simple/")))

        assert row.reachable is False
        assert "no address for the host feed.invalid" in said(row)
        assert "name service" in said(row)

    async def test_a_certificate_that_is_not_trusted_leads_to_ca_file(self, check: Check, tmp_path: Path) -> None:
        authority = make_authority(tmp_path)
        async with FakeIndex(tls=authority.server) as secure:
            secure.has("bar-1.0-py3-none-any.whl")
            stranger = await only(check(simple(secure.url)))
            trusted = await only(check(simple(secure.url, f'ca_file = "{authority.ca_file}"')))

        assert "certificate" in said(stranger)
        assert "ca_file" in said(stranger)
        assert trusted.is_good

    async def test_a_throttling_source_is_to_be_waited_for(self, check: Check, index: FakeIndex) -> None:
        index.status_for("/simple/", 429, {"Retry-After": "30"})

        row = await only(check(simple(index.url)))

        assert "too many requests" in said(row)
        assert "wait" in said(row)

    async def test_a_host_that_files_are_redirected_to_is_named_where_it_is_down(
        self, check: Check, index: FakeIndex
    ) -> None:
        index.redirect("bar-1.0-py3-none-any.whl", f"http://{NOBODY}/blob", status=303)

        row = await only(check(simple(index.url)))

        assert (row.reachable, row.authorised) == (True, True)
        assert NOBODY in said(row)
        assert "redirects elsewhere" in said(row)

    async def test_a_silent_source_takes_no_longer_than_it_may(self, check: Check, index: FakeIndex) -> None:
        index.is_down("hang")

        row = await only(check(simple(index.url), bound=0.3))

        assert "not all was answered within 0.3 s" in said(row)

    async def test_a_clock_that_is_wrong_is_said(self, check: Check, index: FakeIndex) -> None:
        row = await only(check(simple(index.url), ahead=1800))

        assert "30 minutes ahead" in row.warnings[0]

    async def test_a_proxy_is_named_without_its_password(self, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hidden-word@{NOBODY}")

        row = await only(check(simple("https://feed.invalid/simple/")))

        assert any(f"over the proxy http://{NOBODY}" in note for note in row.notes)
        assert "HTTPS_PROXY" in said(row)
        assert "hidden-word" not in repr(row)


class TestPages:
    async def test_an_index_without_a_list_is_asked_for_what_feeds_claim_of_it(
        self, check: Check, index: FakeIndex
    ) -> None:
        index.status_for("/simple/", 404)
        text = simple(index.url) + '[feeds.default.claims]\nteam = ["acme-*", "Bar"]\n'

        row = await only(check(text))

        assert (row.is_good, row.formats) == (True, ("JSON", "HTML"))

    async def test_a_url_that_answers_like_no_index_is_wrong(self, check: Check, index: FakeIndex) -> None:
        row = await only(check(simple(f"{index.origin}/elsewhere/")))

        assert "no project list" in said(row)
        assert "/simple/" in said(row)

    async def test_an_empty_index_is_good_and_no_page_could_be_tried(self, check: Check) -> None:
        async with FakeIndex() as empty:
            row = await only(check(simple(empty.url)))

        assert (row.is_good, row.formats) == (True, ())
        assert "no page could be tried" in row.warnings[0]

    async def test_a_list_that_is_refused_is_no_matter_where_pages_are_given(
        self, check: Check, index: FakeIndex
    ) -> None:
        index.status_for("/simple/", 403)
        text = simple(index.url) + '[feeds.default.claims]\nteam = ["bar"]\n'

        row = await only(check(text))

        assert row.is_good
        assert "project list is not to be had" in row.warnings[0]

    async def test_a_log_in_page_is_no_list(self, check: Check, index: FakeIndex) -> None:
        page = b"<!DOCTYPE html><html><form action=/login><input type=password></form></html>"
        index.status_for("/simple/", 200, {"Content-Type": "text/html"}, body=page)

        row = await only(check(simple(index.url)))

        assert "unreadable" in said(row)
        assert "credential" in said(row)

    @pytest.mark.parametrize("kind", ["json", "html"])
    async def test_of_a_list_of_many_names_only_the_beginning_is_read(
        self, check: Check, index: FakeIndex, kind: str
    ) -> None:
        index.formats = {kind}
        for number in range(20_000):
            index.has_project(f"zz-project-{number}")

        row = await only(check(simple(index.url)))

        assert row.is_good

    async def test_an_index_without_ranges_digests_or_times_is_warned_about(
        self, check: Check, index: FakeIndex
    ) -> None:
        index.no_ranges()
        index.has("bar-2.0-py3-none-any.whl", hashes=())
        text = simple(index.url) + '[feeds.default.rules]\nmin_age = "3 d"\n'

        row = await only(check(text))

        assert (row.is_good, row.ranges, row.hashes) == (True, False, False)
        assert any("parts of files" in warning for warning in row.warnings)
        assert any("min_age" in warning for warning in row.warnings)

    async def test_metadata_that_is_listed_and_not_there_is_said(self, check: Check, index: FakeIndex) -> None:
        index.status_for("bar-1.0-py3-none-any.whl.metadata", 404)

        row = await only(check(simple(index.url)))

        assert "does not have it" in row.warnings[0]

    async def test_metadata_that_is_refused_is_said(self, check: Check, index: FakeIndex) -> None:
        index.status_for("bar-1.0-py3-none-any.whl.metadata", 403)

        row = await only(check(simple(index.url)))

        assert row.is_good
        assert "cannot be had" in row.warnings[0]

    async def test_a_web_page_in_place_of_a_file_is_a_problem(self, check: Check, index: FakeIndex) -> None:
        index.status_for("bar-1.0-py3-none-any.whl", 200, {"Content-Type": "text/html"}, body=b"<html>Sign in")

        assert "sign-in page" in said(await only(check(simple(index.url))))

    async def test_a_host_that_files_are_redirected_to_is_noted(self, check: Check, index: FakeIndex) -> None:
        async with FakeIndex() as blobs:
            index.redirect_files_to(blobs)
            index.redirect("bar-1.0-py3-none-any.whl", blobs.file_url("x").replace("127.0.0.1", "localhost"))
            blobs.status_for("x", 206, {"Content-Range": "bytes 1-1/9"}, body=b"x")

            row = await only(check(simple(index.url)))

        assert row.is_good
        assert any("redirects to localhost" in note for note in row.notes)

    async def test_files_that_are_open_to_everybody_need_no_credential(
        self, check: Check, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FEED_PAT", "a-token")

        row = await only(check(simple(index.url) + connection(index.url.rstrip("/"))))

        assert (row.is_good, row.ranges) == (True, True)
        assert any("they can be had without it" in note for note in row.notes)

    async def test_a_file_that_is_listed_and_gone_is_a_problem(self, check: Check, index: FakeIndex) -> None:
        index.status_for("bar-1.0-py3-none-any.whl", 404)

        assert "bar-1.0-py3-none-any.whl" in said(await only(check(simple(index.url))))


async def test_pips_own_index_is_asked(check: Check, index: FakeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    index.has("pip-1.0-py3-none-any.whl")
    index.require_auth("user", "pips-password")
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("://", "://user:pips-password@"))

    row = await only(check(simple("pip")))

    assert (row.problems, row.authorised) == ((), True)
    assert "pips-password" not in repr(row)
