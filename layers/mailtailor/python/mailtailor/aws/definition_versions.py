"""Versions of the definitions, and which of them rules, as they are stored: items of a table of their own.

`rollout` says which version rules, and how far another one has come (`segments.rollout`); it is written on the
condition that nobody else wrote it since it was read, and is not there before anything was applied. `version#3` holds
all segments of a version, compressed, and is written once; `version#0` is what was deployed before any was applied.
`candidate` holds definitions that a dry run tries; the next one replaces them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from mailtailor.segments.rollout import Phase, Rollout
from mailtailor.segments.versions import BadVersion, Version, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

ROLLOUT_ID: Final = "rollout"
CANDIDATE_ID: Final = "candidate"
CANDIDATE: Final = -1
"""The number of a version that has none."""


class DefinitionVersions:
    """The versions.

    Parameters
    ----------
    client, table
        DynamoDB and the definitions' table.
    """

    def __init__(self, *, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def rollout(self) -> Rollout | None:
        """Return which version rules; None before anything was applied."""
        item = self._get(ROLLOUT_ID)
        if item is None:
            return None
        state = json.loads(item["state"]["S"])
        return Rollout(**{**state, "phase": Phase(state["phase"])}, revision=int(item["revision"]["N"]))

    def save(self, rollout: Rollout) -> Rollout | None:
        """Store what follows on the state that was read, and return it as stored; None if somebody else was faster."""
        now = replace(rollout, revision=rollout.revision + 1)
        state = asdict(now)
        del state["revision"]
        item = {
            "id": {"S": ROLLOUT_ID},
            "revision": {"N": str(now.revision)},
            "state": {"S": json.dumps(state)},
        }
        given: Any = {"ConditionExpression": "attribute_not_exists(id)"}
        if rollout.revision:
            known = {":known": {"N": str(rollout.revision)}}
            given = {"ConditionExpression": "revision = :known", "ExpressionAttributeValues": known}
        return now if self._put(item, **given) else None

    def version(self, number: int) -> Version:
        """Return a version.

        Raises
        ------
        BadVersion
            If there is none of this number, or it cannot be read.
        """
        item = self._get(_id(number))
        if item is None:
            raise BadVersion(f"there is no version {number}")
        return Version(
            number=number,
            segments=unpack(bytes(item["segments"]["B"])),
            mark=item["mark"]["S"],
            applied_at=int(item["applied_at"]["N"]),
            note=item["note"]["S"],
        )

    def add(self, version: Version) -> bool:
        """Store a version; return whether there was none of its number. A candidate replaces the one before.

        Raises
        ------
        BadVersion
            If it is too large.
        """
        if version.number == CANDIDATE:
            return self._put(_item(version))
        return self._put(_item(version), ConditionExpression="attribute_not_exists(id)")

    def note_deployed(self, version: Version) -> None:
        """Keep what is deployed as version 0, for whoever wants to compare with it or go back to it."""
        item, known = _item(version), self._get(_id(version.number))
        if known is None or known["segments"] != item["segments"]:
            self._put(item)

    def _get(self, item_id: str) -> Mapping[str, Any] | None:
        return self._client.get_item(TableName=self._table, Key={"id": {"S": item_id}}, ConsistentRead=True).get("Item")

    def _put(self, item: dict[str, Any], **given: Any) -> bool:  # noqa: ANN401 - DynamoDB's JSON
        try:
            self._client.put_item(
                TableName=self._table, Item=item, ReturnValuesOnConditionCheckFailure="ALL_OLD", **given
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            # A client that got no answer asks again, and meets what it wrote itself.
            stored: Any = error.response
            return bool(stored.get("Item") == item)
        return True


def _id(number: int) -> str:
    return CANDIDATE_ID if number == CANDIDATE else f"version#{number}"


def _item(version: Version) -> dict[str, Any]:
    return {
        "id": {"S": _id(version.number)},
        "segments": {"B": pack(version.segments)},
        "mark": {"S": version.mark},
        "applied_at": {"N": str(version.applied_at)},
        "note": {"S": version.note},
    }
