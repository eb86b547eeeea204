"""What stands in `config/` agrees with the code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from proxy.config import Rules, embedded_default, load, models
from proxy.config.loading import validate
from proxy.config.schema import render
from proxy.errors import ConfigurationInvalid, Problem

CONFIG = Path(__file__).parents[1] / "config"
ANNOTATED = (CONFIG / "wheelgate.toml").read_text()
EXAMPLES = sorted((CONFIG / "examples").glob("*.toml"))

_SETTING = re.compile(r"#(\[[^\]]+\]|[a-z_]+ = .+)")


def switched_on(text: str) -> str:
    """Take the # away from every explained setting."""
    return re.sub(rf"(?m)^{_SETTING.pattern}$", r"\1", text)


def explained() -> Iterator[tuple[str, str, bool]]:
    """Give each setting that is off in a table that is on: the file with it on, its line, whether it is a default."""
    lines = ANNOTATED.splitlines()
    in_force, prose, after = True, "", ""
    for number, line in enumerate(lines):
        if line.startswith(("[", "#[")):
            in_force = line.startswith("[")
        elif line.startswith("# "):
            prose = prose + line if after.startswith("# ") else line
        elif in_force and _SETTING.fullmatch(line):
            yield "\n".join([*lines[:number], line[1:], *lines[number + 1 :]]), line[1:], "Example" not in prose
        after = line


def keys(table: dict[str, Any]) -> set[str]:
    return {key for each in table.values() for key in each}


def test_the_annotated_file_is_in_effect_what_is_built_in() -> None:
    """Whoever runs the server in a clone finds this file, and must get what the README says."""
    assert load(CONFIG / "wheelgate.toml") == embedded_default()


@pytest.mark.parametrize(("text", "line", "is_default"), list(explained()), ids=lambda value: str(value)[:40])
def test_an_explained_setting_can_be_switched_on(tmp_path: Path, text: str, line: str, is_default: bool) -> None:
    file = tmp_path / "wheelgate.toml"
    file.write_text(text)

    config = load(file)

    if is_default:
        assert config == embedded_default(), f"{line} is shown as the default"
    else:
        assert config != embedded_default()


def test_all_explained_settings_can_be_switched_on_together(tmp_path: Path) -> None:
    file = tmp_path / "wheelgate.toml"
    file.write_text(switched_on(ANNOTATED))

    assert load(file)


def places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Give the paths of all values in a document."""
    for key, each in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*path, key)
        yield from places(each, (*path, key))


JUNK = [1, -1.5, True, "", "x\0", [], [[]], [1], {}, {"a": {}}, {"env": []}, date(2026, 1, 1)]


def report(document: dict[str, Any]) -> list[Problem]:
    try:
        validate(document, "wheelgate.toml")
    except ConfigurationInvalid as invalid:
        return invalid.problems
    return []


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_whatever_stands_in_a_place_there_is_a_report_and_never_another_error(junk: object) -> None:
    everything = tomllib.loads(switched_on(ANNOTATED))
    for path in places(everything):
        document: Any = deepcopy(everything)
        *parents, last = path
        table = document
        for key in parents:
            table = table[key]
        table[last] = junk

        for problem in report(document):
            assert problem.path, problem
            assert problem.what, problem
            assert problem.remedy, problem


def test_every_setting_is_explained() -> None:
    everything = tomllib.loads(switched_on(ANNOTATED))
    sources: dict[str, dict[str, Any]] = everything["sources"]

    def missing(model: type[BaseModel], shown: set[str]) -> set[str]:
        return model.model_fields.keys() - shown

    # What holds for several kinds is explained once: at `directory` and at `simple`.
    shared = sources["packages"].keys() | sources["public"].keys()
    of_kind = {
        kind: {key for source in sources.values() if source["kind"] == kind for key in source}
        for kind in ("simple", "azure-blob", "github", "directory")
    }
    assert missing(models.Config, set(everything)) == set()
    assert missing(models.Server, set(everything["server"])) == set()
    assert missing(models.Cache, set(everything["cache"])) == set()
    assert missing(models.SimpleSource, of_kind["simple"]) == set()
    assert missing(models.DirectorySource, of_kind["directory"]) == set()
    assert missing(models.AzureBlobSource, of_kind["azure-blob"] | shared) == set()
    assert missing(models.GithubSource, of_kind["github"] | shared) == set()
    assert missing(models.Connection, keys(everything["connections"])) == set()
    assert missing(models.Workspace, keys(everything["workspaces"])) == set()
    assert missing(models.Feed, keys(everything["feeds"])) == set()
    assert missing(Rules, set(everything["feeds"]["default"]["rules"])) == set()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_says_who_it_is_for(example: Path) -> None:
    assert load(example)
    assert re.match(r"#:schema \.\./schema\.json\n\n# For ", example.read_text())


def test_there_is_an_example_for_every_kind_of_source() -> None:
    kinds = {source.kind for example in EXAMPLES for source in load(example).sources.values()}

    assert kinds == {"simple", "azure-blob", "github", "directory"}


def test_the_published_schema_is_that_of_the_code() -> None:
    """After a change of a setting: `python -m proxy.config.schema > config/schema.json`."""
    assert (CONFIG / "schema.json").read_text() == render()


def test_the_schema_accepts_every_file_that_is_published(tmp_path: Path) -> None:
    everything = tmp_path / "everything.toml"
    everything.write_text(switched_on(ANNOTATED))

    checked = check_schema(CONFIG / "wheelgate.toml", everything, *EXAMPLES)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    "text",
    [
        "feeds = {}",
        'feeds.simple.sources = ["a"]',
        "feeds.default.sources = []",
        'feeds.default = { sources = ["a"], order = 1 }',
        'feeds.default.sources = ["a"]\nsources.a = { kind = "simple", url = "pip", fresh = 10 }',
        'feeds.default.sources = ["a"]\nsources.a = { kind = "simple" }',
        'connections.c = { target = "https://feed.example", auth_type = "PAT", value = "x" }\nfeeds.a.sources = ["a"]',
    ],
)
def test_the_schema_refuses_what_the_code_refuses(tmp_path: Path, text: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)

    assert check_schema(file).returncode == 1


def test_the_schema_is_one_itself_and_explains_every_key() -> None:
    def unexplained(node: Any, path: str) -> Iterator[str]:
        for name, each in node.get("properties", {}).items():
            # One that refers to a table has that table's description.
            if not each.keys() & {"description", "$ref"}:
                yield f"{path}.{name}"

    schema = json.loads(render())

    assert [name for key, node in schema["$defs"].items() for name in unexplained(node, key)] == []
    assert list(unexplained(schema, "")) == []
    assert "null" not in render()


def check_schema(*files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(CONFIG / "schema.json")]
    return subprocess.run([*command, *map(str, files)], check=False, capture_output=True, text=True)
