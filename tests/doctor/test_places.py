"""`wheelgate check` on containers, repositories, folders and workspaces: each failure says what to change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web

from proxy.config import embedded_default
from proxy.doctor import Report, Row
from proxy.doctor.examination import unasked
from tests.fakes.azure_devops import FakeAzureDevOps
from tests.fakes.blob_service import FakeBlobService, error
from tests.fakes.github import FakeGitHub
from tests.fakes.identity import FakeIdentity
from tests.fakes.management import WORKSPACE, FakeManagement
from tests.fakes.wheels import build_wheel

Check = Callable[..., Awaitable[Report]]

SAS = "sv=2024-11-04&sp=rl&se=2099-01-01T00%3A00%3A00Z&sig=hidden-signature"


def said(row: Row) -> str:
    assert row.problems, row
    return " / ".join([*row.problems, *row.remedies])


async def only(report: Awaitable[Report]) -> Row:
    (row,) = (await report).rows
    return row


def container(service: FakeBlobService, credential: str = '"anonymous"', extra: str = "") -> str:
    place = f'account_url = "{service.url}"\ncontainer = "wheels"\n'
    source = f'[sources.curated]\nkind = "azure-blob"\n{place}credential = {credential}\n{extra}\n'
    return f'{source}[feeds.default]\nsources = ["curated"]\n'


class TestContainers:
    async def test_a_good_container_is_listed_and_one_byte_read(self, check: Check, service: FakeBlobService) -> None:
        service.has("foo-2.0-py3-none-any.whl")

        row = await only(check(container(service)))

        assert (row.problems, row.reachable, row.authorised, row.ranges) == ((), True, True, True)
        assert row.hashes is False
        assert row.latency_ms is not None
        assert any("2 files" in note and "1 of them with a digest" in note for note in row.notes)

    async def test_the_token_is_said_for_whom_it_is_and_until_when(
        self, check: Check, service: FakeBlobService, identity: FakeIdentity
    ) -> None:
        row = await only(check(container(service, '"managed-identity"')))

        assert row.is_good
        assert any("token of" in note and "https://storage.azure.com" in note and "UTC" in note for note in row.notes)
        assert identity.minted[0] not in repr(row)

    async def test_a_machine_without_an_identity_is_told_what_to_do(
        self, check: Check, service: FakeBlobService, identity: FakeIdentity
    ) -> None:
        identity.has_identity = False

        row = await only(check(container(service, '"managed-identity"')))

        assert (row.reachable, row.authorised) == (None, False)
        assert "identity" in said(row)

    @pytest.mark.parametrize(
        ("status", "code", "words"),
        [
            (403, "AuthorizationFailure", ["firewall", "127.0.0.1", "private endpoint"]),
            (403, "AuthorizationPermissionMismatch", ["Storage Blob Data Reader"]),
            (404, "ContainerNotFound", ["no container wheels", "create the container"]),
            (403, "KeyBasedAuthenticationNotPermitted", ["managed-identity"]),
        ],
    )
    async def test_each_refusal_says_what_to_change(
        self,
        check: Check,
        service: FakeBlobService,
        monkeypatch: pytest.MonkeyPatch,
        status: int,
        code: str,
        words: list[str],
    ) -> None:
        monkeypatch.setenv("BLOB_SAS", SAS)
        service.refuse(status, code)

        row = await only(check(container(service, '{ sas = { env = "BLOB_SAS" } }')))

        assert row.reachable is True
        assert [word for word in words if word not in said(row)] == []

    async def test_a_busy_account_is_to_be_waited_for(self, check: Check, service: FakeBlobService) -> None:
        service.refuse(503, "ServerBusy", headers={"Retry-After": "30"})

        assert "wait" in said(await only(check(container(service))))

    async def test_who_may_list_and_not_read_is_told(self, check: Check, service: FakeBlobService) -> None:
        service.trick = lambda seen: (
            error(403, "AuthorizationPermissionMismatch") if seen.path.endswith(".whl") else None
        )

        row = await only(check(container(service)))

        assert (row.latency_ms is None, row.authorised) == (False, False)
        assert "files cannot be had" in said(row)

    async def test_a_wrong_clock_is_said(self, check: Check, service: FakeBlobService) -> None:
        refusal = {"Date": formatdate(usegmt=True)}
        service.refuse(403, "AuthenticationFailed", headers=refusal)

        row = await only(check(container(service), ahead=-1200))

        assert "20 minutes behind" in said(row)

    async def test_a_signature_is_said_until_when_it_is_good_and_never_shown(
        self, check: Check, service: FakeBlobService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BLOB_SAS", SAS)
        row = await only(check(container(service, '{ sas = { env = "BLOB_SAS" } }')))

        assert row.is_good
        assert any("SAS, until 2099-01-01" in note for note in row.notes)
        assert "hidden-signature" not in repr(row)

    async def test_a_signature_that_expired_or_lacks_a_permission_is_said(
        self, check: Check, service: FakeBlobService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BLOB_SAS", SAS.replace("2099", "2020").replace("sp=rl", "sp=r"))
        service.refuse(403, "AuthenticationFailed")

        row = await only(check(container(service, '{ sas = { env = "BLOB_SAS" } }')))

        assert row.problems[:2] == ("the SAS expired on 2020-01-01 00:00 UTC", "the SAS lacks the permission list")
        assert "new SAS" in said(row)

    async def test_a_signature_that_should_not_be_let_in_and_is_gets_a_warning(
        self, check: Check, service: FakeBlobService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BLOB_SAS", SAS.replace("2099", "2020"))

        row = await only(check(container(service, '{ sas = { env = "BLOB_SAS" } }')))

        assert row.is_good
        assert "expired on 2020-01-01" in row.warnings[0]

    @pytest.mark.parametrize(
        ("credential", "words"), [('"anonymous"', "anonymous access"), ('{ account_key = { env = "KEY" } }', "rotated")]
    )
    async def test_the_emulator_refusing_a_credential_is_no_firewall(
        self, check: Check, service: FakeBlobService, monkeypatch: pytest.MonkeyPatch, credential: str, words: str
    ) -> None:
        """It has one code for both, and says only in words which it means."""
        monkeypatch.setenv("KEY", "a2V5")
        body = "<Error><Code>AuthorizationFailure</Code><Message>Server failed to authenticate the request.</Message>"
        service.trick = lambda _: web.Response(status=403, text=f"{body}</Error>", content_type="application/xml")

        row = await only(check(container(service, credential)))

        assert words in said(row)
        assert "firewall" not in said(row)

    async def test_a_folder_with_nothing_in_it_is_pointed_at(self, check: Check, service: FakeBlobService) -> None:
        row = await only(check(container(service, extra='prefix = "nowhere"')))

        assert row.is_good
        assert "the folder nowhere" in row.warnings[0]

    async def test_a_list_in_several_answers_is_followed_to_the_first_file(
        self, check: Check, service: FakeBlobService
    ) -> None:
        service.page_size = 1
        service.has("a-page.html")

        row = await only(check(container(service)))

        assert (row.warnings, row.ranges) == ((), True)

    async def test_a_file_that_goes_meanwhile_is_no_problem(self, check: Check, service: FakeBlobService) -> None:
        service.trick = lambda seen: error(404, "BlobNotFound") if seen.path.endswith(".whl") else None

        assert (await only(check(container(service)))).is_good

    async def test_write_back_names_the_role_that_it_needs(self, check: Check, service: FakeBlobService) -> None:
        row = await only(check(container(service, extra="write_back = true")))

        assert any("Storage Blob Data Contributor" in note for note in row.notes)

    async def test_a_connection_string_says_where_the_account_is(
        self, check: Check, service: FakeBlobService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BLOBS", f"BlobEndpoint={service.url};AccountName=a;AccountKey=a2V5")
        credential = '{ connection_string = { env = "BLOBS" } }'
        text = container(service, credential).replace(f'account_url = "{service.url}"', "")

        row = await only(check(text))

        assert row.is_good
        assert "a2V5" not in repr(row)

    async def test_a_container_that_is_offline_is_not_asked(self, check: Check, service: FakeBlobService) -> None:
        assert (await only(check(container(service, extra="offline = true")))).is_good
        assert service.requests == []


def releases(github: FakeGitHub, *repositories: str) -> str:
    listed = ", ".join(f'"{repository}"' for repository in repositories)
    source = f'[sources.models]\nkind = "github"\nrepositories = [{listed}]\napi_url = "{github.url}"\n'
    connection = f'[connections.hub]\ntarget = "{github.url}"\nauth_type = "PAT"\nvalue = {{ env = "HUB_TOKEN" }}\n'
    return f'{source}{connection}[feeds.default]\nsources = ["models"]\n'


class TestRepositories:
    @pytest.fixture(autouse=True)
    def _token(self, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HUB_TOKEN", github.token)

    async def test_each_repository_and_the_quota_are_said(self, check: Check, github: FakeGitHub) -> None:
        github.release("my-org/other", "v1", {"other-1.0.tar.gz": b"content"})

        row = await only(check(releases(github, "my-org/models", "my-org/other")))

        assert (row.problems, row.reachable, row.authorised, row.ranges, row.hashes) == ((), True, True, True, True)
        assert any(note.startswith("my-org/models: 1 file of 1 project") for note in row.notes)
        assert any(note.startswith("my-org/other: 1 file of 1 project") for note in row.notes)
        assert any(note.startswith("quota: 49") for note in row.notes)
        assert github.token not in repr(row)

    async def test_a_repository_that_is_hidden_keeps_the_others_from_nothing(
        self, check: Check, github: FakeGitHub
    ) -> None:
        row = await only(check(releases(github, "my-org/secret", "my-org/models")))

        assert (row.authorised, row.ranges) == (False, True)
        assert "my-org/secret" in said(row)
        assert "Contents: read" in said(row)

    async def test_a_token_that_expired_is_said(
        self, check: Check, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HUB_TOKEN", "ghp_expired")

        row = await only(check(releases(github, "my-org/models")))

        assert "expired" in said(row)

    async def test_repositories_that_are_offline_are_not_asked(self, check: Check, github: FakeGitHub) -> None:
        text = releases(github, "my-org/models").replace("[connections", "offline = true\n[connections")

        assert (await only(check(text))).is_good
        assert github.requests == []

    async def test_storage_that_cannot_be_reached_is_said(self, check: Check, github: FakeGitHub) -> None:
        github.storage_url = "http://127.0.0.1:9"

        row = await only(check(releases(github, "my-org/models")))

        assert row.reachable is True
        assert "redirects to a storage host" in said(row)

    async def test_a_clock_that_is_wrong_is_said(self, check: Check, github: FakeGitHub) -> None:
        row = await only(check(releases(github, "my-org/models"), ahead=-1200))

        assert "20 minutes behind" in row.warnings[0]

    async def test_a_quota_that_is_used_up_is_said(self, check: Check, github: FakeGitHub) -> None:
        github.remaining = 0

        assert "quota" in said(await only(check(releases(github, "my-org/models"))))

    async def test_a_quota_that_is_nearly_used_up_is_warned_about(self, check: Check, github: FakeGitHub) -> None:
        github.remaining = 20

        row = await only(check(releases(github, "my-org/models")))

        assert row.is_good
        assert "requests of its quota are left" in row.warnings[0]

    async def test_releases_without_digests_or_wheels_are_said(self, check: Check, github: FakeGitHub) -> None:
        github.repositories["my-org/models"].releases[0].assets[0].has_digest = False
        github.has("my-org/empty")

        row = await only(check(releases(github, "my-org/models", "my-org/empty")))

        assert (row.is_good, row.hashes) == (True, False)
        assert "my-org/empty" in row.warnings[0]


def folder(path: Path, extra: str = "") -> str:
    return f'[sources.shelf]\nkind = "directory"\npath = "{path}"\n{extra}\n[feeds.default]\nsources = ["shelf"]\n'


class TestFolders:
    async def test_a_folder_is_counted_and_what_is_passed_over_named(self, check: Check, tmp_path: Path) -> None:
        shelf = tmp_path / "wheels"
        shelf.mkdir()
        (shelf / "foo-1.0-py3-none-any.whl").write_bytes(build_wheel("foo", "1.0"))
        (shelf / "foo_1.0.whl").write_bytes(b"misnamed")
        (shelf / "README.txt").write_text("what is here")

        row = await only(check(folder(shelf)))

        assert (row.problems, row.reachable, row.authorised) == ((), True, True)
        assert any("1 file of 1 project" in note for note in row.notes)
        assert "foo_1.0.whl" in row.warnings[0]
        assert any("README.txt" in note for note in row.notes)

    async def test_a_folder_that_is_not_there_is_named(self, check: Check, tmp_path: Path) -> None:
        row = await only(check(folder(tmp_path / "nowhere")))

        assert row.reachable is False
        assert "nowhere" in said(row)
        assert "`path`" in said(row)

    async def test_a_folder_that_the_server_will_make_is_not_made_by_looking(
        self, check: Check, tmp_path: Path
    ) -> None:
        row = await only(check(folder(tmp_path / "later", "create = true")))

        assert row.is_good
        assert not (tmp_path / "later").exists()

    async def test_an_empty_folder_is_good_and_pointed_at(self, check: Check, tmp_path: Path) -> None:
        (tmp_path / "wheels").mkdir()

        row = await only(check(folder(tmp_path / "wheels")))

        assert (row.is_good, len(row.warnings)) == (True, 1)


def workspace(management: FakeManagement) -> str:
    place = f'id = "{WORKSPACE}"\nmanagement_url = "{management.url}"\ncredential = "managed-identity"\n'
    # A feed has to have a source.
    shelf = '[sources.shelf]\nkind = "directory"\npath = "wheels"\ncreate = true\n'
    return f'[workspaces.research]\n{place}{shelf}[feeds.default]\nsources = ["shelf"]\n'


async def of_workspace(report: Awaitable[Report]) -> Row:
    return (await report).rows[-1]


class TestWorkspaces:
    async def test_the_connections_that_count_are_named(
        self, check: Check, management: FakeManagement, feed: FakeAzureDevOps, identity: FakeIdentity
    ) -> None:
        management.has_pat("feed", feed.root, feed.pat)
        management.has("bucket", "https://storage.example", category="S3")
        source = f'[sources.team]\nkind = "simple"\nurl = "{feed.index_url}"\n'

        report = await check(source + workspace(management))

        team, _, row = report.rows
        assert (report.exit_code, row.kind, row.reachable, row.authorised) == (0, "workspace", True, True)
        assert any("connection feed of workspace research" in note and feed.root in note for note in row.notes)
        assert any("connection feed of workspace research" in note for note in team.notes)
        assert not any("bucket" in note for note in row.notes)
        assert any(f"for {management.url}" in note for note in row.notes)
        assert feed.pat not in repr(report)
        assert not any(token in repr(report) for token in identity.minted)

    async def test_the_role_for_listsecrets_is_named(
        self, check: Check, management: FakeManagement, identity: FakeIdentity
    ) -> None:
        assert identity.has_identity
        management.has_pat("feed", "https://feed.example", "hidden")
        management.lacks_secrets_reader = True

        report = await check(workspace(management))

        row = report.rows[-1]
        assert (report.exit_code, row.reachable, row.authorised) == (1, True, False)
        assert "listsecrets" in said(row)
        assert "Azure Machine Learning Workspace Connection Secrets Reader" in said(row)

    async def test_the_role_for_the_list_is_named(
        self, check: Check, management: FakeManagement, identity: FakeIdentity
    ) -> None:
        assert identity.has_identity
        management.lacks_reader = True

        row = await of_workspace(check(workspace(management)))

        assert "Secrets Reader" in said(row)

    async def test_a_token_that_expired_there_is_said(
        self, check: Check, management: FakeManagement, identity: FakeIdentity
    ) -> None:
        assert identity.has_identity
        management.has_pat("feed", "https://feed.example", "hidden", expiryTime="2020-01-01T00:00:00Z")

        row = await of_workspace(check(workspace(management)))

        assert "expired on 2020-01-01" in row.warnings[0]

    async def test_a_workspace_without_a_connection_that_counts_is_warned_about(
        self, check: Check, management: FakeManagement, identity: FakeIdentity
    ) -> None:
        assert identity.has_identity

        row = await of_workspace(check(workspace(management)))

        assert (row.is_good, len(row.warnings)) == (True, 1)


def test_offline_names_everything_and_asks_nothing() -> None:
    report = unasked(embedded_default())

    assert [(row.name, row.kind, row.reachable) for row in report.rows] == [
        ("packages", "directory", None),
        ("public", "simple", None),
    ]
    assert report.exit_code == 0
