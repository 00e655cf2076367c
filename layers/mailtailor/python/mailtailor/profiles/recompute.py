"""Recomputes many profiles from their archived events, when definitions changed or there is doubt.

It does to each what a rebuild does (`rebuild.apply`): what is stored and what the archive tells are united by the
events' ids, so live events that come meanwhile are neither lost nor doubled, and doing it again changes nothing. A
profile whose archived events are not all at hand, because it was merged while they were read, and one that waits for
a rebuild anyway are left to the rebuilder, which reads them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mailtailor.events.event import Event
from mailtailor.instant import Instant
from mailtailor.profiles import rebuild
from mailtailor.profiles.processing import (
    MAX_ATTEMPTS,
    PROFILES_AT_ONCE,
    Archive,
    EndlessPointers,
    Pause,
    Rebuild,
    TooManyConflicts,
    Wake,
    send_wake_up,
)
from mailtailor.profiles.profile import Flip, Profile
from mailtailor.profiles.store import Conflict, Loaded, ProfileStore
from mailtailor.segments.engine import Engine, Engines


@dataclass(frozen=True, slots=True)
class Person:
    """A profile with all its archived events.

    Parameters
    ----------
    id
        The profile's.
    ids
        Its own and those of the profiles that became part of it, whose events are all there.
    events
        Each once, in order of their time.
    counted
        Whether the tally counts them. Who has events under several ids is met several times.
    """

    id: str
    ids: frozenset[str]
    events: Sequence[Event]
    counted: bool = True


@dataclass(slots=True)
class Tally:
    """What recomputing did.

    Attributes
    ----------
    profiles, events
        Profiles looked at, and their archived events.
    changed
        Profiles of which something else is stored now; of a dry run, those that flips.
    left
        Profiles that the rebuilder was asked to do.
    unknown
        Ids in the archive that no profile is stored of, such as those of people who were erased.
    failed
        Profiles that cannot be read, or are written by others all the time.
    corrected, conflicts
        Hits found to be a machine's, and writes that had to be repeated.
    members, entered, exited
        People by segment: who is in it now, and who came and went by this.
    """

    profiles: int = 0
    events: int = 0
    changed: int = 0
    left: int = 0
    unknown: int = 0
    failed: int = 0
    corrected: int = 0
    conflicts: int = 0
    members: dict[str, int] = field(default_factory=dict)
    entered: dict[str, int] = field(default_factory=dict)
    exited: dict[str, int] = field(default_factory=dict)

    @property
    def flips(self) -> int:
        """How many memberships changed."""
        return sum(self.entered.values()) + sum(self.exited.values())

    def add(self, other: Tally) -> None:
        """Add what another part did."""
        for name in self.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                for segment, number in theirs.items():
                    mine[segment] = mine.get(segment, 0) + number
            else:
                setattr(self, name, mine + theirs)


class _Unreadable(Exception):
    """What is stored of a profile cannot be read."""


class Recomputer:
    """Recomputes profiles.

    Parameters
    ----------
    store, engine
        The profiles, and what evaluates each.
    archive, wake, rebuild
        Where corrections, near wake-ups and profiles go that the rebuilder has to do.
    clock
        Tells the current instant.
    pause
        Waits after a conflict.
    failed
        Told each profile that was left out, with the reason.
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
        pause: Pause,
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._store = store
        self._engine = engine
        self._archive = archive
        self._wake = wake
        self._rebuild = rebuild
        self._clock = clock
        self._pause = pause
        self._failed = failed

    def recompute(self, people: Sequence[Person], *, dry_run: bool = False, by: Engine | None = None) -> Tally:
        """Recompute some profiles, and return what that did; a dry run evaluates and writes nothing.

        One that cannot be read, or is written by others all the time, is told and does not stop the others.

        Parameters
        ----------
        by
            Evaluates everybody, in place of what evaluates each.
        """
        tally = Tally()
        for start in range(0, len(people), PROFILES_AT_ONCE):
            some = people[start : start + PROFILES_AT_ONCE]
            loaded = self._store.load(person.id for person in some)
            for person in some:
                try:
                    tally.add(self._one(loaded[person.id], person, dry_run=dry_run, by=by or self._engine))
                except (TooManyConflicts, EndlessPointers, _Unreadable) as error:
                    self._failed(person.id, error)
                    tally.add(Tally(failed=1))
        return tally

    def _one(self, loaded: Loaded, person: Person, *, dry_run: bool, by: Engines) -> Tally:
        archived: set[str] = set()
        for attempt in range(MAX_ATTEMPTS):
            if loaded.error is not None:
                raise _Unreadable(person.id) from loaded.error
            profile, now = loaded.profile, self._clock()
            if not profile.version:
                # Nobody is made anew of what the archive knows: the profile may be gone because it was erased.
                return Tally(unknown=1)
            if profile.incomplete or profile.merged_into or not profile.identities <= person.ids:
                if not dry_run:
                    self._leave(person.id)
                return Tally(left=1)
            armed_before = profile.due_at
            engine = by.of(profile.definitions)
            flips, found = rebuild.apply(profile, person.events, engine=engine, now=now)
            if dry_run:
                return _tally(person, profile, flips, changed=bool(flips)) if person.counted else Tally()
            # Before the write, as in a rebuild.
            self._archive([correction for correction in found if correction.id not in archived])
            archived.update(correction.id for correction in found)
            if profile.due_at != armed_before:
                send_wake_up(self._wake, profile, now)
            try:
                changed = self._store.save(loaded, flips)
            except Conflict:
                self._pause(attempt)
                loaded = self._store.load([person.id])[person.id]
                continue
            tally = _tally(person, profile, flips, changed=changed)
            tally.corrected, tally.conflicts = len(archived), attempt
            return tally
        raise TooManyConflicts(person.id)

    def _leave(self, profile_id: str) -> None:
        """Leave a profile to the rebuilder."""
        for attempt in range(MAX_ATTEMPTS):
            loaded = rebuild.load_whole(self._store, profile_id)
            if not loaded.profile.incomplete:
                loaded.profile.incomplete = True
                try:
                    self._store.save(loaded, ())
                except Conflict:
                    self._pause(attempt)
                    continue
            # After the write, so that whoever rebuilds finds it incomplete.
            self._rebuild(loaded.profile.id)
            return
        raise TooManyConflicts(profile_id)


def _tally(person: Person, profile: Profile, flips: Sequence[Flip], *, changed: bool) -> Tally:
    tally = Tally(
        changed=int(changed),
        entered={flip.segment: 1 for flip in flips if flip.entered},
        exited={flip.segment: 1 for flip in flips if not flip.entered},
    )
    if person.counted:
        tally.profiles, tally.events = 1, len(person.events)
        tally.members = {segment: 1 for segment, known in profile.memberships.items() if known.member}
    return tally
