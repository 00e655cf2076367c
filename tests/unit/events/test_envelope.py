"""Events travel many a message, bounded in size, and none is lost between messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.events import envelope
from mailtailor.events.envelope import MAX_INLINE_BYTES, MAX_MESSAGE_BYTES


class Stored(dict[str, str]):
    """Large events, by their key."""

    def store(self, event: str) -> str:
        self[f"large/{len(self)}"] = event
        return f"large/{len(self) - 1}"


def pack(events: list[str], stored: Stored | None = None) -> list[str]:
    return list(envelope.pack(events, (Stored() if stored is None else stored).store))


def unpack(message: str, stored: Stored | None = None) -> list[Any]:
    return envelope.unpack(message, (stored or Stored()).__getitem__)


@given(st.lists(st.integers(2, MAX_MESSAGE_BYTES // 2), max_size=30))
def test_all_events_arrive_in_order_in_messages_that_are_billed_as_one(sizes: list[int]) -> None:
    # given
    events = [json.dumps(f"{number:x<{size}}") for number, size in enumerate(sizes)]
    # when
    messages = pack(events)
    # then
    assert [event for message in messages for event in unpack(message)] == [json.loads(event) for event in events]
    assert all(len(message.encode()) <= 65_536 for message in messages)


def test_an_event_larger_than_a_message_travels_alone() -> None:
    # given
    large = json.dumps("x" * 2 * MAX_MESSAGE_BYTES)
    # when, then
    assert [unpack(message) for message in pack(['"a"', large, '"b"'])] == [["a"], [json.loads(large)], ["b"]]


@given(st.lists(st.sampled_from([100, MAX_MESSAGE_BYTES + 1, MAX_INLINE_BYTES, MAX_INLINE_BYTES + 1]), max_size=6))
def test_an_event_that_no_message_takes_is_stored_and_read_from_there(sizes: list[int]) -> None:
    # given
    stored = Stored()
    events = [json.dumps("x" * (size - 2)) for size in sizes]
    # when
    messages = pack(events, stored)
    # then
    assert sorted(event for message in messages for event in unpack(message, stored)) == sorted(map(json.loads, events))
    assert len(stored) == sum(size > MAX_INLINE_BYTES for size in sizes)
    assert all(len(message.encode()) < 1_000_000 for message in messages)


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"v":2,"events":[]}', '{"v":1,"events":{}}', '{"v":1,"stored":7}', "[" * 99_999]
)
def test_what_is_no_message_of_ours_is_told(body: str) -> None:
    with pytest.raises(ValueError, match=r"not a message|nested|JSON|Expecting"):
        unpack(body)
