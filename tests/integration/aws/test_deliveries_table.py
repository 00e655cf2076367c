from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mailtailor.aws.deliveries_table import DeliveriesTable
from mailtailor.esp.delivery import LEASE, Standing, Status
from mailtailor.esp.membership_change import MembershipChange

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

V5 = MembershipChange("p" * 22, "recent_purchasers", True, 5, 1_000, "time", None)
V6 = replace(V5, entered=False, version=6)


class Bench:
    now = 1_000_000

    def __init__(self, client: DynamoDBClient) -> None:
        self.table = DeliveriesTable(client=client, table="deliveries", clock=lambda: self.now)

    def claim(self, change: MembershipChange, holder: str = "a", *, again: bool = False) -> Standing | None:
        return self.table.claim("webhook", change, holder=holder, again=again)

    def settle(self, change: MembershipChange, status: Status, holder: str = "a") -> None:
        self.table.settle("webhook", change, holder=holder, status=status)


@pytest.fixture
def bench(dynamodb: DynamoDBClient) -> Bench:
    return Bench(dynamodb)


def test_the_first_change_of_a_membership_can_be_claimed(bench: Bench) -> None:
    assert bench.claim(V5) is None


def test_while_one_is_on_its_way_nothing_else_is(bench: Bench) -> None:
    # given
    bench.claim(V5)

    # then
    assert bench.claim(V5, "b") == Standing(5, Status.SENDING)
    assert bench.claim(V6, "b") == Standing(5, Status.SENDING)


def test_a_claim_of_a_dead_sender_expires(bench: Bench) -> None:
    # given
    bench.claim(V5)

    # when
    bench.now += LEASE - 1
    before = bench.claim(V6, "b")
    bench.now += 1

    # then
    assert before is not None
    assert bench.claim(V6, "b") is None


def test_a_sender_whose_claim_expired_cannot_settle_its_successors(bench: Bench) -> None:
    # given
    bench.claim(V5, "slow")
    bench.now += LEASE
    bench.claim(V5, "quick")

    # when
    bench.settle(V5, Status.DELIVERED, "slow")

    # then
    assert bench.claim(V5, "third") == Standing(5, Status.SENDING)


@pytest.mark.parametrize("status", list(Status))
def test_an_older_change_is_never_claimed_after_a_newer_one(bench: Bench, status: Status) -> None:
    # given
    bench.claim(V6)
    bench.settle(V6, status)
    bench.now += LEASE

    # then
    assert bench.claim(V5, "b") == Standing(6, status)


def test_what_is_delivered_is_not_claimed_again_but_a_newer_change_is(bench: Bench) -> None:
    # given
    bench.claim(V5)
    bench.settle(V5, Status.DELIVERED)

    # then
    assert bench.claim(V5, "b") == Standing(5, Status.DELIVERED)
    assert bench.claim(V6, "b") is None


def test_a_change_that_failed_can_be_claimed_at_once(bench: Bench) -> None:
    # given
    bench.claim(V5)
    bench.settle(V5, Status.SENDING)

    # then
    assert bench.claim(V5, "b", again=True) is None


def test_a_refused_change_is_asked_about_anew_only_when_its_message_is(bench: Bench) -> None:
    # given
    bench.claim(V5)
    bench.settle(V5, Status.REFUSED)

    # then
    assert bench.claim(V5, "b", again=True) == Standing(5, Status.REFUSED)
    assert bench.claim(V5, "b", again=False) is None


def test_memberships_and_destinations_do_not_stand_in_each_others_way(bench: Bench) -> None:
    # given
    bench.claim(V6)

    # then
    assert bench.claim(replace(V5, profile_id="q" * 22)) is None
    assert bench.claim(replace(V5, segment="browse_abandoners")) is None
    assert bench.table.claim("another", V5, holder="b", again=False) is None
