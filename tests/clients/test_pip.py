"""What pip, of today and of 2020, gets from a server."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.clients.environments import Client
from tests.fakes.index import FakeIndex
from tests.fakes.process import ServerProcess


def installed(folder: Path) -> set[str]:
    return {path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info")}


async def test_pip_installs_private_and_public_projects_from_one_url(
    pip: Client, server: ServerProcess, tmp_path: Path
) -> None:
    target = tmp_path / "target"

    await pip.run("install", "--index-url", server.index_url, "--target", target, "acme-tool", home=tmp_path / "home")

    assert installed(target) == {"acme_tool-1.1", "leaf-2.0"}


async def test_a_second_client_is_served_while_the_upstream_is_unreachable(
    pip: Client, server: ServerProcess, upstream: FakeIndex, tmp_path: Path
) -> None:
    install = ("install", "--index-url", server.index_url, "--target")
    await pip.run(*install, tmp_path / "first", "acme-tool", home=tmp_path / "first-home")
    upstream.is_down()

    await pip.run(*install, tmp_path / "second", "acme-tool", home=tmp_path / "second-home")

    assert installed(tmp_path / "second") == {"acme_tool-1.1", "leaf-2.0"}


async def test_pip_verifies_the_hashes_that_a_requirements_file_names(
    pip: Client, server: ServerProcess, shelf: Path, tmp_path: Path
) -> None:
    digest = hashlib.sha256((shelf / "acme_tool-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"acme-tool==1.0 --hash=sha256:{digest}\n")
    install = ("install", "--index-url", server.index_url, "--no-deps", "--require-hashes", "-r", requirements)

    await pip.run(*install, "--target", tmp_path / "target", home=tmp_path / "home")
    requirements.write_text(f"acme-tool==1.0 --hash=sha256:{'0' * 64}\n")
    refused = await pip.attempt(*install, "--target", tmp_path / "refused", home=tmp_path / "home")

    assert installed(tmp_path / "target") == {"acme_tool-1.0"}
    assert refused.status != 0
    assert "DO NOT MATCH THE HASHES" in refused.output


async def test_pip_uses_the_server_as_an_extra_index(
    pip: Client, server: ServerProcess, upstream: FakeIndex, tmp_path: Path
) -> None:
    """Not advised (the stranger's version would win), but it works for what only the server has."""
    upstream.lacks("acme-tool")
    install = ("install", "--index-url", upstream.url, "--extra-index-url", server.index_url)

    await pip.run(*install, "--target", tmp_path / "target", "acme-tool", home=tmp_path / "home")

    assert installed(tmp_path / "target") == {"acme_tool-1.1", "leaf-2.0"}


async def test_pip_finds_the_private_files_on_the_flat_page(pip: Client, server: ServerProcess, tmp_path: Path) -> None:
    install = ("install", "--no-index", "--find-links", f"{server.url}/links/", "--no-deps")

    await pip.run(*install, "--target", tmp_path / "target", "acme-tool", home=tmp_path / "home")

    assert installed(tmp_path / "target") == {"acme_tool-1.1"}


async def test_a_date_limit_works_for_the_private_files(new_pip: Client, server: ServerProcess, tmp_path: Path) -> None:
    """`--uploaded-prior-to` refuses a page on which one file has no upload time."""
    limited = ("download", "--index-url", server.index_url, "--no-deps", "acme-tool", "--uploaded-prior-to")

    await new_pip.run(*limited, "2099-01-01", home=tmp_path / "home")
    ran = await new_pip.attempt(*limited, "2001-01-01", home=tmp_path / "home")

    assert ran.status != 0
    assert "does not provide upload-time" not in ran.output
