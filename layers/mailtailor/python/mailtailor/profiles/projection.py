"""Applies events and the passing of time to a profile. Pure: no store, no clock.

Applying is idempotent and does not depend on the order of arrival, except that behaviour which arrives before the
consent for it is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from mailtailor.consent.policy import Purpose, allows, may_record, stated, stricter
from mailtailor.events.browser_keys import WEB
from mailtailor.events.event import Event
from mailtailor.instant import FOREVER, Instant
from mailtailor.profiles import corrections
from mailtailor.profiles.profile import Attribute, Flip, Profile
from mailtailor.segments.engine import NOT_A_MEMBER, Engine, Membership
from mailtailor.segments.features import HITS
from mailtailor.segments.memory import Memory

MAX_ATTRIBUTES: Final = 100
MAX_ATTRIBUTE_BYTES: Final = 8_192
MAX_IDENTITIES: Final = 100
"""Without bounds a sender could fill a profile up to DynamoDB's 400 KB, and then not even an exit could be written."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying events did, besides changing the profile."""

    accepted: tuple[Event, ...]
    """Events that the profile's consent admits, and the corrections they gave rise to; they belong in the archive."""
    corrected: int
    """How many of them are such corrections."""
    refused: int
    """Events dropped for want of consent."""
    dropped: int
    """Attributes dropped for want of room."""
    flips: tuple[Flip, ...]


def apply(profile: Profile, events: Iterable[Event], *, engine: Engine, now: Instant) -> Applied:
    """Apply `events` to `profile`, in order of their own time, and evaluate all segments."""
    accepted: list[Event] = []
    refused = 0
    touched: set[str] = set()
    consented = allows(profile.consent, Purpose.PERSONALIZATION)
    for event in sorted(events, key=_order):
        if event.consent:
            profile.consent = stated(profile.consent, event.consent, event.occurred_at)
            touched |= engine.affected_by_consent
        if not may_record(profile.consent, event.type):
            refused += 1
            continue
        labelled = corrections.labelled(event)
        accepted.append(labelled)
        for name, value in labelled.attributes.items():
            state(profile, name, Attribute(value, labelled.occurred_at))
        touched |= engine.affected_by_attributes(labelled.attributes)
        touched.update(_record(profile, labelled, engine=engine, now=now))
    corrected = corrections.found(profile, memory=engine.memory, now=now)
    accepted += corrected
    touched |= engine.affected_by_hits if corrected else set()
    if any(event.attributes for event in accepted):
        before = profile.attributes.keys()
        dropped = _make_room(profile)
        touched |= engine.affected_by_attributes(before - profile.attributes.keys())
    else:
        dropped = 0
    changed_consent = consented != allows(profile.consent, Purpose.PERSONALIZATION)
    reason = "consent" if changed_consent else f"event:{accepted[-1].id}" if accepted else "time"
    flips = evaluate(profile, engine=engine, now=now, reason=reason, touched=None if changed_consent else touched)
    return Applied(tuple(accepted), len(corrected), refused, dropped, flips)


def _order(event: Event) -> tuple[Instant, bool, bool, str]:
    """Return what puts events in order of their time: consent before what it admits, corrections after all."""
    return event.occurred_at, not event.consent, event.type == corrections.TYPE, event.id


def _record(profile: Profile, event: Event, *, engine: Engine, now: Instant) -> Collection[str]:
    """Remember an event, and return the segments that it may change."""
    if event.type == corrections.TYPE:
        profile.incomplete |= corrections.obey(profile, event, memory=engine.memory, now=now)
        return engine.segments
    if event.type in HITS and engine.memory.is_late(
        profile.streams, event_type=event.type, at=event.occurred_at, properties=event.properties
    ):
        # What would betray it as a machine's, or what it betrays, may be forgotten; the archive knows.
        profile.incomplete = True
    recorded = engine.memory.record(
        profile.streams,
        event_id=event.id,
        event_type=event.type,
        at=event.occurred_at,
        properties=event.properties,
        seen=now,
    )
    profile.incomplete |= recorded.short
    return recorded.affected


def evaluate(
    profile: Profile, *, engine: Engine, now: Instant, reason: str, touched: Collection[str] | None = None
) -> tuple[Flip, ...]:
    """Evaluate segments at `now`, store the memberships, arm the next wake-up and return the flips.

    Parameters
    ----------
    touched
        The segments that something may have changed; they and those whose time has run out are evaluated, the others
        stay as stored. Without, all are.
    """
    now = max(now, profile.as_of)
    current = profile.definitions == engine.fingerprint
    if not current and profile.definitions:
        reason = "definition"
    profile.incomplete |= engine.memory.prune(profile.streams, now)
    stored = profile.memberships
    only = None
    if current and touched is not None:
        only = {*touched, *(segment for segment, known in stored.items() if known.valid_until <= now)}
    verdicts = engine.evaluate(profile, now, only)
    memberships = dict(stored) if only is not None else {}
    flips: list[Flip] = []
    for segment, (truth, valid_until) in verdicts.items():
        known = stored.get(segment, NOT_A_MEMBER)
        since = known.since
        if known.member != truth:
            # Time alone flipped it if the stored verdict had run out; then it flipped at that very instant.
            by_time = known.valid_until <= now
            since = known.valid_until if by_time else now
            flips.append(Flip(segment, truth, since, "time" if by_time else reason, valid_until))
        if truth or valid_until < FOREVER:
            memberships[segment] = Membership(truth, valid_until, since)
        else:
            memberships.pop(segment, None)
    if only is None:
        flips += [
            Flip(segment, entered=False, at=now, reason="definition", valid_until=FOREVER)
            for segment, known in sorted(stored.items())
            if segment not in verdicts and known.member
        ]
    profile.memberships = memberships
    profile.definitions = engine.fingerprint
    profile.as_of = now
    _arm(profile, min((known.valid_until for known in memberships.values()), default=FOREVER), now)
    return tuple(flips)


def _arm(profile: Profile, next_wake: Instant, now: Instant) -> None:
    """Re-arm only for an earlier instant, for moving the due index costs two writes.

    A wake-up that comes too early finds nothing to do and arms the right one.
    """
    passed = profile.due_at is not None and profile.due_at <= now
    if profile.due_at is None or passed or next_wake < profile.due_at:
        profile.due_at = next_wake if next_wake < FOREVER else None


@dataclass(frozen=True, slots=True)
class Merged:
    """What merging two profiles did, besides changing the winner."""

    pointer: Profile
    """What takes the loser's place: old tokens and identities resolve through it."""
    exits: tuple[Flip, ...]
    """The loser's memberships, which end."""
    evaluated_by: str = ""
    """The fingerprint of the definitions that gave them."""


def merge(winner: Profile, loser: Profile, *, now: Instant, memory: Memory) -> Merged:
    """Make `loser` part of `winner`; the winner's segments are for the caller to evaluate.

    All that either remembers is united; of consent the stricter holds, of attributes the later statement.
    """
    for name, theirs in loser.attributes.items():
        state(winner, name, theirs)
    _make_room(winner)
    winner.consent = stricter(winner.consent, loser.consent)
    know(winner, loser.identities | {loser.id})
    winner.epoch = max(winner.epoch, loser.epoch)
    winner.incomplete |= loser.incomplete
    memory.unite(winner.streams, loser.streams)
    # Whatever was evaluated is of two half people.
    winner.definitions = ""
    exits = tuple(
        Flip(segment, entered=False, at=now, reason="merge", valid_until=FOREVER)
        for segment, stored in loser.memberships.items()
        if stored.member
    )
    pointer = Profile(id=loser.id, version=loser.version, epoch=loser.epoch, merged_into=winner.id, as_of=now)
    return Merged(pointer, exits, loser.definitions)


def know(profile: Profile, identities: Iterable[str]) -> None:
    """Remember that `identities` lead to this profile.

    Of more than `MAX_IDENTITIES` the profile keeps the first, which only saves asking for their pointers again.
    """
    new = sorted(set(identities) - profile.identities)
    profile.identities |= set(new[: max(0, MAX_IDENTITIES - len(profile.identities))])


def _make_room(profile: Profile) -> int:
    """Keep the attributes stated last, servers' before browsers', as many as there is room for.

    Return how many were dropped. Whoever reads a page's key could otherwise crowd out what servers said.
    """
    kept: dict[str, Attribute] = {}
    room = MAX_ATTRIBUTE_BYTES

    def last_of_servers_first(entry: tuple[str, Attribute]) -> tuple[bool, Instant, str]:
        return not entry[0].startswith(WEB), entry[1].at, entry[0]

    for name, known in sorted(profile.attributes.items(), key=last_of_servers_first, reverse=True):
        size = len(name) + len(json.dumps(known.value))
        if size <= room and len(kept) < MAX_ATTRIBUTES:
            kept[name] = known
            room -= size
    dropped = len(profile.attributes) - len(kept)
    if dropped:
        profile.attributes = kept
    return dropped


def state(profile: Profile, name: str, stated: Attribute) -> None:
    """Keep the later statement of an attribute; its value decides a tie, so that the order of arrival does not."""
    known = profile.attributes.get(name)
    if known is None or (stated.at, repr(stated.value)) > (known.at, repr(known.value)):
        profile.attributes[name] = stated
