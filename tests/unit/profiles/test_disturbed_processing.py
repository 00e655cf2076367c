"""Killed anywhere, contended, repeated and out of order: in the end, what an undisturbed run gives."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtailor.instant import DAY
from mailtailor.profiles.processing import TooManyConflicts
from tests.unit.profiles.memory_store import MemoryStore
from tests.unit.profiles.world import ANNA, JOURNEY, NOW, World, consented, event


class Crash(Exception):
    """The function was killed."""


def state(world: World) -> dict[str, Any]:
    """Return all items without what counts writes or evaluations."""
    kept = {}
    for profile_id, item in world.store.items.items():
        kept[profile_id] = {
            name: value
            for name, value in item.items()
            if name not in {"version", "as_of", "flips", "flipped", "memberships"}
        }
    return kept


@pytest.mark.parametrize("point", range(1, 40))
def test_killed_between_any_two_calls_and_repeated_the_state_is_that_of_an_undisturbed_run(point: int) -> None:
    # given an undisturbed run
    calm = World()
    for one in JOURNEY:
        calm.process(one)
    # and one that is killed at its n-th call
    calls = 0

    def crash(_operation: str) -> None:
        nonlocal calls
        calls += 1
        if calls == point:
            raise Crash

    world = World(MemoryStore(crash))
    # when every message is delivered until it is acknowledged
    for one in JOURNEY:
        for _ in range(5):
            if not world.process(one):
                break
            world.processor = world.fresh()
    # then
    assert state(world) == state(calm)
    assert world.members() == calm.members()
    assert {one.id for one in world.archived} == {one.id for one in calm.archived}
    flips = {(one, flip.segment, flip.entered) for one, _, flip in world.store.published}
    assert flips == {(one, flip.segment, flip.entered) for one, _, flip in calm.store.published}


def test_two_writers_of_one_profile_both_count() -> None:
    # given a writer that gets in between another's read and write, time and again
    world = World()
    world.process(consented())
    rivals = iter(range(5))

    def rival(operation: str) -> None:
        number = next(rivals, None) if operation == "save" else None
        if number is not None:
            world.store.before = lambda _operation: None
            world.fresh().events({"r": [event("order_completed", id=f"rival-{number}", at=NOW - 10 + number)]})
            world.store.before = rival

    world.store.before = rival
    # when
    outcome = world.processor.events({"m": [event("product_viewed")]})
    # then
    assert outcome.failed == {}
    assert outcome.conflicts == 5
    assert world.members() == {"browse_abandoners", "recent_purchasers"}


def test_what_consent_admits_only_at_the_second_attempt_reaches_the_archive_too() -> None:
    # given consent that is given between read and write
    world = World()
    world.process(event("identified", attributes={"n": 1}))

    def rival(operation: str) -> None:
        if operation == "save":
            world.store.before = lambda _operation: None
            world.fresh().events({"r": [consented()]})

    world.store.before = rival
    # when
    world.process(event("product_viewed", id="v"), event("order_completed", id="o"))
    # then
    assert world.members() == {"browse_abandoners", "recent_purchasers"}
    assert [one.id for one in world.archived if one.type != "consent_changed"][1:] == ["o", "v"]


def test_writers_in_contention_get_out_of_step_and_give_up_late() -> None:
    # given more rivals than attempts
    world = World()
    world.process(consented())
    paused: list[int] = []
    world.processor._pause = paused.append
    rivals = iter(range(12, 24))

    def rival(operation: str) -> None:
        number = next(rivals, None) if operation == "save" else None
        if number is not None:
            world.store.before = lambda _operation: None
            world.fresh().events({"r": [event("order_completed", id=f"r{number}", at=NOW - 50 + number)]})
            world.store.before = rival

    world.store.before = rival
    # when, then
    assert world.process(event("product_viewed")) == {}
    assert paused == list(range(12))
    # when there is one more
    rivals = iter(range(24, 37))
    failed = world.process(event("product_viewed", id="v", at=NOW + 1))
    # then
    assert isinstance(failed["message-0"], TooManyConflicts)


kinds = st.sampled_from(["product_viewed", "product_added", "order_completed"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(kinds, st.integers(0, 6 * DAY)), max_size=12),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_any_order_repetition_and_batching_of_events_gives_the_same_profile(
    happened: list[tuple[str, int]], batches: int, shuffler: random.Random
) -> None:
    # given the events in order, one by one
    events = [event(kind, id=f"e{n}", at=NOW - age) for n, (kind, age) in enumerate(happened)]
    calm = World()
    calm.process(consented(at=NOW - 10 * DAY))
    for one in events:
        calm.process(one)
    # when they come shuffled, partly twice, in batches
    world = World()
    world.process(consented(at=NOW - 10 * DAY))
    arriving = [*events, *events[::2]]
    shuffler.shuffle(arriving)
    for start in range(batches):
        world.process(*arriving[start::batches])
    # then
    assert world.members() == calm.members()
    profile, other = world.store.profile(ANNA), calm.store.profile(ANNA)
    assert profile.streams == other.streams
    assert {name: (m.member, m.valid_until) for name, m in profile.memberships.items()} == {
        name: (m.member, m.valid_until) for name, m in other.memberships.items()
    }
