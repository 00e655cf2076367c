from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtailor.events.flips import END_OF_TIME, FLIPS_A_MESSAGE, PastFlip, once_each, pack, unpack
from mailtailor.instant import FOREVER

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
INSTANTS = st.integers(0, END_OF_TIME - 1)
FLIPS = st.builds(
    PastFlip,
    profile_id=NAMES,
    segment=NAMES,
    entered=st.booleans(),
    at=INSTANTS,
    reason=NAMES,
    version=st.integers(1, 1 << 53),
    valid_until=st.none() | INSTANTS,
    published_at=INSTANTS,
    definitions=st.text(st.characters(codec="utf-8"), max_size=12),
)
FLIP = PastFlip("p" * 22, "buyers", True, 1_000, "event:o1", 7, 9_000, 2_000, "f1")


@given(st.lists(FLIPS, max_size=5))
def test_what_travels_through_the_queue_is_what_arrives(flips: list[PastFlip]) -> None:
    assert [flip for body in pack(flips) for flip in unpack(body)] == flips


def test_many_flips_are_few_messages_that_a_queue_takes() -> None:
    bodies = list(pack([replace(FLIP, version=number, reason="event:" + "x" * 300) for number in range(250)]))
    assert [len(unpack(body)) for body in bodies] == [FLIPS_A_MESSAGE, FLIPS_A_MESSAGE, 50]
    assert max(map(len, bodies)) < 100_000


def test_what_never_ends_by_time_has_no_end() -> None:
    [body] = pack([replace(FLIP, valid_until=FOREVER)])
    assert unpack(body) == [replace(FLIP, valid_until=None)]


@pytest.mark.parametrize(
    "broken",
    [
        {"profile_id": ""},
        {"profile_id": None},
        {"entered": 1},
        {"at": "1000"},
        {"at": -1},
        {"at": END_OF_TIME},
        {"published_at": END_OF_TIME},
        {"version": 1.5},
        {"reason": None},
    ],
)
def test_a_message_with_something_that_is_no_flip_is_refused(broken: dict[str, object]) -> None:
    [body] = pack([FLIP])
    message = json.loads(body)
    message["flips"][0] |= broken
    with pytest.raises(ValueError, match="not a flip"):
        unpack(json.dumps(message))


@pytest.mark.parametrize("body", ["", "[]", "null", '{"v":2,"flips":[]}', '{"v":1,"flips":{}}', '{"v":1,"flips":[1]}'])
def test_what_is_no_message_of_ours_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match=r"not a|Expecting value"):
        unpack(body)


@given(st.lists(FLIPS, min_size=1, max_size=4, unique_by=lambda one: one.key), st.randoms(use_true_random=False))
def test_repeats_are_one_flip_published_when_it_was_first_and_the_newest_comes_first(
    flips: list[PastFlip], chance: random.Random
) -> None:
    # given
    later = [replace(flip, published_at=flip.published_at + 1) for flip in flips]
    mixed = [*flips, *later, *later]
    chance.shuffle(mixed)
    # when
    found = once_each(mixed)
    # then
    assert sorted(found, key=lambda one: one.key) == sorted(flips, key=lambda one: one.key)
    assert [flip.at for flip in found] == sorted((flip.at for flip in flips), reverse=True)


def test_a_profile_that_was_deleted_and_made_anew_has_flips_of_its_own() -> None:
    assert len(once_each([FLIP, replace(FLIP, at=FLIP.at + 1)])) == 2
