from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.content.decision import Decision, MessageKey, Skipped, from_json, in_sample, to_json

NAMES = st.text(max_size=20)


def decided(inside: st.SearchStrategy[dict[str, Decision]]) -> st.SearchStrategy[Decision]:
    return st.builds(
        Decision,
        variant=NAMES,
        version=NAMES,
        at=st.integers(min_value=0, max_value=2**53),
        products=st.lists(st.tuples(NAMES, NAMES), max_size=3).map(tuple),
        bestsellers=st.lists(NAMES, max_size=3).map(tuple),
        offer=NAMES,
        skipped=st.lists(st.builds(Skipped, NAMES, NAMES), max_size=3).map(tuple),
        inside=inside,
    )


@given(decided(st.dictionaries(NAMES, decided(st.just({})), max_size=2)))
def test_a_decision_is_read_as_it_was_written(decision: Decision) -> None:
    assert from_json(to_json(decision)) == decision


def test_a_usual_decision_is_small() -> None:
    products = tuple((f"8512{number}A", "viewed") for number in range(12))
    decision = Decision("products", "3f2a9c1b0d4e3f2a", 1_795_000_000_000, products, tuple(id_ for id_, _ in products))

    assert len(to_json(decision)) < 500


@pytest.mark.parametrize("text", ["", "1", "[]", "{}", '{"v": "a", "b": "b"}', '{"v":"a","b":"b","t":1,"p":[1]}', "{"])
def test_what_is_no_decision_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        from_json(text)


def test_only_what_should_have_worked_is_a_fault() -> None:
    fine = Decision("a", "", 0, skipped=(Skipped("x", "audience"), Skipped("y", "offer")))
    broken = Decision("a", "", 0, skipped=(Skipped("x", "UndefinedError"),))
    outer = Decision("a", "", 0, inside={"in": broken})

    assert (fine.has_fault, broken.has_fault, outer.has_fault) == (False, True, True)


def message(number: int) -> MessageKey:
    return MessageKey(f"profile{number:015}", "spring", "send-7")


def test_a_sample_is_as_large_as_asked_for_and_of_messages_not_of_people() -> None:
    # when
    taken = [number for number in range(20_000) if in_sample(message(number), 10)]

    # then: 2,000 with a standard deviation of 42
    assert 1_800 < len(taken) < 2_200
    # then: a larger one holds the smaller one
    assert all(in_sample(message(number), 20) for number in taken)
    # then: another campaign takes others
    others = sum(in_sample(MessageKey(message(number).profile_id, "autumn", "send-7"), 10) for number in taken)
    assert others < len(taken) * 0.2


def test_none_and_all_are_samples_too() -> None:
    messages = [message(number) for number in range(500)]

    assert not any(in_sample(one, 0) for one in messages)
    assert all(in_sample(one, 100) for one in messages)
