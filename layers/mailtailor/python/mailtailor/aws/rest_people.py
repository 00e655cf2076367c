"""Profiles that others than the active definitions evaluated, as they stand in the table.

What segments need of them is remembered already, so they are looked for in the table and not in the archive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mailtailor.aws.archive_people import People
from mailtailor.aws.profile_table import ProfileTable
from mailtailor.events.archive import BUCKETS
from mailtailor.profiles.recompute import Person


class RestPeople:
    """Finds them, part by part of the table: as many parts as the archive has buckets.

    Parameters
    ----------
    profiles
        The table.
    fingerprint
        Returns the fingerprint of the active definitions.
    """

    def __init__(self, *, profiles: ProfileTable, fingerprint: Callable[[], str]) -> None:
        self._profiles = profiles
        self._fingerprint = fingerprint

    @contextmanager
    def of(self, number: int, *, after: str, skip_unreadable: bool) -> Iterator[People]:  # noqa: ARG002 - of no file
        """Open those of a part of the table who come after one."""
        yield People(True, [], self._chunks(number, after))

    def _chunks(self, number: int, after: str) -> Iterator[tuple[str, list[Person]]]:
        pages = self._profiles.not_evaluated_by(self._fingerprint(), part=number, parts=BUCKETS, after=after)
        for last, found in pages:
            yield last, [Person(one, identities | {one}, ()) for one, identities in found]
