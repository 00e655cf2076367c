"""Reads somebody's flips out of the archive, the newest first, and the events that made them flip."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mailtailor.aws.archive_bucket import ArchiveBucket, OutOfTime, StoredFile, shares
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.events import archive, flip_files
from mailtailor.events.flips import Occasion, PastFlip, once_each
from mailtailor.instant import DAY, Instant
from mailtailor.segments.trail import Trail, event_id

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DAYS_AT_ONCE: Final = 32
FILES_AT_ONCE: Final = 1_000
BYTES_AT_ONCE: Final = 200_000_000
"""Well below the 512 MB of disk that every function has. So much of the events is looked at, too."""


class FlipTrail:
    """Reads flips.

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

    def read(
        self,
        profile_ids: Collection[str],
        segment: str,
        *,
        most: int,
        then: Instant,
        known: Sequence[PastFlip] = (),
        out_of_time: Callable[[], bool],
    ) -> Trail:
        """Return the flips of a person's profiles in a segment.

        It looks back until there are more than `most` and one of them was before `then`, until there are no more, or
        until time is over.

        Parameters
        ----------
        known
            Flips that are known from elsewhere, and may be in the archive or not.

        Raises
        ------
        UnreadableFile, duckdb.Error
            If a file cannot be fetched or read; the message names it.
        """
        days = sorted(self._bucket.folders(archive.FLIPS), reverse=True)
        erased = self._erased.among(profile_ids)
        found = once_each(known)
        since, read = then, 0
        for read in range(DAYS_AT_ONCE, len(days) + DAYS_AT_ONCE, DAYS_AT_ONCE):
            some = days[read - DAYS_AT_ONCE : read]
            try:
                flips = self._of_days(some, profile_ids, segment, out_of_time)
            except OutOfTime:
                return Trail(tuple(found), since, whole=False)
            found = once_each([*found, *(one for one in flips if not _is_erased(one, erased.get(one.profile_id, 0)))])
            since, _ = archive.span(f"{some[-1]}bucket=00/")
            if len(found) > most and found[-1].at <= then:
                break
        return Trail(tuple(found), since, whole=read >= len(days))

    def _of_days(
        self, days: Sequence[str], profile_ids: Collection[str], segment: str, out_of_time: Callable[[], bool]
    ) -> list[PastFlip]:
        def read(files: Sequence[StoredFile]) -> list[PastFlip]:
            flips: list[PastFlip] = []
            for some in shares(files, most_files=FILES_AT_ONCE, most_bytes=BYTES_AT_ONCE):
                with tempfile.TemporaryDirectory(prefix="flips-") as folder:
                    paths = self._bucket.download(some, Path(folder), out_of_time=out_of_time)
                    flips += flip_files.read(self._duckdb, paths, profile_ids, segment)
            return flips

        return self._bucket.whole(lambda: self._bucket.files(archive.bucket_folders(days, profile_ids)), read)

    def occasions(self, flips: Sequence[PastFlip], *, out_of_time: Callable[[], bool]) -> dict[str, Occasion]:
        """Return the events that made somebody flip, by their ids: those received on the day of the flip or before.

        Where there is more to look at than can be while somebody waits, it is none.
        """
        by_events = {event_id(flip): flip for flip in flips if event_id(flip)}
        erased = self._erased.among({flip.profile_id for flip in flips})
        folders = {
            f"{day}bucket={archive.bucket(flip.profile_id):02}/"
            for flip in by_events.values()
            for day in (archive.day_folder(flip.at), archive.day_folder(max(0, flip.at - DAY)))
        }

        def read(files: Sequence[StoredFile]) -> dict[str, Occasion]:
            if len(files) > FILES_AT_ONCE or sum(file.size for file in files) > BYTES_AT_ONCE:
                raise OutOfTime
            with tempfile.TemporaryDirectory(prefix="occasions-") as folder:
                paths = self._bucket.download(files, Path(folder), out_of_time=out_of_time)
                return flip_files.occasions(self._duckdb, paths, by_events, erased)

        try:
            return self._bucket.whole(lambda: self._bucket.files(sorted(folders)), read)
        except OutOfTime:
            return {}


def _is_erased(flip: PastFlip, erased_at: Instant) -> bool:
    return min(flip.at, flip.published_at) < erased_at
