"""What the archive knows of a person."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mailtailor.aws.archive_bucket import ArchiveBucket, StoredFile
from mailtailor.aws.observability import logger
from mailtailor.events import archive
from mailtailor.events.event import Event
from mailtailor.instant import Instant

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FILES_AT_ONCE: Final = 1_000
BYTES_AT_ONCE: Final = 200_000_000
"""Well below the 512 MB of disk that every function has."""


class ArchiveHistory:
    """Reads the archived events of a person, a part of the files after the other, so that disk and memory suffice.

    Parameters
    ----------
    bucket, duckdb
        The archive, and what reads its files.
    """

    def __init__(self, *, bucket: ArchiveBucket, duckdb: DuckDBPyConnection) -> None:
        self._bucket = bucket
        self._duckdb = duckdb

    def __call__(self, profile_ids: Collection[str], since: Instant) -> list[Event]:
        """Return the events of a person's profiles received since that day, each once, in order of their time.

        Raises
        ------
        UnreadableFile, duckdb.Error
            If a file cannot be fetched or read; the message names it. Something is never silently left out.
        """
        first = archive.day_folder(since)
        days = [day for day in self._bucket.folders(archive.EVENTS) if day >= first]
        files = self._bucket.files(archive.bucket_folders(days, profile_ids))
        logger.info("Reading the archive.", days=len(days), files=len(files), bytes=sum(file.size for file in files))
        events: list[Event] = []
        for some in _shares(files):
            with tempfile.TemporaryDirectory(prefix="history-") as folder:
                events += archive.read(self._duckdb, self._bucket.download(some, Path(folder)), profile_ids)
        return archive.once_each(events)


def _shares(files: Sequence[StoredFile]) -> Iterator[list[StoredFile]]:
    share: list[StoredFile] = []
    size = 0
    for file in files:
        if share and (len(share) == FILES_AT_ONCE or size + file.size > BYTES_AT_ONCE):
            yield share
            share, size = [], 0
        share.append(file)
        size += file.size
    if share:
        yield share
