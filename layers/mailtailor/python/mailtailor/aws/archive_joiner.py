"""Joins files in the archive's bucket, and thereby erases rows.

The order makes a death between any two requests, and a second run at the same time, harmless: the joined file is
durable before anything is deleted, so rows are at most there twice, which readers and the next joining mend. Whoever is
erased while files are joined is in the list before anybody looks for their files, so a list that is still the same once
the joined file is stored has everybody whose rows that file could have brought back.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from mailtailor.aws.archive_bucket import ArchiveBucket, StoredFile, UnreadableFile, shares
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.observability import count, logger
from mailtailor.events import joining
from mailtailor.events.joining import Erasure, Joined, JoinedWrong

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FILES_AT_ONCE: Final = 2_000
BYTES_AT_ONCE: Final = 64_000_000
"""What is joined at once fits, unpacked and sorted, into a gigabyte, and three times into the 512 MB of disk."""
LARGE: Final = BYTES_AT_ONCE // 2
"""A joined file of this size is not joined again: it could only be joined with less than itself."""
ATTEMPTS: Final = 3


class Unreadable(Exception):
    """Some files cannot be read, so what they are to be joined with stays as it is.

    Parameters
    ----------
    keys
        Their names.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(", ".join(keys))
        self.keys = list(keys)


class Changing(Exception):
    """Somebody else is replacing the files; the next run finds what they left."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was done to a folder."""

    files: int = 0
    rows: int = 0
    erased: int = 0

    def __add__(self, other: Done) -> Done:
        return Done(self.files + other.files, self.rows + other.rows, self.erased + other.erased)


def due(files: Sequence[StoredFile]) -> list[list[StoredFile]]:
    """Return the files of a folder to join, in the shares in which to do it; none if it is as it should be.

    Each share has a file that was never joined, or several, so that each joining leaves fewer of those or of all.
    """
    wanted = [file for file in files if not joining.is_joined(file.key) or file.size < LARGE]
    return [
        share
        for share in shares(wanted, most_files=FILES_AT_ONCE, most_bytes=BYTES_AT_ONCE)
        if len(share) > 1 or not joining.is_joined(share[0].key)
    ]


class ArchiveJoiner:
    """Joins files.

    Parameters
    ----------
    bucket, duckdb
        The archive, and what reads and writes its files.
    erased
        Whose rows are left out.
    """

    def __init__(self, *, bucket: ArchiveBucket, duckdb: DuckDBPyConnection, erased: ErasedProfiles) -> None:
        self._bucket = bucket
        self._duckdb = duckdb
        self._erased = erased

    def join(self, folder: str, files: Sequence[StoredFile], *, erasing: bool = False) -> Done:
        """Replace files of a folder by one that holds each of their rows once, without those to be erased.

        If that is more than memory holds, it becomes several.

        Parameters
        ----------
        folder, files
            What to join.
        erasing
            Whether a file is written anew that was joined before and has nothing to be joined with.

        Raises
        ------
        Unreadable
            If any of them cannot be read; then all stay.
        Changing
            If others are replacing them.
        JoinedWrong, NotDeleted, ClientError, BotoCoreError
            If it could not be finished; nothing is lost, and the next run does it again.
        """
        with tempfile.TemporaryDirectory(prefix="join-") as directory:
            paths = self._download(files, Path(directory))
            try:
                done = self._replace(folder, files, paths, Path(directory) / "joined.parquet")
            except duckdb.OutOfMemoryException:
                if len(files) == 1:
                    raise
            except duckdb.Error as error:
                raise self._damaged(error, files, paths) from error
            else:
                logger.info("Files were joined.", folder=folder, files=done.files, rows=done.rows, erased=done.erased)
                count("FilesJoined", done.files)
                count("RowsErased", done.erased)
                return done
        done, half = Done(), len(files) // 2
        for some in (files[:half], files[half:]):
            if erasing or len(some) > 1 or not joining.is_joined(some[0].key):
                done += self.join(folder, some, erasing=erasing)
        return done

    def rewrite(self, folder: str, files: Sequence[StoredFile]) -> Done:
        """Erase what is to be erased from the files of a folder; those that have nothing of it stay as they are.

        Raises
        ------
        Unreadable, Changing and others
            As `join`.
        """
        erasures = self._erased.read()
        done = Done()
        for share in shares(files, most_files=FILES_AT_ONCE, most_bytes=BYTES_AT_ONCE):
            affected = self._affected(folder, share, erasures)
            if affected:
                done += self.join(folder, affected, erasing=True)
        return done

    def _affected(self, folder: str, files: Sequence[StoredFile], erasures: frozenset[Erasure]) -> list[StoredFile]:
        with tempfile.TemporaryDirectory(prefix="erase-") as directory:
            paths = self._download(files, Path(directory))
            try:
                return [
                    file
                    for file, path in zip(files, paths, strict=True)
                    if joining.erasable(self._duckdb, path, folder=folder, erasures=erasures)
                ]
            except duckdb.Error as error:
                raise self._damaged(error, files, paths) from error

    def _download(self, files: Sequence[StoredFile], directory: Path) -> list[str]:
        try:
            return self._bucket.download(files, directory)
        except UnreadableFile as error:
            if self._bucket.holds(str(error)):
                raise Unreadable([str(error)]) from error
            raise Changing(str(error)) from error

    def _replace(self, folder: str, files: Sequence[StoredFile], paths: Sequence[str], target: Path) -> Done:
        old = [file.key for file in files]
        fresh = ""
        for _ in range(ATTEMPTS):
            erasures = self._erased.read()
            joined = joining.join(self._duckdb, paths, target, folder=folder, erasures=erasures)
            before, fresh = fresh, self._store(old, target, joined)
            if before and before != fresh:
                self._bucket.delete([before])
            if self._erased.read() == erasures:
                self._bucket.delete(old)
                return Done(len(old), joined.rows, joined.erased)
        raise Changing(folder)

    def _store(self, old: Sequence[str], target: Path, joined: Joined) -> str:
        if not joined.rows:
            return ""
        content = target.read_bytes()
        key = joining.joined_key(old, content)
        self._bucket.put(key, content)
        return key

    def _damaged(self, error: duckdb.Error, files: Sequence[StoredFile], paths: Sequence[str]) -> Exception:
        bad = set(joining.unreadable(self._duckdb, paths))
        keys = [file.key for file, path in zip(files, paths, strict=True) if path in bad]
        return Unreadable(keys) if keys else JoinedWrong(str(error))
