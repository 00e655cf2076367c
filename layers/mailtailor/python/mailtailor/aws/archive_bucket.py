"""The bucket of archived events."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class ArchiveBucket:
    """Keeps Parquet files.

    Parameters
    ----------
    client, bucket
        S3 and the bucket's name.
    """

    def __init__(self, *, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, key: str, parquet: bytes) -> None:
        """Store a file; it is durable when this returns. The SDK sends a checksum that S3 verifies."""
        self._client.put_object(
            Bucket=self._bucket, Key=key, Body=parquet, ContentType="application/vnd.apache.parquet"
        )
