"""What a credential covers, and what to widen."""

from __future__ import annotations

import pytest

from proxy.doctor.credential import explain_gap, explain_role
from proxy.sources.connections import Held, OpenCredential
from proxy.sources.credentials import Keyring

FEED = "https://my-org.pkgs.visualstudio.com/my-project/_packaging/my-feed/pypi/simple/bar/"
FILE = "https://pkgs.dev.azure.com/my-org/0f0e-id/_packaging/1a1b-id/pypi/download/bar/1/bar-1.0-py3-none-any.whl"


def keyring(target: str) -> Keyring:
    return Keyring([Held("connection devops", target, configured=True, credential=OpenCredential("devops"))])


@pytest.mark.parametrize(
    ("target", "page", "file", "wider"),
    [
        ("https://my-org.pkgs.visualstudio.com/my-project", FEED, FILE, "https://pkgs.dev.azure.com/my-org instead of"),
        ("https://a.example/x/simple", "https://a.example/x/simple/bar/", "https://a.example/x/files/b.whl",
         "https://a.example/x instead of"),
        ("https://a.example:8443/simple", "https://a.example:8443/simple/bar/", "https://a.example:8443/files/b.whl",
         "https://a.example:8443 instead of"),
        ("https://a.example", "https://a.example/simple/bar/", "https://files.example/b.whl?sig=hidden",
         "with the target https://files.example"),
    ],
)  # fmt: skip
def test_a_target_that_leaves_files_out_is_to_be_widened(target: str, page: str, file: str, wider: str) -> None:
    found = explain_gap(keyring(target), page, file)

    assert found is not None
    assert "connection devops covers its pages, but not its files" in found[0]
    assert wider in found[1]
    assert "hidden" not in repr(found)


@pytest.mark.parametrize("target", ["https://my-org.pkgs.visualstudio.com", "https://pkgs.dev.azure.com/my-org"])
def test_the_host_or_the_organisation_covers_both(target: str) -> None:
    assert explain_gap(keyring(target), FEED, FILE) is None


def test_where_nothing_covers_the_page_there_is_no_gap() -> None:
    assert explain_gap(keyring("https://other.example"), FEED, FILE) is None


def test_a_feed_that_refuses_a_file_may_want_another_role() -> None:
    assert "Feed and Upstream Reader (Collaborator)" in (explain_role(FILE) or "")
    assert explain_role("https://files.example/b.whl") is None
