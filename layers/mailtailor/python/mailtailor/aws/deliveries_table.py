"""The table of deliveries: one item for each destination, profile and segment.

| attribute | form | meaning |
|---|---|---|
| id | S | `{destination}#{profile_id}#{segment}` |
| version | N | profile version of the last change claimed |
| status | S | `sending`, `delivered` or `refused` |
| holder | S | the attempt that claimed it |
| lease_until | N | instant at which the claim expires; 0 once it ended |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mailtailor.esp.delivery import LEASE, Standing, Status
from mailtailor.esp.membership_change import MembershipChange
from mailtailor.instant import Instant

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DeliveriesTable:
    """Remembers what destinations have; see `delivery.Deliveries`.

    Parameters
    ----------
    client, table
        DynamoDB and the table's name.
    clock
        Times leases. It must not be the demonstration's, which jumps: a lease stands for a request on the wire.
    """

    def __init__(self, *, client: DynamoDBClient, table: str, clock: Callable[[], Instant]) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def claim(self, destination: str, change: MembershipChange, *, holder: str, again: bool) -> Standing | None:
        """Claim a change; see `Deliveries.claim`."""
        now = self._clock()
        values: dict[str, Any] = {
            ":version": {"N": str(change.version)},
            ":now": {"N": str(now)},
            ":until": {"N": str(now + LEASE)},
            ":holder": {"S": holder},
            ":sending": {"S": Status.SENDING},
            ":delivered": {"S": Status.DELIVERED},
        }
        open_ = "#status <> :delivered"
        if again:
            open_ += " AND #status <> :refused"
            values[":refused"] = {"S": Status.REFUSED}
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(destination, change),
                UpdateExpression="SET version = :version, #status = :sending, holder = :holder, lease_until = :until",
                ConditionExpression="attribute_not_exists(id) OR (lease_until <= :now AND "
                f"(version < :version OR (version = :version AND {open_})))",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            response: Mapping[str, Any] = error.response
            old = response["Item"]
            return Standing(int(old["version"]["N"]), Status(old["status"]["S"]))
        return None

    def settle(self, destination: str, change: MembershipChange, *, holder: str, status: Status) -> None:
        """End a claim; see `Deliveries.settle`."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=_key(destination, change),
                UpdateExpression="SET #status = :status, lease_until = :ended",
                ConditionExpression="holder = :holder AND version = :version",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={
                    ":status": {"S": status},
                    ":ended": {"N": "0"},
                    ":holder": {"S": holder},
                    ":version": {"N": str(change.version)},
                },
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            # The claim expired and another attempt holds it, or a newer change.
            return


def _key(destination: str, change: MembershipChange) -> Any:  # noqa: ANN401 - the stubs' key type is a wide union
    return {"id": {"S": f"{destination}#{change.profile_id}#{change.segment}"}}
