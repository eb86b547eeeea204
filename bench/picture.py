"""The results as one picture (SVG): how far each measurement is from what it must reach, and from its aim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from bench.model import Finding, Goal, Row, Verdict
from bench.report import number

_COLOURS = {Verdict.AIM: "#1a7f37", Verdict.MUST: "#6c9a1f", Verdict.MISSED: "#c93c37"}
_LABELS, _BARS, _LINE, _TOP = 520, 460, 22, 70
_LEAST, _MOST = 1 / 8, 8.0
"""How many times worse and better than what must be reached still fit in."""


def render(results: Sequence[tuple[Row, Sequence[Finding]]]) -> str:
    """Give the picture: bars begin at what must be reached; to the right is better, on a scale of doublings."""
    judged = [
        (row, finding, finding.goal, finding.reached)
        for row, findings in results
        for finding in findings
        if finding.goal is not None and finding.reached is not None
    ]
    width, height = _LABELS + _BARS + 200, _TOP + _LINE * len(judged) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        text(10, 22, "Reached, against what must be reached (the line in the middle)", size=15),
        text(10, 42, "To the right is better. Diamonds are the aims; the scale doubles from line to line."),
        *_scale(height),
    ]
    for place, (row, finding, goal, reached) in enumerate(judged):
        parts += _bar(_TOP + place * _LINE, row, finding, goal, reached)
    return "\n".join([*parts, "</svg>", ""])


def _scale(height: int) -> list[str]:
    lines = []
    steps = round(math.log2(_MOST))
    for step in range(-steps, steps + 1):
        x = _x(2.0**step)
        colour = "#000" if step == 0 else "#ddd"
        lines.append(f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - 24}" stroke="{colour}"/>')
        label = "must" if step == 0 else f"{2**step} x" if step > 0 else f"1/{2**-step}"
        lines.append(text(x, _TOP - 12, label, anchor="middle", colour="#777"))
    return lines


def _bar(y: int, row: Row, finding: Finding, goal: Goal, reached: float) -> list[str]:
    start, end, aim = _x(1.0), _x(_times_better(goal, reached)), _x(_times_better(goal, goal.aim))
    colour = _COLOURS[finding.verdict]
    middle = y + _LINE / 2
    left, length = min(start, end), max(abs(end - start), 2)
    return [
        text(_LABELS - 8, middle + 4, f"{row.number}  {row.title}: {finding.what}", anchor="end"),
        f'<rect x="{left:.1f}" y="{y + 4}" width="{length:.1f}" height="{_LINE - 8}" fill="{colour}"/>',
        f'<path d="M{aim:.1f} {middle - 5} l5 5 l-5 5 l-5 -5 z" fill="none" stroke="#333"/>',
        text(_LABELS + _BARS + 8, middle + 4, f"{number(reached)} / {number(goal.must)} {goal.unit}", colour=colour),
    ]


def _times_better(goal: Goal, value: float) -> float:
    value, must = max(value, 1e-9), goal.must
    return value / must if goal.is_upwards else must / value


def _x(times: float) -> float:
    share = math.log2(min(max(times, _LEAST), _MOST) / _LEAST) / math.log2(_MOST / _LEAST)
    return _LABELS + 10 + share * (_BARS - 20)


def text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, colour: str = "#222") -> str:
    """Give a piece of text in a picture."""
    said = escape(words)
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{said}</text>'
