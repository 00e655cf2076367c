"""What the archive knows of a person."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mailtailor.aws.archive_bucket import ArchiveBucket, StoredFile, shares
from mailtailor.aws.erased_profiles import ErasedProfiles
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
    erased
        Who asked to be forgotten; their rows may stand in files for a while.
    """

    def __init__(self, *, bucket: ArchiveBucket, duckdb: DuckDBPyConnection, erased: ErasedProfiles) -> None:
        self._bucket = bucket
        self._duckdb = duckdb
        self._erased = erased

    def __call__(self, profile_ids: Collection[str], since: Instant) -> list[Event]:
        """Return the events of a person's profiles received since that day, each once, in order of their time.

        Raises
        ------
        UnreadableFile, duckdb.Error
            If a file cannot be fetched or read; the message names it. Something is never silently left out.
        """
        first = archive.day_folder(since)

        def listed() -> list[StoredFile]:
            days = [day for day in self._bucket.folders(archive.EVENTS) if day >= first]
            files = self._bucket.files(archive.bucket_folders(days, profile_ids))
            size = sum(file.size for file in files)
            logger.info("Reading the archive.", days=len(days), files=len(files), bytes=size)
            return files

        def read(files: Sequence[StoredFile]) -> list[Event]:
            events: list[Event] = []
            for some in shares(files, most_files=FILES_AT_ONCE, most_bytes=BYTES_AT_ONCE):
                with tempfile.TemporaryDirectory(prefix="history-") as folder:
                    events += archive.read(self._duckdb, self._bucket.download(some, Path(folder)), profile_ids)
            return events

        events = self._bucket.whole(listed, read)
        erased = self._erased.among(profile_ids)
        return archive.once_each(
            event for event in events if event.received_at >= erased.get(event.profile_id or "", 0)
        )
