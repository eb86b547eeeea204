"""What is said of addresses and clocks."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from proxy.doctor.surroundings import describe_address, describe_skew

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://10.1.2.3", "10.1.2.3 is a private address"),
        ("https://[fd00::1]:8443/x", "fd00::1 is a private address"),
        ("https://20.60.1.1/wheels", "20.60.1.1 is a public address"),
        ("http://127.0.0.1:8080", "127.0.0.1 is this machine"),
    ],
)
async def test_an_address_is_private_or_public(url: str, said: str) -> None:
    assert await describe_address(url) == said


async def test_a_name_comes_with_its_addresses() -> None:
    said = await describe_address("http://localhost:8080")

    assert said is not None
    assert said.startswith("localhost is ")
    assert said.endswith(", this machine")


async def test_a_name_that_leads_nowhere_is_left_to_the_request() -> None:
    assert await describe_address("https://feed.invalid/simple/") is None


@pytest.mark.parametrize(("ahead", "said"), [(900, "15 minutes ahead of"), (-900, "15 minutes behind"), (60, None)])
def test_only_a_clock_that_is_clearly_wrong_is_worth_a_word(ahead: float, said: str | None) -> None:
    found = describe_skew(formatdate(NOW, usegmt=True), NOW + ahead)

    assert found is None if said is None else found is not None and said in found


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_date_that_is_none_tells_nothing(date: str | None) -> None:
    assert describe_skew(date, NOW) is None
