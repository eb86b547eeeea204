"""What goes wrong at a storage account, in a sentence that says what to change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.utils import formatdate

import pytest
from aiohttp import web

from proxy.errors import FileGone, SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from proxy.simple.model import File, NormalizedName
from proxy.sources.azure_access import Access, Anonymous, KeyAccess, SignatureAccess, TokenAccess
from proxy.sources.azure_blob import AzureBlob
from proxy.sources.session import Session
from tests.fakes.azure import HeldKey, build_source, read
from tests.fakes.blob_service import FakeBlobService
from tests.fakes.identity import FakeTokens
from tests.fakes.loopback import Seen

FOO = NormalizedName("foo")
WHEEL = "foo-1.0-py3-none-any.whl"
CONTENT = bytes(range(256)) * 40
KEY = KeyAccess(HeldKey("a2V5"), owner="curated")
SAS = SignatureAccess(HeldKey("sv=1&sig=x"), owner="curated")


@pytest.fixture
async def service() -> AsyncIterator[FakeBlobService]:
    async with FakeBlobService() as running:
        running.has(WHEEL, CONTENT)
        yield running


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as entered:
        yield entered


@pytest.fixture
def source(service: FakeBlobService, session: Session) -> AzureBlob:
    return build_source(session, service.url)


async def file_of(source: AzureBlob) -> File:
    (file,) = (await source.list(None)).projects[FOO]
    return file


def identity() -> TokenAccess:
    return TokenAccess(FakeTokens(), label="managed identity", owner="curated")


@pytest.mark.parametrize(
    ("answer", "access", "kind", "words"),
    [
        ((403, "AuthorizationFailure"), identity(), SourceRefused, ["firewall", "private endpoint", "127.0.0.1"]),
        ((403, "AuthorizationPermissionMismatch"), identity(), SourceRefused,
         ["Storage Blob Data Reader", "wheels", "10 minutes", "managed identity"]),
        ((403, "AuthenticationFailed"), KEY, SourceRefused, ["account key", "rotated"]),
        ((403, "AuthenticationFailed"), SAS, SourceRefused, ["SAS"]),
        ((403, "KeyBasedAuthenticationNotPermitted"), KEY, SourceRefused, ["account keys", "managed-identity"]),
        ((409, "PublicAccessNotPermitted"), Anonymous(), SourceRefused, ["anonymous", "credential"]),
        ((401, "NoAuthenticationInformation"), Anonymous(), SourceRefused, ["anonymous", "credential"]),
        ((404, "ContainerNotFound"), KEY, SourceRefused, ["no container wheels", "create the container"]),
        ((404, "ResourceNotFound"), Anonymous(), SourceRefused, ["wheels", "public"]),
        ((409, "ContainerBeingDeleted"), KEY, SourceUnavailable, ["being deleted", "30 seconds"]),
        ((403, "SomethingNew"), KEY, SourceRefused, ["403 SomethingNew", "account key"]),
        ((403, ""), KEY, SourceRefused, ["403"]),
        ((400, "InvalidUri"), KEY, SourceNonsense, ["400 InvalidUri", "account_url"]),
        ((503, "ServerBusy"), KEY, SourceUnavailable, ["too many requests"]),
        ((500, "OperationTimedOut"), KEY, SourceUnavailable, ["500"]),
        ((429, "TooManyRequests"), KEY, SourceUnavailable, ["too many requests"]),
    ],
)  # fmt: skip
async def test_each_refusal_says_what_to_change(
    service: FakeBlobService,
    session: Session,
    answer: tuple[int, str],
    access: Access,
    kind: type[SourceError],
    words: list[str],
) -> None:
    service.refuse(*answer)

    with pytest.raises(kind) as raised:
        await build_source(session, service.url, access=access).list(None)

    said = f"{raised.value}. {raised.value.remedy}"
    assert type(raised.value) is kind or kind is SourceUnavailable
    assert raised.value.remedy
    assert [word for word in words if word not in said] == []


async def test_a_throttled_account_is_left_alone_for_as_long_as_it_asks(
    service: FakeBlobService, source: AzureBlob
) -> None:
    service.refuse(503, "ServerBusy", headers={"Retry-After": "17"})

    with pytest.raises(SourceUnavailable) as raised:
        await source.list(None)
    with pytest.raises(SourceUnavailable):
        await source.list(None)

    assert raised.value.retry_after == 17
    assert len(service.requests) == 1


async def test_a_token_of_another_tenant_names_the_account_s_own(service: FakeBlobService, session: Session) -> None:
    tenant = "https://login.microsoftonline.com/11111111-2222/oauth2/authorize"
    service.refuse(401, "InvalidAuthenticationInfo", headers={"WWW-Authenticate": f"Bearer authorization_uri={tenant}"})

    with pytest.raises(SourceRefused, match="tenant 11111111-2222"):
        await build_source(session, service.url, access=identity()).list(None)


async def test_an_expired_sas_is_called_expired(service: FakeBlobService, session: Session) -> None:
    service.refuse(403, "AuthenticationFailed", detail="Signature not valid in the specified time frame: Expiry [x]")

    with pytest.raises(SourceRefused, match="expired"):
        await build_source(session, service.url, access=SAS).list(None)


async def test_a_clock_that_is_wrong_is_named(service: FakeBlobService, session: Session) -> None:
    service.refuse(403, "AuthenticationFailed", headers={"Date": formatdate(session.clock() - 3600, usegmt=True)})

    with pytest.raises(SourceRefused, match="60 minutes ahead of"):
        await build_source(session, service.url, access=KEY).list(None)


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>Sign in to the proxy</body></html>",
        b"<EnumerationResults><Blobs><Blob><Name>foo",
        b"",
        b'<!DOCTYPE x [<!ENTITY a "b">]><EnumerationResults/>',
        b"{}",
    ],
)
async def test_an_answer_that_is_no_list_is_nonsense_and_never_an_empty_container(
    service: FakeBlobService, source: AzureBlob, body: bytes
) -> None:
    service.trick = lambda _: web.Response(body=body)

    with pytest.raises(SourceNonsense):
        await source.list(None)


class TestDownloads:
    async def test_every_range_is_pinned_to_the_listed_bytes(self, service: FakeBlobService, source: AzureBlob) -> None:
        file = await file_of(source)

        assert await read(source, file) == CONTENT
        assert await read(source, file, 5, 9) == CONTENT[5:9]
        assert await read(source, file, 100) == CONTENT[100:]

        downloads = [seen for seen in service.requests if WHEEL in seen.target]
        assert {seen.headers["If-Match"] for seen in downloads} == {f'"{file.etag}"'}
        assert [seen.headers.get("Range") for seen in downloads] == [None, "bytes=5-8", "bytes=100-"]
        assert {seen.headers["x-ms-version"] for seen in service.requests} == {"2024-11-04"}

    async def test_a_blob_that_is_replaced_between_two_ranges_is_gone(
        self, service: FakeBlobService, source: AzureBlob
    ) -> None:
        file = await file_of(source)
        assert await read(source, file, 0, 100) == CONTENT[:100]
        service.has(WHEEL, CONTENT[::-1])

        with pytest.raises(FileGone):
            await read(source, file, 100)

    async def test_a_service_that_ignores_the_condition_is_found_out(
        self, service: FakeBlobService, source: AzureBlob
    ) -> None:
        file = await file_of(source)
        service.trick = lambda _: web.Response(body=b"others", headers={"ETag": '"0xOTHER"'})

        with pytest.raises(FileGone):
            await read(source, file)

    async def test_a_download_that_breaks_off_is_an_outage(self, service: FakeBlobService, source: AzureBlob) -> None:
        file = await file_of(source)
        service.cut_after = 1000

        with pytest.raises(SourceUnavailable):
            await read(source, file)

    async def test_nothing_is_behind_the_last_byte(self, service: FakeBlobService, source: AzureBlob) -> None:
        file = await file_of(source)
        headers = {"Content-Range": f"bytes */{len(CONTENT)}", "x-ms-error-code": "InvalidRange"}
        service.trick = lambda _: web.Response(status=416, headers=headers)

        assert await read(source, file, len(CONTENT)) == b""
        with pytest.raises(FileGone):
            await read(source, file, len(CONTENT) + 1)

    async def test_an_archived_blob_says_so(self, service: FakeBlobService, source: AzureBlob) -> None:
        file = await file_of(source)
        service.refuse(409, "BlobArchived")

        with pytest.raises(SourceRefused, match="archive tier"):
            await read(source, file)

    async def test_a_container_that_vanished_is_not_a_file_that_did(
        self, service: FakeBlobService, source: AzureBlob
    ) -> None:
        file = await file_of(source)
        service.refuse(404, "ContainerNotFound")

        with pytest.raises(SourceRefused):
            await read(source, file)

    async def test_another_part_than_was_asked_for_is_refused(
        self, service: FakeBlobService, source: AzureBlob
    ) -> None:
        file = await file_of(source)
        service.trick = lambda _: web.Response(
            status=206, body=b"xx", headers={"Content-Range": "bytes 7-8/100", "ETag": f'"{file.etag}"'}
        )

        with pytest.raises(SourceNonsense):
            await read(source, file, 5, 7)


async def test_a_role_that_may_not_write_is_named(service: FakeBlobService, session: Session) -> None:
    source = build_source(session, service.url, access=identity())
    file = await file_of(source)

    def refuse_writing(seen: Seen) -> web.Response | None:
        headers = {"x-ms-error-code": "AuthorizationPermissionMismatch"}
        return web.Response(status=403, headers=headers) if seen.method == "PUT" else None

    service.trick = refuse_writing

    with pytest.raises(SourceRefused) as raised:
        await source.record_digest(file, "0" * 64)
    assert "Storage Blob Data Contributor" in raised.value.remedy
