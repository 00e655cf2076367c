"""Rebuilds profiles from their archived events, where a correction left less than segments need.

What is remembered is a set that grows by union. So the archive may be a minute behind and other writers may be faster:
what is newer stands in the stored profile, and is united with what the archive tells. Attributes and consent are not
rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mailtailor.consent.policy import may_record
from mailtailor.events.event import Event
from mailtailor.instant import DAY, Instant
from mailtailor.profiles import corrections, projection
from mailtailor.profiles.processing import (
    MAX_ATTEMPTS,
    MAX_HOPS,
    Archive,
    EndlessPointers,
    Pause,
    TooManyConflicts,
    Wake,
    send_wake_up,
)
from mailtailor.profiles.profile import Flip, Profile
from mailtailor.profiles.store import Conflict, Loaded, ProfileStore
from mailtailor.segments.engine import Engine, Engines
from mailtailor.segments.features import HITS
from mailtailor.segments.memory import PROVISIONAL, RETENTION, Memory
from mailtailor.segments.streams import Provisional, Streams

UNNAMED: Final = "corrected"
"""Stands for the reason of a correction that has not reached the archive yet."""

History = Callable[[Collection[str], Instant], list[Event]]
"""Returns the archived events of some profiles received since an instant, each once, in order of their time."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did."""

    events: int = 0
    corrected: int = 0
    flips: int = 0
    conflicts: int = 0


class Rebuilder:
    """Rebuilds profiles.

    Parameters
    ----------
    store, engine
        The profiles, and what evaluates each.
    history
        The archive.
    archive, wake
        Where corrections and near wake-ups go.
    clock
        Tells the current instant.
    pause
        Waits after a conflict.
    """

    def __init__(
        self,
        *,
        store: ProfileStore,
        engine: Engines,
        history: History,
        archive: Archive,
        wake: Wake,
        clock: Callable[[], Instant],
        pause: Pause,
    ) -> None:
        self._store = store
        self._engine = engine
        self._history = history
        self._archive = archive
        self._wake = wake
        self._clock = clock
        self._pause = pause

    def rebuild(self, profile_id: str) -> Rebuilt:
        """Rebuild a profile if it is incomplete; a request that comes again finds nothing to do.

        Raises
        ------
        TooManyConflicts, EndlessPointers
            If it could not be written or found; the request is for a later try, as it is if the archive fails.
        """
        events: list[Event] = []
        known: frozenset[str] = frozenset()
        archived: set[str] = set()
        whole = ""
        for attempt in range(MAX_ATTEMPTS):
            loaded = load_whole(self._store, profile_id)
            profile, now = loaded.profile, self._clock()
            if not profile.incomplete:
                return Rebuilt(len(events), len(archived), 0, attempt)
            ids = profile.identities | {profile.id}
            if not ids <= known:
                # Another merge while we wrote brings a history of its own.
                whole = self._engine.of_whole().fingerprint
                events, known = self._history(ids, now - RETENTION - DAY), ids
            armed_before = profile.due_at
            engine = self._engine.of_whole()
            if engine.fingerprint != whole:
                # Definitions changed while the archive was read, and may need more than it had by then.
                engine = self._engine.of(profile.definitions)
            flips, found = apply(profile, events, engine=engine, now=now)
            # Before the write, as events are: after a crash between the two they are found and sent once more.
            self._archive([correction for correction in found if correction.id not in archived])
            archived.update(correction.id for correction in found)
            if profile.due_at != armed_before:
                send_wake_up(self._wake, profile, now)
            try:
                self._store.save(loaded, flips)
            except Conflict:
                self._pause(attempt)
                continue
            return Rebuilt(len(events), len(archived), len(flips), attempt)
        raise TooManyConflicts(profile_id)


def load_whole(store: ProfileStore, profile_id: str) -> Loaded:
    """Load a profile, or the one that it became part of.

    Raises
    ------
    EndlessPointers
        If there is no end to what became part of what.
    """
    for _ in range(MAX_HOPS):
        loaded = store.load([profile_id])[profile_id]
        if loaded.error is not None:
            raise loaded.error
        if loaded.profile.merged_into is None:
            return loaded
        profile_id = loaded.profile.merged_into
    raise EndlessPointers(profile_id)


def apply(
    profile: Profile, events: Iterable[Event], *, engine: Engine, now: Instant
) -> tuple[tuple[Flip, ...], list[Event]]:
    """Unite `profile` with what its archived `events` tell, without what machines did, and evaluate all segments.

    Returns
    -------
    The flips, and the corrections of hits that only all events together show to be a machine's.
    """
    found = unite(profile, events, memory=engine.memory, now=now)
    profile.incomplete = False
    flips = projection.evaluate(profile, engine=engine, now=now, reason="rebuild")
    return flips, [
        corrections.correction(profile.id, event_id, at=at, reason=reason, now=now)
        for event_id, (at, reason) in sorted(found.items())
    ]


def unite(profile: Profile, events: Iterable[Event], *, memory: Memory, now: Instant) -> dict[str, tuple[Instant, str]]:
    """Unite what `profile` remembers with what its archived `events` tell, without what machines did.

    Returns
    -------
    The hits that only all events together show to be a machine's: by event id, when they happened and the reason.
    """
    young = profile.streams.pop(PROVISIONAL, None)
    young = Provisional(dict(young.entries), young.settled_to) if isinstance(young, Provisional) else Provisional()
    allowed = [event for event in events if may_record(profile.consent, event.type)]
    usable = _without_deleted(profile.streams, allowed, memory=memory, now=now)
    machines = _named(usable, young)
    found = _judged(usable, young, machines, memory)
    machines |= {event_id: reason for event_id, (_, reason) in found.items()}
    _forget(profile.streams, usable, found, machines, memory=memory, now=now)
    for event_id in machines.keys() & young.entries.keys():
        young.condemn(event_id)
    remembered = _remembered(usable, machines, memory)
    _complete(young, remembered)
    memory.unite(profile.streams, {PROVISIONAL: young})
    memory.unite(profile.streams, remembered)
    return found


def _without_deleted(streams: Streams, events: list[Event], *, memory: Memory, now: Instant) -> list[Event]:
    """Take deleted events out of the streams, and return the others."""
    deleted = {event.properties.get("corrects") for event in events if corrections.is_deletion(event)}
    for event in events:
        if event.id in deleted:
            memory.forget(
                streams, event_id=event.id, at=event.occurred_at, properties=event.properties, seen=now, deleted=True
            )
            streams.pop(PROVISIONAL, None)
    return [event for event in events if event.id not in deleted]


def _named(events: Iterable[Event], young: Provisional) -> dict[str, str]:
    """Return the hits that are known to be a machine's, with the reason: by a correction or, lest it is late, by us."""
    named = {event_id: UNNAMED for event_id, hit in young.entries.items() if hit.machine}
    for event in events:
        corrected, reason = event.properties.get("corrects"), event.properties.get("machine")
        if event.type == corrections.TYPE and isinstance(corrected, str) and not corrections.is_deletion(event):
            named[corrected] = str(reason or UNNAMED)
    return named


def _judged(
    events: Iterable[Event], young: Provisional, named: Iterable[str], memory: Memory
) -> dict[str, tuple[Instant, str]]:
    """Return the hits that others show to be a machine's and that nobody has corrected yet: when, and the reason."""
    streams: Streams = {PROVISIONAL: Provisional()}
    for event in events:
        if event.type in HITS:
            _record(streams, event, memory)
    memory.unite(streams, {PROVISIONAL: young})
    hits = streams[PROVISIONAL]
    if isinstance(hits, Provisional):
        # They stay among the others, for they betray those.
        for event_id in hits.entries.keys() & set(named):
            hits.condemn(event_id)
    return memory.judge(streams)


def _forget(
    streams: Streams,
    events: Iterable[Event],
    found: dict[str, tuple[Instant, str]],
    machines: dict[str, str],
    *,
    memory: Memory,
    now: Instant,
) -> None:
    """Take what machines did out of the settled streams."""
    of_machines: list[tuple[str, Instant, Mapping[str, Any]]] = [
        (event.id, event.occurred_at, event.properties)
        for event in events
        if event.type in HITS and (event.id in machines or event.properties.get("machine"))
    ]
    for event_id, at, properties in [*of_machines, *((event_id, at, {}) for event_id, (at, _) in found.items())]:
        memory.forget(streams, event_id=event_id, at=at, properties=properties, seen=now)
        # What forgets notes that for a hit yet to come; here all hits have come.
        streams.pop(PROVISIONAL, None)


def _remembered(events: Iterable[Event], machines: dict[str, str], memory: Memory) -> Streams:
    """Return what is to be remembered of `events`; young hits are provisional as if they had come only now."""
    streams: Streams = {}
    for event in events:
        if event.type != corrections.TYPE:
            _record(streams, event, memory, machines.get(event.id, ""))
    return streams


def _complete(young: Provisional, remembered: Streams) -> None:
    """Let young hits that came under earlier definitions count for the streams of today's too."""
    again = remembered.get(PROVISIONAL)
    for event_id, hit in again.people() if isinstance(again, Provisional) else ():
        known = young.entries.get(event_id)
        if known is not None and not known.machine and not set(hit.entries) <= set(known.entries):
            young.entries[event_id] = known._replace(entries=tuple(sorted({*known.entries, *hit.entries})))


def _record(streams: Streams, event: Event, memory: Memory, machine: str = "") -> None:
    memory.record(
        streams,
        event_id=event.id,
        event_type=event.type,
        at=event.occurred_at,
        properties={**event.properties, "machine": machine} if machine else event.properties,
        seen=event.received_at,
    )
