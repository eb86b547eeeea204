"""`url = "pip"` means what pip itself means by its settings."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.errors import SourceRefused
from proxy.simple.model import NormalizedName
from proxy.sources.base import Answer
from proxy.sources.pip_settings import PipCredentials, PipIndex, PipSettings, read_pip_settings
from proxy.sources.session import Session, Upstream
from proxy.sources.simple_index import SimpleIndex
from tests.fakes.clock import FakeClock
from tests.fakes.credentials import FakeCredentials
from tests.fakes.index import FakeIndex


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with Session() as session:
        yield session


@pytest.fixture
async def index() -> AsyncIterator[FakeIndex]:
    async with FakeIndex() as index:
        index.has("bar-1.0-py3-none-any.whl")
        yield index


def make_source(session: Session, settings: PipSettings, first: FakeCredentials | None = None) -> SimpleIndex:
    credentials = PipCredentials(settings, source="public", first=first)
    return SimpleIndex(Upstream(session, name="public", credentials=credentials), url=settings)


def test_without_a_setting_it_is_the_index_built_into_pip() -> None:
    index = read_pip_settings("public")

    assert index.url.startswith("https://")
    assert index.password is None


def test_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://feed.example/simple/")

    assert read_pip_settings("public") == PipIndex("https://feed.example/simple/", user="")


def test_the_configuration_file_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://feed.example/simple\ncert = /etc/company.pem\nproxy = http://proxy.example:8080\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))

    index = read_pip_settings("public")

    assert index.url == "https://feed.example/simple"
    assert index.ca_file == Path("/etc/company.pem")
    assert index.proxy == "http://proxy.example:8080"


@pytest.mark.parametrize("trusted", ["feed.example", "feed.example:8080", "other.example", None])
def test_plain_http_is_allowed_where_pip_is_told_to_trust_the_host(
    monkeypatch: pytest.MonkeyPatch, trusted: str | None
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://feed.example:8080/simple/")
    if trusted:
        monkeypatch.setenv("PIP_TRUSTED_HOST", trusted)

    assert read_pip_settings("public").allow_http is (trusted in {"feed.example", "feed.example:8080"})


def test_a_password_in_the_url_is_taken_out_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://me%40corp:p%40ss%3Aword@feed.example/simple/")

    index = read_pip_settings("public")

    assert index.url == "https://feed.example/simple/"
    assert index.user == "me@corp"
    assert index.password is not None
    assert index.password.reveal() == "p@ss:word"
    assert "p@ss:word" not in repr(index)
    assert "me@corp" not in repr(index)


def test_no_index_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(SourceRefused, match="use no index") as failure:
        read_pip_settings("public")
    assert failure.value.remedy


def test_without_any_pip_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match="no pip here") as failure:
        read_pip_settings("public", [str(tmp_path / "no-python")])
    assert "install pip" in failure.value.remedy


def test_without_any_pip_the_environment_still_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://feed.example/simple/")

    assert read_pip_settings("public", [str(tmp_path / "no-python")]).url == "https://feed.example/simple/"


def test_an_interpreter_without_pip_is_passed_over(tmp_path: Path) -> None:
    without = tmp_path / "python3"
    without.write_text("#!/bin/sh\nexit 1\n")
    without.chmod(without.stat().st_mode | stat.S_IXUSR)

    assert read_pip_settings("public", [str(without), sys.executable]).url


def test_a_folder_called_pip_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)

    assert read_pip_settings("public", [sys.executable]).url


async def test_the_index_is_asked_with_pip_s_password(
    session: Session, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.require_auth("me", "p@ss")
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//me:p%40ss@"))

    answer = await make_source(session, PipSettings()).ask(NormalizedName("bar"))

    assert isinstance(answer, Answer)
    assert "p@ss" not in str(answer)
    assert "p%40ss" not in str(answer)


async def test_pip_s_password_goes_to_its_own_host_and_port_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@feed.example/simple/")
    credentials = PipCredentials(PipSettings(), source="public")

    assert await credentials.authorise("https://feed.example/files/x.whl") is not None
    assert await credentials.authorise("https://feed.example:443/files/x.whl") is not None
    for url in (
        "https://feed.example.evil/x",
        "https://feed.example:444/x",
        "http://feed.example/x",
        "https://files.example/x",
    ):
        assert await credentials.authorise(url) is None


async def test_a_connection_of_the_configuration_comes_first(
    session: Session, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//me:secret@"))
    source = make_source(session, PipSettings(), FakeCredentials(index.origin, "Bearer token"))

    await source.ask(NormalizedName("bar"))

    assert index.requests[0].headers["Authorization"] == "Bearer token"


async def test_pip_is_asked_once_and_only_when_needed(session: Session, index: FakeIndex, tmp_path: Path) -> None:
    counter = tmp_path / "count"
    interpreter = tmp_path / "python3"
    interpreter.write_text(f'#!/bin/sh\necho x >> {counter}\necho \'{{"index_url": "{index.url}"}}\'\n')
    interpreter.chmod(0o755)
    source = make_source(session, PipSettings(interpreters=[str(interpreter)]))
    assert not counter.exists()

    for _ in range(3):
        await source.ask(NormalizedName("bar"))

    assert counter.read_text() == "x\n"


@pytest.mark.parametrize("printed", ["", "no json", "{}", '{"index_url": ""}'])
async def test_a_pip_that_says_nothing_useful_is_an_error(session: Session, tmp_path: Path, printed: str) -> None:
    interpreter = tmp_path / "python3"
    interpreter.write_text(f"#!/bin/sh\necho '{printed}'\n")
    interpreter.chmod(0o755)
    source = make_source(session, PipSettings(interpreters=[str(interpreter)]))

    for _ in range(2):
        with pytest.raises(SourceRefused):
            await source.ask(NormalizedName("bar"))


async def test_a_rotated_password_is_picked_up(index: FakeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    settings = PipSettings(clock=clock)
    index.require_auth("me", "new")
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//me:old@"))
    async with Session() as session:
        source = make_source(session, settings)
        with pytest.raises(SourceRefused):
            await source.ask(NormalizedName("bar"))

        monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//me:new@"))
        clock.pass_by(11)

        assert isinstance(await source.ask(NormalizedName("bar")), Answer)


async def test_a_refused_connection_is_the_connection_s_to_re_read(
    session: Session, index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.status_for("bar", 403)
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    first = FakeCredentials(index.origin, "Bearer token")

    with pytest.raises(SourceRefused):
        await make_source(session, PipSettings(), first).ask(NormalizedName("bar"))

    assert first.refusals == [f"{index.url}bar/"]
