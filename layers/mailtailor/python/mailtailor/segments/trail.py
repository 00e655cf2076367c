"""The trail of somebody's flips in a segment: when they entered and left, why, and who was in it when. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mailtailor.events.flips import Occasion, PastFlip
from mailtailor.instant import Instant, to_iso
from mailtailor.segments.engine import Membership
from mailtailor.segments.wording import moment

EVENT: Final = "event"
_BECAUSE: Final[Mapping[str, str]] = {
    "time": "by time",
    "consent": "because what they allowed changed",
    "definition": "because the definition changed",
    "merge": "because this profile became part of another",
    "rebuild": "because they were evaluated anew from the archive",
}


@dataclass(frozen=True, slots=True)
class Trail:
    """What is known of somebody's flips.

    Attributes
    ----------
    flips
        Each once, the newest first; those of profiles that became part of theirs included.
    since
        The instant from which on none is missing, but for those of the last minutes.
    whole
        Whether there is nothing earlier to be looked at.
    """

    flips: tuple[PastFlip, ...]
    since: Instant
    whole: bool

    def of(self, profile_id: str) -> list[PastFlip]:
        """Return the flips of one profile alone."""
        return [flip for flip in self.flips if flip.profile_id == profile_id]


def event_id(flip: PastFlip) -> str:
    """Return the id of the event that made somebody flip; empty if none did."""
    kind, _, named = flip.reason.partition(":")
    return named if kind == EVENT else ""


def because(flip: PastFlip, occasion: Occasion | None) -> str:
    """Return why somebody flipped, in words."""
    if not (named := event_id(flip)):
        return _BECAUSE.get(flip.reason, flip.reason)
    told = f"because of event {named}"
    return f"{told} ({occasion.type}, {moment(occasion.occurred_at)})" if occasion else told


def was_member(trail: Trail, profile_id: str, stored: Membership, at: Instant) -> bool | None:
    """Return whether a profile was a member at an instant; None if the trail does not reach back so far.

    Parameters
    ----------
    trail
        Its flips.
    profile_id, stored
        The profile, and its membership as it is stored now.
    at
        When.
    """
    if stored.member and 0 < stored.since <= at:
        return True
    own = trail.of(profile_id)
    for flip in own:
        if flip.at <= at:
            return flip.entered
    if at < trail.since or (stored.member and not stored.since):
        return None
    # Nothing happened between `since` and the first flip that is known.
    return bool(own) and not own[-1].entered


def told(
    trail: Trail,
    *,
    profile_id: str,
    stored: Membership,
    occasions: Mapping[str, Occasion],
    most: int,
    then: Instant | None,
) -> dict[str, Any]:
    """Return the trail as JSON.

    Parameters
    ----------
    trail, profile_id, stored
        As `was_member` takes them.
    occasions
        Events by their id, those that are known.
    most
        How many flips are told.
    then
        The instant in the past that was asked for, if any.
    """
    payload: dict[str, Any] = {
        "flips": [_payload(flip, occasions.get(event_id(flip))) for flip in trail.flips[:most]],
        "notes": list(_notes(trail, profile_id, stored, most)),
    }
    if then is not None:
        payload["was_member"] = was_member(trail, profile_id, stored, then)
    return payload


def _payload(flip: PastFlip, occasion: Occasion | None) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "entered": flip.entered,
        "at": to_iso(flip.at),
        "reason": flip.reason.partition(":")[0],
        "because": because(flip, occasion),
        "profile_id": flip.profile_id,
        "version": flip.version,
    }
    if named := event_id(flip):
        payload["event"] = {"id": named}
        if occasion:
            payload["event"] |= {"type": occasion.type, "occurred_at": to_iso(occasion.occurred_at)}
    return payload


def _notes(trail: Trail, profile_id: str, stored: Membership, most: int) -> Iterator[str]:
    newest = next(iter(trail.of(profile_id)), None)
    if stored.member and not (newest and newest.entered and newest.at == stored.since):
        entered = f"They entered on {moment(stored.since)}" if stored.since else "They entered"
        yield f"{entered}; why is not in the archive yet, or was told before flips were kept."
    elif not stored.member and newest and newest.entered:
        yield "They left; when and why is not in the archive yet."
    if len(trail.flips) > most:
        yield "There are earlier flips: ask for more of them."
    elif not trail.whole:
        yield f"Flips published before {moment(trail.since)} were not looked at."
