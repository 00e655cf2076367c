"""The sweep finds everybody who is due, once the index and the cursor are real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from mailtailor.aws.due_index import ClockTable, DueIndexTable
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.instant import DAY, HOUR, MINUTE, SECOND
from mailtailor.profiles.profile import Profile
from mailtailor.profiles.store import Loaded
from mailtailor.profiles.sweep import sweep

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_790_000_000_000 // HOUR * HOUR + 59 * MINUTE


class Clock:
    """Sweeps at instants of the test's choice, and notes what was sent."""

    def __init__(self, client: DynamoDBClient) -> None:
        self.client = client
        self.table = ProfileTable(client=client, table="profiles")
        self.sent: list[tuple[int, str]] = []

    def arm(self, number: int, due_at: int) -> str:
        profile = Profile(f"{number:022d}", due_at=due_at)
        self.table.save(Loaded(profile, None), [])
        return profile.id

    def wake(self, by_delay: Mapping[int, list[str]]) -> None:
        self.sent += [(delay, one) for delay, ids in by_delay.items() for one in ids]

    def full(self, by_delay: Mapping[int, list[str]]) -> None:
        if self.sent:
            raise ConnectionError
        self.sent += [(delay, one) for delay, ids in by_delay.items() for one in ids]

    def sweep(self, now: int) -> list[tuple[int, str]]:
        self.sent = []
        index = DueIndexTable(client=self.client, table="profiles")
        sweep(index=index, cursor=ClockTable(client=self.client, table="clock"), wake=self.wake, now=now)
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
    assert clock.sweep(NOW + MINUTE) == []
    assert clock.sweep(NOW + 2 * MINUTE) == []
    assert clock.sweep(NOW + 3 * MINUTE) == [(0, anna)]


def test_nobody_is_left_out_after_an_outage_of_days(clock: Clock) -> None:
    # given
    clock.sweep(NOW)
    everybody = [clock.arm(n, NOW + n * 5 * HOUR + n) for n in range(1, 12)]
    # when the clock runs again after three days
    sent = clock.sweep(NOW + 3 * DAY)
    # then
    assert sent == [(0, one) for one in everybody]


def test_who_was_left_over_by_an_outage_of_hours_is_found_once_an_hour(clock: Clock) -> None:
    # given somebody whose wake-ups were all lost for five hours
    anna = clock.arm(1, NOW + 30 * SECOND)
    clock.sweep(NOW + 5 * HOUR)
    # when, then
    assert clock.sweep(NOW + 5 * HOUR + 1 * MINUTE) == []
    clock.sweep(NOW + 5 * HOUR + 57 * MINUTE)
    assert clock.sweep(NOW + 5 * HOUR + 59 * MINUTE) == [(0, anna)]


def test_those_who_are_late_make_nobody_else_late(clock: Clock) -> None:
    # given somebody late, somebody due, and a queue that takes no more than one
    clock.sweep(NOW - 5 * MINUTE)
    clock.arm(1, NOW - 4 * MINUTE)
    clock.sweep(NOW - MINUTE)
    due = clock.arm(2, NOW + 90 * SECOND)
    clock.wake = clock.full  # type: ignore[method-assign]
    # when
    with pytest.raises(ConnectionError):
        clock.sweep(NOW)
    # then
    assert clock.sent == [(90, due)]


def test_a_clock_that_jumps_back_does_not_move_the_cursor_back(clock: Clock) -> None:
    # given
    clock.sweep(NOW + DAY)
    # when
    clock.sweep(NOW)
    # then
    assert ClockTable(client=clock.client, table="clock").read() == NOW + DAY + 2 * MINUTE
