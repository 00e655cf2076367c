"""Items that several write at once, each on the condition that nobody else has written it since it was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient


class ConditionalItems:
    """The items of a table whose key is `id`.

    Parameters
    ----------
    client, table
        DynamoDB and the table.
    """

    def __init__(self, *, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def get(self, item_id: str) -> Mapping[str, Any] | None:
        """Return an item as it is stored now; None if there is none."""
        return self._client.get_item(TableName=self._table, Key={"id": {"S": item_id}}, ConsistentRead=True).get("Item")

    def put(self, item: dict[str, Any]) -> None:
        """Store an item, whatever is there."""
        self._client.put_item(TableName=self._table, Item=item)

    def put_if(self, item: dict[str, Any], attribute: str, known: str | int | None) -> bool:
        """Store an item if the stored one's attribute is as it was read, and return whether that is what is stored.

        Parameters
        ----------
        item
            What to store.
        attribute
            What tells the stored item from others: a string, or a number that counts up.
        known
            Its value when it was read; None if there was no such item.
        """
        given: Any = {"ConditionExpression": "attribute_not_exists(id)"}
        if known is not None:
            value = {"N": str(known)} if isinstance(known, int) else {"S": known}
            given = {"ConditionExpression": f"{attribute} = :known", "ExpressionAttributeValues": {":known": value}}
        try:
            self._client.put_item(
                TableName=self._table, Item=item, ReturnValuesOnConditionCheckFailure="ALL_OLD", **given
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            # A client that got no answer asks again, and meets what it wrote itself.
            stored: Any = error.response
            return bool(stored.get("Item") == item)
        return True
