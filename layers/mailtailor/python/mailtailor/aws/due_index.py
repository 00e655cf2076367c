"""The due index of the profiles' table, and the cursors of those who walk through it.

A partition of the index holds the profiles of one hour and shard, ordered by the instant they are due. An hour, not
a minute: a sweep each minute then reads a handful of partitions, and one after an outage of days reads hundreds
instead of tens of thousands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from mailtailor.instant import HOUR, Instant
from mailtailor.profiles.sweep import Place, Shard
from mailtailor.profiles.wake_up import pack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from mailtailor.aws.queues import Queue

INDEX = "due"
DUE_SHARDS: Final = 8
"""Partitions of an hour: 8 take 8,000 write units a second, more than 3,000 re-arms."""


def due_bucket(profile_id: str, due_at: Instant) -> str:
    """Return the partition of the index in which a profile waits."""
    shard = blake2b(profile_id.encode(), digest_size=1).digest()[0] % DUE_SHARDS
    return f"{due_at // HOUR}#{shard}"


def shards(client: DynamoDBClient, *, profiles: str, clock: str) -> list[Shard]:
    """Return the due index, given the names of the tables of profiles and of the clock."""
    return [
        Shard(
            index=DueShardTable(client=client, table=profiles, shard=shard),
            ahead=CursorItem(client=client, table=clock, name=f"sweep#{shard}"),
            back=CursorItem(client=client, table=clock, name=f"stragglers#{shard}"),
        )
        for shard in range(DUE_SHARDS)
    ]


class DueShardTable:
    """One shard of the sparse index `due` of the profiles' table.

    Parameters
    ----------
    client, table
        DynamoDB and the profiles' table.
    shard
        Its number.
    """

    def __init__(self, *, client: DynamoDBClient, table: str, shard: int) -> None:
        self._client = client
        self._table = table
        self._shard = shard

    def due(self, hour: int, start: Place, end: Instant) -> Iterator[Sequence[Place]]:
        """Yield pages of profiles due in an hour; see `sweep.DueShard`."""
        bucket = {"S": f"{hour}#{self._shard}"}
        behind: dict[str, Any] = {}
        if start.profile_id and start.due_at // HOUR == hour:
            place = {"due_bucket": bucket, "due_at": {"N": str(start.due_at)}, "id": {"S": start.profile_id}}
            behind = {"ExclusiveStartKey": place}
        while True:
            page = self._client.query(
                TableName=self._table,
                IndexName=INDEX,
                KeyConditionExpression="due_bucket = :bucket AND due_at BETWEEN :start AND :last",
                ExpressionAttributeValues={
                    ":bucket": bucket,
                    ":start": {"N": str(start.due_at)},
                    ":last": {"N": str(end - 1)},
                },
                **behind,
            )
            if page["Items"]:
                yield [Place(int(item["due_at"]["N"]), item["id"]["S"]) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return
            behind = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


class CursorItem:
    """A walk's place, as an item of the clock's table.

    Parameters
    ----------
    client, table
        DynamoDB and the clock's table.
    name
        The item's id.
    """

    def __init__(self, *, client: DynamoDBClient, table: str, name: str) -> None:
        self._client = client
        self._table = table
        self._key = {"id": {"S": name}}

    def read(self) -> Place | None:
        """Return the place, None before the first walk."""
        item: Mapping[str, Any] | None = self._client.get_item(
            TableName=self._table, Key=self._key, ConsistentRead=True
        ).get("Item")
        return Place(int(item["due_at"]["N"]), item["profile_id"]["S"]) if item else None

    def move(self, since: Place | None, to: Place) -> bool:
        """Move unless another walk has moved it; see `sweep.Cursor`."""
        request: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        if since is not None:
            request = {
                "ConditionExpression": "due_at = :due_at AND profile_id = :profile_id",
                "ExpressionAttributeValues": {
                    ":due_at": {"N": str(since.due_at)},
                    ":profile_id": {"S": since.profile_id},
                },
            }
        place: dict[str, Any] = {"due_at": {"N": str(to.due_at)}, "profile_id": {"S": to.profile_id}}
        try:
            self._client.put_item(TableName=self._table, Item={**self._key, **place}, **request)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True


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
        self._queue.send_delayed((body, delay) for delay, ids in by_delay.items() for body in pack(ids))
