"""Tells of everybody in a bucket of the archive how many would be in segments, by columns; nothing is written."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.aws.archive_copies import ArchiveCopies
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.estimate_message import Asked
from mailtailor.events import archive, joining
from mailtailor.profiles.estimate import estimate
from mailtailor.profiles.estimates import Estimates
from mailtailor.tracking.bursts import BurstSettings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Found:
    """What a bucket told.

    Attributes
    ----------
    estimates
        One for each set of definitions.
    unreadable
        Names of the files that were left out.
    """

    estimates: tuple[Estimates, ...]
    unreadable: tuple[str, ...] = ()


class BucketEstimator:
    """Estimates buckets.

    Parameters
    ----------
    bucket, duckdb
        The archive, and what reads its files.
    erased
        Whose rows are left out, as they may stand in files for a while.
    bursts
        What of opens and clicks is a machine's.
    """

    def __init__(
        self, *, bucket: ArchiveBucket, duckdb: DuckDBPyConnection, erased: ErasedProfiles, bursts: BurstSettings
    ) -> None:
        self._bucket = bucket
        self._duckdb = duckdb
        self._erased = erased
        self._bursts = bursts

    def estimate(self, asked: Asked) -> Found:
        """Return what a bucket tells.

        Raises
        ------
        UnreadableFile
            If a file cannot be fetched or read and is not to be skipped; the message names it.
        BadReference
            If a segment refers to one that there is not.
        """
        with tempfile.TemporaryDirectory(prefix="estimate-") as directory:
            copies = ArchiveCopies(self._bucket, self._duckdb, Path(directory), skip_unreadable=asked.skip_unreadable)
            files = copies.fetch([asked.bucket])
            # Read after the rows, so that nobody counts whose rows the copies still have.
            erasures = [one for one in self._erased.read() if archive.bucket(one.profile_id) == asked.bucket]
            with copies.named():
                files = joining.without_erased(self._duckdb, files, erasures=erasures)
                estimates = tuple(
                    estimate(self._duckdb, files, definitions, asked.at, bursts=self._bursts)
                    for definitions in asked.definitions
                )
        return Found(estimates, tuple(copies.unreadable))
