"""Estimates of parts of the people add up to those of all, and travel as JSON."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from mailtailor.profiles.estimates import DAYS, Estimate, Estimates

NUMBERS = st.integers(0, 10**9)
BY_DAY = st.lists(NUMBERS, min_size=DAYS, max_size=DAYS)
SEGMENTS = st.dictionaries(st.sampled_from("abc"), st.builds(Estimate, NUMBERS, BY_DAY, BY_DAY))
ESTIMATES = st.builds(Estimates, SEGMENTS, NUMBERS, NUMBERS, NUMBERS)


def test_parts_add_up_by_segment_and_day() -> None:
    # given
    total = Estimates({"a": Estimate(2, [1, 0, 0, 0, 0, 0, 0], [0] * DAYS)}, people=5, events=50)
    # when
    total.add(Estimates({"a": Estimate(1, [1] * DAYS, [2] * DAYS), "b": Estimate(7)}, 9, 90, by_engine=1))
    # then
    assert total == Estimates(
        {"a": Estimate(3, [2, 1, 1, 1, 1, 1, 1], [2] * DAYS), "b": Estimate(7)}, people=14, events=140, by_engine=1
    )


def test_adding_leaves_what_is_added_as_it_is() -> None:
    # given
    total, part = Estimates(), Estimates({"a": Estimate(1)}, 1)
    # when
    total.add(part)
    total.add(part)
    # then
    assert part == Estimates({"a": Estimate(1)}, 1)
    assert total.segments["a"].members == 2


@given(ESTIMATES)
def test_what_was_sent_is_what_is_read(estimates: Estimates) -> None:
    assert Estimates.of_payload(json.loads(json.dumps(estimates.payload()))) == estimates
