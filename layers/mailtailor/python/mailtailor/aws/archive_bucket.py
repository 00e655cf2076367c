"""The bucket of archived events."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from mailtailor.aws.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECTIONS: Final = 32
"""Requests at once when much is read: S3 answers a small one in some 20 ms, most of which is waiting."""

LISTINGS: Final = 5
"""How often files are listed anew that were replaced while they were read; each joining replaces them once."""
MAX_KEYS: Final = 1_000
"""S3's limit of keys in one DeleteObjects."""

T = TypeVar("T")


class OutOfTime(Exception):
    """There was no time to read all that was asked for."""


class UnreadableFile(Exception):
    """A file that was listed cannot be fetched; the message is its name."""


class NotDeleted(Exception):
    """S3 kept some files that were to be deleted."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the archive and its size in bytes."""

    key: str
    size: int

    @property
    def folder(self) -> str:
        """The file's folder, with its slash."""
        return self.key[: self.key.rfind("/") + 1]


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

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files; those that are gone already are no error.

        Raises
        ------
        NotDeleted
            If S3 kept any.
        """
        wanted = list(keys)
        for start in range(0, len(wanted), MAX_KEYS):
            some = wanted[start : start + MAX_KEYS]
            answer = self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in some], "Quiet": True}
            )
            if errors := answer.get("Errors"):
                raise NotDeleted(f"{len(errors)} of {len(some)} files were kept: {errors[0].get('Code')}")

    def by_folder(self, prefix: str, *, after: str = "") -> Iterator[tuple[str, list[StoredFile]]]:
        """Yield each folder below `prefix` that has files, with its slash, and its files, in the order of names.

        Parameters
        ----------
        prefix
            Where to look.
        after
            A folder up to which, itself included, all are left out.
        """
        # "0" comes after the slash, and so after all names in the folder.
        start = f"{after.removesuffix('/')}0" if after else ""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, StartAfter=start
        )
        stored = (StoredFile(one["Key"], one["Size"]) for page in pages for one in page.get("Contents", []))
        for folder, files in groupby(stored, key=lambda file: file.folder):
            yield folder, list(files)

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

    def whole(self, listed: Callable[[], Sequence[StoredFile]], read: Callable[[Sequence[StoredFile]], T]) -> T:
        """Return what `read` makes of the files `listed`, which it downloads.

        Files are joined at any time. If one was listed and is gone when it is fetched, all are listed and read anew,
        for what was in it is in another file now.

        Raises
        ------
        UnreadableFile
            If a file is still there and cannot be fetched, or files were replaced again and again.
        """
        attempt = 1
        while True:
            files = listed()
            try:
                return read(files)
            except UnreadableFile as error:
                # Whether S3 says of a missing file that it is forbidden depends on rights, so the list decides.
                if attempt == LISTINGS or self.holds(str(error)):
                    raise
                logger.info("Files were joined while they were read.", file=str(error), attempt=attempt)
                attempt += 1

    def holds(self, key: str) -> bool:
        """Return whether there is a file of that name."""
        return any(file.key == key for file in self._below(key))

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


def shares(files: Iterable[StoredFile], *, most_files: int, most_bytes: int) -> Iterator[list[StoredFile]]:
    """Yield the files in shares that are small enough to be on disk at once; one that is too large comes alone."""
    share: list[StoredFile] = []
    size = 0
    for file in files:
        if share and (len(share) == most_files or size + file.size > most_bytes):
            yield share
            share, size = [], 0
        share.append(file)
        size += file.size
    if share:
        yield share
