"""Copies of the archive's files on disk, by bucket: where everybody in one is read from."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from mailtailor.aws.archive_bucket import ArchiveBucket, StoredFile, UnreadableFile, shares
from mailtailor.events import archive, histories, joining

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FILES_AT_ONCE: Final = 1_000
BYTES_AT_ONCE: Final = 200_000_000
"""Of other buckets' files; a bucket's own are on disk together."""


class ArchiveCopies:
    """Copies in a folder, less those that cannot be read, if these are to be skipped.

    Parameters
    ----------
    bucket, duckdb
        The archive, and what reads its files.
    folder
        Where they are copied to.
    skip_unreadable
        Whether files that cannot be fetched or read are left out, instead of failing.
    """

    def __init__(
        self, bucket: ArchiveBucket, duckdb: DuckDBPyConnection, folder: Path, *, skip_unreadable: bool
    ) -> None:
        self._bucket = bucket
        self._duckdb = duckdb
        self._folder = folder
        self._skip = skip_unreadable
        self._own: list[str] = []
        self.unreadable: list[str] = []
        """Names of the files that were left out."""

    def fetch(self, numbers: Collection[int]) -> list[str]:
        """Copy whole buckets and return the paths."""
        self._own = self._whole(numbers, lambda files: self._bucket.download(files, self._folder))
        if self._skip and (bad := joining.unreadable(self._duckdb, self._own)):
            self.unreadable += [self._key(path) for path in bad]
            self._own = [path for path in self._own if path not in bad]
        return self._own

    def rows_of(self, profiles: Collection[str]) -> list[str]:
        """Copy all rows of some profiles out of their buckets, share by share, and return the paths."""

        def read(files: Sequence[StoredFile]) -> list[str]:
            kept = []
            for number, some in enumerate(shares(files, most_files=FILES_AT_ONCE, most_bytes=BYTES_AT_ONCE)):
                target = self._folder / f"others-{number}.parquet"
                self._keep(some, profiles, target)
                kept.append(str(target))
            return kept

        return self._whole({archive.bucket(one) for one in profiles}, read) if profiles else []

    def _keep(self, files: Sequence[StoredFile], profiles: Collection[str], target: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="share-") as directory:
            paths = self._bucket.download(files, Path(directory))
            try:
                histories.keep(self._duckdb, paths, profiles, target)
            except duckdb.Error as error:
                bad = joining.unreadable(self._duckdb, paths)
                if not bad:
                    raise
                raise UnreadableFile(bad[0].removeprefix(f"{directory}/")) from error

    def _whole(self, numbers: Collection[int], read: Callable[[Sequence[StoredFile]], list[str]]) -> list[str]:
        def listed() -> list[StoredFile]:
            days = self._bucket.folders(archive.EVENTS)
            files = self._bucket.files(f"{day}bucket={number:02}/" for day in days for number in sorted(numbers))
            return [file for file in files if file.key not in self.unreadable]

        while True:
            try:
                return self._bucket.whole(listed, read)
            except UnreadableFile as error:
                if not self._skip:
                    raise
                self.unreadable.append(str(error))

    @contextmanager
    def named(self) -> Iterator[None]:
        """Name the file of a bucket that DuckDB cannot read."""
        try:
            yield
        except duckdb.Error as error:
            bad = joining.unreadable(self._duckdb, self._own)
            if not bad:
                raise
            raise UnreadableFile(", ".join(map(self._key, bad))) from error

    def _key(self, path: str) -> str:
        return path.removeprefix(f"{self._folder}/")
