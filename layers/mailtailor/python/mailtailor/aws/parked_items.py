"""The bucket's folder of items that could not be used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailtailor.events.parked import PREFIX, Parked, parse

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class ParkedItems:
    """Keeps what could not be used until somebody tries again; the bucket deletes it after weeks.

    Parameters
    ----------
    client, bucket
        S3 and the bucket's name.
    """

    client: S3Client
    bucket: str

    def park(self, parked: Parked) -> None:
        """Store items; they are durable when this returns."""
        self.client.put_object(
            Bucket=self.bucket, Key=parked.key, Body=parked.to_json().encode(), ContentType="application/json"
        )

    def listed(self, source: str = "") -> Iterator[str]:
        """Yield the keys of all, or of one source's, in order of the day."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=PREFIX)
        for page in pages:
            for stored in page.get("Contents", []):
                if not source or stored["Key"].split("/")[2] == source:
                    yield stored["Key"]

    def read(self, key: str) -> Parked:
        """Return what is stored under `key`."""
        return parse(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode())

    def remove(self, key: str) -> None:
        """Delete what was taken at last."""
        self.client.delete_object(Bucket=self.bucket, Key=key)
