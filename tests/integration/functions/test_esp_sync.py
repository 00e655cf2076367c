from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from moto import mock_aws
from standardwebhooks.webhooks import Webhook

from functions.esp_sync import handler
from functions.esp_sync.handler import Dependencies, sync
from mailtailor.aws.clock import system_clock
from mailtailor.aws.deliveries_table import DeliveriesTable
from mailtailor.aws.startup import prepared
from mailtailor.errors import BadInput
from mailtailor.esp.delivery import Courier
from mailtailor.esp.membership_change import MembershipChange
from mailtailor.esp.standard_webhook import StandardWebhook, new_pool, secret
from tests.integration.functions.intake_engine import Context
from tests.receiver import Receiver, answering

KEY = b"a signing key of the tests, 32 b"
V5 = MembershipChange("p" * 22, "recent_purchasers", True, 5, 1_700_000_000_000, "time", None)
V6 = replace(V5, entered=False, version=6)


class Queues:
    """The edge of SQS: keeps the pauses that the function asked for, by message."""

    class Meta:
        endpoint_url = "https://sqs.eu-central-1.amazonaws.com"

    meta = Meta()

    def __init__(self) -> None:
        self.pauses: dict[str, int] = {}

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - the names are SQS's
        assert QueueUrl.endswith("/123456789012/esp")
        self.pauses.update({entry["ReceiptHandle"]: entry["VisibilityTimeout"] for entry in Entries})
        return {}


class Bench:
    """The function with a real HTTP destination and a table on moto."""

    def __init__(self) -> None:
        self.receiver = Receiver(answering(200))
        self.queues = Queues()
        self.counted: dict[str, int] = {}
        self.now = system_clock()
        self.deliveries = boto3.client("dynamodb", region_name="eu-central-1")
        self.deliveries.create_table(
            TableName="deliveries",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def given(self) -> Dependencies:
        destination = StandardWebhook(
            url=self.receiver.url, key=lambda: KEY, clock=system_clock, pool=new_pool(handler.THREADS)
        )
        table = DeliveriesTable(client=self.deliveries, table="deliveries", clock=lambda: self.now)
        return Dependencies(courier=Courier(destination, table), sqs=self.queues)  # type: ignore[arg-type]

    def run(self, *records: dict[str, Any]) -> list[str]:
        answer = sync(records, self.given())
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def received(self) -> list[Any]:
        return [Webhook(secret(KEY)).verify(body, headers) for headers, body in self.receiver.requests]

    def versions(self) -> list[int]:
        return [payload["data"]["version"] for payload in self.received()]


def message(change: MembershipChange | str, *, receive_count: int = 1, name: str = "") -> dict[str, Any]:
    name = name or (change if isinstance(change, str) else f"{change.profile_id}-{change.version}")
    return {
        "messageId": name,
        "receiptHandle": name,
        "body": change if isinstance(change, str) else change.to_json(),
        "attributes": {"ApproximateReceiveCount": str(receive_count)},
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:esp",
    }


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with mock_aws():
        bench = Bench()
        monkeypatch.setattr(
            "functions.esp_sync.handler.count",
            lambda name, value=1: bench.counted.__setitem__(name, bench.counted.get(name, 0) + value),
        )
        with bench.receiver.running():
            yield bench


def test_each_flip_arrives_signed_and_once(bench: Bench) -> None:
    # given
    changes = [replace(V5, profile_id=f"profile-{number}") for number in range(25)]

    # when
    failed = bench.run(*map(message, changes), *(message(change, name=change.id) for change in changes[:5]))

    # then: a repetition that ran beside its original is tried again, and then dropped
    bench.run(*(message(change, receive_count=2, name=change.id) for change in changes[:5] if change.id in failed))
    assert sorted(payload["data"]["profile_id"] for payload in bench.received()) == sorted(
        change.profile_id for change in changes
    )
    assert bench.counted["FlipsDelivered"] == 25
    assert bench.counted["FlipsRepeated"] == 5


def test_a_change_that_was_overtaken_in_the_queue_is_dropped(bench: Bench) -> None:
    # when
    bench.run(message(V6))
    failed = bench.run(message(V5))

    # then
    assert failed == []
    assert bench.versions() == [6]
    assert bench.counted["FlipsSuperseded"] == 1


def test_an_outage_is_waited_for_with_growing_pauses_and_nothing_is_lost(bench: Bench) -> None:
    # given
    bench.receiver.answer = answering(500)
    pauses = []

    # when
    for receive_count in range(1, 6):
        assert bench.run(message(V5, receive_count=receive_count)) == [message(V5)["messageId"]]
        pauses.append(bench.queues.pauses[message(V5)["messageId"]])
    bench.receiver.answer = answering(200)
    failed = bench.run(message(V5, receive_count=6))

    # then
    assert pauses == [30, 120, 480, 900, 900]
    assert failed == []
    assert bench.versions() == [5] * 6
    assert len({headers["webhook-id"] for headers, _ in bench.receiver.requests}) == 1


@pytest.mark.parametrize(("retry_after", "pause"), [("200", 200), ("1", 30), ("86400", 900)])
def test_a_destination_that_asks_for_patience_gets_it_within_bounds(bench: Bench, retry_after: str, pause: int) -> None:
    # given
    bench.receiver.answer = answering(429, retry_after=retry_after)

    # when
    bench.run(message(V5))

    # then
    assert bench.queues.pauses == {message(V5)["messageId"]: pause}


@pytest.mark.parametrize(("status", "metric"), [(410, "DestinationGone"), (400, "FlipsRefused")])
def test_a_refused_flip_goes_to_the_dead_letter_queue_and_is_sent_once(bench: Bench, status: int, metric: str) -> None:
    # given
    bench.receiver.answer = answering(status)

    # when: the queue receives it until it gives up
    for receive_count in range(1, 6):
        assert bench.run(message(V5, receive_count=receive_count)) != []

    # then
    assert bench.queues.pauses == {message(V5)["messageId"]: 0}
    assert len(bench.receiver.requests) == 1
    assert bench.counted == {metric: 1}


def test_a_flip_put_back_from_the_dead_letter_queue_is_delivered(bench: Bench) -> None:
    # given
    bench.receiver.answer = answering(401)
    bench.run(message(V5))
    bench.receiver.answer = answering(200)

    # when
    failed = bench.run(message(V5, name="put back"))

    # then
    assert failed == []
    assert bench.counted["FlipsDelivered"] == 1


def test_a_malformed_message_is_poison_and_the_rest_of_the_batch_is_delivered(bench: Bench) -> None:
    # when
    failed = bench.run(message("not json"), message(V5), message('{"v":1}'))

    # then
    assert sorted(failed) == ["not json", '{"v":1}']
    assert bench.queues.pauses == {"not json": 0, '{"v":1}': 0}
    assert bench.versions() == [5]


def test_without_a_destination_flips_are_acknowledged_and_counted(bench: Bench) -> None:
    # given
    nowhere = Dependencies(courier=None, sqs=bench.queues)  # type: ignore[arg-type]

    # when
    answer = sync([message(V5), message(V6)], nowhere)

    # then
    assert answer == {"batchItemFailures": []}
    assert bench.counted == {"FlipsWithoutDestination": 2}
    assert bench.receiver.requests == []


def test_the_function_composes_itself_from_its_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    secrets = boto3.client("secretsmanager", region_name="eu-central-1")
    secrets.create_secret(Name="esp", SecretString='{"signing_key": "a signing key of the tests, 32 b"}')
    monkeypatch.setenv("DELIVERIES_TABLE", "deliveries")
    monkeypatch.setenv("ESP_SECRET_ID", "esp")
    monkeypatch.setenv("ESP_WEBHOOK_URL", bench.receiver.url)
    monkeypatch.setattr(handler, "dependencies", prepared(handler.connect))

    # when
    answer = handler.handler({"Records": [message(V5)]}, Context())

    # then
    assert answer == {"batchItemFailures": []}
    assert bench.versions() == [5]


def test_a_destination_without_encryption_stops_the_function_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setenv("DELIVERIES_TABLE", "deliveries")
    monkeypatch.setenv("ESP_SECRET_ID", "esp")
    monkeypatch.setenv("ESP_WEBHOOK_URL", "http://esp.example.com/hook")
    monkeypatch.setattr(handler, "dependencies", prepared(handler.connect))

    # then
    with pytest.raises(BadInput, match="EspWebhookUrl"):
        handler.dependencies()
