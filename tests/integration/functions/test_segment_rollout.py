"""A change of definitions as Lambda drives it: step by step, killed anywhere, repeated, and beside other runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from functions.event_archiver import handler as event_archiver
from functions.event_processor import handler as event_processor
from functions.profile_rebuilder import handler as profile_rebuilder
from functions.segment_recompute import handler as segment_recompute
from functions.segment_rollout import handler as segment_rollout
from mailtailor.aws import rollout_driver
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.bucket_message import pack
from mailtailor.aws.definition_versions import DefinitionVersions
from mailtailor.aws.recompute_runs import STALE, Progress, Purpose, Run
from mailtailor.events import histories
from mailtailor.events.archive import BUCKETS, bucket
from mailtailor.instant import DAY, HOUR, MINUTE
from mailtailor.profiles.recompute import Tally
from mailtailor.segments.engine import Engine
from mailtailor.segments.rollout import Phase, Rollout
from mailtailor.segments.versions import Version, checked
from tests.integration.functions.test_segment_functions import ANNA, CONTEXT, now
from tests.integration.functions.test_segment_recompute import (
    BOB,
    BROWSER,
    CARL,
    DORA,
    EXPECTED,
    NEW,
    OLD,
    Edge,
    Killed,
    Recomputed,
    consent,
    deployed,
    lives,
    order,
)

FUNCTIONS: Sequence[Any] = (event_processor, event_archiver, profile_rebuilder, segment_recompute, segment_rollout)
FINGERPRINT = Engine(checked(NEW), mark="1").fingerprint


class Changing(Recomputed):
    """A cloud in which definitions are applied."""

    def __init__(self, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(edge, monkeypatch)
        self.versions = DefinitionVersions(client=self.dynamodb, table="definitions")
        self.watermark = ArchiveWatermark(client=self.dynamodb, table="clock")

    def begin(self, *segments: Any) -> None:
        self.deploy(*segments)
        self.restart()

    def restart(self) -> None:
        """Start all functions anew, so that they ask what rules."""
        for function in FUNCTIONS:
            self._monkeypatch.setattr(function, "dependencies", cache(function.connect))

    def look(self) -> Rollout:
        segment_rollout.handler({}, CONTEXT)
        return self.rollout()

    def rollout(self) -> Rollout:
        found = self.versions.rollout()
        assert found is not None
        return found

    def apply(self, *segments: Any) -> Rollout:
        self.versions.note_deployed(Version(0, checked(OLD)))
        before = self.versions.rollout() or Rollout()
        number = before.latest + 1
        assert self.versions.add(Version(number, checked(segments), mark=str(number)))
        assert self.versions.save(before.stage(number, at=now()))
        self.restart()
        return self.rollout()

    def backfilling(self) -> Rollout:
        """Apply the new definitions, and go on until everybody is to be switched."""
        lives(self)
        self.apply(*NEW)
        self.look()
        self.watermark.advance(now() + 1)
        found = self.look()
        assert (found.phase, found.sent) == (Phase.BACKFILLING, True)
        self.edge.clear()
        return found

    def buckets(self) -> list[tuple[str, int]]:
        """Return what is to be recomputed: runs and buckets."""
        found: list[tuple[str, int]] = []
        while messages := self.messages("recompute"):
            found += [(one["run"], one["bucket"]) for one in messages]
        return sorted(found)

    def recompute(self) -> None:
        """Work off the messages of recomputing; of buckets that nobody is in, only note that they are done."""
        run = self.runs.read()
        assert run is not None
        lived_in = {bucket(one) for one in (ANNA, BOB, BROWSER, CARL, DORA)}
        waiting = self.buckets()
        for run_id, number in waiting:
            if run.purpose is Purpose.SWITCH and number not in lived_in:
                assert self.runs.save(replace(self.runs.progress(run, number), done=True), at=now())
            else:
                again = Run(run_id, now())
                assert self.deliver_bucket(again, number) == {"batchItemFailures": []}

    def finish(self) -> Rollout:
        for _ in range(6):
            found = self.look()
            if not found.under_way:
                return found
            self.recompute()
            self.restart()
        raise AssertionError(found)

    def members(self) -> dict[str, set[str]]:  # type: ignore[override]
        profiles = {one.id: one for one in self.stored().values() if not one.merged_into}
        found = {one.id: {name for name, known in one.memberships.items() if known.member} for one in profiles.values()}
        return {profile_id: segments for profile_id, segments in found.items() if segments}

    def fingerprints(self) -> set[str]:
        return {one.definitions for one in self.stored().values() if not one.merged_into}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Changing]:
    with deployed(Changing, monkeypatch, tmp_path, SETTLE_SECONDS="0") as made:
        made.begin(*OLD)
        yield made


def test_everybody_ends_up_where_the_new_definitions_put_them_by_one_flip_each(cloud: Changing) -> None:
    # given
    cloud.backfilling()
    # when
    found = cloud.finish()
    # then
    assert (found.active, found.staged, found.phase) == (1, None, Phase.SETTLED)
    assert cloud.members() == cloud.of_replay() == EXPECTED
    assert cloud.fingerprints() == {FINGERPRINT}
    assert len(cloud.edge.flips) == len(set(cloud.edge.flips)) == 6
    assert cloud.edge.reasons == {"definition"}


def test_until_the_archive_has_everything_nobody_is_switched(cloud: Changing) -> None:
    # given
    lives(cloud)
    cloud.apply(*NEW)
    heard_at = cloud.look().heard_at
    assert heard_at is not None
    # when
    cloud.watermark.advance(heard_at - 1)
    # then
    assert cloud.look().phase is Phase.WAITING
    assert cloud.runs.read() is None
    # when
    cloud.watermark.advance(heard_at)
    # then
    assert cloud.look().phase is Phase.BACKFILLING


def test_who_is_not_in_the_archive_is_switched_at_last(cloud: Changing) -> None:
    # given: Eve came after the archive was copied, and what she did was remembered for both
    eve = "E" * 22
    cloud.backfilling()
    cloud.process(consent(eve), order(70, eve, ago=HOUR), order(71, eve, ago=DAY))
    assert "buyers" not in cloud.stored()[eve].memberships
    # when
    cloud.finish()
    # then
    assert cloud.stored()[eve].memberships["buyers"].member
    assert cloud.fingerprints() == {FINGERPRINT}


@pytest.mark.parametrize("side", ["die_before", "die_after"])
def test_a_look_that_dies_anywhere_and_comes_again_changes_nothing_of_what_comes_of_it(
    cloud: Changing, side: str
) -> None:
    # given: each look of a whole change
    lives(cloud)
    cloud.apply(*NEW)
    cloud.watermark.advance(now() + MINUTE)
    killed = 0
    for _ in range(12):
        cloud.restart()
        given = segment_rollout.dependencies()
        # when: it is killed at each of its requests in turn, each time going on from where it was
        number = 1
        while cloud.rollout().under_way:
            cloud.edge.clear()
            setattr(cloud.edge, side, number)
            try:
                segment_rollout.drive(given)
            except Killed:
                killed += 1
                number += 1
                continue
            break
        cloud.edge.clear()
        cloud.recompute()
        if not cloud.rollout().under_way:
            break
    # then
    assert killed > 40
    assert cloud.rollout().phase is Phase.SETTLED
    assert cloud.members() == EXPECTED
    assert cloud.fingerprints() == {FINGERPRINT}


def test_two_who_look_at_once_start_one_run(cloud: Changing) -> None:
    # given: the second looks when the first is about to store a step
    lives(cloud)
    cloud.apply(*NEW)
    cloud.watermark.advance(now() + MINUTE)
    for _ in range(5):
        cloud.edge.meanwhile["PutItem"] = lambda: segment_rollout.drive(segment_rollout.dependencies())
        # when
        cloud.look()
    # then
    run = cloud.runs.read()
    assert run is not None
    assert run.id == cloud.rollout().run
    assert {one for one, _ in cloud.buckets()} == {run.id}


def test_it_waits_for_a_run_of_somebody_else(cloud: Changing) -> None:
    # given
    lives(cloud)
    other = cloud.start(name="other")
    cloud.apply(*NEW)
    cloud.watermark.advance(now() + MINUTE)
    # when, then
    assert cloud.look().run == ""
    assert cloud.runs.read() == other
    # when
    for number in range(BUCKETS):
        cloud.runs.save(Progress("other", number, done=True), at=now())
    # then
    assert cloud.look().run == cloud.runs.read().id  # type: ignore[union-attr]


def test_a_run_that_another_came_before_begins_anew(cloud: Changing) -> None:
    # given: somebody who does not look recomputes meanwhile
    begun = cloud.backfilling()
    cloud.buckets()
    cloud.runs.start(Run("other", now() - 2 * STALE), previous=cloud.runs.read())
    # when
    cloud.look()
    # then
    assert cloud.runs.read().id == begun.run  # type: ignore[union-attr]
    assert len(cloud.buckets()) == BUCKETS


def test_a_version_that_is_abandoned_while_it_backfills_switches_nobody_any_more(cloud: Changing) -> None:
    # given: Anna and Bob are switched, the others are not
    begun = cloud.backfilling()
    run = cloud.runs.read()
    assert run is not None
    cloud.buckets()
    cloud.deliver_bucket(run, bucket(ANNA))
    assert FINGERPRINT in cloud.fingerprints()
    # when
    assert cloud.versions.save(begun.abandon(at=now()))
    cloud.edge.clear()
    for number in {bucket(BROWSER), bucket(CARL), bucket(DORA)} - {bucket(ANNA)}:
        assert cloud.deliver_bucket(run, number) == {"batchItemFailures": []}
    # then
    assert cloud.edge.flips == []
    # when
    cloud.buckets()
    found = cloud.finish()
    # then: all are back, and each flip is undone once
    assert (found.active, found.phase) == (0, Phase.SETTLED)
    assert cloud.members() == {ANNA: {"viewers"}}
    assert cloud.fingerprints() == {Engine(checked(OLD)).fingerprint}
    assert len(cloud.edge.flips) == len(set(cloud.edge.flips))
    assert not any(entered for _, _, entered in cloud.edge.flips)


def test_a_version_that_is_abandoned_in_the_middle_of_a_bucket_stops_at_the_next_people(
    cloud: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: each chunk is one person
    monkeypatch.setattr(histories, "PROFILES_AT_ONCE", 1)
    begun = cloud.backfilling()
    run = cloud.runs.read()
    assert run is not None
    cloud.buckets()
    cloud.edge.meanwhile["PutItem"] = lambda: cloud.versions.save(begun.abandon(at=now()))
    # when: it is abandoned when the first of two is about to be written
    cloud.deliver_bucket(run, bucket(ANNA))
    # then
    switched = [one for one in (ANNA, BOB) if cloud.stored()[one].definitions == FINGERPRINT]
    assert switched == [min(ANNA, BOB)]
    assert not cloud.runs.progress(run, bucket(ANNA)).done


def test_another_version_takes_the_place_of_one_that_backfills(cloud: Changing) -> None:
    # given
    cloud.backfilling()
    run = cloud.runs.read()
    assert run is not None
    cloud.deliver_bucket(run, bucket(ANNA))
    # when
    cloud.buckets()
    cloud.apply(*OLD, NEW[-1])
    cloud.watermark.advance(now() + MINUTE)
    found = cloud.finish()
    # then
    assert (found.active, found.latest) == (2, 2)
    assert cloud.members() == {DORA: {"never_bought"}, ANNA: {"viewers"}}
    assert cloud.fingerprints() == {Engine(checked((*OLD, NEW[-1])), mark="2").fingerprint}


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_people_who_could_not_be_written_are_tried_again(cloud: Changing, attempts: int) -> None:
    # given
    cloud.backfilling()
    for attempt in range(1, attempts + 1):
        run = cloud.runs.read()
        assert run is not None
        assert cloud.rollout().attempt == attempt
        for number in range(BUCKETS):
            failed = Tally(failed=int(number == 3))
            cloud.runs.save(replace(cloud.runs.progress(run, number), done=True, tally=failed), at=now())
        # when
        cloud.look()
    # then
    assert cloud.rollout().phase is (Phase.CLOSING if attempts == rollout_driver.ATTEMPTS else Phase.BACKFILLING)


def test_it_waits_for_the_rebuilder_for_a_while(cloud: Changing, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: somebody was left to it
    cloud.backfilling()
    run = cloud.runs.read()
    assert run is not None
    for number in range(BUCKETS):
        tally = Tally(left=int(number == 3))
        cloud.runs.save(replace(cloud.runs.progress(run, number), done=True, tally=tally), at=now())
    # when, then
    assert cloud.look().phase is Phase.BACKFILLING
    monkeypatch.setattr(rollout_driver, "REBUILDS", 0)
    assert cloud.look().phase is Phase.CLOSING


def test_whoever_is_rebuilt_meanwhile_is_switched(cloud: Changing) -> None:
    # given
    cloud.backfilling()
    cloud.damage()
    # when
    cloud.rebuild()
    # then
    assert cloud.stored()[ANNA].definitions == FINGERPRINT
    assert "buyers" in cloud.stored()[ANNA].memberships


def test_what_is_deployed_is_kept_as_version_0_until_anything_is_applied(cloud: Changing) -> None:
    # when
    segment_rollout.handler({}, CONTEXT)
    # then
    assert cloud.versions.version(0).segments == OLD
    assert cloud.versions.rollout() is None
    # when
    cloud.begin(*OLD, NEW[-1])
    segment_rollout.handler({}, CONTEXT)
    # then
    assert cloud.versions.version(0).segments == (*OLD, NEW[-1])


def test_a_change_that_does_not_end_is_told(cloud: Changing, capsys: pytest.CaptureFixture[str]) -> None:
    # given
    cloud.apply(*NEW)
    found = cloud.rollout()
    cloud.versions.save(replace(found, staged_at=now() - 7 * HOUR))
    # when
    segment_rollout.handler({}, CONTEXT)
    # then
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["RolloutStuck"] for one in said if "RolloutStuck" in one] == [[1.0]]


def test_a_message_of_a_run_that_is_not_the_rollouts_does_nothing(cloud: Changing) -> None:
    # given: a run for a version that nobody staged
    lives(cloud)
    run = Run("stray", now(), purpose=Purpose.SWITCH)
    cloud.runs.start(run, previous=None)
    cloud.edge.clear()
    # when
    answer = segment_recompute.handler(cloud.deliver(pack(run.id, bucket(ANNA)), queue="recompute"), CONTEXT)
    # then
    assert answer == {"batchItemFailures": []}
    assert cloud.edge.writes == 0
