"""The endurance run judges right. Running it is no test's business."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from bench.endurance import checks, goods, timeline, verdict
from bench.endurance.ask import Tally, Trouble
from bench.endurance.journal import Journal
from bench.endurance.verdict import Run
from bench.endurance.watch import Process, Sample
from bench.upstream.contents import JSON

START = 1_000_000.0
ERROR = '{"timestamp":"1970-01-12T13:46:45Z","level":"error","event":"%s","request_id":"77","filename":"a.whl"}\n'


def sample(at: float, resident: float = 100.0, descriptors: int = 20, tasks: int = 6) -> Sample:
    return Sample(at, (Process(1, resident, descriptors, 9),), tasks, 0, 0, 0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of ten minutes of which nothing bad can be said."""
    log = tmp_path / "log"
    log.touch()
    tally = Tally(checked=Counter(pages=1, files=1, parts=1, metadata=1))
    samples = [sample(at) for at in range(600)]
    return Run(
        600.0,
        samples,
        sample(0),
        sample(0),
        tally,
        Journal(log),
        timeline.Faults(),
        1 << 28,
        {},
        [],
        ended_by_itself=True,
    )


def failing(run: Run) -> list[str]:
    return [finding.what for finding in verdict.judge(run) if not finding.holds]


def changed(run: Run, **values: object) -> Run:
    fields = {name: getattr(run, name) for name in Run.__slots__}
    return Run(**fields | values)


@pytest.mark.parametrize("minutes", [1, 3, 30, 240])
def test_every_fault_has_its_time(minutes: float) -> None:
    found = timeline.phases(minutes * 60)

    assert {phase.mood for phase in found} == {"calm", *timeline.FAULTS}
    assert all(before.end == after.begin for before, after in pairwise(found))
    assert found[-1].end == pytest.approx(minutes * 60)


def test_what_is_as_it_should_be_holds(run: Run) -> None:
    assert failing(run) == []


@pytest.mark.parametrize(("grown", "holds"), [(112.0, True), (114.0, False)])
def test_memory_may_grow_a_little(run: Run, grown: float, holds: bool) -> None:
    samples = [sample(at, 100.0 if at < 400 else grown) for at in range(600)]

    assert ("memory is flat" not in failing(changed(run, samples=samples))) is holds


def test_what_is_left_is_told(run: Run) -> None:
    assert failing(changed(run, after=sample(0, tasks=7))) == ["no task is left"]
    assert failing(changed(run, grown={"/cache/index/cache.db": 9})) == []
    assert failing(changed(run, grown={"/cache/artifacts/partial/N (deleted)": 3})) == ["no descriptor is left"]


@pytest.mark.parametrize(
    ("moods", "depends", "request_id", "explained"),
    [
        (["stall"], True, "", True),
        (["stall"], False, "", False),
        ([], True, "", False),
        ([], False, "77", True),
    ],
)
def test_an_error_needs_a_reason(
    run: Run, tmp_path: Path, moods: list[str], depends: bool, request_id: str, explained: bool
) -> None:
    (tmp_path / "log").write_text(ERROR.replace("error", "warning") % "source broke off, resuming")
    run.journal.read()
    run.tally.troubles.append(Trouble("page", "503", "/simple/a/", moods, depends, START, request_id))

    assert (failing(run) == []) is explained


@pytest.mark.parametrize(("event", "excused"), [("artifact wrong, nothing kept", True), ("request failed", False)])
def test_an_error_in_the_log_must_be_the_work_of_a_fault(run: Run, tmp_path: Path, event: str, excused: bool) -> None:
    (tmp_path / "log").write_text(ERROR % event)
    run.journal.read()
    run.faults.change("wrong", START)
    run.faults.change("calm", START + 2)

    assert (failing(run) == []) is excused


def test_a_page_is_right_if_the_upstream_has_had_it(tmp_path: Path) -> None:
    page = goods.Goods(tmp_path, START).page("bare-1", JSON, "identity", with_metadata=True)
    assert page is not None
    found = checks.listed(page.body, JSON)

    assert checks.wrong_page("bare-1", found, START, now=START) is None
    assert checks.wrong_page("bare-1", dict(list(found.items())[1:]), START, now=START) is not None
    assert checks.wrong_page("bare-1", dict.fromkeys(found, "0" * 64), START, now=START) is not None
    assert checks.wrong_age("young-1", 30, START, min_age=15, now=START, is_calm=True) is not None
