"""How many events a second one core takes: webhooks verified and normalized, and batches applied to profiles."""

from __future__ import annotations

import contextlib
import io
import time
from itertools import cycle
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from functions.event_processor import handler as event_processor
from mailtailor.aws.due_index import WakeUps
from mailtailor.aws.event_queue import EventQueue, LargeEvents
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.aws.queues import Queue
from mailtailor.events import envelope
from mailtailor.events.sources.registry import webhook_source
from mailtailor.events.sources.webhook import receive
from mailtailor.profiles.processing import Processor
from tests.demonstration import engine, people_events
from tests.senders import PSEUDONYMIZER, Sender, Servers, senders

MESSAGES_A_BATCH = 10
"""As the event source hands them over."""


def webhook_rates(*, seconds: float) -> dict[str, float]:
    """Return the events a second of each source: from the bytes of the samples that count, signature first."""
    return {one.name: _rate(one, seconds) for one in senders()}


def _rate(sender: Sender, seconds: float) -> float:
    source, servers = webhook_source(sender.name), Servers(sender.servers)
    deliveries = [sender.delivery(sample) for sample in sender.samples if sample.events]
    taken, started = 0, time.process_time()
    for delivery in cycle(deliveries):
        source.verify(delivery, sender.secrets, servers)
        taken += len(receive(source, delivery, PSEUDONYMIZER).events)
        if time.process_time() - started > seconds:
            break
    return taken / (time.process_time() - started)


def processor_rate() -> float:
    """Return the events a second of the processor, from messages as Lambda hands them over to writes of the table.

    The demonstration's events in order of their time, a message a call of the tracking API, ten messages a batch.
    """
    now, table, client = [0], _Table(), _Queues()
    queue: Any = client
    store: Any = table
    given = event_processor.Dependencies(
        processor=Processor(
            store=ProfileTable(client=store, table="profiles"),
            engine=engine(),
            archive=EventQueue(Queue(client=queue, url="archive"), LargeEvents(queue, "intake")).send,
            wake=WakeUps(Queue(client=queue, url="wake-ups")),
            rebuild=lambda _: None,
            clock=lambda: now[0],
        ),
        sqs=queue,
        fetch=lambda key: key,
    )
    events = sorted((event for person in people_events() for event in person), key=attrgetter("occurred_at"))
    spent = 0.0
    for start in range(0, len(events), MESSAGES_A_BATCH):
        part = events[start : start + MESSAGES_A_BATCH]
        now[0] = part[-1].occurred_at
        records = [
            _record(f"m{number}", event.model_dump_json(exclude_defaults=True)) for number, event in enumerate(part)
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            began = time.process_time()
            answer = event_processor.process(records, given)
            spent += time.process_time() - began
        if answer["batchItemFailures"]:
            raise AssertionError("an event of the benchmark failed")
    return len(events) / spent


def _record(message_id: str, event: str) -> dict[str, Any]:
    return {
        "messageId": message_id,
        "receiptHandle": message_id,
        "body": envelope.message(event),
        "attributes": {"ApproximateReceiveCount": "1"},
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:events",
    }


class _Queues:
    """SQS, which takes everything."""

    def send_message_batch(self, **_: Any) -> dict[str, Any]:
        return {}

    def send_message(self, **_: Any) -> dict[str, Any]:
        return {}


class _Table:
    """DynamoDB at the client's edge: items by id, and conditions on the version."""

    exceptions = SimpleNamespace(
        ConditionalCheckFailedException=type("ConditionalCheckFailedException", (ClientError,), {})
    )

    def __init__(self) -> None:
        self._items: dict[str, Any] = {}

    def batch_get_item(self, *, RequestItems: Any) -> dict[str, Any]:  # noqa: N803 - AWS's own name
        ((table, request),) = RequestItems.items()
        wanted = [key["id"]["S"] for key in request["Keys"]]
        return {"Responses": {table: [self._items[one] for one in wanted if one in self._items]}}

    def put_item(self, *, Item: Any, **more: Any) -> None:  # noqa: N803
        known = self._items.get(Item["id"]["S"], {})
        # A new item's condition names no version, and a version that nobody wrote.
        expected = more.get("ExpressionAttributeValues", {}).get(":version")
        if known.get("version") != expected:
            refused: Any = {"Error": {"Code": "ConditionalCheckFailedException", "Message": ""}, "Item": known}
            raise self.exceptions.ConditionalCheckFailedException(refused, "PutItem")
        self._items[Item["id"]["S"]] = Item

    def transact_write_items(self, *, TransactItems: Any) -> None:  # noqa: N803
        for one in TransactItems:
            self.put_item(**one["Put"])
