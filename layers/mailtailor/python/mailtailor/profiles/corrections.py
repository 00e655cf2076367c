"""Corrections: opens and clicks that turn out to be machines', and events that are deleted.

What an open or click shows by itself is its label when it arrives; what shows only later corrects it.

A correction is an event of its own, `event_corrected`, that names the corrected one; the archive keeps both. With
`deleted: true` it says of any event that it did not happen at all: an order of a test, a refund entered by mistake.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from mailtailor.events.event import MAX_EVENT_ID, Event
from mailtailor.instant import Instant
from mailtailor.profiles.profile import Profile
from mailtailor.segments.features import HITS
from mailtailor.segments.memory import Memory
from mailtailor.tracking.machine import label

TYPE: Final = "event_corrected"


def labelled(event: Event) -> Event:
    """Return `event` with what it shows by itself: `machine`, the reason why no person made it, or `proxy`."""
    if event.type not in HITS:
        return event
    verdict = label(event.type, event.properties)
    shown = {name: value for name, value in (("machine", verdict.machine), ("proxy", verdict.proxy)) if value}
    return event.model_copy(update={"properties": {**event.properties, **shown}}) if shown else event


def found(profile: Profile, *, memory: Memory, now: Instant) -> list[Event]:
    """Take out of what counts the hits that others have shown to be a machine's; return the corrections that say so."""
    return [
        correction(profile.id, event_id, at=at, reason=reason, now=now)
        for event_id, (at, reason) in sorted(memory.judge(profile.streams).items())
    ]


def correction(profile_id: str, event_id: str, *, at: Instant, reason: str, now: Instant) -> Event:
    """Return the event that says a machine made the hit `event_id`, which happened `at`.

    Its own id follows from the hit's, so that a correction found twice is the same one.
    """
    own_id = f"correction:{event_id}"
    if len(own_id) > MAX_EVENT_ID:
        own_id = f"correction:{blake2b(event_id.encode(), digest_size=16).hexdigest()}"
    return Event(
        id=own_id,
        type=TYPE,
        source="mailtailor",
        profile_id=profile_id,
        occurred_at=at,
        received_at=now,
        properties={"corrects": event_id, "machine": reason},
    )


def obey(profile: Profile, event: Event, *, memory: Memory, now: Instant) -> bool:
    """Take the hit, or the deleted event, that a correction from outside names out of what counts.

    Returns
    -------
    Whether something may be missing now that was pruned before.
    """
    corrected = event.properties.get("corrects")
    if not isinstance(corrected, str) or not 0 < len(corrected) <= MAX_EVENT_ID:
        # The id of no event, and the profile would remember it.
        return False
    deleted = is_deletion(event)
    short = memory.forget(
        profile.streams,
        event_id=corrected,
        at=event.occurred_at,
        properties=event.properties,
        seen=now,
        deleted=deleted,
    )
    # Of what kind a deleted event was, and when it happened, only the archive knows.
    return short or deleted


def is_deletion(event: Event) -> bool:
    """Return whether a correction says that the event did not happen."""
    return event.properties.get("deleted") is True
