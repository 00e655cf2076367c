from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from mailtailor.aws import batches
from mailtailor.aws.batches import Failures, PoisonMessage, RetryLater, process_each

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_RECEIVES = 3


class Mailroom:
    """A queue with a dead-letter queue, read as Lambda reads it."""

    def __init__(self) -> None:
        self.client: SQSClient = boto3.client("sqs", region_name="eu-central-1")
        self.dlq = self.client.create_queue(QueueName="dlq")["QueueUrl"]
        redrive = {
            "deadLetterTargetArn": "arn:aws:sqs:eu-central-1:123456789012:dlq",
            "maxReceiveCount": str(MAX_RECEIVES),
        }
        self.url = self.client.create_queue(
            QueueName="events", Attributes={"RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": "180"}
        )["QueueUrl"]

    def receive(self) -> list[dict[str, Any]]:
        messages = self.client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["All"])
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:events",
            }
            for message in messages.get("Messages", [])
        ]

    def finish(self, records: list[dict[str, Any]], answer: dict[str, list[dict[str, str]]]) -> None:
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for record in records:
            if record["messageId"] not in failed:
                self.client.delete_message(QueueUrl=self.url, ReceiptHandle=record["receiptHandle"])

    def dead(self) -> list[str]:
        answer = self.client.receive_message(QueueUrl=self.dlq, MaxNumberOfMessages=10)
        return [message["Body"] for message in answer.get("Messages", [])]


@pytest.fixture
def room() -> Iterator[Mailroom]:
    with mock_aws():
        yield Mailroom()


class RecordingClient:
    """Stands at the client's edge and keeps the pauses that were set."""

    class Meta:
        endpoint_url = "https://sqs.eu-central-1.amazonaws.com"

    meta = Meta()

    def __init__(self, error: Exception | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self._error = error

    def change_message_visibility_batch(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        if self._error:
            raise self._error
        return {"Successful": [], "Failed": []}

    @property
    def pauses(self) -> list[int]:
        return [entry["VisibilityTimeout"] for request in self.requests for entry in request["Entries"]]


def record(message_id: str = "m1", *, receive_count: int = 1) -> dict[str, Any]:
    return {
        "messageId": message_id,
        "receiptHandle": f"handle of {message_id}",
        "body": f"body of {message_id}",
        "attributes": {"ApproximateReceiveCount": str(receive_count)},
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:events",
    }


def answered(*message_ids: str) -> dict[str, list[dict[str, str]]]:
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in message_ids]}


def test_a_poison_message_reaches_the_dead_letter_queue_at_once_and_nothing_else_is_lost(room: Mailroom) -> None:
    # given
    for body in ("good 1", "poison", "good 2"):
        room.client.send_message(QueueUrl=room.url, MessageBody=body)
    seen: list[str] = []

    def handle(body: str, _: batches.Record) -> None:
        if body == "poison":
            raise PoisonMessage("not one of ours")
        seen.append(body)

    # when: no time passes between the receives
    while records := room.receive():
        room.finish(records, process_each(records, handle, client=room.client))

    # then
    assert sorted(seen) == ["good 1", "good 2"]
    assert room.dead() == ["poison"]


def test_a_message_that_failed_for_now_is_not_back_at_once(room: Mailroom) -> None:
    # given
    room.client.send_message(QueueUrl=room.url, MessageBody="one")

    def handle(_: str, __: batches.Record) -> None:
        raise ConnectionError

    # when
    records = room.receive()
    answer = process_each(records, handle, client=room.client)

    # then
    assert answer == answered(records[0]["messageId"])
    assert room.receive() == []
    assert room.dead() == []


def test_the_queue_is_found_by_its_arn_without_asking_sqs() -> None:
    # given
    client = RecordingClient()
    failures = Failures([record()], client=client)  # type: ignore[arg-type]

    # when
    failures.add("m1", ValueError())
    failures.response()

    # then
    assert client.requests[0]["QueueUrl"] == "https://sqs.eu-central-1.amazonaws.com/123456789012/events"
    assert client.requests[0]["Entries"][0]["ReceiptHandle"] == "handle of m1"


@pytest.mark.parametrize(
    ("receive_count", "chance", "pause"),
    [(1, 0.0, 4), (1, 1.0, 6), (2, 0.0, 8), (4, 0.0, 32), (9, 0.0, 900), (5_000, 1.0, 900)],
)
def test_the_pause_doubles_with_each_receive_up_to_a_quarter_of_an_hour(
    receive_count: int, chance: float, pause: int
) -> None:
    # given
    client = RecordingClient()
    failures = Failures(
        [record(receive_count=receive_count)],
        client=client,  # type: ignore[arg-type]
        chance=lambda: chance,
    )

    # when
    failures.add("m1", ValueError())
    failures.response()

    # then
    assert client.pauses == [pause]


@pytest.mark.parametrize(("asked", "pause"), [(0, 1), (30, 30), (86_400, 900)])
def test_a_pause_that_the_handler_knows_is_kept_within_bounds(asked: float, pause: int) -> None:
    # given
    client = RecordingClient()
    failures = Failures([record()], client=client)  # type: ignore[arg-type]

    # when
    failures.add("m1", RetryLater("the destination asks for it", seconds=asked))
    failures.response()

    # then
    assert client.pauses == [pause]


@pytest.mark.parametrize(
    "error", [ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "ChangeMessageVisibilityBatch")]
)
def test_messages_are_reported_even_if_no_pause_can_be_set(error: Exception) -> None:
    # given
    client = RecordingClient(error)
    failures = Failures([record("m1"), record("m2")], client=client)  # type: ignore[arg-type]

    # when
    failures.add("m2", ValueError())

    # then
    assert failures.response() == answered("m2")


def test_pauses_of_a_large_batch_are_set_in_tens() -> None:
    # given
    client = RecordingClient()
    failures = Failures([record(str(number)) for number in range(25)], client=client)  # type: ignore[arg-type]

    # when
    for number in range(25):
        failures.add(str(number), ValueError())
    failures.response()

    # then
    assert [len(request["Entries"]) for request in client.requests] == [10, 10, 5]


def test_a_batch_without_failures_asks_sqs_for_nothing() -> None:
    # given
    client = RecordingClient()

    # when
    answer = process_each([record()], lambda _, __: None, client=client)  # type: ignore[arg-type]

    # then
    assert answer == answered()
    assert client.requests == []


def test_a_message_that_is_poison_to_one_profile_is_poison_whatever_else_failed() -> None:
    # given
    client = RecordingClient()
    failures = Failures([record()], client=client)  # type: ignore[arg-type]

    # when
    failures.add("m1", ConnectionError())
    failures.add("m1", PoisonMessage("an event names nobody"))
    failures.add("m1", ConnectionError())

    # then
    assert failures.response() == answered("m1")
    assert client.pauses == [0]


def test_what_an_unknown_error_says_is_not_logged_for_it_may_quote_the_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "mailtailor.aws.batches.logger.error", lambda message, **fields: logged.append({"message": message, **fields})
    )

    def handle(body: str, _: batches.Record) -> None:
        raise ValueError(f"cannot read {body}")

    # when
    process_each([record()], handle, client=RecordingClient())  # type: ignore[arg-type]

    # then
    assert logged[0]["error"] == "ValueError"
    assert "handle" in logged[0]["raised_at"]
    assert "body of m1" not in json.dumps(logged)
    assert "body of m1" not in capsys.readouterr().out


def test_failures_are_counted_by_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    counted: dict[str, int] = {}
    monkeypatch.setattr(batches, "count", counted.__setitem__)
    failures = Failures([record("m1"), record("m2"), record("m3")], client=RecordingClient())  # type: ignore[arg-type]

    # when
    failures.add("m1", PoisonMessage("not ours"))
    failures.add("m2", ValueError())
    failures.add("m3", ValueError())
    failures.response()

    # then
    assert counted == {"PoisonMessages": 1, "FailedMessages": 2}
