"""The windows, at their edges."""

from __future__ import annotations

import pytest

from proxy.rules.freshness import Verdict, Windows, judge, judge_absence

WINDOWS = Windows(fresh=10, stale=60, rescue=100, absent=5)


@pytest.mark.parametrize(
    ("age", "verdict"),
    [
        (-1, Verdict.FRESH),
        (0, Verdict.FRESH),
        (9.99, Verdict.FRESH),
        (10, Verdict.STALE),
        (59.99, Verdict.STALE),
        (60, Verdict.RESCUE),
        (99.99, Verdict.RESCUE),
        (100, Verdict.DEAD),
    ],
)
def test_a_page_is_judged_by_its_age(age: float, verdict: Verdict) -> None:
    assert judge(age, WINDOWS) is verdict


@pytest.mark.parametrize(("age", "verdict"), [(4.99, Verdict.FRESH), (5, Verdict.DEAD)])
def test_not_here_is_fresh_or_nothing(age: float, verdict: Verdict) -> None:
    assert judge_absence(age, WINDOWS) is verdict


def test_windows_of_no_length_ask_each_time() -> None:
    assert judge(0, Windows(0, 0, 0, 0)) is Verdict.DEAD
    assert judge_absence(0, Windows(0, 0, 0, 0)) is Verdict.DEAD


def test_a_listing_is_never_stale() -> None:
    windows = WINDOWS.for_listing()

    assert judge(10, windows) is Verdict.RESCUE
