"""Who may write the items of a reconciliation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mailtailor.aws.reconciliations import Reconciliation, Reconciliations
from mailtailor.profiles.reconcile import Findings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_790_000_000_000
RUN = Reconciliation("run", NOW, NOW, "definitions", "")


@pytest.fixture
def reconciliations(dynamodb: DynamoDBClient) -> Reconciliations:
    return Reconciliations(client=dynamodb, table="clock")


def test_of_two_who_note_what_they_found_in_a_bucket_the_second_is_told_so(reconciliations: Reconciliations) -> None:
    # given
    begun = reconciliations.part(RUN, 3)
    # when
    first = reconciliations.save(replace(begun, after="A", findings=Findings(profiles=2)), at=NOW)
    second = reconciliations.save(replace(begun, after="B"), at=NOW)
    # then
    assert first == reconciliations.part(RUN, 3)
    assert second is None


def test_a_part_that_was_stored_though_its_answer_was_lost_counts_as_stored(reconciliations: Reconciliations) -> None:
    # given: a client that got no answer asks for the same again
    wanted = replace(reconciliations.part(RUN, 3), after="A", findings=Findings(examples=[("p", "buyers", "wrong")]))
    first = reconciliations.save(wanted, at=NOW + 1)
    # when
    again = reconciliations.save(wanted, at=NOW + 1)
    # then
    assert first == again == reconciliations.part(RUN, 3)


def test_one_that_was_begun_though_its_answer_was_lost_is_begun(reconciliations: Reconciliations) -> None:
    # given
    assert reconciliations.begin(RUN, previous=None)
    # when, then
    assert reconciliations.begin(RUN, previous=None)
    assert not reconciliations.begin(replace(RUN, id="other"), previous=None)
    assert reconciliations.read() == RUN
