"""`bench/run`: measure rows, print them as Markdown, and draw them."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from bench import interpreter, picture, report, tools
from bench.model import Finding, Row
from bench.rows import ROWS
from bench.stage import FAILURES, Options, Stage
from bench.tools import CACHE, ROOT, say

QUICK_SECONDS = 1.0
_QUIET = 0.3
"""Up to this load per core, the machine counts as ours alone."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("numbers", nargs=-1, type=click.IntRange(1, len(ROWS)), metavar="[ROW]...")
@click.option("--quick", is_flag=True, help="All rows in under three minutes: one round, small amounts, rough figures.")
@click.option(
    "--seconds", type=click.FloatRange(0.1, 60), help="Of each measurement under load.  [default: 3; quick: 1]"
)
@click.option("--rounds", type=click.IntRange(1, 9), help="Of each measurement.  [default: 3; quick: 1]")
@click.option("--peers", is_flag=True, help="Measure other servers too (rows 1 to 5); installs them on first use.")
@click.option("--bare", is_flag=True, help="Do without wrk, nginx, uv and pip: only what needs none of them.")
@click.option(
    "--this-python", is_flag=True, help="Measure with the Python that runs this, also where there is a faster one."
)
@click.option("--save", is_flag=True, help="Write bench/result.md and bench/result.svg, which are in the repository.")
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="Where to write both instead of bench/.cache."
)
@click.option("--list", "only_list", is_flag=True, help="List the rows.")
def main(  # noqa: PLR0913 - the options of the command
    *,
    numbers: tuple[int, ...],
    quick: bool,
    seconds: float | None,
    rounds: int | None,
    peers: bool,
    bare: bool,
    this_python: bool,
    save: bool,
    output: Path | None,
    only_list: bool,
) -> None:
    """Measure the rows with these numbers, or all of them, and print what was found."""
    if only_list:
        click.echo("\n".join(f"{row.number:2}  {row.title}" for row in ROWS))
        return
    if not bare and not this_python:
        interpreter.hand_over()
    options = Options(
        quick, seconds or (QUICK_SECONDS if quick else Options().seconds), rounds or (1 if quick else Options().rounds)
    )
    chosen = [row for row in ROWS if not numbers or row.number in numbers]
    found = tools.find(bare=bare, with_clients=any(row.number in {14, 15} for row in chosen))
    before = os.getloadavg()[0]
    results = _measure(chosen, options, found, with_peers=peers)
    said = report.Report(time.strftime("%d %B %Y"), options, tools.versions(found), _disturbance(before), results)
    folder = ROOT / "bench" if save else output or CACHE
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.svg").write_text(picture.render(results))
    page = report.render(said, "result.svg")
    (folder / "result.md").write_text(page)
    click.echo(page)
    say(f"written: {folder / 'result.md'} and result.svg beside it")


def _measure(
    rows: list[Row], options: Options, found: tools.Tools, *, with_peers: bool
) -> list[tuple[Row, list[Finding]]]:
    results = []
    with Stage(options, found) as stage:
        # Everything that is not a server being measured stays off its core.
        os.sched_setaffinity(0, {stage.load_core})
        if with_peers:
            from bench import peers  # noqa: PLC0415 - only where they are asked for

            peers.join(stage)
        for row in rows:
            started = time.monotonic()
            try:
                findings = row.measure(stage)
            except FAILURES as error:
                findings = [Finding("all of it", None, note=str(error))]
            say(f"row {row.number:2} in {time.monotonic() - started:5.1f} s: {row.title}")
            results.append((row, findings))
    return results


def _disturbance(load: float) -> str:
    cores = os.cpu_count() or 1
    if load / cores <= _QUIET:
        return f"The machine was quiet (load {load:.2f} on {cores} cores)."
    return f"The machine was **busy with other things** (load {load:.2f} on {cores} cores): ratios of CPU time may do, \
times are noise."


if __name__ == "__main__":
    sys.exit(main())
