"""A part of the profiles at random: the table is looked at by parts, each in the order of its keys' hashes.

DynamoDB keeps items in the order of a hash that has nothing to do with who they are of. So the first items of any part
are as good a sample as any other, and no more is read than is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailtailor.aws.profile_table import loaded
from mailtailor.profiles.store import Loaded

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class Sample:
    """Some profiles, and whether the part holds no others."""

    profiles: tuple[Loaded, ...]
    whole: bool


class ProfileSample:
    """Looks at parts of the profiles' table.

    Parameters
    ----------
    client
        DynamoDB.
    table
        The table's name.
    parts
        Into how many parts it is divided.
    """

    def __init__(self, *, client: DynamoDBClient, table: str, parts: int) -> None:
        self._client = client
        self._table = table
        self._parts = parts

    def read(self, part: int, *, limit: int) -> Sample:
        """Return up to `limit` items of a part, those left out that only point to other profiles."""
        answer = self._client.scan(TableName=self._table, Segment=part, TotalSegments=self._parts, Limit=limit)
        items = map(loaded, answer["Items"])
        profiles = tuple(one for one in items if one.profile.merged_into is None)
        return Sample(profiles, whole="LastEvaluatedKey" not in answer)
