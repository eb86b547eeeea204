"""What holds of all headers that a client can send."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.simple.negotiation import Coding, MediaType, choose, choose_coding

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

WORDS = st.sampled_from(
    [*MediaType, "*/*", "text/*", "application/*", "gzip", "zstd", "identity", "*", "q", ";", ",", "=", '"', " "]
) | st.text(max_size=5)
HEADERS = st.lists(WORDS, max_size=12).map("".join) | st.text(max_size=60)


@PATIENT
@given(st.none() | HEADERS, st.none() | HEADERS)
def test_no_header_breaks_the_choice_of_a_form(accept: str | None, format_: str | None) -> None:
    assert choose(accept, format_) in {None, *MediaType}


@PATIENT
@given(st.none() | HEADERS)
def test_no_header_breaks_the_choice_of_a_coding(accept_encoding: str | None) -> None:
    assert choose_coding(accept_encoding) in set(Coding)


@PATIENT
@given(st.dictionaries(st.sampled_from(list(MediaType)), st.integers(0, 1000), min_size=1))
def test_of_named_forms_one_with_the_highest_quality_is_sent(qualities: dict[MediaType, int]) -> None:
    chosen = choose(", ".join(f"{form};q={quality / 1000:.3f}" for form, quality in qualities.items()))

    best = max(qualities.values())
    assert chosen is None if best == 0 else chosen is not None and qualities[chosen] == best


@PATIENT
@given(st.permutations([f"{form};q=0.{rank}" for rank, form in enumerate(MediaType, 1)]))
def test_the_order_in_a_header_means_nothing(ranges: list[str]) -> None:
    assert choose(",".join(ranges)) is list(MediaType)[-1]
