"""Versions of the definitions and the state of their rollout, stored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mailtailor.aws.definition_versions import CANDIDATE, DefinitionVersions
from mailtailor.segments.rollout import Phase, Rollout
from mailtailor.segments.versions import BadVersion, Version
from tests.unit.profiles.world import NOW, segment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BUYERS = segment("buyers", {"event": "order_completed", "at_least": 2, "within": "30d"})
VIEWERS = segment("viewers", {"event": "product_viewed", "where": {"price": {"above": 1.5}}, "within": "7d"})
FIRST = Version(1, (BUYERS, VIEWERS), mark="1", applied_at=NOW, note="The first.")


@pytest.fixture
def versions(dynamodb: DynamoDBClient) -> DefinitionVersions:
    return DefinitionVersions(client=dynamodb, table="definitions")


def test_a_version_is_read_as_it_was_stored(versions: DefinitionVersions) -> None:
    assert versions.add(FIRST)
    assert versions.version(1) == FIRST
    assert versions.version(1).fingerprint == FIRST.fingerprint


def test_a_version_is_never_changed(versions: DefinitionVersions) -> None:
    # given
    versions.add(FIRST)
    # when, then
    assert not versions.add(replace(FIRST, segments=(BUYERS,)))
    assert versions.version(1) == FIRST
    # and who got no answer and asks again, has stored it
    assert versions.add(FIRST)


def test_a_candidate_takes_the_place_of_the_one_before(versions: DefinitionVersions) -> None:
    versions.add(replace(FIRST, number=CANDIDATE))
    assert versions.add(Version(CANDIDATE, (BUYERS,), note="again"))
    assert versions.version(CANDIDATE).segments == (BUYERS,)


def test_what_is_deployed_is_version_0_as_it_was_deployed_last(versions: DefinitionVersions) -> None:
    versions.note_deployed(Version(0, (BUYERS, VIEWERS)))
    versions.note_deployed(Version(0, (BUYERS,)))
    assert versions.version(0).segments == (BUYERS,)


def test_a_version_that_there_is_not_is_named(versions: DefinitionVersions) -> None:
    with pytest.raises(BadVersion, match="there is no version 7"):
        versions.version(7)


def test_a_damaged_version_is_refused(versions: DefinitionVersions, dynamodb: DynamoDBClient) -> None:
    # given
    versions.add(FIRST)
    item = dynamodb.get_item(TableName="definitions", Key={"id": {"S": "version#1"}})["Item"]
    dynamodb.put_item(TableName="definitions", Item={**item, "segments": {"B": b"nothing of ours"}})
    # when, then
    with pytest.raises(BadVersion, match="cannot be read"):
        versions.version(1)


def test_before_anything_was_applied_nothing_rules(versions: DefinitionVersions) -> None:
    assert versions.rollout() is None


def test_of_two_who_take_a_step_at_once_one_does(versions: DefinitionVersions) -> None:
    # given
    first = versions.save(Rollout().stage(1, at=NOW))
    assert first is not None
    # when
    one = versions.save(first.heard(NOW + 1))
    other = versions.save(first.abandon(at=NOW + 2))
    # then
    assert one == versions.rollout()
    assert one is not None
    assert (one.phase, one.heard_at, one.revision) == (Phase.WAITING, NOW + 1, 2)
    assert other is None
    assert versions.save(Rollout().stage(2, at=NOW)) is None


def test_a_step_that_was_stored_though_its_answer_was_lost_is_taken(versions: DefinitionVersions) -> None:
    first = versions.save(Rollout().stage(1, at=NOW))
    assert versions.save(Rollout().stage(1, at=NOW)) == first
