"""Flips as the profiles' stream carries them: in the item that the write which flipped left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mailtailor.esp.membership_change import MembershipChange
from mailtailor.events.flips import PastFlip
from mailtailor.instant import Instant


def changes(record: Mapping[str, Any]) -> list[MembershipChange]:
    """Return the flips of a stream record, none if its write flipped nothing.

    A flip's attributes are read as `profile_item` wrote them: a lookup of four fixed names needs no deserializer.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the record is none of the profiles' table.
    """
    image = record["dynamodb"].get("NewImage", {})
    if "flips" not in image:
        return []
    return [
        MembershipChange(
            profile_id=image["id"]["S"],
            segment=flip["M"]["segment"]["S"],
            entered=flip["M"]["entered"]["BOOL"],
            version=int(image["version"]["N"]),
            at=int(flip["M"]["at"]["N"]),
            reason=flip["M"]["reason"]["S"],
            valid_until=int(flip["M"]["valid_until"]["N"]) if "valid_until" in flip["M"] else None,
        )
        for flip in image["flips"]["L"]
    ]


def past_flips(record: Mapping[str, Any], *, published_at: Instant) -> list[PastFlip]:
    """Return the flips of a stream record as they are kept; raise as `changes` does."""
    definitions = record["dynamodb"].get("NewImage", {}).get("definitions", {}).get("S", "")
    return [
        PastFlip(
            profile_id=change.profile_id,
            segment=change.segment,
            entered=change.entered,
            at=change.at,
            reason=change.reason,
            version=change.version,
            valid_until=change.valid_until,
            published_at=published_at,
            definitions=definitions,
        )
        for change in changes(record)
    ]
