from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from functions.membership_publisher import handler
from functions.membership_publisher.handler import Dependencies, publish
from mailtailor.aws.profile_item import encode
from mailtailor.aws.queues import Queue, SendFailed
from mailtailor.aws.startup import prepared
from mailtailor.profiles.profile import Flip, Profile
from tests.integration.functions.intake_engine import Context

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@pytest.fixture
def sqs() -> Iterator[SQSClient]:
    with mock_aws():
        yield boto3.client("sqs", region_name="eu-central-1")


@pytest.fixture
def esp_url(sqs: SQSClient) -> str:
    return sqs.create_queue(QueueName="esp")["QueueUrl"]


def record(number: int, *segments: str) -> dict[str, Any]:
    flips = [Flip(segment, True, 1_000 + number, "time", 9_000) for segment in segments]
    image = encode(Profile(f"profile-{number}", version=number), flips)
    return {"eventName": "MODIFY", "dynamodb": {"SequenceNumber": str(number), "NewImage": image}}


def published(sqs: SQSClient, url: str) -> list[tuple[str, str, int]]:
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies = [json.loads(message["Body"]) for message in messages]
        found += [(body["profile_id"], body["segment"], body["version"]) for body in bodies]
    return sorted(found)


def test_each_flip_of_each_record_becomes_a_message(sqs: SQSClient, esp_url: str) -> None:
    # when
    answer = publish([record(1, "a", "b"), record(2), record(3, "a")], Dependencies(Queue(client=sqs, url=esp_url)))

    # then
    assert answer == {"batchItemFailures": []}
    assert published(sqs, esp_url) == [("profile-1", "a", 2), ("profile-1", "b", 2), ("profile-3", "a", 4)]


def test_more_flips_than_one_request_takes_are_all_sent(sqs: SQSClient, esp_url: str) -> None:
    # when
    publish([record(number, "a", "b", "c") for number in range(10)], Dependencies(Queue(client=sqs, url=esp_url)))

    # then
    assert len(published(sqs, esp_url)) == 30


def test_an_unreadable_record_is_reported_and_those_before_it_are_published(sqs: SQSClient, esp_url: str) -> None:
    # given
    broken = record(2, "a")
    del broken["dynamodb"]["NewImage"]["version"]

    # when
    answer = publish([record(1, "a"), broken, record(3, "a")], Dependencies(Queue(client=sqs, url=esp_url)))

    # then: Lambda reads again from the second record on
    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert published(sqs, esp_url) == [("profile-1", "a", 2)]


def test_a_batch_whose_flips_are_not_all_accepted_comes_again() -> None:
    # given
    class Refusing:
        def send_message_batch(self, **request: Any) -> dict[str, Any]:
            return {"Failed": [{"Id": request["Entries"][-1]["Id"], "Code": "InternalError"}]}

    # when / then: a function that raises is invoked again with the same batch
    with pytest.raises(SendFailed):
        publish([record(1, "a")], Dependencies(Queue(client=Refusing(), url="esp")))  # type: ignore[arg-type]


def test_the_function_composes_itself_from_its_environment(
    sqs: SQSClient, esp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setenv("ESP_QUEUE_URL", esp_url)
    monkeypatch.setattr(handler, "dependencies", prepared(handler.connect))

    # when
    answer = handler.handler({"Records": [record(1, "a")]}, Context())

    # then
    assert answer == {"batchItemFailures": []}
    assert published(sqs, esp_url) == [("profile-1", "a", 2)]
