"""The table of decisions: one item a message, in which each block that was fetched for it has an attribute.

| attribute | form | meaning |
|---|---|---|
| id | S | JSON: [profile id, campaign, instance] |
| expires_at | N | seconds UTC after which DynamoDB may delete the item |
| logged | BOOL | only if the decisions go to the archive: what the stream's filter looks for |
| sampled | BOOL | beside it, if the message is one of the sample; else a fault is why it is logged |
| `hero@3f2a9c1b0d4e...` | S | a decision, in JSON (`content.decision`); its name has block and version |

A block's version is part of the name. So a version that is published or rolled back between two fetches decides anew,
beside the decision of the one before, which no longer is what the block's owner wants to be shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mailtailor.content.decision import Decision, MessageKey, from_json, to_json
from mailtailor.instant import DAY, SECOND, Instant

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LIFE: Final = 7 * DAY
"""An ESP retries for hours, and a mailing that is stopped goes on within days."""


def key(message: MessageKey) -> dict[str, Any]:
    """Return the key of a message's item."""
    return {"id": {"S": json.dumps(message, separators=(",", ":"))}}


def message(item: Mapping[str, Any]) -> MessageKey:
    """Return the message of an item, or raise `ValueError`."""
    try:
        profile_id, campaign, instance = json.loads(item["id"]["S"])
    except (KeyError, TypeError) as error:
        raise ValueError("not an item of decisions") from error
    return MessageKey(str(profile_id), str(campaign), str(instance))


def decisions(item: Mapping[str, Any]) -> dict[str, Decision]:
    """Return an item's decisions by their attributes' names; raise `ValueError` if one is none."""
    return {name: from_json(value["S"]) for name, value in item.items() if "@" in name}


class DecisionTable:
    """Keeps decisions.

    Parameters
    ----------
    client, name
        DynamoDB and the table's name.
    """

    def __init__(self, *, client: DynamoDBClient, name: str) -> None:
        self._client = client
        self.name = name

    def keep(
        self, of: MessageKey, made: Mapping[str, Decision], *, now: Instant, logged: bool, sampled: bool
    ) -> dict[str, Decision]:
        """Store decisions by their names, unless there are some of these names, and return all that are there.

        One write, whose condition is in the assignment itself: who comes second changes nothing and learns what the
        first one decided.
        """
        values: dict[str, dict[str, Any]] = {name: {"S": to_json(one)} for name, one in made.items()}
        values["expires_at"] = {"N": str((now + LIFE) // SECOND)}
        values |= {name: {"BOOL": True} for name, wanted in (("logged", logged), ("sampled", sampled)) if wanted}
        numbered = list(enumerate(values.items()))
        answer = self._client.update_item(
            TableName=self.name,
            Key=key(of),
            UpdateExpression="SET " + ", ".join(f"#{n} = if_not_exists(#{n}, :{n})" for n, _ in numbered),
            ExpressionAttributeNames={f"#{n}": name for n, (name, _) in numbered},
            ExpressionAttributeValues={f":{n}": value for n, (_, value) in numbered},
            ReturnValues="ALL_NEW",
        )
        return decisions(answer["Attributes"])
