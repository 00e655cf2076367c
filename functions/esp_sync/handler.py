"""SQS esp: brings each flip to the ESP, as a signed webhook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from mailtailor.aws import clients
from mailtailor.aws.batches import MAX_PAUSE, PoisonMessage, Record, RetryLater, process_each, receive_count
from mailtailor.aws.clock import system_clock
from mailtailor.aws.deliveries_table import DeliveriesTable
from mailtailor.aws.observability import count, logger, metrics
from mailtailor.aws.secrets import Secret
from mailtailor.aws.settings import from_environment
from mailtailor.aws.startup import prepared
from mailtailor.esp import membership_change
from mailtailor.esp.delivery import Courier, Outcome, RefusedBefore
from mailtailor.esp.standard_webhook import Refused, StandardWebhook, Unavailable, checked_url, new_pool

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

THREADS: Final = 10
"""Requests at a time: a batch takes as long as its slowest request, not as all of them together."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment."""

    deliveries_table: str
    esp_secret_id: str
    esp_webhook_url: str = ""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the function works with; without a courier there is no destination."""

    courier: Courier | None
    sqs: SQSClient


def connect() -> Dependencies:
    """Return the dependencies that the environment names; other systems are waited for, so time is the system's own."""
    settings = from_environment(Settings)
    sqs = clients.sqs()
    if not settings.esp_webhook_url:
        return Dependencies(courier=None, sqs=sqs)
    secret = Secret(client=clients.secrets_manager(), secret_id=settings.esp_secret_id, clock=system_clock)

    def signing_key() -> bytes:
        return secret.value()["signing_key"].encode()

    destination = StandardWebhook(
        url=checked_url(settings.esp_webhook_url),
        key=signing_key,
        clock=system_clock,
        pool=new_pool(THREADS),
    )
    deliveries = DeliveriesTable(client=clients.dynamodb(), table=settings.deliveries_table, clock=system_clock)
    return Dependencies(courier=Courier(destination, deliveries), sqs=sqs)


dependencies = prepared(connect)


def deliver(body: str, record: Record, courier: Courier) -> Outcome:
    """Deliver one message's flip.

    Raises
    ------
    PoisonMessage, Refused
        If no later try can succeed.
    RetryLater, Busy
        If one may.
    """
    try:
        change = membership_change.parse(body)
    except ValueError as error:
        raise PoisonMessage("not a membership change") from error
    received = receive_count(record)
    try:
        return courier.deliver(change, holder=str(uuid4()), again=received > 1)
    except Unavailable as error:
        # An outage lasts minutes rather than seconds: 30 s, 2 min, 8 min, then a quarter of an hour each.
        pause = min(MAX_PAUSE, 30 * 4 ** min(received - 1, 5))
        raise RetryLater(str(error), seconds=max(error.retry_after or 0, pause)) from error


def sync(records: Sequence[Record], given: Dependencies) -> dict[str, Any]:
    """Deliver the flips of a batch."""
    if given.courier is None:
        count("FlipsWithoutDestination", len(records))
        return {"batchItemFailures": []}
    courier, outcomes = given.courier, list[str]()

    def handle(body: str, record: Record) -> None:
        try:
            outcomes.append(deliver(body, record, courier))
        except Refused as error:
            if not isinstance(error, RefusedBefore):
                outcomes.append("DestinationGone" if error.gone else "FlipsRefused")
            raise PoisonMessage(str(error)) from error

    answer = process_each(records, handle, client=given.sqs, threads=THREADS)
    # Counted here because metrics are not made for threads.
    for name, number in Counter(outcomes).items():
        count(name, number)
    return answer


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Deliver the flips of a batch of messages."""
    return sync(event["Records"], dependencies())
