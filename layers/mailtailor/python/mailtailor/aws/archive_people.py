"""Everybody in a bucket of the archive, each with all their archived events, a chunk after the other.

A person's events are in the bucket of each profile that became theirs. So whoever has rows in a bucket is looked up
first, and what other ids of theirs may have is fetched out of the other buckets, at once for all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mailtailor.aws.archive_bucket import ArchiveBucket
from mailtailor.aws.archive_copies import ArchiveCopies
from mailtailor.aws.erased_profiles import ErasedProfiles
from mailtailor.aws.observability import logger
from mailtailor.events import archive, histories
from mailtailor.events.event import Event
from mailtailor.profiles.processing import MAX_HOPS
from mailtailor.profiles.profile import Profile
from mailtailor.profiles.recompute import Person
from mailtailor.profiles.store import ProfileStore

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PROFILES_AT_ONCE: Final = 100_000
"""As many are looked up before the first is handed out."""


@dataclass(frozen=True, slots=True)
class _Whose:
    """To whom an id in the archive leads, and all ids of theirs."""

    person: str
    ids: frozenset[str]


@dataclass(slots=True)
class People:
    """Those of a bucket, or as many of them as are looked up at once.

    Attributes
    ----------
    last
        Whether there are no others after them.
    unreadable
        Names of the files that were left out.
    """

    last: bool
    unreadable: list[str]
    _chunks: Iterator[tuple[str, list[Person]]] = field(repr=False)

    def __iter__(self) -> Iterator[tuple[str, list[Person]]]:
        """Yield some people, with the id up to which all are done then."""
        return self._chunks


class ArchivePeople:
    """Reads a bucket.

    Parameters
    ----------
    bucket, duckdb
        The archive, and what reads its files.
    erased
        Whose rows are left out, as they may stand in files for a while.
    profiles
        Tells who became part of whom.
    """

    def __init__(
        self, *, bucket: ArchiveBucket, duckdb: DuckDBPyConnection, erased: ErasedProfiles, profiles: ProfileStore
    ) -> None:
        self._bucket = bucket
        self._duckdb = duckdb
        self._erased = erased
        self._profiles = profiles

    @contextmanager
    def of(self, number: int, *, after: str, skip_unreadable: bool) -> Iterator[People]:
        """Open a bucket's people whose ids in the archive come after one.

        Raises
        ------
        UnreadableFile
            If a file cannot be fetched or read and is not to be skipped; the message names it.
        """
        with tempfile.TemporaryDirectory(prefix="people-") as directory:
            files = ArchiveCopies(self._bucket, self._duckdb, Path(directory), skip_unreadable=skip_unreadable)
            own = files.fetch([number])
            in_order = Path(directory) / "in-order.parquet"
            found: list[histories.Found] = []
            if own:
                with files.named():
                    histories.sort(self._duckdb, own, in_order, after=after)
                found = histories.found(self._duckdb, [str(in_order)], after=after, most=PROFILES_AT_ONCE)
            whose = self._resolve([one.profile_id for one in found])
            wanted = frozenset(other for found_id, one in whose.items() for other in one.ids - {found_id})
            others = files.rows_of(wanted)
            logger.info("Reading a bucket.", bucket=number, profiles=len(found), others=len(wanted))
            chunks = self._chunks(found, whose, [str(in_order)], others)
            yield People(len(found) < PROFILES_AT_ONCE, files.unreadable, chunks)

    def _resolve(self, ids: Sequence[str]) -> dict[str, _Whose]:
        """Return to whom each id leads. Who cannot be read, or leads nowhere, is taken for themselves."""
        resolved: dict[str, _Whose] = {}
        for start in range(0, len(ids), histories.PROFILES_AT_ONCE):
            some = ids[start : start + histories.PROFILES_AT_ONCE]
            known: dict[str, Profile] = {}
            targets: Collection[str] = some
            for _ in range(MAX_HOPS):
                known |= {one: loaded.profile for one, loaded in self._profiles.load(targets).items()}
                targets = {one.merged_into for one in known.values() if one.merged_into} - known.keys()
                if not targets:
                    break
            resolved |= {one: _whose(one, known) for one in some}
        return resolved

    def _chunks(
        self,
        found: Sequence[histories.Found],
        whose: Mapping[str, _Whose],
        own: Sequence[str],
        others: Sequence[str],
    ) -> Iterator[tuple[str, list[Person]]]:
        for ids in histories.in_chunks(found):
            by_person: dict[str, set[str]] = {}
            for one in ids:
                by_person.setdefault(whose[one].person, set()).add(one)
            elsewhere = {other for one in ids for other in whose[one].ids} - set(ids)
            events = histories.in_range(self._duckdb, own, first=ids[0], last=ids[-1])
            events |= histories.of(self._duckdb, others, elsewhere)
            # Read after the rows: whoever is erased from now on is erased from the archive alone.
            erased = {one.profile_id: one.at for one in sorted(self._erased.read())}
            for profile_id in events.keys() & erased.keys():
                events[profile_id] = [e for e in events[profile_id] if e.received_at >= erased[profile_id]]
            yield ids[-1], [_person(person, theirs, whose, events) for person, theirs in by_person.items()]


def _whose(found_id: str, known: Mapping[str, Profile]) -> _Whose:
    profile = known[found_id]
    for _ in range(MAX_HOPS):
        if profile.merged_into is None or profile.merged_into not in known:
            break
        profile = known[profile.merged_into]
    return _Whose(profile.id, profile.identities | {profile.id, found_id})


def _person(
    person: str, found: Collection[str], whose: Mapping[str, _Whose], events: Mapping[str, Sequence[Event]]
) -> Person:
    ids = frozenset(chain.from_iterable(whose[one].ids for one in found))
    with_rows = [one for one in ids if one in events]
    if len(with_rows) == 1:
        theirs = events[with_rows[0]]
    else:
        theirs = archive.once_each(chain.from_iterable(events[one] for one in with_rows))
    # Of several buckets and chunks that meet somebody, the one with the least of their ids counts them.
    return Person(person, ids, theirs, counted=min(with_rows, default="") in found)
