from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from functions.membership_publisher import handler
from functions.membership_publisher.handler import Dependencies, publish
from mailtailor.aws.profile_item import encode
from mailtailor.aws.queues import Queue, SendFailed
from mailtailor.aws.startup import prepared
from mailtailor.events.flips import PastFlip, unpack
from mailtailor.instant import FOREVER
from mailtailor.profiles.profile import Flip, Profile
from tests.integration.functions.intake_engine import Context

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


NOW = 1_700_049_600_000


@pytest.fixture
def sqs() -> Iterator[SQSClient]:
    with mock_aws():
        yield boto3.client("sqs", region_name="eu-central-1")


@pytest.fixture
def esp_url(sqs: SQSClient) -> str:
    return sqs.create_queue(QueueName="esp")["QueueUrl"]


@pytest.fixture
def trail_url(sqs: SQSClient) -> str:
    return sqs.create_queue(QueueName="trail")["QueueUrl"]


@pytest.fixture
def given(sqs: SQSClient, esp_url: str, trail_url: str) -> Dependencies:
    return Dependencies(Queue(client=sqs, url=esp_url), Queue(client=sqs, url=trail_url), lambda: NOW)


def record(number: int, *segments: str, reason: str = "event:o1") -> dict[str, Any]:
    flips = [Flip(segment, True, 1_000 + number, reason, 9_000) for segment in segments]
    image = encode(Profile(f"profile-{number}", version=number, definitions="f1"), flips)
    return {"eventName": "MODIFY", "dynamodb": {"SequenceNumber": str(number), "NewImage": image}}


def published(sqs: SQSClient, url: str) -> list[tuple[str, str, int]]:
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies = [json.loads(message["Body"]) for message in messages]
        found += [(body["profile_id"], body["segment"], body["version"]) for body in bodies]
    return sorted(found)


def kept(sqs: SQSClient, url: str) -> list[PastFlip]:
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [flip for message in messages for flip in unpack(message["Body"])]
    return sorted(found, key=lambda one: one.key)


def test_each_flip_of_each_record_becomes_a_message(sqs: SQSClient, esp_url: str, given: Dependencies) -> None:
    # when
    answer = publish([record(1, "a", "b"), record(2), record(3, "a")], given)

    # then
    assert answer == {"batchItemFailures": []}
    assert published(sqs, esp_url) == [("profile-1", "a", 2), ("profile-1", "b", 2), ("profile-3", "a", 4)]


def test_each_flip_goes_to_the_archive_too_with_the_definitions_that_said_it(
    sqs: SQSClient, trail_url: str, given: Dependencies
) -> None:
    # given
    flips = [Flip("a", True, 1_000, "event:o1", 9_000), Flip("b", False, 1_001, "time", FOREVER)]
    image = encode(Profile("p" * 22, version=6, definitions="f1"), flips)

    # when
    publish([{"dynamodb": {"SequenceNumber": "1", "NewImage": image}}], given)

    # then
    assert kept(sqs, trail_url) == [
        PastFlip("p" * 22, "a", True, 1_000, "event:o1", 7, 9_000, NOW, "f1"),
        PastFlip("p" * 22, "b", False, 1_001, "time", 7, None, NOW, "f1"),
    ]


def test_exits_of_a_profile_that_became_part_of_another_are_kept(
    sqs: SQSClient, trail_url: str, given: Dependencies
) -> None:
    # given: what is written of it has no definitions
    image = encode(Profile("p" * 22, version=6, merged_into="q" * 22), [Flip("a", False, 1_000, "merge", FOREVER)])

    # when
    publish([{"dynamodb": {"SequenceNumber": "1", "NewImage": image}}], given)

    # then
    assert kept(sqs, trail_url) == [PastFlip("p" * 22, "a", False, 1_000, "merge", 7, None, NOW, "")]


def test_whom_time_moves_stand_back_behind_those_who_do_something(sqs: SQSClient, given: Dependencies) -> None:
    # given a crowd and one person who bought something
    crowd = [record(number, "a", reason="time") for number in range(3)]
    asked: list[dict[str, Any]] = []
    sqs.meta.events.register(
        "provide-client-params.sqs.SendMessageBatch", lambda params, **_: asked.extend(params["Entries"])
    )

    # when
    publish([*crowd, record(9, "a")], given)

    # then the crowd's messages are one group, which SQS delivers after others when it is noisy
    groups = [(json.loads(one["MessageBody"]).get("profile_id"), one.get("MessageGroupId")) for one in asked]
    to_esp = [("profile-9", None), ("profile-0", "time"), ("profile-1", "time"), ("profile-2", "time")]
    assert groups[: len(to_esp)] == to_esp


def test_more_flips_than_one_request_takes_are_all_sent(
    sqs: SQSClient, esp_url: str, trail_url: str, given: Dependencies
) -> None:
    # when
    publish([record(number, *map(str, range(30))) for number in range(4)], given)

    # then
    assert len(published(sqs, esp_url)) == len(kept(sqs, trail_url)) == 120


def test_an_unreadable_record_is_reported_and_those_before_it_are_published(
    sqs: SQSClient, esp_url: str, trail_url: str, given: Dependencies
) -> None:
    # given
    broken = record(2, "a")
    del broken["dynamodb"]["NewImage"]["version"]

    # when
    answer = publish([record(1, "a"), broken, record(3, "a")], given)

    # then: Lambda reads again from the second record on
    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert published(sqs, esp_url) == [("profile-1", "a", 2)]
    assert [flip.profile_id for flip in kept(sqs, trail_url)] == ["profile-1"]


@pytest.mark.parametrize("refusing", ["esp", "trail"])
def test_a_batch_whose_flips_are_not_all_accepted_comes_again(given: Dependencies, refusing: str) -> None:
    # given
    class Refusing:
        def send_message_batch(self, **request: Any) -> dict[str, Any]:
            return {"Failed": [{"Id": request["Entries"][-1]["Id"], "Code": "InternalError"}]}

    # when / then: a function that raises is invoked again with the same batch
    with pytest.raises(SendFailed):
        publish([record(1, "a")], replace(given, **{refusing: Queue(client=Refusing(), url="q")}))  # type: ignore[arg-type]


def test_the_function_composes_itself_from_its_environment(
    sqs: SQSClient, esp_url: str, trail_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setenv("ESP_QUEUE_URL", esp_url)
    monkeypatch.setenv("TRAIL_QUEUE_URL", trail_url)
    monkeypatch.setattr(handler, "dependencies", prepared(handler.connect))

    # when
    answer = handler.handler({"Records": [record(1, "a")]}, Context())

    # then
    assert answer == {"batchItemFailures": []}
    assert published(sqs, esp_url) == [("profile-1", "a", 2)]
    assert [flip.segment for flip in kept(sqs, trail_url)] == ["a"]
