from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.esp.membership_change import MembershipChange, parse

CHANGE = MembershipChange(
    profile_id="p" * 22,
    segment="recent_purchasers",
    entered=True,
    version=5,
    at=1_700_000_000_123,
    reason="event:order-1",
    valid_until=1_700_604_800_123,
)
NAMES = st.text(min_size=1, max_size=30)
WHOLE = st.integers(min_value=0, max_value=1 << 53)


@given(st.builds(MembershipChange, NAMES, NAMES, st.booleans(), WHOLE, WHOLE, NAMES, st.none() | WHOLE))
def test_what_travels_through_the_queue_is_what_arrives(change: MembershipChange) -> None:
    assert parse(change.to_json()) == change


def test_the_message_has_the_documented_form() -> None:
    assert json.loads(CHANGE.to_json()) == {
        "v": 1,
        "profile_id": "p" * 22,
        "segment": "recent_purchasers",
        "state": "entered",
        "version": 5,
        "at": 1_700_000_000_123,
        "reason": "event:order-1",
        "valid_until": 1_700_604_800_123,
    }


def test_the_id_is_that_of_profile_segment_and_version_and_of_nothing_else() -> None:
    # given
    others = [replace(CHANGE, profile_id="q"), replace(CHANGE, segment="s"), replace(CHANGE, version=6)]

    # then
    assert replace(CHANGE, reason="time").id == CHANGE.id
    assert len({CHANGE.id, *(other.id for other in others)}) == 4


@pytest.mark.parametrize(
    "broken",
    [
        {"v": 2},
        {"state": "maybe"},
        {"state": None},
        {"profile_id": 7},
        {"segment": ""},
        {"version": "5"},
        {"version": True},
        {"at": 1.5},
        {"valid_until": "never"},
    ],
)
def test_a_message_with_a_wrong_field_is_not_ours(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(json.dumps({**json.loads(CHANGE.to_json()), **broken}))


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"text"', "{}"])
def test_a_message_of_another_kind_is_not_ours(body: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(body)
