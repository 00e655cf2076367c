"""What could not be used is kept as it came, and used when code knows its form."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.errors import NotFound
from mailtailor.events.parked import Parked, ParkedItem, parse
from mailtailor.events.replay import replay
from tests.senders import NOW, PSEUDONYMIZER, taken
from tests.senders.shopify import ORDER, SENDER

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=10,
)
ITEM = st.builds(ParkedItem, st.dictionaries(st.text(max_size=8), JSON, max_size=3), st.text(max_size=20))
PARKED = st.builds(Parked, st.sampled_from(["shopify", "segment"]), st.integers(0, NOW), st.lists(ITEM, max_size=3))


@given(PARKED)
def test_what_is_parked_is_read_as_it_was(parked: Parked) -> None:
    assert parse(parked.to_json()) == parked


@given(PARKED)
def test_a_delivery_that_comes_again_is_kept_in_its_own_place(parked: Parked) -> None:
    # given: the same items, refused for another reason
    again = Parked(parked.source, parked.received_at, [ParkedItem(one.item, "changed") for one in parked.items])
    # then
    assert again.key == parked.key


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"v": 2, "items": []}', "[" * 10])
def test_what_nobody_parked_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"parked|JSON|Expecting"):
        parse(text)


def test_an_item_that_can_be_used_now_becomes_the_event_it_would_have_been_at_first() -> None:
    # given: the item of an order, parked for whatever reason, and one that still is of no use
    order = {"topic": "orders/create", "payload": json.loads(ORDER.body)}
    parked = Parked("shopify", NOW, [ParkedItem(order, "was not known"), ParkedItem({**order, "payload": 7}, "")])
    # when
    replayed = replay(parked, PSEUDONYMIZER)
    # then
    assert replayed.events == taken(SENDER.delivery(ORDER), "shopify").events
    assert [(one.item["payload"], one.reason) for one in replayed.left] == [(7, "The event must be an object.")]


def test_a_source_that_is_gone_is_told() -> None:
    with pytest.raises(NotFound):
        replay(Parked("gone", NOW, [ParkedItem({}, "")]), PSEUDONYMIZER)
