"""The results as one page of Markdown: first what must be reached, then every figure behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.model import LIMIT, OURS, Finding, Goal, Row, Verdict
from bench.stage import STATIC, Options

_ORDER = (OURS, LIMIT, STATIC, "direct")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one run has shown."""

    when: str
    options: Options
    versions: Mapping[str, str]
    disturbance: str
    """How much else went on on the machine."""
    results: Sequence[tuple[Row, Sequence[Finding]]]


def render(report: Report, picture: str | None = None) -> str:
    """Give the page; `picture` is the name of the picture beside it."""
    findings = [finding for _, each in report.results for finding in each]
    judged: list[Verdict] = [finding.verdict for finding in findings if finding.verdict is not Verdict.FOR_INFORMATION]
    counted = ", ".join(
        f"{judged.count(verdict)} {word}"
        for verdict, word in (
            (Verdict.AIM, "reach the aim"),
            (Verdict.MUST, "reach what they must"),
            (Verdict.MISSED, "miss it"),
            (Verdict.NOT_MEASURED, "were not measured"),
        )
    )
    how = "quick: figures are rough" if report.options.quick else f"{report.options.rounds} interleaved rounds, medians"
    lines = ["# What was measured", "", f"{report.when}; {how}. Of {len(judged)} measurements {counted}.", ""]
    lines += [report.disturbance, "", *_versions(report.versions), ""]
    lines += [f"![Reached, against what must be reached]({picture})", ""] if picture else []
    lines += ["## What must be reached", "", *_goals(report.results), ""]
    lines += ["## Every figure", "", *_figures(report.results), ""]
    return "\n".join(lines)


def _versions(versions: Mapping[str, str]) -> list[str]:
    return ["; ".join(f"{name} {said}" for name, said in versions.items()) + "."]


def _goals(results: Iterable[tuple[Row, Sequence[Finding]]]) -> list[str]:
    lines = ["| # | what | reached | must | aim | verdict | |", "|--:|---|--:|--:|--:|---|---|"]
    for row, findings in results:
        for finding in findings:
            goal = finding.goal
            cells = [str(row.number), f"{row.title}: {finding.what}", _reached(finding.reached, goal)]
            cells += ["", ""] if goal is None else [number(goal.must), f"{number(goal.aim)} {goal.unit}".strip()]
            lines.append(_line([*cells, finding.verdict.value, finding.note]))
    return lines


def _reached(reached: float | None, goal: Goal | None) -> str:
    if reached is None:
        return "?"
    unit = goal.unit if goal is not None and goal.unit in {"ms", "s", "MiB"} else ""
    return f"{number(reached)} {unit}".strip()


def _figures(results: Iterable[tuple[Row, Sequence[Finding]]]) -> list[str]:
    rows = [(row, finding) for row, findings in results for finding in findings if finding.values]
    named = {name for _, finding in rows for name in finding.values}
    columns = [name for name in _ORDER if name in named]
    columns += sorted(named - set(columns))
    if not rows:
        return ["None."]
    lines = [_line(["#", "what", "unit", *columns]), "|--:|---|---|" + "--:|" * len(columns)]
    for row, finding in rows:
        cells = [number(finding.values[name]) if name in finding.values else "" for name in columns]
        lines.append(_line([str(row.number), f"{row.title}: {finding.what}", finding.unit, *cells]))
    return lines


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


def number(value: float) -> str:
    """Give a figure with three digits that count."""
    size = abs(value)
    for limit, digits in ((100, 0), (10, 1), (1, 2)):
        if size >= limit:
            return f"{value:,.{digits}f}"
    return f"{value:.3f}"
