"""Recomputing as Lambda calls it, out of an archive that the archiver wrote, beside live events, deaths and repeats."""

from __future__ import annotations

import json
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from botocore import client as botocore_client
from moto import mock_aws

from functions.event_archiver import handler as event_archiver
from functions.event_processor import handler as event_processor
from functions.profile_rebuilder import handler as profile_rebuilder
from functions.segment_recompute import handler as segment_recompute
from mailtailor.aws import archive_people, clients, definitions
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.bucket_message import pack
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.aws.recompute_runs import Progress, RecomputeRuns, Run
from mailtailor.events import histories
from mailtailor.events.archive import BUCKETS, bucket
from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR
from mailtailor.profiles.profile import Profile
from mailtailor.segments.engine import Engine
from tests.integration.functions.test_profile_rebuilder import Archived, click
from tests.integration.functions.test_segment_functions import ANNA, CONTEXT, event, now
from tests.unit.profiles.world import World, segment

BaseClient: Any = botocore_client.BaseClient
OLD = (segment("viewers", {"event": "product_viewed", "within": "30d"}),)
NEW = (
    *OLD,
    segment("buyers", {"event": "order_completed", "at_least": 2, "within": "60d"}),
    segment("clickers", {"event": "email_link_clicked", "at_least": 2, "within": "30d"}),
    segment("customers", {"event": "order_completed", "first": True, "older_than": "1d"}),
    segment("never_bought", {"event": "order_completed", "exactly": 0}),
)
BOB = next(one for n in range(1_000) if bucket(one := f"{n:022}") == bucket(ANNA))
"""Whose events are in the same files as Anna's."""
BROWSER = next(one for n in range(1_000) if bucket(one := f"B{n:021}") != bucket(ANNA))
"""Became Anna's; its events are in other files."""
CARL, DORA = "C" * 22, "D" * 22
ALLOWED = {"tracking": True, "personalization": True}


class Killed(BaseException):
    """The function's end, in the middle of everything."""


class Edge:
    """All requests to AWS: counted, a function can be killed before or after any, and flips are noted as written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.die_before = self.die_after = 0
        self.meanwhile: dict[str, Callable[[], object]] = {}
        self.flips: list[tuple[str, str, bool]] = []
        self.reasons: set[str] = set()
        self.writes = 0
        original: Any = BaseClient._make_api_call

        def request(client: Any, operation: str, given: Any) -> Any:
            self.calls.append(operation)
            number = len(self.calls)
            if number == self.die_before:
                raise Killed
            if operation in self.meanwhile:
                self.meanwhile.pop(operation)()
            answer = original(client, operation, given)
            if operation == "PutItem" and given["TableName"] == "profiles":
                self._wrote(given["Item"])
            if number == self.die_after:
                raise Killed
            return answer

        monkeypatch.setattr(BaseClient, "_make_api_call", request)

    def _wrote(self, item: Any) -> None:
        self.writes += 1
        for flip in item.get("flips", {"L": []})["L"]:
            said = flip["M"]
            self.flips.append((item["id"]["S"], said["segment"]["S"], said["entered"]["BOOL"]))
            self.reasons.add(said["reason"]["S"])

    def clear(self) -> None:
        self.calls, self.flips, self.reasons, self.writes = [], [], set(), 0
        self.die_before = self.die_after = 0


class Recomputed(Archived):
    """A cloud in which definitions change."""

    def __init__(self, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.edge = edge
        self.queues["recompute"] = self.sqs.create_queue(QueueName="recompute")["QueueUrl"]
        self.runs = RecomputeRuns(client=self.dynamodb, table="clock")
        self.table = ProfileTable(client=self.dynamodb, table="profiles")
        self.replay = World(segments=NEW)
        self.archived: list[dict[str, Any]] = []
        self._monkeypatch = monkeypatch

    def deploy(self, *segments: Any) -> None:
        self._monkeypatch.setattr(definitions, "segments", lambda: segments)
        for function in (event_processor, event_archiver, profile_rebuilder, segment_recompute):
            self._monkeypatch.setattr(function, "dependencies", cache(function.connect))

    def come(self, *events: dict[str, Any]) -> None:
        """Process events, archive what was accepted, and tell the clean replay, which has the new definitions."""
        self.process(*events)
        for message in self.messages("archive"):
            self.archive(*message["events"])
            self.archived += message["events"]
        self.replay.now = now()
        assert self.replay.process(*(Event.model_validate(one) for one in events)) == {}

    def start(self, *, name: str = "run", **options: Any) -> Run:
        run = Run(name, now(), **options)
        assert self.runs.start(run, previous=self.runs.read())
        return run

    def deliver_bucket(self, run: Run, number: int) -> Any:
        return segment_recompute.handler(self.deliver(pack(run.id, number), queue="recompute"), CONTEXT)

    def work(self, run: Run, buckets: Collection[int] = ()) -> list[Progress]:
        """Work off buckets, those that people are in if not told, with their continuations."""
        buckets = buckets or {bucket(one) for one in (ANNA, BOB, BROWSER, CARL, DORA)}
        waiting = list(buckets)
        while waiting:
            assert self.deliver_bucket(run, waiting.pop()) == {"batchItemFailures": []}
            waiting += [message["bucket"] for message in self.messages("recompute")]
        return [self.runs.progress(run, one) for one in buckets]

    def stored(self) -> dict[str, Profile]:
        return {one.profile.id: one.profile for one in self.table.scan()}

    def everybody(self) -> dict[str, set[str]]:
        """Return who is in any segments, as it is stored, with the definitions that said it."""
        assert {one.definitions for one in self.stored().values() if not one.merged_into} == {Engine(NEW).fingerprint}
        stored = self.stored().values()
        found = {one.id: {name for name, known in one.memberships.items() if known.member} for one in stored}
        return {profile_id: segments for profile_id, segments in found.items() if segments}

    def of_replay(self) -> dict[str, set[str]]:
        profiles = [self.replay.store.profile(one) for one in self.replay.store.items]
        found = {one.id: self.replay.members(one.id, now()) for one in profiles}
        return {profile_id: segments for profile_id, segments in found.items() if segments}

    def snapshot(self) -> Callable[[], None]:
        """Return what puts all tables back to how they are now."""
        items = {name: self.dynamodb.scan(TableName=name)["Items"] for name in ("profiles", "clock")}

        def restore() -> None:
            for name, kept in items.items():
                for item in self.dynamodb.scan(TableName=name)["Items"]:
                    self.dynamodb.delete_item(TableName=name, Key={"id": item["id"]})
                for item in kept:
                    self.dynamodb.put_item(TableName=name, Item=item)
            self.edge.clear()

        return restore


C = TypeVar("C", bound=Recomputed)


@contextmanager
def deployed(
    make: Callable[[Edge, pytest.MonkeyPatch], C], monkeypatch: pytest.MonkeyPatch, folder: Path, **settings: str
) -> Iterator[C]:
    """Make a cloud that functions find by their settings; they keep their files in a folder."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "PROFILES_TABLE": "profiles",
        "DEFINITIONS_TABLE": "definitions",
        "CLOCK_TABLE": "clock",
        "ARCHIVE_BUCKET": "archive",
        "INTAKE_BUCKET": "intake",
        **settings,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    clients._session.cache_clear()
    edge = Edge(monkeypatch)
    with mock_aws():
        made = make(edge, monkeypatch)
        for variable, queue in {
            "WAKE_UPS_QUEUE_URL": "wake",
            "ARCHIVE_QUEUE_URL": "archive",
            "REBUILDS_QUEUE_URL": "rebuilds",
            "RECOMPUTE_QUEUE_URL": "recompute",
        }.items():
            monkeypatch.setenv(variable, made.queues[queue])
        yield made
    clients._session.cache_clear()


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Recomputed]:
    with deployed(Recomputed, monkeypatch, tmp_path) as made:
        made.deploy(*OLD)
        yield made


def consent(profile_id: str) -> dict[str, Any]:
    at = now() - 90 * DAY
    return event("consent_changed", id=f"yes-{profile_id}", at=at, profile_id=profile_id, consent=ALLOWED)


def order(number: int, profile_id: str, *, ago: int) -> dict[str, Any]:
    at = now() - ago
    return event("order_completed", id=f"order-{number}", at=at, profile_id=profile_id, received_at=at)


def of_browser(event_type: str, name: str, *, ago: int, **more: Any) -> dict[str, Any]:
    at = now() - ago
    made = event(event_type, id=name, at=at, identities=[{"kind": "anonymous_id", "id": BROWSER}], received_at=at)
    return {**{key: value for key, value in made.items() if key != "profile_id"}, **more}


def lives(cloud: Recomputed) -> None:
    """Let four people live under the old definitions: two in one bucket, one of two buckets, one without consent."""
    cloud.come(consent(ANNA), consent(BOB), consent(DORA))
    cloud.come(of_browser("consent_changed", "yes-browser", ago=90 * DAY, consent=ALLOWED))
    cloud.come(of_browser("product_viewed", "view-1", ago=2 * DAY), of_browser("order_completed", "o-b", ago=9 * DAY))
    cloud.come(order(1, ANNA, ago=40 * DAY), order(2, BOB, ago=2 * DAY), order(3, BOB, ago=HOUR))
    cloud.come(click(1, ago=3 * DAY), click(2, ago=5 * DAY, profile_id=BOB), click(4, ago=4 * DAY))
    burst = [click(n, ago=6 * DAY, position=n, profile_id=DORA) for n in (11, 12, 13)]
    cloud.come(*burst, event("identified", profile_id=CARL, attributes={"plan": "plus"}), order(5, CARL, ago=3 * DAY))
    named = [{"kind": "user_id", "id": ANNA}, {"kind": "anonymous_id", "id": BROWSER}]
    cloud.come(of_browser("identified", "is-anna", ago=DAY, identities=named))
    cloud.come(order(3, BOB, ago=3 * HOUR))


EXPECTED = {
    ANNA: {"viewers", "buyers", "clickers", "customers"},
    BOB: {"buyers", "customers"},
    DORA: {"never_bought"},
}


def test_members_equal_a_clean_replay_with_the_new_definitions(cloud: Recomputed) -> None:
    # given
    lives(cloud)
    cloud.deploy(*NEW)
    cloud.edge.clear()
    # when
    run = cloud.start()
    cloud.work(run, range(BUCKETS))
    # then
    assert cloud.everybody() == cloud.of_replay() == EXPECTED
    assert all(one.done for one in cloud.runs.all(run))
    assert len(cloud.edge.flips) == len(set(cloud.edge.flips)) == 6
    assert cloud.edge.reasons == {"definition"}


def test_the_tally_counts_everybody_once(cloud: Recomputed) -> None:
    # given
    lives(cloud)
    cloud.deploy(*NEW)
    # when
    total = Counter[str]()
    for one in cloud.work(cloud.start()):
        total.update({"profiles": one.tally.profiles, "changed": one.tally.changed, "flips": one.tally.flips})
        total.update(one.tally.members)
    # then
    assert total == {
        "profiles": 4,
        "changed": 4,
        "flips": 6,
        "viewers": 1,
        "buyers": 2,
        "clickers": 1,
        "customers": 2,
        "never_bought": 1,
    }


def test_a_second_run_and_repeated_messages_write_nothing(cloud: Recomputed) -> None:
    # given
    lives(cloud)
    cloud.deploy(*NEW)
    first = cloud.start()
    cloud.work(first)
    cloud.edge.clear()
    # when
    cloud.work(first)
    second = cloud.work(cloud.start(name="again"))
    # then
    assert cloud.edge.writes == 0
    assert sum(one.tally.profiles for one in second) == 4
    assert sum(one.tally.changed for one in second) == 0


def test_people_are_done_in_chunks_and_messages_that_go_on_where_the_last_one_stopped(
    cloud: Recomputed, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: each chunk is one person, and time is over after each
    lives(cloud)
    cloud.deploy(*NEW)
    monkeypatch.setattr(histories, "PROFILES_AT_ONCE", 1)
    monkeypatch.setattr(segment_recompute, "RESERVE", 1_000_000)
    run = cloud.start()
    # when
    assert cloud.deliver_bucket(run, bucket(ANNA)) == {"batchItemFailures": []}
    # then
    [message] = cloud.messages("recompute")
    assert cloud.runs.progress(run, message["bucket"]).after == min(ANNA, BOB)
    # when
    cloud.work(run)
    # then
    assert cloud.everybody() == EXPECTED


@pytest.mark.parametrize("most", [1, 2])
def test_people_who_are_not_looked_up_at_once_are_in_the_next_message(
    cloud: Recomputed, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    # given
    lives(cloud)
    cloud.deploy(*NEW)
    monkeypatch.setattr(archive_people, "PROFILES_AT_ONCE", most)
    # when
    cloud.work(cloud.start())
    # then
    assert cloud.everybody() == EXPECTED


@pytest.mark.parametrize("side", ["die_before", "die_after"])
def test_whatever_it_dies_of_the_same_state_and_the_same_flips_come_of_it(cloud: Recomputed, side: str) -> None:
    # given
    lives(cloud)
    cloud.deploy(*NEW)
    run = cloud.start()
    restore = cloud.snapshot()
    restore()

    def deliver() -> None:
        segment_recompute.process(cloud.deliver(pack(run.id, bucket(ANNA)), queue="recompute")["Records"], given)

    given = segment_recompute.dependencies()
    deliver()
    calls, flips = len(cloud.edge.calls), sorted(cloud.edge.flips)
    state = [cloud.stored()[one] for one in (ANNA, BOB)]
    assert len(flips) == 6
    # Each request once, before it and after it in turn; tests/integration/crashes does more.
    points, deaths = range(1, calls + 1)[side == "die_after" :: 2], 0
    for number in points:
        # when: it is killed once, and its messages come again
        restore()
        setattr(cloud.edge, side, number)
        try:
            deliver()
        except Killed:
            deaths += 1
        setattr(cloud.edge, side, 0)
        deliver()
        # then
        assert sorted(cloud.edge.flips) == flips, cloud.edge.calls[number - 1]
        again = [cloud.stored()[one] for one in (ANNA, BOB)]
        assert [(one.memberships.keys(), one.streams) for one in again] == [
            (one.memberships.keys(), one.streams) for one in state
        ]
        assert cloud.runs.progress(run, bucket(ANNA)).done
    # Which definitions rule is asked once in ten seconds, not by each message.
    assert deaths >= len(points) - 1


def test_a_live_event_between_read_and_write_is_neither_lost_nor_doubled(cloud: Recomputed) -> None:
    # given: the second order of Carl's, who says yes with it, comes when his profile has been read
    lives(cloud)
    cloud.deploy(*NEW)
    run = cloud.start()
    cloud.edge.clear()

    def processed() -> None:
        cloud.come(event("consent_changed", profile_id=CARL, consent=ALLOWED), order(6, CARL, ago=HOUR))

    cloud.edge.meanwhile["PutItem"] = processed
    # when
    cloud.deliver_bucket(run, bucket(CARL))
    # then: the order of before came out of the archive, once
    assert cloud.stored()[CARL].memberships["buyers"].member
    assert [flip for flip in cloud.edge.flips if flip[1] == "buyers"] == [(CARL, "buyers", True)]
    tally = cloud.runs.progress(run, bucket(CARL)).tally
    assert tally.conflicts == 1


def test_who_is_merged_after_the_rows_were_read_is_left_to_the_rebuilder(cloud: Recomputed) -> None:
    # given
    cloud.come(consent(ANNA), of_browser("consent_changed", "yes-browser", ago=90 * DAY, consent=ALLOWED))
    cloud.come(order(1, ANNA, ago=40 * DAY), of_browser("order_completed", "o-b", ago=9 * DAY))
    cloud.deploy(*NEW)
    named = [{"kind": "user_id", "id": ANNA}, {"kind": "anonymous_id", "id": BROWSER}]
    run = cloud.start()
    given = segment_recompute.dependencies()
    original = given.bucket._recomputer.recompute

    def merged_first(people: Any, **options: Any) -> Any:
        cloud.come(of_browser("identified", "is-anna", ago=0, identities=named))
        given.bucket._recomputer.recompute = original  # type: ignore[method-assign]
        return original(people, **options)

    given.bucket._recomputer.recompute = merged_first  # type: ignore[method-assign]
    # when
    cloud.deliver_bucket(run, bucket(ANNA))
    # then
    assert cloud.stored()[ANNA].incomplete
    [asked] = cloud.messages("rebuilds")
    assert cloud.runs.progress(run, bucket(ANNA)).tally.left == 1
    # when
    cloud.rebuild(json.dumps(asked))
    # then
    assert {"buyers", "customers"} <= cloud.stored()[ANNA].memberships.keys()


def test_a_profile_that_waits_for_its_rebuild_is_left_to_it(cloud: Recomputed) -> None:
    # given
    lives(cloud)
    cloud.damage()
    cloud.deploy(*NEW)
    # when
    cloud.work(cloud.start())
    # then
    assert "buyers" not in cloud.stored()[ANNA].memberships
    assert {one for message in cloud.messages("rebuilds") for one in message["profiles"]} == {ANNA}


def test_a_dry_run_counts_who_would_come_and_go_and_writes_nothing(cloud: Recomputed) -> None:
    # given
    lives(cloud)
    cloud.deploy(*NEW)
    before = cloud.stored()
    cloud.edge.clear()
    # when
    buckets = cloud.work(cloud.start(dry_run=True))
    # then
    entered = Counter[str]()
    for one in buckets:
        entered.update(one.tally.entered)
    assert entered == {"buyers": 2, "clickers": 1, "customers": 2, "never_bought": 1}
    assert cloud.stored() == before
    assert cloud.messages("archive") == cloud.messages("wake") == []


def test_what_was_erased_does_not_come_back_and_who_is_gone_is_not_made_anew(cloud: Recomputed) -> None:
    # given: Bob asked for his history to be forgotten; Dora's profile is gone
    lives(cloud)
    ErasedProfiles(client=cloud.s3, bucket="archive").add([BOB], now() - DAY)
    cloud.dynamodb.delete_item(TableName="profiles", Key={"id": {"S": DORA}})
    cloud.deploy(*NEW)
    # when
    buckets = cloud.work(cloud.start())
    # then
    assert "buyers" not in cloud.stored()[BOB].memberships
    assert DORA not in cloud.stored()
    assert sum(one.tally.unknown for one in buckets) == 1


@pytest.mark.parametrize("fault", ["corrupt", "withheld"])
@pytest.mark.parametrize("whose", [ANNA, BROWSER])
def test_a_file_that_cannot_be_read_fails_its_buckets_by_name_or_is_left_out_on_request(
    cloud: Recomputed, caplog: pytest.LogCaptureFixture, fault: str, whose: str
) -> None:
    # given
    lives(cloud)
    cloud.deploy(*NEW)
    keys = [one["Key"] for one in cloud.s3.list_objects_v2(Bucket="archive", Prefix="events/")["Contents"]]
    bad = next(key for key in keys if f"bucket={bucket(whose):02}" in key)
    if fault == "corrupt":
        cloud.s3.put_object(Bucket="archive", Key=bad, Body=b"PAR1 no more")
    else:
        cloud.s3.put_object(Bucket="archive", Key=bad, Body=b"", StorageClass="GLACIER")
    run = cloud.start()

    # when
    with caplog.at_level(logging.ERROR):
        answer = cloud.deliver_bucket(run, bucket(ANNA))

    # then
    assert len(answer["batchItemFailures"]) == 1
    assert bad in [getattr(record, "file", "") for record in caplog.records]
    assert cloud.runs.progress(run, bucket(ANNA)).unreadable == (bad,)
    assert not cloud.runs.progress(run, bucket(ANNA)).done

    # when
    skipping = cloud.start(name="skipping", skip_unreadable=True)
    buckets = cloud.work(skipping)

    # then
    assert all(one.done for one in buckets)
    assert {file for one in buckets for file in one.unreadable} == {bad}
    assert not list(Path(tempfile.gettempdir()).rglob("*.parquet"))


def test_a_mended_file_lets_the_message_finish(cloud: Recomputed) -> None:
    # given
    lives(cloud)
    cloud.deploy(*NEW)
    keys = [one["Key"] for one in cloud.s3.list_objects_v2(Bucket="archive", Prefix="events/")["Contents"]]
    bad = next(key for key in keys if f"bucket={bucket(ANNA):02}" in key)
    good = cloud.s3.get_object(Bucket="archive", Key=bad)["Body"].read()
    cloud.s3.put_object(Bucket="archive", Key=bad, Body=b"PAR1 no more")
    run = cloud.start()
    cloud.deliver_bucket(run, bucket(ANNA))
    # when
    cloud.s3.put_object(Bucket="archive", Key=bad, Body=good)
    ArchiveWatermark(client=cloud.dynamodb, table="clock").advance(now())
    buckets = cloud.work(run)
    # then
    assert cloud.everybody() == EXPECTED
    assert not any(one.unreadable for one in buckets)
    # and up to when the archive was complete is known of each
    assert all(one.archived_until for one in buckets)


def test_messages_of_a_run_that_another_replaced_do_nothing(cloud: Recomputed) -> None:
    # given
    lives(cloud)
    cloud.deploy(*NEW)
    first = cloud.start()
    cloud.start(name="second")
    cloud.edge.clear()
    # when
    cloud.deliver_bucket(first, bucket(ANNA))
    # then
    assert cloud.edge.writes == 0
    assert not cloud.runs.progress(cloud.runs.read() or first, bucket(ANNA)).updated_at


def test_of_two_who_start_a_run_at_once_one_does(cloud: Recomputed) -> None:
    assert cloud.runs.start(Run("one", now()), previous=None)
    assert not cloud.runs.start(Run("two", now()), previous=None)
    assert cloud.runs.read() == Run("one", cloud.runs.read().started_at)  # type: ignore[union-attr]


def test_of_two_who_do_one_bucket_at_once_one_goes_on(cloud: Recomputed, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: the message is delivered a second time while it is worked on
    lives(cloud)
    cloud.deploy(*NEW)
    monkeypatch.setattr(histories, "PROFILES_AT_ONCE", 1)
    run = cloud.start()
    second: list[Any] = []
    cloud.edge.clear()
    cloud.edge.meanwhile["PutItem"] = lambda: second.append(cloud.deliver_bucket(run, bucket(ANNA)))
    # when
    first = cloud.deliver_bucket(run, bucket(ANNA))
    # then
    assert [first] == second == [{"batchItemFailures": []}]
    assert len(cloud.edge.flips) == len(set(cloud.edge.flips))
    progress = cloud.runs.progress(run, bucket(ANNA))
    assert progress.done
    assert progress.tally.profiles == sum(bucket(one) == bucket(ANNA) for one in EXPECTED)


def test_a_run_waits_for_one_before_that_is_still_at_a_bucket(cloud: Recomputed) -> None:
    # given: the old run, taken for dead, notes its progress when the new one has just read the bucket's
    lives(cloud)
    cloud.deploy(*NEW)
    old = cloud.start(name="old")
    cloud.runs.save(Progress("old", bucket(ANNA)), at=now())
    new = cloud.start(name="new")
    cloud.edge.meanwhile["PutItem"] = lambda: cloud.runs.save(cloud.runs.progress(old, bucket(ANNA)), at=now())
    # when
    first = cloud.deliver_bucket(new, bucket(ANNA))
    # then its message comes again, and finishes
    assert len(first["batchItemFailures"]) == 1
    assert cloud.deliver_bucket(new, bucket(ANNA)) == {"batchItemFailures": []}
    assert cloud.runs.progress(new, bucket(ANNA)).done
    # and the old one's message does nothing any more
    assert cloud.deliver_bucket(old, bucket(ANNA)) == {"batchItemFailures": []}


@pytest.mark.parametrize("text", ["not json", "[]", '{"v":1,"run":"x","bucket":16}', '{"v":2,"run":"x","bucket":1}'])
def test_what_is_no_message_of_ours_is_poison(cloud: Recomputed, text: str) -> None:
    answer = segment_recompute.handler(cloud.deliver(text, queue="recompute"), CONTEXT)
    assert len(answer["batchItemFailures"]) == 1
