from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from proxy.cli_announcement import announce
from proxy.cli_output import print_explanation, print_report
from proxy.config import Config, load
from proxy.doctor import Report, Row
from proxy.explanation import Asked, Explained, Explanation, moment


def configuration(folder: Path, text: str = "") -> Config:
    file = folder / "wheelgate.toml"
    feeds = '[feeds.default]\nsources = ["public"]\n[feeds.team]\nsources = ["public"]\n'
    file.write_text(f'{text}\n[sources.public]\nkind = "simple"\nurl = "pip"\n{feeds}')
    return load(file)


def announced(config: Config, host: str, port: int = 8080) -> str:
    out = io.StringIO()
    announce(config, host, port, out)
    return out.getvalue()


def test_the_server_prints_the_line_to_give_pip_for_every_feed(tmp_path: Path) -> None:
    said = announced(configuration(tmp_path), "127.0.0.1")

    assert "pip install --index-url http://127.0.0.1:8080/simple/ " in said
    assert "pip install --index-url http://127.0.0.1:8080/team/simple/ " in said


@pytest.mark.parametrize(
    ("host", "line"),
    [
        ("0.0.0.0", "http://127.0.0.1:8080/simple/ PROJECT"),  # noqa: S104 - nothing listens there
        ("::1", "http://[::1]:8080/simple/ PROJECT"),
        ("10.1.2.3", "http://10.1.2.3:8080/simple/ --trusted-host 10.1.2.3 PROJECT"),
    ],
)
def test_the_line_for_pip_works_as_it_stands(tmp_path: Path, host: str, line: str) -> None:
    assert line in announced(configuration(tmp_path), host)


def test_the_line_for_pip_has_the_public_address(tmp_path: Path) -> None:
    config = configuration(tmp_path, 'server.public_url = "https://pypi.corp.example"')

    assert "--index-url https://pypi.corp.example/simple/ PROJECT" in announced(config, "0.0.0.0")  # noqa: S104


REPORT = Report(
    (
        Row("public", "simple", True, True, ("JSON", "HTML"), True, True, True, 12.4),
        Row(
            "team",
            "simple",
            True,
            False,
            problems=("it refuses the token of [connections.devops]",),
            remedies=("the token has expired: make a new one and put it in $FEED_PAT",),
        ),
    )
)


def test_a_report_has_a_row_for_each_source_and_the_remedies_below() -> None:
    out = io.StringIO()

    print_report(REPORT, out)

    lines = out.getvalue().splitlines()
    assert lines[0].split() == [
        "source", "kind", "reachable", "authorised", "format", "ranges", "metadata", "hashes", "latency",
    ]  # fmt: skip
    assert lines[1].split() == ["public", "simple", "yes", "yes", "JSON/HTML", "yes", "yes", "yes", "12", "ms"]
    assert lines[2].split()[:4] == ["team", "simple", "yes", "no"]
    assert lines[3:] == [
        "team: it refuses the token of [connections.devops]",
        "  → the token has expired: make a new one and put it in $FEED_PAT",
    ]


def test_a_report_with_a_problem_ends_with_1() -> None:
    assert REPORT.exit_code == 1
    assert Report(REPORT.rows[:1]).exit_code == 0


def test_a_report_is_json_by_the_names_of_its_fields() -> None:
    found = json.loads(REPORT.as_json())

    assert [(row["name"], row["authorised"]) for row in found["sources"]] == [("public", True), ("team", False)]
    assert found["good"] is False


EXPLANATION = Explanation(
    project="numpy",
    feed="default",
    owner="public",
    why="the first source in order that has it",
    sources=(
        Asked("curated", "does not have it", moment(0), 90),
        Asked("public", "2 files", moment(0.5), 7300),
        Asked("late", "not asked"),
    ),
    files=(
        Explained("numpy-1.0-py3-none-any.whl", "1.0", "public", served=True),
        Explained("numpy-3.0.tar.gz", "3.0", "public", False, "allow", "version 3.0 is not allowed", moment(86400)),
    ),
)


def test_an_explanation_says_who_owns_it_what_was_said_and_which_files_are_hidden_why() -> None:
    out = io.StringIO()

    print_explanation(EXPLANATION, out)

    said = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert said == [
        "numpy in feed default: owned by public (the first source in order that has it)",
        "curated does not have it 2 min ago",
        "public 2 files 2 h ago",
        "late not asked",
        "1 file served, 1 hidden:",
        "served numpy-1.0-py3-none-any.whl 1.0 public",
        "hidden numpy-3.0.tar.gz 3.0 public allow: version 3.0 is not allowed (until 1970-01-02T00:00:00Z)",
    ]


def test_an_explanation_as_json_is_the_interface() -> None:
    found = json.loads(EXPLANATION.as_json())

    assert list(found) == ["project", "feed", "owner", "why", "sources", "files"]
    assert list(found["sources"][0]) == ["name", "said", "asked_at", "age_seconds"]
    assert list(found["files"][0]) == ["filename", "version", "source", "served", "rule", "reason", "changes_at"]
    assert EXPLANATION.is_known
    assert not Explanation("x", "default", None, "no source has it").is_known
