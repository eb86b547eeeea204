"""The result of an endurance run: lines while it goes on, a page, and a picture of memory over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.endurance.verdict import Finding, Run, thirds
from bench.endurance.watch import Sample
from bench.picture import text

_KINDS = ("cold", "warm", "files", "rude", "else")
_OF_KIND = {
    "cold page": "cold",
    "bare page": "cold",
    "huge page": "cold",
    "warm page": "warm",
    "young page": "warm",
    "metadata": "files",
    "cold file": "files",
    "cold big file": "files",
    "warm big file": "files",
    "range": "files",
    "noise": "rude",
    "half-open": "rude",
    "leaving": "rude",
    "slow reader": "rude",
    "pipelined": "rude",
}
_BROKEN = {"broken off", "endless", "no answer"}
_STATUSES = ("200", "206", "304", "4xx", "5xx", "broken")
HEADER = ("min", *_KINDS, *_STATUSES, "RSS MiB", "fds", "threads", "tasks", "fills", "cache MB", "upstream")
_WIDTH, _HEIGHT, _LEFT, _TOP = 900, 320, 60, 50


def cells(minute: int, kinds: Counter[str], statuses: Counter[str], sample: Sample) -> list[str]:
    """Give the line of a minute."""
    asked: Counter[str] = Counter()
    for kind, number in kinds.items():
        asked[_OF_KIND.get(kind, "else")] += number
    answered: Counter[str] = Counter()
    for status, number in statuses.items():
        if status in _BROKEN:
            answered["broken"] += number
        elif status.isdigit():
            answered[status if status in _STATUSES else f"{status[0]}xx"] += number
    memory = "+".join(f"{process.resident:.0f}" for process in sample.processes)
    descriptors = "+".join(str(process.descriptors) for process in sample.processes)
    return [
        str(minute),
        *(str(asked[kind]) for kind in _KINDS),
        *(str(answered[status]) for status in _STATUSES),
        memory,
        descriptors,
        str(sample.threads),
        str(sample.tasks),
        f"{sample.downloads}/{sample.unfinished}",
        f"{sample.cache / 1e6:.0f}",
        sample.mood,
    ]


def aligned(row: Sequence[str]) -> str:
    """Give a line as it is printed."""
    return "  ".join(cell.rjust(max(5, len(head))) for cell, head in zip(row, HEADER, strict=True))


def render(run: Run, findings: Sequence[Finding], rows: Sequence[Sequence[str]], about: str, picture: str) -> str:
    """Give the page."""
    bad = [finding for finding in findings if not finding.holds]
    verdict = "all of it holds" if not bad else f"**{len(bad)} of {len(findings)} do not hold**"
    lines = ["# Endurance", "", about, "", f"The verdict: {verdict}.", ""]
    lines += ["| must hold | | what was seen |", "|---|---|---|"]
    lines += [f"| {each.what} | {'yes' if each.holds else '**no**'} | {_plain(each.said)} |" for each in findings]
    for finding in findings:
        if not finding.holds and finding.details:
            lines += ["", f"## {finding.what}: no", "", *(f"- `{_plain(detail)}`" for detail in finding.details)]
    lines += ["", f"![Memory over time]({picture})", "", "## Minute by minute", ""]
    lines += ["Fills are those under way, and files that are not whole.", ""]
    lines += [_row(HEADER), "|" + "--:|" * len(HEADER), *map(_row, rows), ""]
    asked = ", ".join(f"{number:,} {kind}" for kind, number in run.tally.all_kinds.most_common())
    answered = ", ".join(f"{number:,} x {status}" for status, number in run.tally.all_statuses.most_common())
    return "\n".join([*lines, f"Asked: {asked}.", "", f"Answered: {answered}.", ""])


def draw(run: Run) -> str:
    """Give the picture: memory over time, the faults behind it, the medians of the last two thirds."""
    most = max((sample.resident for sample in run.samples), default=1.0) * 1.15
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        text(10, 22, "Memory of all processes over time (MiB)", size=15),
        text(10, 40, "Grey: the upstream is at fault. Green: the medians of the second and the last third."),
    ]
    begin = run.samples[0].at if run.samples else 0.0

    def x(at: float) -> float:
        return _LEFT + (at - begin) / run.seconds * (_WIDTH - _LEFT - 20)

    def y(memory: float) -> float:
        return _HEIGHT - 30 - memory / most * (_HEIGHT - _TOP - 30)

    for earlier, later in zip(run.samples, run.samples[1:], strict=False):
        if later.mood != "calm":
            width = x(later.at) - x(earlier.at)
            parts.append(
                f'<rect x="{x(earlier.at):.1f}" y="{_TOP}" width="{width:.1f}" '
                f'height="{_HEIGHT - 30 - _TOP}" fill="#eee"/>'
            )
    for step in range(5):
        value = most * step / 4
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>')
        parts.append(text(_LEFT - 6, y(value) + 4, f"{value:.0f}", anchor="end", colour="#777"))
    points = " ".join(f"{x(sample.at):.1f},{y(sample.resident):.1f}" for sample in run.samples)
    parts.append(f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="1.2"/>')
    for number, middle in enumerate(thirds(run), 1):
        ends = [x(run.seconds * (number + more) / 3) for more in (0, 1)]
        parts.append(
            f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y(middle):.1f}" y2="{y(middle):.1f}" '
            'stroke="#1a7f37" stroke-width="2"/>'
        )
    parts.append(text(_WIDTH - 20, _HEIGHT - 10, f"{run.seconds / 60:.0f} minutes", anchor="end", colour="#777"))
    return "\n".join([*parts, "</svg>", ""])


def _row(row: Sequence[str]) -> str:
    return "| " + " | ".join(row) + " |"


def _plain(said: str) -> str:
    return " ".join(said.replace("|", "/").replace("`", "'").split())
