"""What a recipient allowed does not depend on the order in which we learn it, and doubt is a refusal."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from mailtailor.consent.policy import Consent, Purpose, allows, may_record, merged, stated, stricter

statements = st.lists(
    st.tuples(st.dictionaries(st.sampled_from(Purpose), st.booleans(), min_size=1), st.integers(0, 9)), max_size=8
)
records = st.dictionaries(st.sampled_from(Purpose), st.builds(Consent, st.booleans(), st.integers(0, 9)))


def told(said: list[tuple[dict[Purpose, bool], int]]) -> dict[Purpose, Consent]:
    record: dict[Purpose, Consent] = {}
    for purposes, at in said:
        record = stated(record, purposes, at)
    return record


def test_unknown_is_not_granted() -> None:
    assert not allows({}, Purpose.TRACKING)
    assert not may_record({}, "product_viewed")


def test_what_a_shop_must_know_anyway_is_recorded_without_consent() -> None:
    assert may_record({}, "order_completed")
    assert may_record({Purpose.TRACKING: Consent(granted=False, at=1)}, "consent_changed")


@given(statements, st.randoms(use_true_random=False))
def test_statements_count_by_their_own_time_not_by_their_arrival(
    said: list[tuple[dict[Purpose, bool], int]], shuffler: random.Random
) -> None:
    # given
    in_order = told(said)
    # when they arrive shuffled, and some again
    arriving = [*said, *said[::2]]
    shuffler.shuffle(arriving)
    # then
    assert told(arriving) == in_order


def test_of_a_grant_and_a_refusal_at_one_instant_the_refusal_counts() -> None:
    for order in ([True, False], [False, True]):
        record = told([({Purpose.TRACKING: granted}, 5) for granted in order])
        assert not allows(record, Purpose.TRACKING)


@given(records, records)
def test_of_two_profiles_of_one_person_the_stricter_consent_holds(
    one: dict[Purpose, Consent], other: dict[Purpose, Consent]
) -> None:
    # when
    both = stricter(one, other)
    # then
    assert both == stricter(other, one)
    for purpose in Purpose:
        known = [record for record in (one, other) if purpose in record]
        assert allows(both, purpose) == (bool(known) and all(allows(record, purpose) for record in known))
    # and the messages that stated either record, delivered again, do not undo it
    again = merged(merged(both, one), other)
    assert all(allows(both, purpose) or not allows(again, purpose) for purpose in Purpose)
