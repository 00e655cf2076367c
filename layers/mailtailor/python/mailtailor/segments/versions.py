"""Versions of the definitions: all segments at once, as they were applied, never changed afterwards."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from pydantic import TypeAdapter, ValidationError

from mailtailor.instant import Instant
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import BadReference, Engine

MAX_SEGMENTS: Final = 1_000
MAX_STORED_BYTES: Final = 350_000
"""Compressed; a version is one item of a table that takes 400 KB."""
MAX_BYTES: Final = 20_000_000
"""Unpacked, so that a damaged or hostile item cannot fill a function's memory."""
MAX_NOTE: Final = 500


@cache
def _segments() -> TypeAdapter[tuple[SegmentDefinition, ...]]:
    return TypeAdapter(tuple[SegmentDefinition, ...])


@dataclass(frozen=True, slots=True)
class Version:
    """The definitions of all segments at a time.

    Attributes
    ----------
    number
        Counts versions. 0 is what was deployed before any was applied.
    segments
        The definitions, by name.
    mark
        Makes the fingerprint of these definitions one of its own, for what an earlier version of the same definitions
        left unfinished counts for nothing. Versions that differ in descriptions alone share it.
    applied_at, note
        When it was stored, and what for.
    """

    number: int
    segments: tuple[SegmentDefinition, ...]
    mark: str = ""
    applied_at: Instant = 0
    note: str = ""

    @property
    def fingerprint(self) -> str:
        """What profiles that these definitions evaluated are known by."""
        return Engine(self.segments, mark=self.mark).fingerprint


class BadVersion(Exception):
    """Segments that are no version; the text is one sentence without its full stop."""


def checked(segments: Iterable[SegmentDefinition]) -> tuple[SegmentDefinition, ...]:
    """Return segments in the order of their names.

    Raises
    ------
    BadVersion
        If there are none or too many, one is there twice or refers to one that is not, or they would cost too much.
    """
    # Functions only read versions, and one of them has to start fast.
    from mailtailor.segments import cost  # noqa: PLC0415

    known = sorted(segments, key=lambda one: one.name)
    names = [one.name for one in known]
    if not known:
        raise BadVersion("there is no segment")
    if len(known) > MAX_SEGMENTS:
        raise BadVersion(f"there are {len(known):,} segments, and {MAX_SEGMENTS:,} is the most")
    if doubled := {one for one in names if names.count(one) > 1}:
        raise BadVersion(f"the segment {min(doubled)} is there twice")
    try:
        Engine(known)
        cost.check_all(known)
    except (BadReference, ValueError) as error:
        raise BadVersion(str(error)) from error
    return tuple(known)


def pack(segments: tuple[SegmentDefinition, ...]) -> bytes:
    """Return definitions as they are stored.

    Raises
    ------
    BadVersion
        If they are too large.
    """
    packed = zlib.compress(_segments().dump_json(segments, by_alias=True, exclude_unset=True), 9)
    if len(packed) > MAX_STORED_BYTES:
        raise BadVersion(f"the definitions are {len(packed):,} bytes when packed, and {MAX_STORED_BYTES:,} is the most")
    return packed


def unpack(packed: bytes) -> tuple[SegmentDefinition, ...]:
    """Return what was packed.

    Raises
    ------
    BadVersion
        If it is something else.
    """
    unpacker = zlib.decompressobj()
    try:
        document = unpacker.decompress(packed, MAX_BYTES)
        if not unpacker.eof:
            raise BadVersion("the stored definitions are not whole")
        return _segments().validate_json(document)
    except (zlib.error, ValidationError) as error:
        raise BadVersion(f"the stored definitions cannot be read: {type(error).__name__}") from error


def same_members(one: Iterable[SegmentDefinition], other: Iterable[SegmentDefinition]) -> bool:
    """Return whether two sets of definitions have the same members always: they differ in descriptions at most."""
    return Engine(one).fingerprint == Engine(other).fingerprint
