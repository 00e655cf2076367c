"""The sweep finds everybody who is due, once the index and the cursor are real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from mailtailor.aws import due_index
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.instant import DAY, HOUR, MINUTE, SECOND
from mailtailor.profiles.profile import Profile
from mailtailor.profiles.store import Loaded
from mailtailor.profiles.sweep import Place, find_stragglers, sweep

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_790_000_000_000 // HOUR * HOUR + 59 * MINUTE
SHARDS = range(due_index.DUE_SHARDS)


class Clock:
    """Sweeps at instants of the test's choice, and notes what was sent."""

    def __init__(self, client: DynamoDBClient) -> None:
        self.client = client
        self.shards = due_index.shards(client, profiles="profiles", clock="clock")
        self.table = ProfileTable(client=client, table="profiles")
        self.sent: list[tuple[int, str]] = []

    def arm(self, number: int, due_at: int) -> str:
        profile = Profile(f"{number:022d}", due_at=due_at)
        self.table.save(Loaded(profile, None), [])
        return profile.id

    def wake(self, by_delay: Mapping[int, list[str]]) -> None:
        self.sent += [(delay, one) for delay, ids in by_delay.items() for one in ids]

    def sweep(self, now: int, *, a_second: int = 1_000) -> list[tuple[int, str]]:
        self.sent = []
        for shard in self.shards:
            sweep(shard, wake=self.wake, a_second=a_second, now=now)
        return sorted(self.sent)

    def find_stragglers(self, now: int, *, at_most: int = 1_000) -> list[tuple[int, str]]:
        self.sent = []
        for shard in self.shards:
            find_stragglers(shard, wake=self.wake, a_second=1_000, now=now, at_most=at_most)
        return sorted(self.sent)


@pytest.fixture
def clock(dynamodb: DynamoDBClient) -> Clock:
    return Clock(dynamodb)


def test_wake_ups_are_timed_to_the_second_also_across_the_hour(clock: Clock) -> None:
    # given somebody due in 40.2 s, somebody past the hour, and somebody later
    soon, past_the_hour = clock.arm(1, NOW + 40 * SECOND + 200), clock.arm(2, NOW + 90 * SECOND)
    later = clock.arm(3, NOW + 3 * MINUTE)
    # when, then
    assert clock.sweep(NOW) == [(41, soon), (90, past_the_hour)]
    assert clock.sweep(NOW + 2 * MINUTE) == [(60, later)]


def test_no_millisecond_lies_between_two_sweeps(clock: Clock) -> None:
    # given
    first, last = clock.arm(1, NOW + 2 * MINUTE), clock.arm(2, NOW + 2 * MINUTE - 1)
    # when, then
    assert clock.sweep(NOW) == [(120, last)]
    assert clock.sweep(NOW + 1) == [(120, first)]


def test_each_wake_up_is_sent_by_one_sweep_and_again_only_when_it_is_overdue(clock: Clock) -> None:
    # given
    anna = clock.arm(1, NOW + 30 * SECOND)
    # when, then
    assert clock.sweep(NOW) == [(30, anna)]
    for minute in (1, 2, 3):
        assert clock.sweep(NOW + minute * MINUTE) == []
    assert clock.find_stragglers(NOW + 2 * MINUTE + 30 * SECOND) == []
    assert clock.find_stragglers(NOW + 3 * MINUTE) == [(0, anna)]
    assert clock.find_stragglers(NOW + 4 * MINUTE) == [(0, anna)]


def test_nobody_is_left_out_after_an_outage_of_days(clock: Clock) -> None:
    # given
    clock.sweep(NOW)
    everybody = [clock.arm(n, NOW + n * 5 * HOUR + n) for n in range(1, 12)]
    # when the clock runs again after three days
    assert clock.sweep(NOW + 3 * DAY) == []
    # then
    assert clock.find_stragglers(NOW + 3 * DAY) == [(0, one) for one in everybody]


def test_who_was_left_over_by_an_outage_of_hours_is_found_at_the_next_full_hour(clock: Clock) -> None:
    # given somebody whose wake-ups were all lost for five hours
    anna = clock.arm(1, NOW + 30 * SECOND)
    clock.sweep(NOW)
    # when, then
    assert clock.find_stragglers(NOW + 5 * HOUR) == []
    assert clock.find_stragglers(NOW + 5 * HOUR + MINUTE) == [(0, anna)]


def test_a_walk_that_stops_between_two_of_one_instant_goes_on_with_the_second(clock: Clock) -> None:
    # given more people of a shard overdue since one instant than are sent at once
    at = NOW - 10 * MINUTE
    everybody = [clock.arm(n, at) for n in range(120) if due_index.due_bucket(f"{n:022d}", at).endswith("#5")]
    # when
    rounds = [clock.find_stragglers(NOW + n * MINUTE, at_most=2) for n in range(len(everybody))]
    # then each is sent once before anybody is sent again
    sent = [one for found in rounds for _, one in found]
    assert max(map(len, rounds)) == 2
    assert sorted(sent[: len(everybody)]) == everybody
    assert len(everybody) > 4


def test_of_two_walks_one_goes_on(clock: Clock) -> None:
    # given a place that both read
    cursor = clock.shards[0].ahead
    assert cursor.read() is None
    # when, then
    assert cursor.move(None, Place(NOW, "a"))
    assert not cursor.move(None, Place(NOW, "b"))
    assert cursor.move(Place(NOW, "a"), Place(NOW, "c"))
    assert not cursor.move(Place(NOW, "a"), Place(NOW, "d"))
    assert cursor.read() == Place(NOW, "c")


def test_a_clock_that_was_an_hour_ahead_leaves_nobody_out_when_it_is_right_again(clock: Clock) -> None:
    # given a sweep whose clock was ahead, and wake-ups that came in vain
    soon, later = clock.arm(1, NOW + 30 * SECOND), clock.arm(2, NOW + 3 * MINUTE)
    clock.sweep(NOW + HOUR)
    # when the next is right, then
    assert clock.sweep(NOW) == [(30, soon)]
    assert clock.sweep(NOW + 2 * MINUTE) == [(60, later)]


def test_a_clock_that_is_behind_sends_in_vain_and_nobody_is_left_out(clock: Clock) -> None:
    # given
    clock.sweep(NOW)
    anna = clock.arm(1, NOW + 2 * MINUTE + 30 * SECOND)
    # when one sweep thinks that it is an hour ago
    assert clock.sweep(NOW - HOUR) == []
    # then
    assert clock.sweep(NOW + MINUTE) == [(90, anna)]


def test_a_difference_of_seconds_moves_nothing_back(clock: Clock) -> None:
    # given
    clock.arm(1, NOW + 2 * MINUTE - 1)
    clock.sweep(NOW)
    # when another machine is five seconds behind
    assert clock.sweep(NOW - 5 * SECOND) == []
    # then the next sweep goes on where the first ended
    assert clock.sweep(NOW + MINUTE) == []
