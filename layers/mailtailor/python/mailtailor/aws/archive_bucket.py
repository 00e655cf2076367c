"""The bucket of archived events."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECTIONS: Final = 32
"""Requests at once when much is read: S3 answers a small one in some 20 ms, most of which is waiting."""


class OutOfTime(Exception):
    """There was no time to read all that was asked for."""


class UnreadableFile(Exception):
    """A file that was listed cannot be fetched; the message is its name."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the archive and its size in bytes."""

    key: str
    size: int


def _never() -> bool:
    return False


class ArchiveBucket:
    """Keeps Parquet files.

    Parameters
    ----------
    client, bucket
        S3 and the bucket's name. To read, the client should have `CONNECTIONS`.
    """

    def __init__(self, *, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, key: str, parquet: bytes) -> None:
        """Store a file; it is durable when this returns. The SDK sends a checksum that S3 verifies."""
        self._client.put_object(
            Bucket=self._bucket, Key=key, Body=parquet, ContentType="application/vnd.apache.parquet"
        )

    def folders(self, prefix: str) -> list[str]:
        """Return the folders directly below `prefix`, each with its slash."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, Delimiter="/"
        )
        return [folder["Prefix"] for page in pages for folder in page.get("CommonPrefixes", [])]

    def files(self, prefixes: Iterable[str]) -> list[StoredFile]:
        """Return all files below `prefixes`."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return [file for found in pool.map(self._below, prefixes) for file in found]

    def _below(self, prefix: str) -> list[StoredFile]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return [StoredFile(stored["Key"], stored["Size"]) for page in pages for stored in page.get("Contents", [])]

    def download(
        self, files: Sequence[StoredFile], folder: Path, *, out_of_time: Callable[[], bool] = _never
    ) -> list[str]:
        """Copy files below `folder`, many at once, and return their paths; names stay, so that errors name the file.

        Raises
        ------
        OutOfTime
            As soon as `out_of_time` says so; what was copied stays.
        UnreadableFile
            If one cannot be fetched.
        """

        def fetch(file: StoredFile) -> str:
            if out_of_time():
                raise OutOfTime
            path = folder / file.key
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("wb") as target:
                    shutil.copyfileobj(self._client.get_object(Bucket=self._bucket, Key=file.key)["Body"], target)
            except Exception as error:
                raise UnreadableFile(file.key) from error
            return str(path)

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            try:
                return list(pool.map(fetch, files))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
