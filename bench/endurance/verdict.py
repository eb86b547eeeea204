"""The verdict on a run: what must hold, whether it did, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.endurance.ask import Tally, Trouble
from bench.endurance.journal import Journal, Line
from bench.endurance.timeline import Faults
from bench.endurance.watch import Sample

SHARE, FLOOR = 0.05, 8.0
"""How much more memory the last third may take than the second: a part of it, and MiB. What caches hold depends on
what was asked last, and allocators give back whole arenas or nothing; a real leak of one kilobyte for each of some
hundred thousand requests is beyond it."""
_DESCRIPTORS = 2
"""How many each process may have more: what is opened on first use."""
_PIPE = "pipe:"
"""What a worker has of its siblings, for it is a copy of their supervisor: some of each that lived when it began, so
more where it began while others drained."""
_DATABASE = ".db"
"""Files whose descriptors SQLite keeps open, for its next connection, as long as any other one is open: at most
as many as there were connections at once, which is when one generation follows another."""
_POOL = 6
"""Threads by which the default pool of a process may have grown: `min(32, cores + 4)`."""
_OVER = 4 * 50_000_000
"""Bytes by which the cache may be too large for a moment: what arrives while the sweep is under way."""
_SHOWN = 12
_LATE_WORK = 60.0
"""Seconds for which a download goes on trying after a fault."""
_EXCUSES: Mapping[str, frozenset[str]] = {
    "artifact wrong, nothing kept": frozenset({"wrong", "nonsense"}),
    "file broken off": frozenset({"wrong", "stall", "cut", "500", "503", "429", "nonsense", "refused", "slow"}),
    "worker ended": frozenset({"kill"}),
}
"""Lines of level ERROR that a fault is a reason for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must hold."""

    what: str
    holds: bool
    said: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that a run has shown."""

    seconds: float
    samples: Sequence[Sample]
    before: Sample
    after: Sample
    tally: Tally
    journal: Journal
    faults: Faults
    limit: int
    """Bytes of the cache."""
    grown: Mapping[str, int]
    """Descriptors that were not there before, by what they are."""
    locked: Sequence[str]
    ended_by_itself: bool


def judge(run: Run) -> list[Finding]:
    """Judge a run."""
    return [
        _memory(run),
        *_left(run),
        _cache(run),
        _clients(run),
        _log(run),
        _exercised(run),
        Finding("SIGTERM ends it", run.ended_by_itself, "by itself" if run.ended_by_itself else "it had to be killed"),
    ]


def thirds(run: Run) -> tuple[float, float]:
    """Give the medians of memory in the second and in the last third, in MiB."""
    second = [each.resident for each in run.samples if run.seconds / 3 <= each.at < run.seconds * 2 / 3]
    last = [each.resident for each in run.samples if each.at >= run.seconds * 2 / 3]
    return (median(second), median(last)) if second and last else (0.0, 0.0)


def _memory(run: Run) -> Finding:
    second, last = thirds(run)
    holds = bool(second) and last <= second * (1 + SHARE) + FLOOR
    return Finding("memory is flat", holds, f"median {second:.1f} MiB in the second third, {last:.1f} MiB in the last")


def _left(run: Run) -> list[Finding]:
    before, after = run.before, run.after
    processes = len(before.processes)
    pool = _POOL * processes
    passed_over = (_DATABASE, _PIPE) if processes > 1 else (_DATABASE,)
    left = Counter({what: number for what, number in run.grown.items() if not any(map(what.__contains__, passed_over))})
    grown = tuple(f"{number} x {what}" for what, number in left.items())
    return [
        Finding(
            "no descriptor is left",
            left.total() <= _DESCRIPTORS * processes,
            f"{before.descriptors} before the load, {after.descriptors} after it; not counting those that SQLite keeps "
            f"for its next connection and pipes of siblings, {left.total()} more",
            grown,
        ),
        Finding("no task is left", 0 <= after.tasks <= before.tasks, f"{before.tasks} before, {after.tasks} after"),
        Finding(
            "no thread is left",
            after.threads <= before.threads + pool,
            f"{before.threads} before, {after.threads} after; pools may have grown by {pool}",
        ),
        Finding(
            "no download is left",
            not after.downloads and not run.locked,
            f"{after.downloads} under way, {len(run.locked)} partial files locked, {after.unfinished} to be resumed",
        ),
        Finding(
            "as many processes",
            len(after.processes) == processes,
            f"{processes} before, {len(after.processes)} after",
        ),
    ]


def _cache(run: Run) -> Finding:
    most = max((sample.cache for sample in run.samples), default=0)
    said = f"at most {most / 1e6:,.0f} MB of {run.limit / 1e6:,.0f}"
    return Finding("the cache keeps its size", most <= run.limit + _OVER, said)


def _clients(run: Run) -> Finding:
    unexplained = [trouble for trouble in run.tally.troubles if not reason(run, trouble)]
    total = len(run.tally.troubles)
    said = f"{total:,} answers other than hoped for, {len(unexplained):,} of them without a reason"
    return Finding("clients see no error without a reason", not unexplained, said, _some(map(_told, unexplained)))


def reason(run: Run, trouble: Trouble) -> str:
    """Give the reason for a trouble; empty where there is none."""
    if trouble.depends and trouble.moods:
        return f"fault: {', '.join(trouble.moods)}"
    if "kill" in trouble.moods and "broken off" in trouble.what:
        return "its worker was killed"
    line = run.journal.explains(trouble.request_id)
    if line is None and trouble.depends:
        line = run.journal.tells_of(trouble.filename, trouble.at)
    return f"log: {line.event}" if line else ""


def _told(trouble: Trouble) -> str:
    moods = f" (while {', '.join(trouble.moods)})" if trouble.moods else ""
    return f"{trouble.kind} {trouble.path}: {trouble.what}{moods}"


def _log(run: Run) -> Finding:
    errors = [line for line in run.journal.lines if line.level != "warning" or line.is_traceback]
    unexplained = [line for line in errors if not excused(run, line)]
    said = f"{len(errors):,} lines of level ERROR, {len(unexplained):,} of them without a fault; " + _counts(run)
    return Finding(
        "the log has no error without a reason", not unexplained, said, _some(line.text[:400] for line in unexplained)
    )


def excused(run: Run, line: Line) -> bool:
    """Say whether a fault is the reason for an error in the log."""
    excuses = _EXCUSES.get(line.event, frozenset())
    return not line.is_traceback and not excuses.isdisjoint(run.faults.during(line.at, line.at, linger=_LATE_WORK))


def _counts(run: Run) -> str:
    warnings = Counter(line.event for line in run.journal.lines if line.level == "warning")
    counted = ", ".join(f"{number:,} x {event}" for event, number in warnings.most_common(8))
    return f"warnings: {counted or 'none'}"


def _exercised(run: Run) -> Finding:
    checked = run.tally.checked
    missing = [what for what in ("pages", "files", "parts", "metadata") if not checked[what]]
    said = ", ".join(f"{number:,} {what}" for what, number in checked.most_common()) + " found right"
    return Finding("everything was asked for", not missing, said)


def _some(texts: Iterable[str]) -> tuple[str, ...]:
    found = list(texts)
    more = [f"and {len(found) - _SHOWN:,} more"] if len(found) > _SHOWN else []
    return (*found[:_SHOWN], *more)
