"""A machine's clock is believed as long as what AWS answers agrees with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from mailtailor.aws.clock import system_clock
from mailtailor.aws.witnessed_clock import WitnessedClock
from mailtailor.instant import HOUR, SECOND
from tests.integration.dynamodb import moto_engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def dynamodb() -> Iterator[DynamoDBClient]:
    with moto_engine() as client:
        yield client


class Machine:
    """A clock that is wrong by some milliseconds."""

    def __init__(self) -> None:
        self.wrong_by = 0

    def __call__(self) -> int:
        return system_clock() + self.wrong_by


def off(clock: WitnessedClock) -> float:
    """Return by how many seconds the clock is ahead of the true time."""
    return (clock() - system_clock()) / SECOND


def test_a_clock_that_is_right_is_left_to_the_millisecond(dynamodb: DynamoDBClient) -> None:
    # given
    machine = Machine()
    clock = WitnessedClock(dynamodb, machine)
    # when it is as wrong as machines' clocks are
    for machine.wrong_by in (-1_900, -30, 0, 30, 1_900):
        dynamodb.list_tables()
        # then
        assert abs(off(clock) - machine.wrong_by / SECOND) < 0.1


@pytest.mark.parametrize("wrong_by", [-30 * HOUR, -HOUR, -5 * SECOND, 5 * SECOND, HOUR, 30 * HOUR])
def test_a_clock_that_jumps_is_not_believed_from_the_next_answer_on(dynamodb: DynamoDBClient, wrong_by: int) -> None:
    # given
    machine = Machine()
    clock = WitnessedClock(dynamodb, machine)
    dynamodb.list_tables()
    machine.wrong_by = wrong_by
    # when
    dynamodb.list_tables()
    # then it is never ahead, and behind by no more than the second that AWS does not tell
    assert -1.1 < off(clock) <= 0.05
    # when it is right again
    machine.wrong_by = 0
    dynamodb.list_tables()
    # then
    assert abs(off(clock)) < 0.05


def test_an_answer_that_took_long_makes_a_good_clock_no_liar(dynamodb: DynamoDBClient) -> None:
    # given a clock that goes on by ten seconds while an answer is on its way
    machine = Machine()
    clock = WitnessedClock(dynamodb, machine)

    def wait(**_: object) -> None:
        machine.wrong_by += 10 * SECOND

    dynamodb.meta.events.register("needs-retry", wait)
    # when
    dynamodb.list_tables()
    # then it is taken as it is
    assert abs(off(clock) - 10) < 0.1


def test_an_answer_that_refuses_tells_the_time_too(dynamodb: DynamoDBClient) -> None:
    # given
    machine = Machine()
    machine.wrong_by = HOUR
    clock = WitnessedClock(dynamodb, machine)
    # when
    with pytest.raises(ClientError):
        dynamodb.describe_table(TableName="nowhere")
    # then
    assert off(clock) <= 0.05
