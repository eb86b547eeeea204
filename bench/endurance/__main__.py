"""`bench/soak`: run the endurance run, print a line for each minute, and say at the end whether all of it holds."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click

from bench import tools
from bench.endurance import report, verdict
from bench.endurance.conductor import Conductor
from bench.endurance.watch import Sample
from bench.tools import CACHE, ROOT, say


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", type=click.FloatRange(1, 240), default=30.0, show_default=True, help="Of load.")
@click.option("--processes", type=click.IntRange(1, 8), default=1, show_default=True, help="Of the server.")
@click.option("--save", is_flag=True, help="Write bench/soak.md and bench/soak.svg, which are in the repository.")
@click.option("--keep", is_flag=True, help="Keep the server's log and cache, and say where they are.")
def main(*, minutes: float, processes: int, save: bool, keep: bool) -> None:
    """Put the server under mixed load with faults, and judge memory, descriptors, tasks, bytes and errors."""
    # Ended from outside, it ends what it has started, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=CACHE))
    rows: list[list[str]] = []

    def minute(number: int, kinds: Counter[str], statuses: Counter[str], sample: Sample) -> None:
        rows.append(report.cells(number, kinds, statuses, sample))
        click.echo(report.aligned(rows[-1]))

    about = (
        f"{time.strftime('%d %B %Y')}: {minutes:g} minutes, {processes} process{'es' if processes > 1 else ''}, "
        f"{'; '.join(f'{name} {said}' for name, said in _versions().items())}; load before: {os.getloadavg()[0]:.1f}."
    )
    try:
        click.echo(report.aligned(report.HEADER))
        run = Conductor(folder, seconds=minutes * 60, processes=processes).run(minute)
    finally:
        if keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    findings = verdict.judge(run)
    target = ROOT / "bench" if save else CACHE
    (target / "soak.svg").write_text(report.draw(run))
    (target / "soak.md").write_text(report.render(run, findings, rows, about, "soak.svg"))
    for finding in findings:
        click.echo(f"{'yes' if finding.holds else 'NO ':3}  {finding.what}: {finding.said}")
        if not finding.holds:
            click.echo("".join(f"       {detail}\n" for detail in finding.details), nl=False)
    say(f"written: {target / 'soak.md'} and soak.svg beside it")
    sys.exit(0 if all(finding.holds for finding in findings) else 1)


def _versions() -> dict[str, str]:
    wanted = ("machine", "Linux", "Python", "aiohttp", "Wheelgate")
    found = tools.versions(tools.Tools(None, None, None, None))
    return {name: found[name] for name in wanted if name in found}


if __name__ == "__main__":
    main()
