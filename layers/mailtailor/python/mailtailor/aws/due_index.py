"""The due index of the profiles' table, and the cursor of its sweep.

A partition of the index holds the profiles of one hour and shard, ordered by the instant they are due. An hour, not
a minute: a sweep each minute then reads a handful of partitions, and one after an outage of days reads hundreds
instead of tens of thousands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from mailtailor.instant import HOUR, Instant
from mailtailor.profiles.wake_up import pack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from mailtailor.aws.queues import Queue

INDEX = "due"
CURSOR_ID = "sweep"
DUE_SHARDS: Final = 8
"""Partitions of an hour: 8 take 8,000 write units a second, more than 3,000 re-arms."""


def due_bucket(profile_id: str, due_at: Instant) -> str:
    """Return the partition of the index in which a profile waits."""
    shard = blake2b(profile_id.encode(), digest_size=1).digest()[0] % DUE_SHARDS
    return f"{due_at // HOUR}#{shard}"


class DueIndexTable:
    """The sparse index `due` of the profiles' table.

    Parameters
    ----------
    client, table
        DynamoDB and the profiles' table.
    """

    def __init__(self, *, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def due(self, hour: int, start: Instant, end: Instant) -> Iterator[list[tuple[str, Instant]]]:
        """Yield pages of profiles due in an hour; see `sweep.DueIndex`."""
        for shard in range(DUE_SHARDS):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                IndexName=INDEX,
                KeyConditionExpression="due_bucket = :bucket AND due_at BETWEEN :start AND :last",
                ExpressionAttributeValues={
                    ":bucket": {"S": f"{hour}#{shard}"},
                    ":start": {"N": str(start)},
                    ":last": {"N": str(end - 1)},
                },
            )
            for page in pages:
                if page["Items"]:
                    yield [(item["id"]["S"], int(item["due_at"]["N"])) for item in page["Items"]]


class ClockTable:
    """The sweep's cursor.

    Parameters
    ----------
    client, table
        DynamoDB and the clock's table.
    """

    def __init__(self, *, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def read(self) -> Instant | None:
        """Return how far sweeps have looked, None before the first."""
        item: Mapping[str, Any] | None = self._client.get_item(
            TableName=self._table, Key={"id": {"S": CURSOR_ID}}, ConsistentRead=True
        ).get("Item")
        return int(item["swept_until"]["N"]) if item else None

    def advance(self, to: Instant) -> None:
        """Move the cursor to `to` unless another sweep is further already."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item={"id": {"S": CURSOR_ID}, "swept_until": {"N": str(to)}},
                ConditionExpression="attribute_not_exists(id) OR swept_until < :to",
                ExpressionAttributeValues={":to": {"N": str(to)}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return


class WakeUps:
    """Sends wake-ups into their queue.

    Parameters
    ----------
    queue
        The queue of wake-ups.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def __call__(self, by_delay: Mapping[int, list[str]]) -> None:
        """Send the profile ids of each delay (seconds, 0 to 900) in as few messages as sensible."""
        for delay, ids in by_delay.items():
            self._queue.send_all(pack(ids), delay_seconds=delay)
