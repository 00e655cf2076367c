"""Profiles in DynamoDB: one item a profile, written on the condition of its version."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from mailtailor.aws.observability import count, logger
from mailtailor.aws.profile_item import decode, encode, same_content, size
from mailtailor.profiles.profile import Flip, Profile
from mailtailor.profiles.store import Conflict, Loaded

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from mailtailor.profiles.projection import Merged

MAX_KEYS: Final = 100
"""DynamoDB's limit of keys in one BatchGetItem."""
MAX_ATTEMPTS: Final = 6
MAX_HOPS: Final = 4


LARGE: Final = 4_096
"""Bytes; a profile of a usual recipient is under 1 KB, and each further one makes each event dearer."""


def pause_after_conflict(attempt: int) -> None:
    """Wait a random time, longer with each attempt: those who write one profile at once must not stay in step."""
    time.sleep(random.uniform(0, min(0.5, 0.01 * 2**attempt)))  # noqa: S311 - no secret


class Throttled(Exception):
    """DynamoDB kept leaving keys unread."""


class ProfileTable:
    """The table of profiles.

    Parameters
    ----------
    client
        DynamoDB.
    table
        The table's name.
    """

    def __init__(self, *, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def read(self, profile_id: str) -> Profile | None:
        """Return a profile by one strongly consistent read, and one more for each merge it went through."""
        item = self.read_item(profile_id)
        return None if item is None else decode(item)

    def read_item(self, profile_id: str) -> dict[str, Any] | None:
        """Return what is stored of a profile, read as `read` does."""
        for _ in range(MAX_HOPS):
            item: dict[str, Any] | None = self._client.get_item(
                TableName=self._table, Key={"id": {"S": profile_id}}, ConsistentRead=True
            ).get("Item")
            if item is None or "merged_into" not in item:
                return item
            profile_id = item["merged_into"]["S"]
        return None

    def load(self, ids: Iterable[str]) -> dict[str, Loaded]:
        """Return the profiles of `ids` by strongly consistent reads, in as few requests as DynamoDB allows."""
        wanted = list(dict.fromkeys(ids))
        found: dict[str, Loaded] = {}
        for start in range(0, len(wanted), MAX_KEYS):
            for item in self._batch_get(wanted[start : start + MAX_KEYS]):
                found[item["id"]["S"]] = loaded(item)
        return {profile_id: found.get(profile_id) or Loaded(Profile(profile_id), None) for profile_id in wanted}

    def scan(self) -> Iterator[Loaded]:
        """Yield all items, pointers too, page by page; what is written meanwhile may be missing or new."""
        for page in self._client.get_paginator("scan").paginate(TableName=self._table):
            yield from map(loaded, page["Items"])

    def not_evaluated_by(
        self, fingerprint: str, *, part: int, parts: int, after: str = ""
    ) -> Iterator[tuple[str, list[tuple[str, frozenset[str]]]]]:
        """Yield ids and identities of profiles that other definitions evaluated, page by page, pointers left out.

        Parameters
        ----------
        fingerprint
            Of the definitions that are not asked for.
        part, parts
            Which of how many parts of the table, counted from 0.
        after
            The id up to which an earlier call has come. Each page comes with that id; the last one, of which DynamoDB
            names none, with that of the page before.
        """
        given: dict[str, Any] = {"ExclusiveStartKey": {"id": {"S": after}}} if after else {}
        while True:
            page = self._client.scan(
                TableName=self._table,
                Segment=part,
                TotalSegments=parts,
                ConsistentRead=True,
                ProjectionExpression="id, identities",
                FilterExpression="attribute_not_exists(merged_into) AND NOT definitions = :known",
                ExpressionAttributeValues={":known": {"S": fingerprint}},
                **given,
            )
            last = page.get("LastEvaluatedKey")
            after = last["id"]["S"] if last else after
            yield after, [(one["id"]["S"], frozenset(one.get("identities", {}).get("SS", ()))) for one in page["Items"]]
            if not last:
                return
            given = {"ExclusiveStartKey": last}

    def _batch_get(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        request: Any = {self._table: {"Keys": [{"id": {"S": one}} for one in ids], "ConsistentRead": True}}
        for attempt in range(MAX_ATTEMPTS):
            answer = self._client.batch_get_item(RequestItems=request)
            items += answer["Responses"].get(self._table, [])
            request = answer.get("UnprocessedKeys")
            if not request:
                return items
            time.sleep(0.02 * 2**attempt)
        raise Throttled("keys were left unread")

    def save(self, prepared: Loaded, flips: Sequence[Flip], merged: Sequence[Merged] = ()) -> bool:
        """Write a profile; see `ProfileStore.save`."""
        item = encode(prepared.profile, flips)
        if not merged and prepared.stored is not None and not flips and same_content(item, prepared.stored):
            return False
        if (bytes_ := size(item)) > LARGE:
            logger.warning("A profile is large.", profile_id=prepared.profile.id, bytes=bytes_)
            count("LargeProfiles")
        puts = [self._put(item, prepared.profile.version)]
        puts += [self._put(encode(one.pointer, one.exits), one.pointer.version) for one in merged]
        try:
            if merged:
                transaction: list[TransactWriteItemTypeDef] = [{"Put": put} for put in puts]
                self._client.transact_write_items(TransactItems=transaction)
            else:
                self._client.put_item(**puts[0])
        except ClientError as error:
            if error.response["Error"]["Code"] in {
                "ConditionalCheckFailedException",
                "TransactionCanceledException",
                "TransactionConflictException",
            }:
                raise Conflict(prepared.profile.id) from error
            raise
        return True

    def _put(self, item: dict[str, Any], version: int) -> Any:  # noqa: ANN401 - the stubs type put and transaction apart
        if version == 0:
            return {"TableName": self._table, "Item": item, "ConditionExpression": "attribute_not_exists(id)"}
        return {
            "TableName": self._table,
            "Item": item,
            "ConditionExpression": "version = :version",
            "ExpressionAttributeValues": {":version": {"N": str(version)}},
        }

    def point(self, identity: str, *, to: str) -> Loaded | None:
        """Make `identity` a pointer unless an item is there; see `ProfileStore.point`."""
        pointer = encode(Profile(identity, merged_into=to), ())
        try:
            self._client.put_item(
                TableName=self._table,
                Item=pointer,
                ConditionExpression="attribute_not_exists(id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            item: Any = error.response.get("Item") or self._batch_get([identity])[0]
            return loaded(item)
        return None


def loaded(item: dict[str, Any]) -> Loaded:
    """Return an item's profile, or why it cannot be read."""
    try:
        return Loaded(decode(item), item)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return Loaded(Profile(item["id"]["S"]), item, error)
