"""Flips as they are kept: who entered or left a segment, when and why, long after the profile has forgotten it.

They travel to the archive as messages of many. A message may come twice, so whoever reads takes each flip once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from mailtailor.instant import Instant

VERSION: Final = 1
FLIPS_A_MESSAGE: Final = 100
"""About 20 KB: a tenth of a cent would pay for a million flips."""
END_OF_TIME: Final[Instant] = 253_402_300_800_000
"""The end of the year 9999, beyond which neither Parquet's readers nor Python's dates reach."""


@dataclass(frozen=True, slots=True)
class PastFlip:
    """A flip that was published.

    Attributes
    ----------
    profile_id, segment
        Whose membership of what.
    entered
        Whether the profile became a member.
    at
        When it became true.
    reason
        `event:<event id>`, `time`, `consent`, `definition`, `merge` or `rebuild`.
    version
        The profile's version by the write that flipped.
    valid_until
        When time alone may change it again; None if never.
    published_at
        When it was read from the profiles' stream; of repeats, the first time counts.
    definitions
        The fingerprint of the definitions that said it; empty if none did, as when a profile becomes part of another.
    """

    profile_id: str
    segment: str
    entered: bool
    at: Instant
    reason: str
    version: int
    valid_until: Instant | None
    published_at: Instant
    definitions: str

    @property
    def key(self) -> tuple[str, str, int, Instant]:
        """The same for all repeats.

        The version tells a profile's writes apart; the instant does so if a profile was deleted and made anew.
        """
        return self.profile_id, self.segment, self.version, self.at


class Occasion(NamedTuple):
    """The event that made somebody flip: of what type, and when it happened."""

    type: str
    occurred_at: Instant


def once_each(flips: Iterable[PastFlip]) -> list[PastFlip]:
    """Return each flip once, the newest first."""
    first: dict[tuple[str, str, int, Instant], PastFlip] = {}
    for flip in sorted(flips, key=lambda one: one.published_at):
        first.setdefault(flip.key, flip)
    return sorted(first.values(), key=lambda one: (one.at, one.version, one.profile_id), reverse=True)


def pack(flips: Sequence[PastFlip]) -> Iterator[str]:
    """Yield the messages that take flips to the archive."""
    for start in range(0, len(flips), FLIPS_A_MESSAGE):
        some = [_fields(flip) for flip in flips[start : start + FLIPS_A_MESSAGE]]
        yield json.dumps({"v": VERSION, "flips": some}, separators=(",", ":"))


def _fields(flip: PastFlip) -> dict[str, Any]:
    return {name: getattr(flip, name) for name in PastFlip.__slots__}


def unpack(body: str) -> list[PastFlip]:
    """Return the flips of a message.

    Raises
    ------
    ValueError
        If the message is not one of ours.
    """
    match json.loads(body):
        case {"v": 1, "flips": list(flips)}:
            return [_flip(one) for one in flips]
    raise ValueError(f"not a message of flips of version {VERSION}")


def _flip(fields: Mapping[str, Any]) -> PastFlip:
    match fields:
        case {
            "profile_id": str(profile_id),
            "segment": str(segment),
            "entered": bool(entered),
            "at": int(at),
            "reason": str(reason),
            "version": int(version),
            "valid_until": None | int() as until,
            "published_at": int(published_at),
            "definitions": str(definitions),
        } if profile_id and 0 <= at < END_OF_TIME and 0 <= published_at < END_OF_TIME:
            until = until if until is not None and until < END_OF_TIME else None
            return PastFlip(profile_id, segment, entered, at, reason, version, until, published_at, definitions)
    raise ValueError("not a flip")
