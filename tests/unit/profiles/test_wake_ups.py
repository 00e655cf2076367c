"""What time alone changes: wake-ups armed and sent, early, late, repeated and in vain."""

from __future__ import annotations

import pytest

from mailtailor.instant import DAY, MINUTE, SECOND
from mailtailor.profiles.processing import OutOfTime
from mailtailor.profiles.store import Conflict
from mailtailor.segments.memory import Memory
from tests.unit.profiles.world import ANNA, NOW, OTHER, World, consented, event, segment


def test_the_exit_by_time_is_pushed_at_its_instant_and_names_it() -> None:
    # given
    world = World()
    world.process(consented(), event("order_completed"))
    # when a wake-up comes a little early, as clocks differ
    world.now = NOW + 7 * DAY - 20
    world.waker.wake_ups([ANNA])
    # then it is sent again for the right second
    assert world.woken == [(1, ANNA)]
    assert world.members() == {"recent_purchasers"}
    # when it comes, a little late
    world.now = NOW + 7 * DAY + 300
    world.waker.wake_ups([ANNA])
    # then
    flip = world.store.published[-1][2]
    assert (flip.segment, flip.entered, flip.reason, flip.at) == ("recent_purchasers", False, "time", NOW + 7 * DAY)
    assert world.store.profile(ANNA).due_at is None


def test_the_earliest_instant_is_armed_whichever_event_brings_it() -> None:
    # given
    world = World()
    world.process(consented(), event("order_completed"))
    assert world.store.profile(ANNA).due_at == NOW + 7 * DAY
    # when
    world.process(event("product_viewed"))
    # then
    assert world.store.profile(ANNA).due_at == NOW + 2 * DAY


def test_a_machine_whose_clock_is_behind_takes_nothing_back() -> None:
    # given an exit by time
    world = World()
    world.process(consented(), event("order_completed"))
    world.now += 7 * DAY
    world.waker.wake_ups([ANNA])
    # when another machine writes, for which that instant is still to come
    world.now -= 30
    world.process(event("identified", attributes={"n": 1}))
    # then
    assert [flip.entered for _, _, flip in world.store.published] == [True, False]


def test_a_wake_up_that_meets_a_writer_reads_again() -> None:
    # given a purchase between a wake-up's read and its write
    world = World()
    world.process(consented(), event("order_completed"))
    world.now += 7 * DAY

    def rival(operation: str) -> None:
        if operation == "save":
            world.store.before = lambda _operation: None
            world.process(event("order_completed", at=world.now))

    world.store.before = rival
    # when
    outcome = world.waker.wake_ups([ANNA])
    # then
    assert (outcome.failed, outcome.conflicts) == ({}, 1)
    assert world.members() == {"recent_purchasers"}
    assert world.store.profile(ANNA).due_at == world.now + 7 * DAY


def test_a_wake_up_that_finds_something_missing_asks_for_a_rebuild_before_it_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given that a hit which is settled now was in the way of others
    world = World()
    world.process(consented(), event("order_completed"))
    world.now += 7 * DAY
    monkeypatch.setattr(Memory, "prune", lambda *_: True)
    done: list[str] = []
    world.store.before = done.append
    # when
    world.waker.wake_ups([ANNA])
    # then
    assert world.rebuilds == [ANNA]
    assert done.index("rebuild") < done.index("save")
    assert world.store.profile(ANNA).incomplete


def test_reads_are_exact_though_no_wake_up_ever_comes() -> None:
    # given
    world = World()
    world.process(consented(), event("product_viewed"))
    # when, then
    assert world.members(at=NOW + 2 * DAY - 1) == {"browse_abandoners"}
    assert world.members(at=NOW + 2 * DAY) == {"lapsed"}


def test_wake_ups_there_is_no_time_for_fail_and_those_done_do_not() -> None:
    # given three profiles that are due, and time for two
    world = World()
    everybody = [f"{n:022d}" for n in range(3)]
    for one in everybody:
        world.process(consented(profile_id=one), event("order_completed", profile_id=one))
    world.now += 7 * DAY
    asked = iter([False, False, False, True])
    # when
    outcome = world.waker.wake_ups(everybody, out_of_time=lambda: next(asked))
    # then
    assert [type(error) for error in outcome.failed.values()] == [OutOfTime]
    assert (set(outcome.failed), outcome.flips) == ({everybody[2]}, 2)
    # when there is none at all
    world.store.before = lambda _operation: pytest.fail("the table was asked")
    # then nothing is begun
    assert set(world.waker.wake_ups(everybody, out_of_time=lambda: True).failed) == set(everybody)


def test_it_is_told_how_late_the_latest_was_and_nothing_of_who_was_not_due() -> None:
    # given Anna, who was due 700 ms ago, and somebody who is not
    world = World()
    world.process(consented(), event("order_completed"))
    world.now += SECOND
    world.process(consented(profile_id=OTHER), event("order_completed", at=world.now, profile_id=OTHER))
    world.now = NOW + 7 * DAY + 700
    # when, then
    assert world.waker.wake_ups([OTHER]).lateness is None
    assert world.waker.wake_ups([OTHER, ANNA]).lateness == 700
    assert world.waker.wake_ups([OTHER, ANNA]).lateness is None


def test_a_wake_up_due_within_minutes_is_sent_by_the_writer() -> None:
    # given
    world = World()
    # when the view is nearly two days old
    world.process(consented(at=NOW - 3 * DAY), event("product_viewed", at=NOW - 2 * DAY + 90 * SECOND))
    # then
    assert world.woken == [(90, ANNA)]


def test_repeated_wake_ups_die_out_however_soon_the_next_instant_is() -> None:
    # given a segment that ends in a minute and another that ends in two
    world = World(segments=[segment(f"m{n}", {"event": "product_viewed", "within": f"{n}m"}) for n in (1, 2)])
    world.process(consented(), event("product_viewed"))
    assert world.woken == [(60, ANNA)]
    # when the wake-up of the first comes five times
    world.now += MINUTE
    for _ in range(5):
        world.waker.wake_ups([ANNA])
    # then the second is armed once
    assert world.woken[1:] == [(60, ANNA)]


@pytest.mark.parametrize("how", [Conflict(ANNA), ConnectionError()])
def test_a_wake_up_is_sent_whatever_follows_the_write(how: Exception) -> None:
    # given a function that ends with its write, or a client that repeats it and meets its own condition
    world = World(segments=[segment(f"m{n}", {"event": "product_viewed", "within": f"{n}m"}) for n in (1, 2)])
    world.process(consented())
    follows = iter([how, how])

    def follow(operation: str) -> None:
        if operation == "saved" and (error := next(follows, None)):
            raise error

    world.store.before = follow
    # when
    while world.process(event("product_viewed")):
        pass
    # then
    assert world.woken == [(60, ANNA)]
    # when that wake-up comes, and the next is near too
    world.now += MINUTE
    while world.waker.wake_ups([ANNA]).failed:
        pass
    # then
    assert world.woken[1:] == [(60, ANNA)]
    assert next(follows, None) is None
