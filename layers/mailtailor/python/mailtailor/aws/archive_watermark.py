"""The archive's watermark (`events.watermark`), as it is stored: an item of the clock's table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mailtailor.instant import Instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

WATERMARK_ID: Final = "archive"


class ArchiveWatermark:
    """The instant before which everything that was received is in the archive.

    Parameters
    ----------
    client, table
        DynamoDB and the clock's table.
    """

    def __init__(self, *, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def read(self) -> Instant | None:
        """Return the watermark; None if there has been none yet."""
        item: Mapping[str, Any] | None = self._client.get_item(
            TableName=self._table, Key={"id": {"S": WATERMARK_ID}}, ConsistentRead=True
        ).get("Item")
        return int(item["received_until"]["N"]) if item else None

    def advance(self, to: Instant) -> None:
        """Move the watermark to `to` unless it is further already."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item={"id": {"S": WATERMARK_ID}, "received_until": {"N": str(to)}},
                ConditionExpression="attribute_not_exists(id) OR received_until < :to",
                ExpressionAttributeValues={":to": {"N": str(to)}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return
