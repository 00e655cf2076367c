from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from uuid import uuid4

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from mailtailor.aws.deliveries_table import DeliveriesTable
from mailtailor.esp.delivery import LEASE, Busy, Courier, Outcome, RefusedBefore, Standing, Status
from mailtailor.esp.membership_change import MembershipChange
from mailtailor.esp.standard_webhook import Refused, Unavailable

V5 = MembershipChange("p" * 22, "recent_purchasers", True, 5, 1_000, "time", None)
V6 = replace(V5, entered=False, version=6)


class Fault(Enum):
    NONE = auto()
    CRASH_BEFORE_CLAIM = auto()
    CRASH_AFTER_CLAIM = auto()
    BUSY_DESTINATION = auto()
    NO_ANSWER = auto()
    CRASH_AFTER_SEND = auto()
    CRASH_BEFORE_SETTLE = auto()
    CRASH_AFTER_SETTLE = auto()


class Crash(Exception):
    """The sender dies here: it does nothing more, and its message comes again."""


@dataclass
class World:
    """A destination and a table of deliveries that fail as told."""

    table: DeliveriesTable
    now: int = 1_000_000
    fault: Fault = Fault.NONE
    answer: Exception | None = None
    received: list[MembershipChange] = field(default_factory=list)
    name: str = "webhook"
    attempts: int = 0

    def deliver(self, change: MembershipChange, *, fault: Fault = Fault.NONE, again: bool = False) -> Outcome:
        self.fault = fault
        self.attempts += 1
        return Courier(self, self).deliver(change, holder=str(self.attempts), again=again)

    def send(self, change: MembershipChange) -> None:
        if self.answer:
            raise self.answer
        if self.fault is Fault.BUSY_DESTINATION:
            raise Unavailable("503")
        self.received.append(change)
        if self.fault is Fault.NO_ANSWER:
            raise Unavailable("time-out", in_flight=True)
        self._crash_at(Fault.CRASH_AFTER_SEND)

    def claim(self, destination: str, change: MembershipChange, *, holder: str, again: bool) -> Standing | None:
        self._crash_at(Fault.CRASH_BEFORE_CLAIM)
        standing = self.table.claim(destination, change, holder=holder, again=again)
        self._crash_at(Fault.CRASH_AFTER_CLAIM)
        return standing

    def settle(self, destination: str, change: MembershipChange, *, holder: str, status: Status) -> None:
        self._crash_at(Fault.CRASH_BEFORE_SETTLE)
        self.table.settle(destination, change, holder=holder, status=status)
        self._crash_at(Fault.CRASH_AFTER_SETTLE)

    def _crash_at(self, point: Fault) -> None:
        if self.fault is point:
            raise Crash(point)


def new_world() -> World:
    name = f"deliveries-{uuid4()}"
    client = boto3.client("dynamodb", region_name="eu-central-1")
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    made = World(DeliveriesTable(client=client, table=name, clock=lambda: made.now))
    return made


@pytest.fixture(scope="module", autouse=True)
def aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def world() -> World:
    return new_world()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), messages=st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_whatever_fails_the_last_change_arrives_and_no_older_one_after_a_newer_one(
    data: st.DataObject, messages: list[int]
) -> None:
    # given: messages of one membership, in any order, some of them twice
    world = new_world()
    pending = [replace(V5, version=version, entered=version % 2 == 1) for version in messages]
    faults = 15

    # when: any of them is tried at any time, and anything may fail
    while pending:
        change = data.draw(st.sampled_from(pending), label="message")
        fault = data.draw(st.sampled_from(Fault), label="fault") if faults else Fault.NONE
        faults = max(0, faults - 1)
        try:
            world.deliver(change, fault=fault, again=True)
            pending.remove(change)
        except (Crash, Unavailable, Busy):
            world.now += data.draw(st.sampled_from([0, LEASE]), label="pause") if faults else LEASE

    # then
    versions = [change.version for change in world.received]
    assert versions == sorted(versions)
    assert versions[-1] == max(messages)
    assert len({change.id for change in world.received}) == len(set(versions))


def test_an_older_change_that_comes_late_is_dropped(world: World) -> None:
    assert world.deliver(V6) is Outcome.DELIVERED
    assert world.deliver(V5) is Outcome.SUPERSEDED
    assert world.received == [V6]


def test_a_change_that_was_delivered_is_not_sent_again(world: World) -> None:
    assert world.deliver(V5) is Outcome.DELIVERED
    assert world.deliver(V5) is Outcome.REPEATED
    assert world.received == [V5]


def test_a_sender_that_died_after_sending_makes_the_destination_see_the_same_id_twice(world: World) -> None:
    # given
    with pytest.raises(Crash):
        world.deliver(V5, fault=Fault.CRASH_AFTER_SEND)

    # when
    with pytest.raises(Busy):
        world.deliver(V5, again=True)
    world.now += LEASE
    world.deliver(V5, again=True)

    # then
    assert [change.id for change in world.received] == [V5.id, V5.id]


def test_nothing_follows_a_request_that_may_still_be_acted_on(world: World) -> None:
    # given
    with pytest.raises(Unavailable):
        world.deliver(V5, fault=Fault.NO_ANSWER)

    # then
    with pytest.raises(Busy):
        world.deliver(V6)
    world.now += LEASE
    assert world.deliver(V6) is Outcome.DELIVERED


def test_a_destination_that_said_later_is_no_reason_to_hold_back_a_newer_change(world: World) -> None:
    # given
    with pytest.raises(Unavailable):
        world.deliver(V5, fault=Fault.BUSY_DESTINATION)

    # then
    assert world.deliver(V6) is Outcome.DELIVERED
    assert world.deliver(V5, again=True) is Outcome.SUPERSEDED


def test_a_refused_change_is_not_sent_at_each_receive_on_its_way_to_the_dead_letter_queue(world: World) -> None:
    # given
    world.answer = Refused("400")
    with pytest.raises(Refused):
        world.deliver(V5)

    # then: not while the queue gives up on it, but when somebody puts it back
    world.answer = None
    with pytest.raises(RefusedBefore):
        world.deliver(V5, again=True)
    assert world.received == []
    assert world.deliver(V5) is Outcome.DELIVERED
