from __future__ import annotations

from pathlib import Path

import pytest

from proxy.requirements import Unreadable, Wanted, read


def listed(file: Path) -> list[str]:
    return [one.text for one in read(file)]


def test_a_requirements_file_is_read_with_its_includes_hashes_and_comments(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("Foo_Bar==1.0\n")
    (tmp_path / "pins.txt").write_text("baz<2\n")
    file = tmp_path / "requirements.txt"
    file.write_text(
        "# a comment\n--index-url https://index.example/simple\n-r base.txt\n-c pins.txt\n--requirement=base.txt\n"
        'numpy>=1,<3 ; python_version >= "3.8"  # why\nidna==3.7 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n'
        "./local\nC:\\\\wheels\\\\x.whl\n-e ../other\nhere @ https://files.example/here-1.0.tar.gz\nhttps://files.example/x.whl\npkg[extra]~=2.0\n"
    )

    assert listed(file) == ["foo-bar==1.0", "baz<2", "foo-bar==1.0", "numpy<3,>=1", "idna==3.7", "pkg~=2.0"]
    assert read(file)[4].where == f"{file}:7"


def test_a_pylock_and_a_uv_lock_name_their_files(tmp_path: Path) -> None:
    pylock = tmp_path / "pylock.toml"
    pylock.write_text(
        'lock-version = "1.0"\n[[packages]]\nname = "Foo"\nversion = "1.0+cpu"\n'
        '[[packages.wheels]]\nname = "foo-1.0+cpu-py3-none-any.whl"\n'
        '[[packages.wheels]]\nurl = "https://f.example/a/foo-1.0%2Bcpu-cp3.whl#x"\n'
        '[packages.sdist]\npath = "files/foo-1.0.tar.gz"\n'
        '[[packages]]\nname = "vcs"\nversion = "1"\nvcs = {}\n[[packages]]\nname = "bare"\n'
    )
    uv = tmp_path / "uv.lock"
    uv.write_text(
        'version = 1\n[[package]]\nname = "foo"\nversion = "1.0"\n'
        'source = { registry = "https://index.example/simple" }\n'
        'sdist = { url = "https://f.example/foo-1.0.tar.gz" }\n'
        'wheels = [{ url = "https://f.example/foo-1.0-py3-none-any.whl" }, 1]\n'
        '[[package]]\nname = "mine"\nversion = "0"\nsource = { virtual = "." }\n'
    )

    (first,) = read(pylock)
    (second,) = read(uv)
    assert first.text == "foo==1.0+cpu"
    assert first.filenames == ("foo-1.0+cpu-py3-none-any.whl", "foo-1.0+cpu-cp3.whl", "foo-1.0.tar.gz")
    assert second == Wanted(
        first.project, second.specifier, ("foo-1.0-py3-none-any.whl", "foo-1.0.tar.gz"), where=f"{uv}: package 1"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "not a requirement\n"),
        ("a.txt", "-r a.txt\n"),
        ("a.txt", "-r missing.txt\n"),
        ("a.toml", "["),
        ("a.toml", "[tool]\n"),
        ("a.lock", "version = 1\n[[package]]\nversion = '1'\n"),
        ("a.lock", "version = 1\n[[package]]\nname = 'a'\nversion = 'x y'\n"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)

    with pytest.raises(Unreadable, match=r"."):
        read(file)


def test_what_is_not_text_is_said(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xff\xfe")

    with pytest.raises(Unreadable, match="UTF-8"):
        read(file)
