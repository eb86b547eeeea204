"""The measuring itself: it runs without its tools, and judges right. What it measures is no test's business."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import picture, report
from bench.model import LIMIT, OURS, Finding, Goal, Row, Verdict, interleaved, ratio
from bench.stage import Options

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it watches processes in /proc")
def test_a_row_is_measured_without_any_tool(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "2", "--bare", "--seconds", "0.2", "--rounds", "1"]
    command += ["--output", str(tmp_path)]

    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=100)

    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"result.md", "result.svg"}
    rows = [line for line in done.stdout.splitlines() if line.startswith("| 2 | Warm 304")]
    # Judged and figures, of two forms each; without nginx there is nothing to compare with.
    assert len(rows) == 4, done.stdout
    assert [Verdict.NOT_MEASURED.value in row for row in rows[:2]] == [True, True]


@pytest.mark.parametrize(
    ("goal", "reached", "verdict"),
    [
        (Goal(0.75, 1.0), 1.0, Verdict.AIM),
        (Goal(0.75, 1.0), 0.75, Verdict.MUST),
        (Goal(0.75, 1.0), 0.74, Verdict.MISSED),
        (Goal(1.5, 1.0, "ms"), 0.9, Verdict.AIM),
        (Goal(1.5, 1.0, "ms"), 1.5, Verdict.MUST),
        (Goal(1.5, 1.0, "ms"), 1.6, Verdict.MISSED),
        (Goal(1, 1), 2, Verdict.MISSED),
    ],
)
def test_a_goal_is_reached_from_its_own_side(goal: Goal, reached: float, verdict: Verdict) -> None:
    assert Finding("something", reached, goal).verdict is verdict


def test_what_could_not_be_measured_is_no_success() -> None:
    assert Finding("something", None, Goal(1.0, 2.0)).verdict is Verdict.NOT_MEASURED


def test_contenders_take_turns() -> None:
    turns: list[str] = []

    def measured(name: str) -> float:
        turns.append(name)
        return float(len(turns))

    values = interleaved(3, {"a": lambda: measured("a"), "b": lambda: measured("b")})

    assert turns == ["a", "b"] * 3
    assert values == {"a": 3.0, "b": 4.0}


def test_a_ratio_needs_both() -> None:
    assert ratio({OURS: 1.0, LIMIT: 2.0}) == 0.5
    assert ratio({OURS: 1.0}) is None


def test_the_report_and_the_picture_say_what_is_missed() -> None:
    row = Row(6, "Cold <small> page", lambda _: [])
    missed = Finding("added", 4.4, Goal(1.5, 1.0, "ms"), {OURS: 4.4}, "ms", "a | note")
    results = [(row, [missed, Finding("all", None, note="no tool")])]

    page = report.render(report.Report("today", Options(), {"Python": "3"}, "Quiet.", results))
    drawn = ET.fromstring(picture.render(results))  # noqa: S314 - our own

    assert "| 6 | Cold <small> page: added | 4.40 ms | 1.50 | 1.00 ms | **missed** | a / note |" in page
    assert "1 miss it, 1 were not measured" in page
    assert any("Cold <small> page: added" in (text.text or "") for text in drawn.iter())
