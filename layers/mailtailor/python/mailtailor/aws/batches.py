"""Partial answers to batches of SQS messages: what failed is tried again, everything else is done.

A poison message, one that no later try can mend, becomes visible again at once, so that the queue itself receives it
`maxReceiveCount` times within seconds and moves it to its dead-letter queue. Left alone it would hold a place in that
many batches, one visibility time-out apart. A message that failed for a passing reason comes back after a pause that
doubles each time, instead of after the whole visibility time-out.

Why not powertools' `BatchProcessor`: it reports failures by message, but knows one kind of failure only and leaves
visibility alone; it raises by default when a whole batch fails, which makes Lambda poll less though the queue is well;
it calls once a record, while the events of one profile are one write; and its import costs 80 ms, an eighth of
boto3's. What would remain of it is the answer's one line.

Source of the answer's form and of the back-off pattern: AWS, "Handling errors for an SQS event source in Lambda".
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from mailtailor.aws.observability import count, logger

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import ChangeMessageVisibilityBatchRequestEntryTypeDef

Record = Mapping[str, Any]
"""One record of an SQS event, as Lambda hands it over."""

MAX_PAUSE: Final = 900
"""Seconds; a later try is no calmer, and an alarm on the age of messages should come first."""
MAX_ENTRIES: Final = 10
"""SQS's limit of messages in one request."""


class PoisonMessage(Exception):
    """A message that can never succeed.

    Parameters
    ----------
    reason
        Why, for the log: no part of the message, for it may hold personal data.
    """


class RetryLater(Exception):
    """A message that may succeed after a pause known better than by doubling.

    Parameters
    ----------
    reason
        Why, for the log.
    seconds
        The pause, at most 900.
    """

    def __init__(self, reason: str, *, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class _Failure:
    record: Record
    error: Exception


class Failures:
    """Collects the failures of a batch, for consumers that handle it as a whole.

    Parameters
    ----------
    records
        The batch.
    client
        SQS; the function may change the visibility of its own queue's messages.
    chance
        Returns a number from 0 to 1 that spreads retries.
    """

    def __init__(
        self, records: Sequence[Record], *, client: SQSClient, chance: Callable[[], float] = random.random
    ) -> None:
        self._records = {record["messageId"]: record for record in records}
        self._client = client
        self._chance = chance
        self._failures: dict[str, _Failure] = {}

    def add(self, message_id: str, error: Exception) -> None:
        """Record that a message failed: for ever if `error` is a `PoisonMessage`, for now otherwise.

        A message that failed twice keeps its first reason, unless the second makes it poison.
        """
        if message_id not in self._failures or isinstance(error, PoisonMessage):
            self._failures[message_id] = _Failure(self._records[message_id], error)

    def response(self) -> dict[str, list[dict[str, str]]]:
        """Return Lambda's answer, having logged each failure and told the queue when to try again."""
        poison = sum(isinstance(failure.error, PoisonMessage) for failure in self._failures.values())
        count("PoisonMessages", poison)
        count("FailedMessages", len(self._failures) - poison)
        for message_id, failure in self._failures.items():
            logger.error(
                "A message failed.",
                poison=isinstance(failure.error, PoisonMessage),
                message_id=message_id,
                receive_count=receive_count(failure.record),
                **_described(failure.error),
            )
        self._set_pauses()
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in self._failures]}

    def _set_pauses(self) -> None:
        entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
            {
                "Id": str(index),
                "ReceiptHandle": failure.record["receiptHandle"],
                "VisibilityTimeout": self._pause(failure),
            }
            for index, failure in enumerate(self._failures.values())
        ]
        for start in range(0, len(entries), MAX_ENTRIES):
            url = _queue_url(self._client, next(iter(self._records.values())))
            change = partial(self._client.change_message_visibility_batch, QueueUrl=url)
            try:
                change(Entries=entries[start : start + MAX_ENTRIES])
            except (BotoCoreError, ClientError) as error:
                # The messages come back all the same, when the queue's own time-out has passed.
                logger.warning("The pause before a retry could not be set.", **_described(error))

    def _pause(self, failure: _Failure) -> int:
        if isinstance(failure.error, PoisonMessage):
            return 0
        if isinstance(failure.error, RetryLater):
            return min(MAX_PAUSE, max(1, round(failure.error.seconds)))
        # The exponent is bounded because a redriven message may have been received thousands of times.
        doubled = 2 << min(receive_count(failure.record), 10)
        return min(MAX_PAUSE, round(doubled * (1 + self._chance() / 2)))


def process_each(
    records: Sequence[Record], handle: Callable[[str, Record], None], *, client: SQSClient, threads: int = 1
) -> dict[str, list[dict[str, str]]]:
    """Handle each message of a batch by itself and return Lambda's answer.

    Parameters
    ----------
    records
        The batch.
    handle
        Called with a message's body and its record. Raises `PoisonMessage` if no later try can succeed, anything
        else if one might.
    client
        SQS.
    threads
        How many messages to handle at a time, for a handler that waits on others.
    """
    failures = Failures(records, client=client)

    def attempt(record: Record) -> None:
        try:
            handle(record["body"], record)
        except Exception as error:  # noqa: BLE001 - whatever one message raises must not fail the others
            failures.add(record["messageId"], error)

    if threads == 1:
        for record in records:
            attempt(record)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(attempt, records))
    return failures.response()


def _queue_url(client: SQSClient, record: Record) -> str:
    """Return the URL of the queue a record came from, without a right to ask SQS for it."""
    *_, account, name = record["eventSourceARN"].split(":")
    return f"{client.meta.endpoint_url.rstrip('/')}/{account}/{name}"


def receive_count(record: Record) -> int:
    """Return how often a message has been received, this time included; a redriven one starts anew."""
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", 1))


def _described(error: Exception) -> dict[str, Any]:
    """Return what may be logged of an error: an unknown one's text may quote the message."""
    described: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, PoisonMessage | RetryLater):
        described["reason"] = str(error)
    elif isinstance(error, ClientError):
        described["reason"] = error.response["Error"]["Code"]
    if frames := traceback.extract_tb(error.__traceback__):
        described["raised_at"] = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno} {frames[-1].name}"
    return described
