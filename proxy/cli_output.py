"""How the commands print what they found out: tables and sentences for people."""

from __future__ import annotations

from itertools import zip_longest
from typing import TextIO

from msgspec import UNSET
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from proxy.config import Config
from proxy.doctor import Report, Row
from proxy.errors import ConfigurationInvalid
from proxy.explanation import Explained, Explanation
from proxy.feed.rehearsal import Rehearsal

_IN_A_PIPE = 1000
"""Columns where there is no terminal: a row stays one line, so that grep finds it whole."""
_UNKNOWN = "[dim]-[/]"
_STATES = ("hidden", "absent", "unknown", "partly", "served")
_AGES = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def describe_problems(error: ConfigurationInvalid) -> str:
    """Give the report of a configuration's mistakes."""
    match error.problems:
        case [problem]:
            return str(problem) if problem.path == error.file else f"{error.file}: {problem}"
    lines = [f"{error.file} has {len(error.problems)} mistakes:", *(f"  {problem}" for problem in error.problems)]
    return "\n".join(lines)


def describe_configuration(config: Config, file: str) -> str:
    """Give one sentence about a valid configuration."""
    sources, feeds = len(config.sources), len(config.feeds)
    kinds = f"{sources} source{'s' * (sources != 1)} ({', '.join(config.sources) or 'none'})"
    return f"{file} is valid: {kinds}, {feeds} feed{'s' * (feeds != 1)} ({', '.join(config.feeds)})"


def print_report(report: Report, out: TextIO) -> None:
    """Print a row for each source and workspace, and under the table what is wrong and what to change."""
    console = _console(out)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("source", "kind", "reachable", "authorised", "format", "ranges", "metadata", "hashes", "latency"):
        table.add_column(column, no_wrap=column == "source", justify="right" if column == "latency" else "left")
    for row in report.rows:
        table.add_row(*_cells(row))
    console.print(table)
    for row in report.rows:
        for problem, remedy in zip_longest(row.problems, row.remedies[: len(row.problems)], fillvalue=""):
            _say(console, f"[red]{escape(row.name)}[/]: {escape(problem)}", remedy)
    for row in report.rows:
        for warning in row.warnings:
            _say(console, f"[yellow]{escape(row.name)}[/]: {escape(warning)}")
    for warning in report.warnings:
        _say(console, f"[yellow]{escape(warning)}[/]")
    for row in report.rows:
        for note in row.notes:
            _say(console, f"[dim]{escape(row.name)}: {escape(note)}[/]")


def print_explanation(explanation: Explanation, out: TextIO) -> None:
    """Print who owns a project, what each source said, and what becomes of each file."""
    console = _console(out)
    title = f"[bold]{escape(explanation.project)}[/] in feed {escape(explanation.feed)}: {escape(explanation.whose)}"
    _say(console, f"{title} ({escape(explanation.why)})")
    if explanation.answer is not UNSET:
        _say(console, escape(str(explanation.answer)))
    for warning in () if explanation.warnings is UNSET else explanation.warnings:
        _say(console, f"[yellow]warning[/]: {escape(warning)}")
    sources = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
    for source in explanation.sources:
        age = "" if source.age_seconds is None else f"{_age(source.age_seconds)} ago"
        sources.add_row(escape(source.name), escape(source.said), age)
    console.print(sources)
    served = [file for file in explanation.files if file.served]
    if explanation.files:
        hidden = len(explanation.files) - len(served)
        _say(console, f"{len(served)} file{'s' * (len(served) != 1)} served, {hidden} hidden:")
    files = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
    for file in explanation.files:
        files.add_row(*_file_cells(file))
    if explanation.files:
        console.print(files)


def print_rehearsal(rehearsal: Rehearsal, out: TextIO) -> None:
    """Print what becomes of each requirement: what is hidden first, then one line on the rest."""
    console = _console(out)
    good = [finding for finding in rehearsal.findings if finding.state == "served"]
    for finding in sorted(rehearsal.findings, key=lambda one: _STATES.index(one.state)):
        if finding.state == "served":
            continue
        colour = "yellow" if finding.state == "partly" else "red"
        _say(console, f"[{colour}]{finding.state}[/] {escape(finding.requirement)} ({escape(finding.where)})")
        _say(console, f"  {escape(finding.said)}")
        if finding.state == "hidden" and finding.hidden and finding.hidden[0].remedy:
            _say(console, f"  → {escape(finding.hidden[0].remedy)}")
    number = len(rehearsal.findings)
    _say(console, f"{len(good)} of {number} requirements are served in full by feed {escape(rehearsal.feed)}")


def _console(out: TextIO) -> Console:
    return Console(file=out, width=None if out.isatty() else _IN_A_PIPE, highlight=False, emoji=False)


def _say(console: Console, text: str, remedy: str = "") -> None:
    # Sentences are not broken by us: a terminal wraps them, and in a pipe they stay one line.
    console.print(text, soft_wrap=True)
    if remedy:
        console.print(f"  → {escape(remedy)}", soft_wrap=True)


def _cells(row: Row) -> list[str]:
    latency = _UNKNOWN if row.latency_ms is None else f"{row.latency_ms:.0f} ms"
    must = [_mark(value, without="red") for value in (row.reachable, row.authorised)]
    # What a source does without, the server makes up for.
    may = [_mark(value, without="yellow") for value in (row.ranges, row.metadata, row.hashes)]
    return [escape(row.name), row.kind, *must, "/".join(row.formats) or _UNKNOWN, *may, latency]


def _mark(value: bool | None, *, without: str) -> str:
    return _UNKNOWN if value is None else "[green]yes[/]" if value else f"[{without}]no[/]"


def _file_cells(file: Explained) -> list[str]:
    verdict = "[green]served[/]" if file.served else "[red]hidden[/]"
    why = ": ".join(part for part in (file.rule, file.reason) if part)
    until = f" (until {file.changes_at})" if file.changes_at else ""
    remedy = "" if file.remedy is UNSET else f" → {file.remedy}"
    return [verdict, escape(file.filename), escape(file.version), escape(file.source), escape(why + until + remedy)]


def _age(seconds: float) -> str:
    for size, unit in _AGES:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
