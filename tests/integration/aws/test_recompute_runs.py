"""Who may write the items of a run of recomputing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mailtailor.aws.recompute_runs import Progress, RecomputeRuns, Run
from mailtailor.profiles.recompute import Tally

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_790_000_000_000
RUN = Run("run", NOW)


@pytest.fixture
def runs(dynamodb: DynamoDBClient) -> RecomputeRuns:
    return RecomputeRuns(client=dynamodb, table="clock")


def test_of_two_who_note_a_bucket_s_progress_the_second_is_told_so(runs: RecomputeRuns) -> None:
    # given
    begun = runs.progress(RUN, 3)
    # when
    first = runs.save(replace(begun, after="A", tally=Tally(profiles=2)), at=NOW)
    second = runs.save(replace(begun, after="B"), at=NOW)
    # then
    assert first == runs.progress(RUN, 3)
    assert second is None


@pytest.mark.parametrize("begun", [0, 1])
def test_progress_that_was_stored_though_its_answer_was_lost_counts_as_stored(runs: RecomputeRuns, begun: int) -> None:
    # given: a client that got no answer asks for the same again
    progress: Progress | None = runs.progress(RUN, 3)
    for number in range(begun):
        assert progress is not None
        progress = runs.save(replace(progress, after=f"{number}"), at=NOW)
    assert progress is not None
    wanted = replace(progress, after="A", tally=Tally(profiles=2, members={"buyers": 1}))
    first = runs.save(wanted, at=NOW + 1)
    # when
    again = runs.save(wanted, at=NOW + 1)
    # then
    assert first == again == runs.progress(RUN, 3)


def test_a_run_that_was_started_though_its_answer_was_lost_is_started(runs: RecomputeRuns) -> None:
    # given
    assert runs.start(RUN, previous=None)
    # when, then
    assert runs.start(RUN, previous=None)
    assert not runs.start(Run("other", NOW), previous=None)
    assert runs.read() == RUN
