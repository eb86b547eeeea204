"""Whom requests trust, and which way they go: certificates and proxies."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.errors import SourceError, SourceNonsense, SourceRefused, SourceUnavailable
from proxy.sources.session import Session, Upstream
from tests.fakes.certificates import Authority, make_authority
from tests.fakes.forward_proxy import FakeProxy
from tests.fakes.index import FakeIndex


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path)


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as session:
        yield session


@pytest.fixture
async def secure(authority: Authority) -> AsyncIterator[FakeIndex]:
    async with FakeIndex(tls=authority.server) as secure:
        secure.has("bar-1.0-py3-none-any.whl")
        yield secure


@pytest.fixture
async def plain() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as plain:
        plain.has("bar-1.0-py3-none-any.whl")
        yield plain


async def fetch(upstream: Upstream, url: str) -> bytes:
    async with upstream.get(url) as response:
        return await upstream.read(response, limit=1 << 20)


async def fail(upstream: Upstream, url: str) -> SourceError:
    with pytest.raises(SourceError) as failure:
        await fetch(upstream, url)
    return failure.value


async def test_a_stranger_s_certificate_is_refused_with_the_remedy(session: Session, secure: FakeIndex) -> None:
    error = await fail(Upstream(session, name="feed"), f"{secure.url}bar/")

    assert isinstance(error, SourceUnavailable)
    assert "not trusted" in error.reason
    assert "ca_file" in error.remedy
    assert secure.requests == []


async def test_a_ca_file_adds_to_what_is_trusted_for_its_source_alone(
    session: Session, secure: FakeIndex, authority: Authority
) -> None:
    with_file = Upstream(session, name="feed", ca_file=authority.ca_file)
    without = Upstream(session, name="other")

    assert await fetch(with_file, f"{secure.url}bar/")
    assert isinstance(await fail(without, f"{secure.url}bar/"), SourceUnavailable)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_the_environment_s_authorities_are_trusted(
    session: Session, secure: FakeIndex, authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(authority.ca_file))

    assert await fetch(Upstream(session, name="feed"), f"{secure.url}bar/")


async def test_a_certificate_for_another_host_is_refused(
    session: Session, secure: FakeIndex, authority: Authority
) -> None:
    async with FakeProxy(secure.port) as proxy:
        upstream = Upstream(session, name="feed", ca_file=authority.ca_file, proxy=proxy.address)

        error = await fail(upstream, "https://feed.example/simple/bar/")

    assert isinstance(error, SourceUnavailable)
    assert "not trusted" in error.reason


@pytest.mark.parametrize("content", [None, "no certificate\n"])
async def test_a_ca_file_that_cannot_be_used_is_named(
    session: Session, secure: FakeIndex, tmp_path: Path, content: str | None
) -> None:
    ca_file = tmp_path / "missing.pem"
    if content is not None:
        ca_file.write_text(content)

    error = await fail(Upstream(session, name="feed", ca_file=ca_file), f"{secure.url}bar/")

    assert isinstance(error, SourceUnavailable)
    assert "missing.pem" in error.reason
    assert "ca_file" in error.remedy


async def test_a_redirect_never_steps_down_from_https(
    session: Session, secure: FakeIndex, plain: FakeIndex, authority: Authority
) -> None:
    upstream = Upstream(session, name="feed", ca_file=authority.ca_file)
    secure.redirect("bar", f"{plain.url}bar/")

    error = await fail(upstream, f"{secure.url}bar/")

    assert isinstance(error, SourceNonsense)
    assert "https to http" in error.reason
    assert plain.requests == []


async def test_plain_http_to_other_machines_is_a_setting(session: Session, plain: FakeIndex) -> None:
    async with FakeProxy(plain.port) as proxy:
        refusing = Upstream(session, name="feed", proxy=proxy.address)
        allowing = Upstream(session, name="feed", proxy=proxy.address, allow_http=True)

        assert isinstance(await fail(refusing, "http://feed.example/simple/bar/"), SourceNonsense)
        assert await fetch(allowing, "http://feed.example/simple/bar/")
        assert proxy.asked == ["GET http://feed.example/simple/bar/ HTTP/1.1"]


async def test_https_goes_through_a_tunnel_of_the_environment_s_proxy(
    session: Session, secure: FakeIndex, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeProxy(secure.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")

        assert await fetch(Upstream(session, name="feed", ca_file=authority.ca_file), "https://localhost:1/simple/bar/")
        assert proxy.asked == ["CONNECT localhost:1 HTTP/1.1"]


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "localhost,127.0.0.1"])
async def test_hosts_in_no_proxy_are_asked_straight(
    session: Session, plain: FakeIndex, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert await fetch(Upstream(session, name="feed"), f"{plain.url}bar/")


async def test_the_proxy_gets_its_password_and_the_source_does_not(
    session: Session, plain: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = "Basic " + base64.b64encode(b"me:p@ss").decode()
    async with FakeProxy(plain.port, authorization=wanted) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@{proxy.address}")

        assert await fetch(Upstream(session, name="feed"), f"{plain.url}bar/")
        assert "Authorization" not in plain.requests[0].headers


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_a_password_is_named(
    session: Session, plain: FakeIndex, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    async with FakeProxy(plain.port, authorization="Basic x") as proxy:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://me:secret@{proxy.address}")

        error = await fail(Upstream(session, name="feed"), f"{scheme}://localhost:{plain.port}/")

        assert isinstance(error, SourceRefused)
        assert "HTTPS_PROXY" in error.remedy
        assert "secret" not in f"{error}{error.remedy}"


async def test_a_proxy_that_is_not_there_is_named(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@127.0.0.1:1")

    error = await fail(Upstream(session, name="feed"), "https://feed.example/simple/")

    assert isinstance(error, SourceUnavailable)
    assert "proxy" in error.reason
    assert "secret" not in f"{error}{error.remedy}"
