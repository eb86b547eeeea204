from __future__ import annotations

from proxy.serving.vacancies import LONGEST, WINDOW, Vacancies
from tests.fakes.clock import FakeClock


def test_the_first_that_ends_is_replaced_at_once_and_the_next_ones_ever_later() -> None:
    clock = FakeClock(1000.0)
    vacancies = Vacancies(clock)

    pauses = [vacancies.add(1) for _ in range(10)]

    assert pauses[:4] == [0.0, 0.5, 1.0, 2.0]
    assert pauses[-1] == LONGEST


def test_a_worker_is_due_when_its_pause_is_over_and_only_once() -> None:
    clock = FakeClock(1000.0)
    vacancies = Vacancies(clock)
    vacancies.add(1)
    vacancies.add(2)

    assert vacancies.due() == [1]
    assert vacancies.moments() == [1000.5]
    clock.now += 0.5
    assert vacancies.due() == [2]
    assert vacancies.due() == []


def test_what_ended_long_ago_is_forgiven() -> None:
    clock = FakeClock(1000.0)
    vacancies = Vacancies(clock)
    vacancies.add(1)
    clock.now += WINDOW

    assert vacancies.add(1) == 0.0
