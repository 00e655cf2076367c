"""What a queue is sent, and when it is delivered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from mailtailor.aws.queues import Queue
from tests.integration.dynamodb import SESSION

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@pytest.fixture
def sqs() -> Iterator[SQSClient]:
    with mock_aws():
        yield SESSION.client("sqs")


def counts(sqs: SQSClient, url: str) -> tuple[int, int]:
    """Return how many messages are visible and how many are held back."""
    names: list[Any] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(told[names[0]]), int(told[names[1]])


def test_messages_wait_as_long_as_their_queue_says_unless_they_say_it_themselves(sqs: SQSClient) -> None:
    # given a queue that holds everything back
    url = sqs.create_queue(QueueName="rebuilds", Attributes={"DelaySeconds": "300"})["QueueUrl"]
    queue = Queue(client=sqs, url=url)
    # when
    queue.send("one")
    queue.send_all(["two", "three"])
    # then
    assert counts(sqs, url) == (0, 3)
    # when
    queue.send_delayed([("four", 0), ("five", 60), ("six", None)])
    # then
    assert counts(sqs, url) == (1, 5)
    assert queue.visible() == 1


def test_messages_of_different_delays_share_a_request(sqs: SQSClient) -> None:
    # given
    url = sqs.create_queue(QueueName="wake")["QueueUrl"]
    requests: list[int] = []
    sqs.meta.events.register(
        "provide-client-params.sqs.SendMessageBatch", lambda params, **_: requests.append(len(params["Entries"]))
    )
    # when
    Queue(client=sqs, url=url).send_delayed((str(number), number) for number in range(25))
    # then
    assert requests == [10, 10, 5]
    assert counts(sqs, url) == (1, 24)
