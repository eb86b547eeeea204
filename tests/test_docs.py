"""What the documentation shows works: its configurations are valid, its scripts parse, its links lead somewhere."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from proxy.config.loading import validate

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "deploy" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#:]+)?(?:#([^)]+))?\)")


def snippets(*languages: str) -> list[Any]:
    """Give every block of these languages, each with the page and the line it begins at."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for block in _BLOCK.finditer(text):
            if block[1] in languages:
                where = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, block.start()) + 1}"
                found.append(pytest.param(block[2], id=where))
    return found


@pytest.mark.parametrize("text", snippets("toml"))
def test_a_configuration_that_is_shown_is_valid(text: str) -> None:
    document = tomllib.loads(text)
    if text.startswith("# pyproject.toml"):
        return

    assert validate(document, "the page").feeds


@pytest.mark.parametrize("text", snippets("sh"))
def test_a_script_that_is_shown_is_one(text: str) -> None:
    shell = shutil.which("sh")
    assert shell is not None

    checked = subprocess.run([shell, "-n"], input=text, text=True, check=False, capture_output=True)

    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("text", snippets("python"))
def test_python_that_is_shown_is_python(text: str) -> None:
    assert ast.parse(text).body


@pytest.mark.parametrize("text", snippets("yaml"))
def test_yaml_that_is_shown_is_a_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    (tmp_path / "shown.yaml").write_text(text)

    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", "schema.json", "shown.yaml"]
    checked = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    def anchors(text: str) -> set[str]:
        titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}

    for target, anchor in _LINK.findall(page.read_text()):
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text()), anchor
