"""Reconciling as Lambda calls it: silent beside live events, and each damage an incident that cannot be lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from functions.segment_reconcile import handler as segment_reconcile
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.bucket_message import pack
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.recompute_runs import Run
from mailtailor.aws.reconcile_bucket import CHANGED, NO_WATERMARK, RECOMPUTING, UNDER_WAY
from mailtailor.aws.reconciliations import RESULTS_ID, RUN_ID, Reconciliation, Reconciliations, Result
from mailtailor.events import histories
from mailtailor.events.archive import BUCKETS, bucket
from mailtailor.instant import HOUR
from mailtailor.profiles import reconcile
from mailtailor.profiles.profile import Profile
from tests.integration.functions.test_segment_functions import ANNA, CONTEXT, now
from tests.integration.functions.test_segment_recompute import (
    BOB,
    BROWSER,
    CARL,
    DORA,
    NEW,
    OLD,
    Killed,
    Recomputed,
    cloud,
    lives,
    order,
)

__all__ = ["cloud"]

PEOPLE = {bucket(one) for one in (ANNA, BOB, BROWSER, CARL, DORA)}


class Reconciled:
    """A cloud in which an hour has passed since everything happened, and the archive has it."""

    def __init__(self, cloud: Recomputed) -> None:
        self.cloud = cloud
        self.reconciliations = Reconciliations(client=cloud.dynamodb, table="clock")
        self.watermark = ArchiveWatermark(client=cloud.dynamodb, table="clock")

    def begin(self, **asked: Any) -> str:
        answer: dict[str, str] = segment_reconcile.handler(asked, CONTEXT)
        return answer["refused"]

    def run(self) -> Reconciliation:
        run = self.reconciliations.read()
        assert run is not None
        return run

    def deliver(self, run: str, number: int) -> Any:
        body = json.dumps({"v": 1, "run": run, "bucket": number})
        return segment_reconcile.handler(self.cloud.deliver(body, queue="reconcile"), CONTEXT)

    def work(self) -> None:
        """Work off all messages, with their continuations."""
        while messages := self.cloud.messages("reconcile"):
            for message in messages:
                assert self.deliver(message["run"], message["bucket"]) == {"batchItemFailures": []}

    def result(self) -> Result:
        return self.reconciliations.results()[0]

    def reconcile(self) -> Result:
        assert self.begin(asked=True) == ""
        self.work()
        assert self.result().id == self.run().id
        return self.result()

    def forget(self, number: int) -> None:
        """Undo what was noted of a bucket and of results; nothing else is written."""
        for name in (RESULTS_ID, f"{RUN_ID}#{number:02}"):
            self.cloud.dynamodb.delete_item(TableName="clock", Key={"id": {"S": name}})
        self.cloud.edge.clear()

    def damage(self, change: Callable[[Profile], Any], profile_id: str = BOB) -> None:
        loaded = self.cloud.table.load([profile_id])[profile_id]
        change(loaded.profile)
        self.cloud.table.save(loaded, ())


@pytest.fixture
def world(cloud: Recomputed, monkeypatch: pytest.MonkeyPatch) -> Reconciled:
    cloud.queues["reconcile"] = cloud.sqs.create_queue(QueueName="reconcile")["QueueUrl"]
    monkeypatch.setenv("RECONCILE_QUEUE_URL", cloud.queues["reconcile"])
    monkeypatch.setattr(segment_reconcile, "clock_from_environment", lambda: lambda: now() + HOUR)
    monkeypatch.setattr(segment_reconcile, "dependencies", cache(segment_reconcile.connect))
    made = Reconciled(cloud)
    cloud.deploy(*NEW)
    lives(cloud)
    for message in cloud.messages("rebuilds"):
        cloud.rebuild(json.dumps(message))
    for message in cloud.messages("archive"):
        cloud.archive(*message["events"])
    made.watermark.advance(now() + HOUR // 2)
    cloud.edge.clear()
    return made


def test_good_health_is_silent_and_nothing_is_written_of_anybody(world: Reconciled) -> None:
    # when
    result = world.reconcile()
    # then
    found = result.findings
    assert (found.profiles, found.compared, found.skipped, found.examples) == (4, 4, {}, [])
    assert result.stopped == ""
    assert world.cloud.edge.writes == 0
    assert not any(world.cloud.messages(queue) for queue in ("archive", "wake", "rebuilds"))


def test_damage_is_an_incident_that_is_logged_counted_and_kept(
    world: Reconciled, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # given: a lost entry, a wrong membership, a missing wake-up
    world.damage(lambda profile: profile.streams.clear(), BOB)
    world.damage(lambda profile: profile.memberships.pop("buyers"), ANNA)
    world.damage(lambda profile: setattr(profile, "due_at", None), ANNA)
    # when
    found = world.reconcile().findings
    # then
    assert found.wrong == 2
    assert found.mismatches["buyers"] == 2
    assert {one[0] for one in found.examples} == {ANNA, BOB}
    counted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "MembershipMismatches" in line]
    assert sum(sum(one["MembershipMismatches"]) for one in counted) == sum(found.mismatches.values())
    logged = {getattr(record, "profile_id", "") for record in caplog.records}
    assert {ANNA, BOB} <= logged


def test_who_lives_on_meanwhile_and_whoever_was_erased_is_no_incident(world: Reconciled) -> None:
    # given: Bob is erased, and an event of Anna's comes after the archive was complete
    ErasedProfiles(client=world.cloud.s3, bucket="archive").add([BOB], now() + 1)
    assert world.begin(asked=True) == ""
    world.cloud.come(order(9, ANNA, ago=0))
    # when
    world.work()
    # then
    found = world.result().findings
    assert (found.wrong, found.overdue) == (0, 0)


def test_whom_other_definitions_evaluated_is_left_out(world: Reconciled) -> None:
    # given
    world.damage(lambda profile: setattr(profile, "definitions", "before"))
    # then
    assert world.reconcile().findings.skipped[reconcile.OTHER_DEFINITIONS] == 1


@pytest.mark.parametrize("side", ["die_before", "die_after"])
def test_whatever_it_dies_of_an_incident_is_told_and_everybody_looked_at_once(
    world: Reconciled, side: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    world.damage(lambda profile: profile.memberships.clear())
    world.damage(lambda profile: setattr(profile, "due_at", None))
    assert world.begin(asked=True) == ""
    world.cloud.messages("reconcile")
    run, given = world.run(), segment_reconcile.dependencies()

    def deliver(number: int) -> None:
        message = world.cloud.deliver(pack(run.id, number), queue="reconcile")
        segment_reconcile.process(message["Records"], given)

    for number in set(range(BUCKETS)) - {bucket(BOB)}:
        deliver(number)
    world.forget(bucket(BOB))
    deliver(bucket(BOB))
    calls = len(world.cloud.edge.calls)
    assert world.result().findings.wrong == 1
    # Each request once, before it and after it in turn; tests/integration/crashes does more.
    points, deaths = range(1, calls + 1)[side == "die_after" :: 2], 0
    for number in points:
        # when: it is killed once, and its message comes again
        world.forget(bucket(BOB))
        capsys.readouterr()
        setattr(world.cloud.edge, side, number)
        try:
            deliver(bucket(BOB))
        except Killed:
            deaths += 1
        setattr(world.cloud.edge, side, 0)
        deliver(bucket(BOB))
        # then
        assert "MembershipMismatches" in capsys.readouterr().out, world.cloud.edge.calls[number - 1]
        assert world.result().findings.wrong == 1
        assert world.result().findings.profiles == 4
        assert len(world.reconciliations.results()) == 1
    # Which definitions rule is asked once in ten seconds, not by each message.
    assert deaths >= len(points) - 1


def test_it_goes_on_where_it_stopped(world: Reconciled, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: each chunk is one person, and time is over after each
    monkeypatch.setattr(histories, "PROFILES_AT_ONCE", 1)
    monkeypatch.setattr(segment_reconcile, "RESERVE", 1_000_000)
    # then
    assert world.reconcile().findings.profiles == 4


def test_a_run_of_recomputing_that_begins_meanwhile_ends_it(world: Reconciled) -> None:
    # given
    assert world.begin(asked=True) == ""
    run = Run("run", now() + HOUR)
    assert world.cloud.runs.start(run, previous=None)
    # when
    world.work()
    # then
    assert world.result().stopped == RECOMPUTING
    # and while that is under way none begins
    assert world.begin(asked=True) == RECOMPUTING
    # and when it is done, one does
    world.cloud.work(run, range(BUCKETS))
    assert world.reconcile().stopped == ""


@pytest.mark.parametrize("side", ["die_before", "die_after"])
def test_one_that_is_refused_is_never_sent_whatever_it_dies_of(world: Reconciled, side: str) -> None:
    # given: everybody is being recomputed
    assert world.cloud.runs.start(Run("run", now() + HOUR), previous=None)
    segment_reconcile.dependencies()
    world.cloud.edge.clear()
    assert world.begin(asked=True) == RECOMPUTING
    for number in range(1, len(world.cloud.edge.calls) + 1):
        # when: it is killed once, and asked again
        world.cloud.edge.clear()
        setattr(world.cloud.edge, side, number)
        with pytest.raises(Killed):
            world.begin(asked=True)
        world.cloud.edge.clear()
        # then
        assert world.begin(asked=True) == RECOMPUTING
        assert world.cloud.messages("reconcile") == []


def test_a_dry_run_of_recomputing_disturbs_nobody(world: Reconciled) -> None:
    # given
    assert world.begin(asked=True) == ""
    world.cloud.start(dry_run=True)
    # when
    world.work()
    # then
    assert world.result().stopped == ""


def test_without_a_watermark_nothing_can_be_compared(world: Reconciled) -> None:
    world.cloud.dynamodb.delete_item(TableName="clock", Key={"id": {"S": "archive"}})
    assert world.begin() == NO_WATERMARK
    assert world.result().stopped == NO_WATERMARK


def test_the_first_one_after_other_definitions_were_deployed_waits_for_a_recompute(
    world: Reconciled, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    world.reconcile()
    world.cloud.deploy(*OLD)
    monkeypatch.setattr(segment_reconcile, "dependencies", cache(segment_reconcile.connect))
    # then
    assert world.begin() == CHANGED
    # and the next one compares what it finds
    assert world.begin() == ""


def test_a_dry_run_after_a_recompute_hides_it_from_nobody(world: Reconciled, monkeypatch: pytest.MonkeyPatch) -> None:
    # given other definitions, everybody recomputed by them, and then a dry run
    world.reconcile()
    world.cloud.deploy(*OLD)
    monkeypatch.setattr(segment_reconcile, "dependencies", cache(segment_reconcile.connect))
    run = Run("run", now() + 2 * HOUR)
    assert world.cloud.runs.start(run, previous=None)
    world.cloud.work(run, range(BUCKETS))
    world.cloud.start(name="try", dry_run=True)
    # when, then
    assert world.begin() == ""


def test_a_recompute_that_begins_meanwhile_ends_it_though_a_dry_run_follows(world: Reconciled) -> None:
    # given
    assert world.begin(asked=True) == ""
    world.cloud.work(world.cloud.start(), range(BUCKETS))
    world.cloud.start(name="try", dry_run=True)
    # when
    world.work()
    # then
    assert world.result().stopped == RECOMPUTING


def test_one_that_is_under_way_is_not_begun_again_and_its_missing_messages_are_sent(world: Reconciled) -> None:
    # given: its beginning died after some messages
    assert world.begin() == ""
    world.cloud.messages("reconcile")
    # when: the schedule tries again
    assert world.begin() == UNDER_WAY
    world.work()
    # then
    assert world.result().findings.profiles == 4
    assert len(world.reconciliations.results()) == 1


def test_messages_of_one_that_has_ended_do_nothing(world: Reconciled) -> None:
    # given
    first = world.reconcile()
    # when
    assert world.deliver(first.id, bucket(ANNA)) == {"batchItemFailures": []}
    # then
    assert world.reconciliations.results() == [first]


def test_a_file_that_cannot_be_read_is_named_and_its_message_comes_again(
    world: Reconciled, caplog: pytest.LogCaptureFixture
) -> None:
    # given
    [bad] = list(world.cloud.files())[:1]
    world.cloud.s3.put_object(Bucket="archive", Key=bad, Body=b"PAR1 no more")
    assert world.begin(asked=True) == ""
    world.cloud.messages("reconcile")
    # when
    answer = world.deliver(world.run().id, bucket(ANNA))
    # then
    assert len(answer["batchItemFailures"]) == 1
    assert bad in [getattr(record, "file", "") for record in caplog.records]


@pytest.mark.parametrize("text", ["not json", "[]", '{"v":1,"run":"x","bucket":16}', '{"v":2,"run":"x","bucket":1}'])
def test_what_is_no_message_of_ours_is_poison(world: Reconciled, text: str) -> None:
    answer = segment_reconcile.handler(world.cloud.deliver(text, queue="reconcile"), CONTEXT)
    assert len(answer["batchItemFailures"]) == 1


def test_only_the_last_results_are_kept(world: Reconciled) -> None:
    for number in range(40):
        world.reconciliations.conclude(Result(f"r{number}", number, number))
    assert [one.id for one in world.reconciliations.results()] == [f"r{number}" for number in range(39, 9, -1)]
