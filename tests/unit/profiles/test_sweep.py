"""Walks through a shard of the due index: nobody is left out, nobody is early, and a crowd stands in nobody's way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtailor.instant import DAY, HOUR, MINUTE, SECOND
from mailtailor.profiles.sweep import (
    LOOK_AHEAD,
    STRAGGLER_AGE,
    Place,
    Shard,
    find_stragglers,
    left_for_stragglers,
    sweep,
)
from tests.unit.profiles.memory_store import MemoryCursor

NOW = 1_790_000_000_000 // HOUR * HOUR + 59 * MINUTE
"""So that what is due soon lies in two hours."""


class Killed(Exception):
    """The function was ended."""


class Mortal(MemoryCursor):
    """A cursor before whose every move, and after it, the function may be ended."""

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self.memory = memory

    def move(self, since: Place | None, to: Place) -> bool:
        self.memory.call()
        moved = super().move(since, to)
        self.memory.call()
        return moved


class Memory:
    """A shard in memory, with pages of `page` profiles, and the wake-ups that were sent."""

    def __init__(self, *due: int, page: int = 100) -> None:
        self.places = sorted(Place(at, f"{number:022d}") for number, at in enumerate(due))
        self.page = page
        self.shard = Shard(index=self, ahead=MemoryCursor(), back=MemoryCursor())
        self.sent: list[tuple[int, str]] = []
        self.calls = 0
        self.killed_at: int | None = None

    def due(self, hour: int, start: Place, end: int) -> Iterator[Sequence[Place]]:
        found = [one for one in self.places if one.due_at // HOUR == hour and start < one < (end,)]
        for begin in range(0, len(found), self.page):
            yield found[begin : begin + self.page]

    def wake(self, by_delay: Mapping[int, list[str]]) -> None:
        for delay, ids in by_delay.items():
            self.call()
            self.sent += [(delay, one) for one in ids]

    def call(self) -> None:
        if self.calls == self.killed_at:
            self.killed_at = None
            raise Killed
        self.calls += 1


def test_those_due_in_one_second_are_spread_and_nobody_later_waits_for_them() -> None:
    # given ten people due in one second, one due two seconds later, and work for three in a second
    crowd, later = [NOW + 10 * SECOND] * 10, NOW + 12 * SECOND
    memory = Memory(*crowd, later)
    # when
    assert sweep(memory.shard, wake=memory.wake, a_second=3, now=NOW) == 11
    # then
    delays = Counter(delay for delay, one in memory.sent if int(one) < 10)
    assert delays == {10: 3, 11: 3, 12: 3, 13: 1}
    assert (12, f"{10:022d}") in memory.sent


def test_of_a_crowd_two_minutes_work_is_sent_and_the_rest_goes_with_the_stragglers_a_budget_at_a_time() -> None:
    # given three hundred seconds' work, due at once
    due = NOW + 30 * SECOND
    memory = Memory(*[due] * 3_000)
    sent: list[tuple[int, int]] = []
    woken: dict[str, int] = {}
    for minute in range(6):
        now = NOW + minute * MINUTE
        # when each is evaluated in their second, and a sweep comes each minute
        memory.places = [one for one in memory.places if woken.get(one.profile_id, now) >= now]
        memory.sent = []
        ahead = sweep(memory.shard, wake=memory.wake, a_second=10, now=now)
        back = find_stragglers(memory.shard, wake=memory.wake, a_second=10, now=now, at_most=600)
        sent.append((ahead, back))
        woken |= {one: now + delay * SECOND for delay, one in memory.sent}
    # then no second has more than are evaluated in one, nobody is sent twice, and nobody is left out
    assert sent == [(1_200, 0), (0, 0), (0, 0), (0, 600), (0, 600), (0, 600)]
    seconds = Counter((at - NOW) // SECOND for at in woken.values())
    assert seconds == dict.fromkeys([*range(30, 150), *range(180, 360)], 10)


def test_who_nobody_swept_in_time_goes_with_the_stragglers_and_others_wait_for_none_of_them() -> None:
    # given people due during an outage of days, and one who is due now
    memory = Memory(*(NOW - number * HOUR for number in range(1, 50)), NOW + SECOND)
    assert memory.shard.ahead.move(None, Place(NOW - 3 * DAY))
    # when
    ahead = sweep(memory.shard, wake=memory.wake, a_second=1, now=NOW)
    # then
    assert ahead == 1
    found = [
        find_stragglers(memory.shard, wake=memory.wake, a_second=1, now=NOW + minute * MINUTE, at_most=30)
        for minute in range(2)
    ]
    assert found == [30, 19]
    assert len({one for _, one in memory.sent}) == 50


def test_what_is_handed_over_is_handed_over_again_if_the_function_died_before_it_noted_it() -> None:
    # given somebody overdue, and a walk ahead that died after handing them over
    memory = Memory(NOW - HOUR)
    assert memory.shard.ahead.move(None, Place(NOW - 2 * HOUR))
    assert memory.shard.back.move(None, Place(NOW - 2 * HOUR))
    # when
    sweep(memory.shard, wake=memory.wake, a_second=1, now=NOW)
    # then
    assert find_stragglers(memory.shard, wake=memory.wake, a_second=1, now=NOW, at_most=30) == 1


def test_a_walk_back_that_has_come_further_begins_again_where_nobody_swept() -> None:
    # given
    memory = Memory(NOW - HOUR)
    assert memory.shard.ahead.move(None, Place(NOW - 2 * HOUR))
    assert memory.shard.back.move(None, Place(NOW - 10 * MINUTE))
    # when
    sweep(memory.shard, wake=memory.wake, a_second=1, now=NOW)
    # then
    assert find_stragglers(memory.shard, wake=memory.wake, a_second=1, now=NOW, at_most=30) == 1


def test_a_walk_back_that_is_under_way_moves_on_first() -> None:
    # given a walk back that goes on between reading and writing its place
    memory = Memory(NOW - HOUR, NOW + SECOND)

    class Moving(MemoryCursor):
        def read(self) -> Place | None:
            place = super().read()
            if place == Place(NOW - 10 * MINUTE):
                self.move(place, Place(NOW - 9 * MINUTE))
            return place

    shard = replace(memory.shard, back=Moving())
    assert shard.ahead.move(None, Place(NOW - 2 * HOUR))
    assert shard.back.move(None, Place(NOW - 10 * MINUTE))
    # when, then the next hands over
    assert sweep(shard, wake=memory.wake, a_second=1, now=NOW) == 0
    assert sweep(shard, wake=memory.wake, a_second=1, now=NOW) == 1
    assert find_stragglers(shard, wake=memory.wake, a_second=1, now=NOW, at_most=30) == 1


@given(
    due=st.lists(st.integers(-2 * MINUTE, LOOK_AHEAD - 1), max_size=40),
    page=st.integers(1, 7),
    a_second=st.integers(1, 5),
    killed_at=st.none() | st.integers(0, 20),
)
@settings(deadline=None)
def test_a_walk_that_is_killed_anywhere_goes_on_and_repeats_a_page_at_most(
    due: list[int], page: int, a_second: int, killed_at: int | None
) -> None:
    # given
    memory = Memory(*(NOW + one for one in due), page=page)
    memory.killed_at = killed_at
    # when it is killed, and begun again in the same minute
    try:
        sweep(memory.shard, wake=memory.wake, a_second=a_second, now=NOW)
    except Killed:
        sweep(memory.shard, wake=memory.wake, a_second=a_second, now=NOW)
    # then everybody was sent, none before they are due, and of one page some twice
    instants = {one.profile_id: one.due_at for one in memory.places}
    assert {one for _, one in memory.sent} == instants.keys()
    assert all(NOW + delay * SECOND >= instants[one] for delay, one in memory.sent)
    assert len(memory.sent) - len(instants) <= (0 if killed_at is None else page)
    # and the next finds nothing more
    assert sweep(memory.shard, wake=memory.wake, a_second=a_second, now=NOW) == 0


@given(
    due=st.lists(st.integers(-3 * DAY, LOOK_AHEAD - 1), max_size=40),
    back=st.none() | st.integers(-3 * DAY, DAY),
    page=st.integers(1, 7),
    a_second=st.integers(1, 5),
    killed_at=st.none() | st.integers(0, 30),
)
@settings(deadline=None)
def test_after_an_outage_everybody_is_sent_whatever_dies(
    due: list[int], back: int | None, page: int, a_second: int, killed_at: int | None
) -> None:
    # given people whom nobody swept, and a walk back that is anywhere
    memory = Memory(*(NOW + one for one in due), page=page)
    memory.killed_at = killed_at
    cursors = [Mortal(memory), Mortal(memory)]
    cursors[0].place, cursors[1].place = Place(NOW - 3 * DAY), None if back is None else Place(NOW + back)
    shard = replace(memory.shard, ahead=cursors[0], back=cursors[1])
    # when it is killed once, between any two calls, and runs again until nothing is left
    for _ in range(20):
        with suppress(Killed):
            sweep(shard, wake=memory.wake, a_second=a_second, now=NOW)
            find_stragglers(shard, wake=memory.wake, a_second=a_second, now=NOW, at_most=60 * a_second)
    # then
    instants = {one.profile_id: one.due_at for one in memory.places}
    assert {one for _, one in memory.sent} == instants.keys()
    assert all(NOW + delay * SECOND >= instants[one] for delay, one in memory.sent)


def test_a_walk_that_runs_out_of_time_stops_after_a_page_and_the_next_goes_on() -> None:
    # given more people at one instant than a page holds
    memory = Memory(*[NOW + MINUTE] * 25, page=10)
    # when
    sent = [
        sweep(memory.shard, wake=memory.wake, a_second=1_000, now=NOW + n, out_of_time=lambda: True) for n in range(4)
    ]
    # then
    assert sent == [10, 10, 5, 0]
    assert len({one for _, one in memory.sent}) == 25


def test_of_two_walks_at_once_the_slower_stops() -> None:
    # given a second walk that goes on while the first sends its first page
    memory = Memory(*[NOW + MINUTE] * 25, page=10)

    def wake(by_delay: Mapping[int, list[str]]) -> None:
        if not memory.sent:
            sweep(memory.shard, wake=memory.wake, a_second=1_000, now=NOW)
        memory.wake(by_delay)

    # when
    assert sweep(memory.shard, wake=wake, a_second=1_000, now=NOW) == 10
    # then
    assert Counter(one for _, one in memory.sent).most_common()[9:11] == [(f"{9:022d}", 2), (f"{10:022d}", 1)]
    assert memory.shard.ahead.read() == Place(NOW + LOOK_AHEAD)


@pytest.mark.parametrize("at_most", [1, 3, 100])
def test_stragglers_are_all_found_in_turn_however_few_are_sent_at_once(at_most: int) -> None:
    # given
    memory = Memory(*[NOW - 5 * MINUTE] * 7, NOW - STRAGGLER_AGE, page=4)
    # when
    rounds = 0
    while len({one for _, one in memory.sent}) < 7:
        found = find_stragglers(memory.shard, wake=memory.wake, a_second=10, now=NOW, at_most=at_most)
        rounds += 1
        assert found <= at_most
    # then nobody is sent twice before all are sent, and who is not old enough is not
    assert rounds == -(-7 // at_most)
    assert len(memory.sent) == 7


@pytest.mark.parametrize(("sent", "left"), [(0, 600), (100, 500), (300, 300), (5_000, 300)])
def test_stragglers_have_what_those_on_time_leave_of_a_minute_and_half_of_it_at_least(sent: int, left: int) -> None:
    assert left_for_stragglers(10, sent) == left
