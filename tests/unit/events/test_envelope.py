"""Events travel many a message, bounded in size, and none is lost between messages."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from mailtailor.events.envelope import MAX_MESSAGE_BYTES, pack, unpack


@given(st.lists(st.integers(2, MAX_MESSAGE_BYTES // 2), max_size=30))
def test_all_events_arrive_in_order_in_messages_that_are_billed_as_one(sizes: list[int]) -> None:
    # given
    events = [json.dumps(f"{number:x<{size}}") for number, size in enumerate(sizes)]
    # when
    messages = list(pack(events))
    # then
    assert [event for message in messages for event in unpack(message)] == [json.loads(event) for event in events]
    assert all(len(message.encode()) <= 65_536 for message in messages)


def test_an_event_larger_than_a_message_travels_alone() -> None:
    # given
    large = json.dumps("x" * 2 * MAX_MESSAGE_BYTES)
    # when, then
    assert [unpack(message) for message in pack(['"a"', large, '"b"'])] == [["a"], [json.loads(large)], ["b"]]
