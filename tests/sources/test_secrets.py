# ruff: noqa: ASYNC240 - the files of a test are small
from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from proxy.config import values
from proxy.errors import SourceRefused
from proxy.secret import Secret
from proxy.sources.identity import read_claims
from proxy.sources.secrets import EnvironmentSecret, FileSecret, HeldSecret, reader_of
from proxy.sources.session import Session
from tests.fakes.clock import FakeClock
from tests.fakes.identity import FakeTokens, mint


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pat"
    path.write_text("first\n")
    return path


def replace(file: Path, text: str) -> None:
    """Swap the file as Kubernetes does."""
    fresh = file.with_name("fresh")
    fresh.write_text(text)
    fresh.replace(file)


async def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEED_PAT", "p@ss:w%40rd\n")

    assert (await EnvironmentSecret("FEED_PAT", owner="team").read()).reveal() == "p@ss:w%40rd"


@pytest.mark.parametrize(("value", "what"), [(None, "not set"), ("", "empty"), ("\n", "empty")])
async def test_a_missing_or_empty_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str | None, what: str
) -> None:
    monkeypatch.delenv("FEED_PAT", raising=False)
    if value is not None:
        monkeypatch.setenv("FEED_PAT", value)

    with pytest.raises(SourceRefused) as caught:
        await EnvironmentSecret("FEED_PAT", owner="team").read()

    assert caught.value.source == "team"
    assert f"FEED_PAT is {what}" in caught.value.reason
    assert "FEED_PAT" in caught.value.remedy


async def test_a_variable_cannot_change_so_a_refusal_is_final() -> None:
    assert not await EnvironmentSecret("FEED_PAT", owner="team").refused()
    assert not await HeldSecret(Secret("x")).refused()
    assert (await HeldSecret(Secret("x")).read()).reveal() == "x"


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"pat\n", "pat"),
        (b"pat\r\n", "pat"),
        (b"pat", "pat"),
        (b" pat \n\n", " pat \n"),
        (b"\xef\xbb\xbfpat\n", "pat"),
        ("pä".encode(), "pä"),
    ],
)
async def test_a_file_loses_only_its_final_newline(file: Path, content: bytes, secret: str) -> None:
    file.write_bytes(content)

    assert (await FileSecret(file, owner="team").read()).reveal() == secret


async def test_an_empty_file_is_a_refused_source(file: Path) -> None:
    file.write_text("\n")

    with pytest.raises(SourceRefused, match="is empty"):
        await FileSecret(file, owner="team").read()


async def test_a_file_that_is_not_text_or_no_file_is_a_refused_source(file: Path, tmp_path: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SourceRefused, match="UTF-8"):
        await FileSecret(file, owner="team").read()
    with pytest.raises(SourceRefused, match="is a folder"):
        await FileSecret(tmp_path, owner="team").read()
    with pytest.raises(SourceRefused, match="cannot be read"):
        await FileSecret(file / "below", owner="team").read()


async def test_what_would_be_read_for_ever_is_a_refused_source(tmp_path: Path) -> None:
    pipe, large = tmp_path / "pipe", tmp_path / "large"
    os.mkfifo(pipe)
    large.write_bytes(b"x" * (1 << 20))

    for path, why in ((pipe, "pipe or a device"), (Path("/dev/zero"), "pipe or a device"), (large, "64 KiB")):
        with pytest.raises(SourceRefused, match=why):
            await FileSecret(path, owner="team").read()


@pytest.mark.parametrize("content", ["one\ntwo\n", "one\r\ntwo", "nu\0l"])
async def test_more_than_one_line_is_a_refused_source(
    file: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of it would end up in a header of its own."""
    file.write_text(content)
    monkeypatch.setenv("FEED_PAT", content.replace("\0", "\x01"))

    for reader in (FileSecret(file, owner="team"), EnvironmentSecret("FEED_PAT", owner="team")):
        with pytest.raises(SourceRefused, match="more than one line") as caught:
            await reader.read()
        assert "two" not in f"{caught.value}{caught.value.remedy}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_read_is_a_refused_source(file: Path) -> None:
    file.chmod(0)

    with pytest.raises(SourceRefused, match="may not be read"):
        await FileSecret(file, owner="team").read()


async def test_a_replaced_file_is_noticed_after_a_second(file: Path, clock: FakeClock) -> None:
    reader = FileSecret(file, owner="team", clock=clock)
    assert (await reader.read()).reveal() == "first"
    replace(file, "second\n")

    assert (await reader.read()).reveal() == "first"
    clock.pass_by(1)
    assert (await reader.read()).reveal() == "second"


async def test_an_unchanged_file_is_not_read_again(file: Path, clock: FakeClock) -> None:
    reader = FileSecret(file, owner="team", clock=clock)
    first = await reader.read()

    clock.pass_by(5)

    assert await reader.read() is first


async def test_a_vanished_file_is_a_refused_source_until_it_is_back(file: Path, clock: FakeClock) -> None:
    reader = FileSecret(file, owner="team", clock=clock)
    await reader.read()
    file.unlink()
    clock.pass_by(1)

    with pytest.raises(SourceRefused, match="does not exist") as caught:
        await reader.read()
    assert str(file) in caught.value.reason

    file.write_text("back")
    assert (await reader.read()).reveal() == "back"


async def test_a_refusal_reads_the_file_at_once(file: Path, clock: FakeClock) -> None:
    reader = FileSecret(file, owner="team", clock=clock)
    await reader.read()
    replace(file, "second\n")

    assert await reader.refused()
    assert (await reader.read()).reveal() == "second"


async def test_a_refusal_of_what_is_still_in_the_file_is_final(file: Path, clock: FakeClock) -> None:
    reader = FileSecret(file, owner="team", clock=clock)
    await reader.read()

    assert not await reader.refused()


async def test_refusals_read_again_at_most_every_ten_seconds(file: Path, clock: FakeClock) -> None:
    reader = FileSecret(file, owner="team", clock=clock)
    await reader.read()
    assert not await reader.refused()
    replace(file, "second\n")

    assert not await reader.refused()
    clock.pass_by(10)
    assert await reader.refused()


async def test_all_who_were_refused_together_learn_of_the_new_secret(file: Path, clock: FakeClock) -> None:
    reader = FileSecret(file, owner="team", clock=clock)
    await reader.read()
    replace(file, "second\n")

    assert await asyncio.gather(*(reader.refused() for _ in range(5))) == [True] * 5


async def test_no_secret_is_in_what_errors_say(file: Path, clock: FakeClock) -> None:
    reader = FileSecret(file, owner="team", clock=clock)
    secret = await reader.read()

    assert "first" not in f"{secret!r} {secret} {vars(reader)!r}"


def test_every_reference_has_its_reader(file: Path) -> None:
    session, tokens = Session(), FakeTokens()
    kinds = [
        type(reader_of(reference, owner="team", session=session, tokens=tokens)).__name__
        for reference in (
            values.EnvSecret(env="FEED_PAT"),
            values.FileSecret(file=file),
            values.KeyVaultSecret(key_vault="https://corp.vault.azure.net/secrets/pat"),
        )
    ]

    assert kinds == ["EnvironmentSecret", "FileSecret", "KeyVaultSecret"]


def test_a_token_says_for_whom_it_is_and_until_when() -> None:
    token, expires = mint("https://vault.azure.net")

    claims = read_claims(Secret(token))

    assert claims is not None
    assert claims.expires == expires
    assert "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee for https://vault.azure.net, until 20" in str(claims)
    assert token not in str(claims)


@pytest.mark.parametrize("opaque", ["", "opaque", "a.b", "a.!.c", "a.W10.c", "a.\u00e9.c", "a.bm8.c"])
def test_an_opaque_token_says_nothing(opaque: str) -> None:
    assert read_claims(Secret(opaque)) is None
