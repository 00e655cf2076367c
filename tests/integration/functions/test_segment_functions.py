"""The processor, the wake-ups and the clock, as Lambda calls them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from functions.event_processor import handler as event_processor
from functions.segment_clock import handler as segment_clock
from functions.wake_processor import handler as wake_processor
from mailtailor.aws import definitions
from mailtailor.aws.due_index import DUE_SHARDS
from mailtailor.aws.event_queue import EventQueue, LargeEvents
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.aws.queues import Queue
from mailtailor.events.event import Event
from mailtailor.instant import DAY, MINUTE
from mailtailor.profiles.sweep import messages_of_a_nearly_empty_queue
from mailtailor.segments.engine import Engine
from mailtailor.segments.files import load_segments
from tests.demonstration import SEGMENTS, engine
from tests.integration.dynamodb import create_tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

ANNA = "A" * 22
CONTEXT: Any = type(
    "Context",
    (),
    {
        "function_name": "f",
        "memory_limit_in_mb": 512,
        "invoked_function_arn": "arn:aws:lambda:eu-west-1:1:function:f",
        "aws_request_id": "r",
        "get_remaining_time_in_millis": lambda _self: 60_000,
    },
)()


class Cloud:
    """The functions' tables and queues in moto."""

    def __init__(self) -> None:
        self.sqs: SQSClient = boto3.client("sqs")
        self.dynamodb: DynamoDBClient = boto3.client("dynamodb")
        self.s3: S3Client = boto3.client("s3")
        self.s3.create_bucket(Bucket="intake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        create_tables(self.dynamodb, profiles="profiles", keyed=("clock", "definitions"))
        self.queues = {
            name: self.sqs.create_queue(QueueName=name)["QueueUrl"]
            for name in ("events", "wake", "archive", "rebuilds")
        }
        self.engine: Engine = engine()

    def deliver(self, *bodies: str, queue: str = "events") -> dict[str, Any]:
        """Send messages, receive them and return them as Lambda would hand them over."""
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.queues[queue], MessageBody=body)
        received: list[Any] = []
        while len(received) < max(1, len(bodies)):
            received += self.sqs.receive_message(QueueUrl=self.queues[queue], MaxNumberOfMessages=10)["Messages"]
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": "1"},
                "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{queue}",
            }
            for message in received
        ]
        return {"Records": records}

    def messages(self, queue: str) -> list[Any]:
        received = self.sqs.receive_message(QueueUrl=self.queues[queue], MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in received]

    def delayed(self, queue: str) -> int:
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.queues[queue], AttributeNames=["All"])["Attributes"]
        return int(attributes["ApproximateNumberOfMessagesDelayed"])

    def members(self) -> set[str]:
        profile = ProfileTable(client=self.dynamodb, table="profiles").read(ANNA)
        return set(self.engine.memberships(profile, time.time_ns() // 1_000_000)) if profile else set()


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "POWERTOOLS_METRICS_NAMESPACE": "Mailtailor",
        "POWERTOOLS_SERVICE_NAME": "test",
        "PROFILES_TABLE": "profiles",
        "INTAKE_BUCKET": "intake",
        "CLOCK_TABLE": "clock",
        "DEFINITIONS_TABLE": "definitions",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(definitions, "segments", lambda: tuple(load_segments(SEGMENTS)))
    with mock_aws():
        made = Cloud()
        monkeypatch.setenv("WAKE_UPS_QUEUE_URL", made.queues["wake"])
        monkeypatch.setenv("ARCHIVE_QUEUE_URL", made.queues["archive"])
        monkeypatch.setenv("REBUILDS_QUEUE_URL", made.queues["rebuilds"])
        for function in (event_processor, wake_processor, segment_clock):
            monkeypatch.setattr(function, "dependencies", cache(function.connect))
        yield made


def now() -> int:
    return time.time_ns() // 1_000_000


def event(event_type: str, *, at: int = 0, **more: Any) -> dict[str, Any]:
    at = at or now()
    base = {"id": f"{event_type}-{at}", "type": event_type, "source": "test", "profile_id": ANNA}
    return {**base, "occurred_at": at, "received_at": now(), **more}


def consented() -> dict[str, Any]:
    return event("consent_changed", at=now() - 30 * DAY, consent={"tracking": True, "personalization": True})


def body(*events: dict[str, Any]) -> str:
    return json.dumps({"v": 1, "events": events})


def test_events_change_membership_and_reach_the_archive(cloud: Cloud) -> None:
    # when
    answer = event_processor.handler(cloud.deliver(body(consented(), event("order_completed"))), CONTEXT)
    # then
    assert answer == {"batchItemFailures": []}
    assert cloud.members() == {"recent_purchasers"}
    (archived,) = cloud.messages("archive")
    assert [one["type"] for one in archived["events"]] == ["consent_changed", "order_completed"]
    assert {one["profile_id"] for one in archived["events"]} == {ANNA}


def test_an_event_larger_than_a_message_is_applied_and_reaches_the_archive_by_its_place(cloud: Cloud) -> None:
    # given
    large = Event.model_validate(event("order_completed", properties={"note": "x" * 1_000_000}))
    queue = EventQueue(Queue(client=cloud.sqs, url=cloud.queues["events"]), LargeEvents(cloud.s3, "intake"))
    event_processor.handler(cloud.deliver(body(consented())), CONTEXT)
    cloud.messages("archive")
    queue.send([large])
    # when
    answer = event_processor.handler(cloud.deliver(), CONTEXT)
    # then
    assert answer == {"batchItemFailures": []}
    assert cloud.members() == {"recent_purchasers"}
    (archived,) = cloud.messages("archive")
    assert json.loads(LargeEvents(cloud.s3, "intake").fetch(archived["stored"]))["id"] == large.id


def test_a_large_event_that_cannot_be_fetched_comes_again_alone(cloud: Cloud) -> None:
    # given
    gone = json.dumps({"v": 1, "stored": "large/gone.json"})
    batch = cloud.deliver(gone, body(consented(), event("order_completed")))
    # when
    answer = event_processor.handler(batch, CONTEXT)
    # then
    [failed] = answer["batchItemFailures"]
    assert failed["itemIdentifier"] in {one["messageId"] for one in batch["Records"] if one["body"] == gone}
    assert cloud.members() == {"recent_purchasers"}


def test_a_message_that_names_a_place_beside_the_large_events_is_poison(cloud: Cloud) -> None:
    # given
    cloud.s3.put_object(Bucket="intake", Key="parked/one.json", Body=b"{}")
    batch = cloud.deliver(json.dumps({"v": 1, "stored": "parked/one.json"}))
    # when
    answer = event_processor.handler(batch, CONTEXT)
    # then
    assert len(answer["batchItemFailures"]) == 1


def test_a_poison_message_is_reported_alone_and_says_which_field_is_wrong(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    # given two messages that are none, one with one bad event of two, and a good one
    bad = {**event("product_viewed"), "occurred_at": "yesterday", "id": "bad"}
    batch = cloud.deliver("not json", "[" * 100_000, body(event("order_completed"), bad), body(consented()))
    ids = {record["body"]: record["messageId"] for record in batch["Records"]}
    # when
    answer = event_processor.handler(batch, CONTEXT)
    # then the poison messages are reported, and every good event counts, also the one beside the bad
    failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    assert failed == set(ids.values()) - {ids[body_] for body_ in ids if "consent_changed" in body_}
    assert cloud.members() == {"recent_purchasers"}
    assert "occurred_at" in str([record.__dict__ for record in caplog.records])
    assert "yesterday" not in caplog.text


def test_if_the_archive_refuses_nothing_is_written_and_everything_comes_again(cloud: Cloud) -> None:
    # given
    cloud.sqs.delete_queue(QueueUrl=cloud.queues["archive"])
    # when
    answer = event_processor.handler(cloud.deliver(body(consented(), event("order_completed"))), CONTEXT)
    # then
    assert len(answer["batchItemFailures"]) == 1
    assert cloud.members() == set()


def test_a_batch_begun_with_too_little_time_comes_again(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(type(CONTEXT), "get_remaining_time_in_millis", lambda _self: 9_000, raising=False)
    # when
    answer = event_processor.handler(cloud.deliver(body(consented())), CONTEXT)
    # then
    assert len(answer["batchItemFailures"]) == 1


def test_a_message_that_came_before_goes_first_when_time_is_short(cloud: Cloud) -> None:
    # given a large message, a small one that comes again, and time for a hundred profiles
    everybody = [{**consented(), "id": f"c{n}", "profile_id": f"{n:022d}"} for n in range(100)]
    batch = cloud.deliver(body(*everybody), body(consented()))
    large, small = sorted(batch["Records"], key=lambda record: len(record["body"]), reverse=True)
    small["attributes"]["ApproximateReceiveCount"] = "2"
    asked = iter([False, True])
    # when
    answer = event_processor.process([large, small], event_processor.connect(), out_of_time=lambda: next(asked))
    # then
    assert answer == {"batchItemFailures": [{"itemIdentifier": large["messageId"]}]}


def test_the_clock_wakes_who_is_due_and_the_member_leaves(cloud: Cloud) -> None:
    # given a purchase that stops counting in ten seconds, at which moment the wake-up is sent by the writer
    bought = now() - 7 * DAY + 10_000
    event_processor.handler(cloud.deliver(body(consented(), event("order_completed", at=bought))), CONTEXT)
    assert cloud.members() == {"recent_purchasers"}
    assert cloud.delayed("wake") == 1
    # when the clock sweeps, and time has passed when the wake-up arrives
    assert segment_clock.handler({}, CONTEXT) == {"sent": 1, "stragglers": 0}
    parts = wake_processor.connect()
    parts.processor._clock = lambda: bought + 7 * DAY
    answer = wake_processor.process(
        cloud.deliver(json.dumps({"v": 1, "profiles": [ANNA]}), queue="wake")["Records"], parts
    )
    # then
    assert answer == {"batchItemFailures": []}
    item = cloud.dynamodb.get_item(TableName="profiles", Key={"id": {"S": ANNA}})["Item"]
    (flip,) = item["flips"]["L"]
    assert flip["M"]["entered"] == {"BOOL": False}
    assert flip["M"]["reason"] == {"S": "time"}
    assert "due_at" not in item


def test_nobody_leaves_early_though_the_machines_clock_is_an_hour_ahead(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a purchase that stops counting in half an hour
    bought = now() - 7 * DAY + 30 * MINUTE
    event_processor.handler(cloud.deliver(body(consented(), event("order_completed", at=bought))), CONTEXT)
    # when a wake-up comes too early, and an event, to machines whose clocks are ahead
    ahead = SimpleNamespace(time_ns=lambda: time.time_ns() + 3_600 * 10**9)
    monkeypatch.setattr("mailtailor.aws.clock.time", ahead)
    woken = cloud.deliver(json.dumps({"v": 1, "profiles": [ANNA]}), queue="wake")
    assert wake_processor.handler(woken, CONTEXT) == {"batchItemFailures": []}
    event_processor.handler(cloud.deliver(body(event("identified", attributes={"n": 1}))), CONTEXT)
    # then
    item = cloud.dynamodb.get_item(TableName="profiles", Key={"id": {"S": ANNA}})["Item"]
    assert cloud.members() == {"recent_purchasers"}
    assert int(item["as_of"]["N"]) <= now()
    assert int(item["due_at"]["N"]) == bought + 7 * DAY


def test_a_message_of_wake_ups_that_is_none_is_poison(cloud: Cloud) -> None:
    answer = wake_processor.handler(cloud.deliver('{"v":1,"profiles":"everybody"}', queue="wake"), CONTEXT)
    assert len(answer["batchItemFailures"]) == 1


def test_wake_ups_begun_with_too_little_time_come_again(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    event_processor.handler(cloud.deliver(body(consented())), CONTEXT)
    monkeypatch.setattr(type(CONTEXT), "get_remaining_time_in_millis", lambda _self: 9_000, raising=False)
    # when
    answer = wake_processor.handler(cloud.deliver(json.dumps({"v": 1, "profiles": [ANNA]}), queue="wake"), CONTEXT)
    # then
    assert len(answer["batchItemFailures"]) == 1


def test_the_clock_finds_who_was_armed_while_it_was_down(cloud: Cloud) -> None:
    # given a sweep, and then somebody due in an hour's time
    segment_clock.handler({}, CONTEXT)
    viewed = now() - 2 * DAY + 30 * MINUTE
    event_processor.handler(
        cloud.deliver(body(consented(), event("product_viewed", at=viewed, properties={"category": "Home"}))), CONTEXT
    )
    assert cloud.delayed("wake") == 0
    # when the clock runs again much later
    three_days_later = replace(segment_clock.connect(), clock=lambda: now() + 3 * DAY)
    answer = segment_clock.run(three_days_later)
    # then
    assert answer == {"sent": 0, "stragglers": 1}


def test_stragglers_are_not_looked_for_while_messages_wait(cloud: Cloud) -> None:
    # given somebody who is overdue, and is found
    parts = replace(segment_clock.connect(), a_second=10)
    segment_clock.run(parts)
    bought = now() - 7 * DAY + MINUTE
    event_processor.handler(cloud.deliver(body(consented(), event("order_completed", at=bought))), CONTEXT)
    later = replace(parts, clock=lambda: now() + 10 * MINUTE)
    assert segment_clock.run(later) == {"sent": 0, "stragglers": 1}
    # when more messages wait than are worked off in two seconds
    for _ in range(DUE_SHARDS * messages_of_a_nearly_empty_queue(1)):
        cloud.sqs.send_message(QueueUrl=cloud.queues["wake"], MessageBody="{}")
    # then
    assert segment_clock.run(later) == {"sent": 0, "stragglers": 0}
    # when none does
    cloud.sqs.purge_queue(QueueUrl=cloud.queues["wake"])
    # then
    assert segment_clock.run(later) == {"sent": 0, "stragglers": 1}


def clicks(*links: int, at: int) -> list[dict[str, Any]]:
    return [
        event("email_link_clicked", id=f"click-{link}", at=at + link, properties={"campaign": "c", "position": link})
        for link in links
    ]


def test_a_burst_is_corrected_in_the_archive(cloud: Cloud) -> None:
    # given
    at = now() - 10_000
    message = body(consented(), *clicks(1, 2, 3, at=at))
    # when
    assert event_processor.handler(cloud.deliver(message), CONTEXT) == {"batchItemFailures": []}
    # then
    (archived,) = cloud.messages("archive")
    corrected = [one["properties"]["corrects"] for one in archived["events"] if one["type"] == "event_corrected"]
    assert corrected == ["click-1", "click-2", "click-3"]
    assert cloud.messages("rebuilds") == []


def test_a_hit_that_comes_after_its_burst_was_forgotten_has_the_profile_rebuilt(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given hits that are provisional for no time at all
    monkeypatch.setenv("PROVISIONAL_SECONDS", "0")
    at = now() - 10_000
    event_processor.handler(cloud.deliver(body(consented(), *clicks(2, 3, at=at))), CONTEXT)
    assert cloud.messages("rebuilds") == []
    # when
    event_processor.handler(cloud.deliver(body(*clicks(1, at=at))), CONTEXT)
    # then
    assert cloud.messages("rebuilds") == [{"v": 1, "profiles": [ANNA]}]
