"""Applies batches of events, and wake-ups, to stored profiles.

The order of effects makes a crash between any two of them harmless: identities point to a profile before it exists,
events reach the archive before the profile that counts them is written, and so do wake-ups their queue, for one that
comes in vain does no harm; the due index finds those that are lost. Everything is repeated for a repeated message, and
repeating changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from mailtailor.consent.policy import basis
from mailtailor.events.event import Event
from mailtailor.instant import SECOND, SKEW, Instant
from mailtailor.profiles import projection, stitching
from mailtailor.profiles.profile import NEAR, Flip, Profile
from mailtailor.profiles.projection import Merged
from mailtailor.profiles.store import Conflict, Loaded, ProfileStore
from mailtailor.segments.engine import Engines

MAX_ATTEMPTS: Final = 12
PROFILES_AT_ONCE: Final = 100
"""As many as one request reads; few enough that little time passes between a profile's read and its write."""
MERGES_AT_ONCE: Final = 50
"""Profiles that become part of another in one write, well below the 100 items of a transaction."""
MAX_HOPS: Final = 4
"""Pointers followed from one profile to another; each merge adds at most one."""
MAX_KNOWN_POINTERS: Final = 10_000

Archive = Callable[[Iterable[Event]], None]
"""Sends accepted events, each with its profile's id, to the archive."""
Wake = Callable[[Mapping[int, list[str]]], None]
"""Sends wake-ups: profile ids by the seconds until they are due."""
Rebuild = Callable[[str], None]
"""Asks for a profile to be rebuilt from the archive, given its id."""
Pause = Callable[[int], None]
"""Waits before a conflict's n-th repetition, counted from 0, so that those who write one profile get out of step."""


class TooManyConflicts(Exception):
    """A profile is being written by too many at once; the message is for a later try."""


class EndlessPointers(Exception):
    """Pointers lead in a circle, or further than any merges make them."""


class OutOfTime(Exception):
    """The batch was too large for the time there is; what is left is for a later try."""


def _at_once(_attempt: int) -> None:
    return


def _never() -> bool:
    return False


@dataclass(slots=True)
class Outcome:
    """What became of a batch."""

    failed: dict[str, Exception] = field(default_factory=dict)
    """Messages to be tried again, with the reason."""
    accepted: int = 0
    corrected: int = 0
    refused: int = 0
    dropped: int = 0
    flips: int = 0
    conflicts: int = 0
    identity_conflicts: int = 0
    lateness: int | None = None
    """Milliseconds that the profile which waited longest was evaluated after it was due; None if none was due."""


@dataclass(slots=True)
class _Work:
    """One profile's share of a batch."""

    events: list[Event] = field(default_factory=list)
    messages: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A profile with events applied, not yet written."""

    loaded: Loaded
    flips: tuple[Flip, ...]
    merged: tuple[Merged, ...]
    armed_before: Instant | None
    linked: bool
    """False if more is to be linked after this write: more profiles to merge than it can take, or a stitch."""


class Processor:
    """Applies events.

    Parameters
    ----------
    store, engine
        The profiles, and what evaluates each.
    archive, wake, rebuild
        Where accepted events, near wake-ups and incomplete profiles go.
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
        archive: Archive,
        wake: Wake,
        rebuild: Rebuild,
        clock: Callable[[], Instant],
        pause: Pause = _at_once,
    ) -> None:
        self._store = store
        self._engine = engine
        self._archive = archive
        self._wake = wake
        self._rebuild = rebuild
        self._clock = clock
        self._pause = pause
        self._pointers: dict[str, str] = {}

    def events(self, batch: Mapping[str, list[Event]], *, out_of_time: Callable[[], bool] = _never) -> Outcome:
        """Apply the events of a batch of messages, given by message id; a failure fails only its own messages.

        What is left when time runs out fails too, so that what is done need not be repeated with it.
        """
        outcome = Outcome()
        for works in _rounds(self._group(batch)):
            if out_of_time():
                _fail_all(outcome, works, OutOfTime())
            else:
                self._process(works, outcome)
        return outcome

    def _process(self, works: dict[str, _Work], outcome: Outcome) -> None:
        try:
            loaded = self._load(works)
        except Exception as error:  # noqa: BLE001 - whatever the store raised, every message is for a later try
            _fail_all(outcome, works, error)
            return
        pending: dict[str, _Pending] = {}
        archived: dict[str, set[str]] = {}
        accepted: list[Event] = []
        for profile_id, work in works.items():
            try:
                pending[profile_id], admitted = self._apply(loaded[profile_id], work, outcome)
            except Exception as error:  # noqa: BLE001 - one profile's trouble must not fail the others
                _fail(outcome, work, error)
            else:
                archived[profile_id] = {event.id for event in admitted}
                accepted += admitted
        try:
            self._archive(accepted)
        except Exception as error:  # noqa: BLE001 - nothing was written, so every message is for a later try
            _fail_all(outcome, works, error)
            return
        for profile_id, prepared in pending.items():
            try:
                self._commit(prepared, works[profile_id], archived[profile_id], outcome)
            except Exception as error:  # noqa: BLE001 - one profile's trouble must not fail the others
                _fail(outcome, works[profile_id], error)

    def _group(self, batch: Mapping[str, list[Event]]) -> dict[str, _Work]:
        works: dict[str, _Work] = {}
        for message, events in batch.items():
            for event in events:
                first_id = event.profile_id or event.identities[0].id
                work = works.setdefault(self._pointers.get(first_id, first_id), _Work())
                work.events.append(event)
                work.messages.add(message)
        return works

    def _load(self, works: dict[str, _Work]) -> dict[str, Loaded]:
        """Load all profiles, and join the work of those that turn out to be pointers to their profile's."""
        loaded = self._store.load(works)
        for _ in range(MAX_HOPS):
            moved = {key: pointer for key in works if (pointer := loaded[key].profile.merged_into)}
            if not moved:
                _join_linked(works)
                return loaded
            for key, target in moved.items():
                self._remember(key, target)
                work, joined = works.pop(key), works.setdefault(target, _Work())
                joined.events += work.events
                joined.messages |= work.messages
            missing = [target for target in moved.values() if target not in loaded]
            loaded.update(self._store.load(missing) if missing else {})
        for key in works:
            if loaded[key].profile.merged_into:
                loaded[key] = replace(loaded[key], error=EndlessPointers(key))
        return loaded

    def _remember(self, identity: str, profile_id: str) -> None:
        if len(self._pointers) >= MAX_KNOWN_POINTERS:
            self._pointers.clear()
        self._pointers[identity] = profile_id

    def _apply(self, loaded: Loaded, work: _Work, outcome: Outcome) -> tuple[_Pending, list[Event]]:
        if loaded.error is not None:
            raise loaded.error
        profile, now = loaded.profile, self._clock()
        armed_before, evaluated_by = profile.due_at, profile.definitions
        merged, linked = self._link(profile, work.events, now, outcome)
        engine = self._engine.of(evaluated_by, *(one.evaluated_by for one in merged))
        applied = projection.apply(profile, work.events, engine=engine, now=now)
        outcome.accepted += len(applied.accepted) - applied.corrected
        outcome.corrected += applied.corrected
        outcome.refused += applied.refused
        outcome.dropped += applied.dropped
        admitted = [
            event.model_copy(update={"profile_id": profile.id, "identities": (), "basis": basis(event.type)})
            for event in applied.accepted
        ]
        return _Pending(loaded, applied.flips, merged, armed_before, linked), admitted

    def _link(
        self, profile: Profile, events: list[Event], now: Instant, outcome: Outcome
    ) -> tuple[tuple[Merged, ...], bool]:
        """Make the weaker identities that came with the events lead to this profile; return if that was all of them.

        A weaker identity that has a profile of its own is the same person, seen before the stronger identity was
        known, and is merged. One that leads to somebody else stays there: two people may share an address or a
        browser, and joining two known people cannot be undone.
        """
        merged: list[Merged] = []
        stitched, claimed = stitching.claim(profile, events, now)
        said = [event for event in events if not stitching.is_stitch(event)]
        identities = dict.fromkeys(identity.id for event in said for identity in event.identities)
        for identity in {**identities, **stitched}:
            if identity == profile.id or identity in profile.identities:
                continue
            if len(merged) == MERGES_AT_ONCE:
                return tuple(merged), False
            there = self._store.point(identity, to=profile.id)
            if there is not None and there.error is not None:
                raise there.error
            if there is None or there.profile.merged_into == profile.id:
                projection.know(profile, {identity})
            elif there.profile.merged_into is None and (identity in identities or stitching.may_merge(there.profile)):
                profile.stitches = {**there.profile.stitches, **profile.stitches}
                merged.append(projection.merge(profile, there.profile, now=now, memory=self._engine.of().memory))
            else:
                outcome.identity_conflicts += 1
        return tuple(merged), not claimed

    def _commit(self, pending: _Pending, work: _Work, archived: set[str], outcome: Outcome) -> None:
        """Write; on a conflict read again and apply again, until it succeeds or the profile is too contended."""
        attempt = 0
        while not pending.loaded.profile.blank:
            profile = pending.loaded.profile
            if profile.due_at != pending.armed_before:
                send_wake_up(self._wake, profile, self._clock())
            try:
                self._store.save(pending.loaded, pending.flips, pending.merged)
            except Conflict as conflict:
                outcome.conflicts += 1
                if attempt == MAX_ATTEMPTS:
                    raise TooManyConflicts(profile.id) from conflict
                self._pause(attempt)
                attempt += 1
                pending = self._again(profile.id, work, archived)
                continue
            outcome.flips += len(pending.flips) + sum(len(merged.exits) for merged in pending.merged)
            if not pending.linked:
                pending = self._again(profile.id, work, archived)
                continue
            if profile.incomplete:
                # After the write, so that whoever rebuilds finds it; if this fails, the message comes again and asks
                # again, because the profile still says so.
                self._rebuild(profile.id)
            return

    def _again(self, profile_id: str, work: _Work, archived: set[str]) -> _Pending:
        # Somebody may have merged this profile into another meanwhile, so pointers are followed anew.
        works = {profile_id: work}
        loaded = self._load(works)
        (target,) = works
        pending, admitted = self._apply(loaded[target], work, Outcome())
        # Consent may have come with the other write: what it newly admits belongs in the archive too.
        self._archive([event for event in admitted if event.id not in archived])
        archived.update(event.id for event in admitted)
        return pending


class WakeUpProcessor:
    """Evaluates profiles that are due.

    Parameters
    ----------
    store, engine
        The profiles, and what evaluates each.
    wake, rebuild
        Where near wake-ups and incomplete profiles go.
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
        wake: Wake,
        rebuild: Rebuild,
        clock: Callable[[], Instant],
        pause: Pause = _at_once,
    ) -> None:
        self._store = store
        self._engine = engine
        self._wake = wake
        self._rebuild = rebuild
        self._clock = clock
        self._pause = pause

    def wake_ups(self, ids: Iterable[str], *, out_of_time: Callable[[], bool] = _never) -> Outcome:
        """Evaluate the profiles that are due; too early or repeated wake-ups change nothing.

        Failures are told by profile id; what is left when time runs out is one of them.
        """
        outcome = Outcome()
        wanted = list(dict.fromkeys(ids))
        if out_of_time():
            outcome.failed = dict.fromkeys(wanted, OutOfTime())
            return outcome
        for profile_id, loaded in self._store.load(wanted).items():
            try:
                if out_of_time():
                    raise OutOfTime
                self._wake_one(loaded, outcome)
            except Exception as error:  # noqa: BLE001 - one profile's trouble must not fail the others
                outcome.failed[profile_id] = error
        return outcome

    def _wake_one(self, loaded: Loaded, outcome: Outcome) -> None:
        for attempt in range(MAX_ATTEMPTS):
            if loaded.error is not None:
                raise loaded.error
            profile, now = loaded.profile, self._clock()
            if profile.due_at is None:
                return
            if profile.due_at > now:
                # Earlier than clocks differ, it was for an instant that has been re-armed since. Whoever armed this
                # one sent its wake-up, and sending another would keep every repeated wake-up alive for ever.
                if profile.due_at - now <= SKEW:
                    send_wake_up(self._wake, profile, now)
                return
            lateness, whole_before = now - profile.due_at, not profile.incomplete
            engine = self._engine.of(profile.definitions)
            flips = projection.evaluate(profile, engine=engine, now=now, reason="time", touched=())
            send_wake_up(self._wake, profile, now)
            if whole_before and profile.incomplete:
                # Before the write: a wake-up that comes again after it finds nothing due. The rebuilder waits longer
                # than this takes, and finds nothing to do if the write fails.
                self._rebuild(profile.id)
            try:
                self._store.save(loaded, flips)
            except Conflict:
                outcome.conflicts += 1
                self._pause(attempt)
                loaded = self._store.load([profile.id])[profile.id]
                continue
            outcome.flips += len(flips)
            outcome.lateness = max(lateness, outcome.lateness or 0)
            return
        raise TooManyConflicts(loaded.profile.id)


def _join_linked(works: dict[str, _Work]) -> None:
    """Join the work of those whom another one's events will link, for both are one person's from this batch on.

    Apart, what names a browser alone would be judged by what the browser allowed, in a batch of its own by what the
    person did.
    """
    for key in list(works):
        if key not in works:
            continue
        weaker = [one.id for event in works[key].events if event.profile_id is None for one in event.identities[1:]]
        for identity in weaker:
            if identity != key and identity in works:
                work = works.pop(identity)
                works[key].events += work.events
                works[key].messages |= work.messages


def send_wake_up(wake: Wake, profile: Profile, now: Instant) -> None:
    """Send a profile's wake-up if it is due so soon that the clock's sweep may come too late for it."""
    if profile.due_at is not None and profile.due_at - now <= NEAR:
        # Rounded up: a wake-up that comes early would only have to be sent again.
        wake({max(0, -(-(profile.due_at - now) // SECOND)): [profile.id]})


def _rounds(works: Mapping[str, _Work]) -> Iterator[dict[str, _Work]]:
    """Yield as many profiles' work as is done at once; stitches first, for then what the browser did is theirs."""
    stitching_first = [
        [key for key, work in works.items() if any(map(stitching.is_stitch, work.events)) is stitches]
        for stitches in (True, False)
    ]
    for keys in stitching_first:
        for start in range(0, len(keys), PROFILES_AT_ONCE):
            yield {key: works[key] for key in keys[start : start + PROFILES_AT_ONCE]}


def _fail(outcome: Outcome, work: _Work, error: Exception) -> None:
    outcome.failed.update(dict.fromkeys(work.messages, error))


def _fail_all(outcome: Outcome, works: Mapping[str, _Work], error: Exception) -> None:
    for work in works.values():
        _fail(outcome, work, error)
