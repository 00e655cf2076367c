"""What people did, after doubles, corrections, bursts and withdrawn consent: as a rebuild of their profiles tells it.

The order of things is that of `profiles.rebuild.apply`; what it does to one person with events, this does to all with
numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final, NamedTuple

import numpy as np

from mailtailor.consent.policy import NEEDS_NO_TRACKING
from mailtailor.instant import Instant
from mailtailor.segments.columns.doubles import once_each
from mailtailor.segments.columns.lookup import Lookup, Numbers, Places
from mailtailor.segments.columns.people import Mask, People
from mailtailor.segments.columns.plan import MACHINE, Kind, Plan, kind
from mailtailor.segments.columns.reading import Correction, Reader, Rows, Told
from mailtailor.segments.features import CLICKED
from mailtailor.segments.memory import link_position, message_key
from mailtailor.tracking.bursts import HONEYPOT_POSITION, BurstSettings, Hit, machine_ids

MAX_EVENTS: Final = 1_000
"""Of one person; who has more is left to the engine, whose streams are cut."""
PLACE_BITS: Final = 23
TIME_BITS: Final = 63 - PLACE_BITS


class Kinds:
    """The kinds of events met so far, by the hash of what filters decide by."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lock = Lock()
        self._lookup = Lookup(np.zeros(0, np.uint64))
        self._numbers: dict[int, int] = {}
        self.all: list[tuple[Kind, Told]] = []
        """Kinds by their place, and what tells them."""

    def places(self, hashes: Numbers, reader: Reader) -> Places:
        """Return the kind of each event; those never met are looked up in the files that `reader` reads."""
        places = self._lookup.places(hashes)
        if len(places) and places.min() < 0:
            with self._lock:
                self._learn(reader)
                places = self._lookup.places(hashes)
        return places

    def _learn(self, reader: Reader) -> None:
        for number, told in reader.kinds().items():
            if number not in self._numbers:
                self._numbers[number] = len(self.all)
                own = kind(self._plan, told.type, told.properties, has_message=told.message)
                self.all.append((own, told))
        self._lookup = Lookup(np.array(list(self._numbers), np.uint64))


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What counts of what people did, a row an event, in no order.

    Attributes
    ----------
    rows
        The rows.
    place
        Whose they are.
    kind
        Their kind's place, doubled; one more if a machine made it though it does not say so. Twice the number of kinds
        is what does not count.
    kinds
        The kinds.
    left
        Of whom columns cannot tell everything.
    read
        How many rows were read.
    """

    rows: Rows
    place: Places
    kind: Places
    kinds: list[Kind]
    left: Mask
    read: int


def history(reader: Reader, plan: Plan, people: People, kinds: Kinds, now: Instant) -> History:
    """Return what counts of what `people` did up to `now`."""
    rows, left = reader.rows(), people.left.copy()
    read = len(rows)
    place = people.places(rows.person)
    if len(place) and place.min() < 0:
        theirs = place >= 0
        rows, place = rows.only(theirs), place[theirs]
    left[place[(rows.id == 0) | (rows.at > now)]] = True
    left[np.bincount(place, minlength=len(people)) > MAX_EVENTS] = True
    if left.any():
        theirs = ~left[place]
        rows, place = rows.only(theirs), place[theirs]
    messages = [rows.message] if plan.messages else []
    doubles = once_each(rows.person, rows.id, rows.at, [rows.kind, *rows.measured.values(), *messages])
    left[people.places(doubles.doubtful)] = True
    of_kind = kinds.places(rows.kind, reader)
    known = list(kinds.all)
    told = [one for _, one in known]
    left[place[~_each(told, lambda one: one.readable)[of_kind]]] = True
    deleted, named = _corrected(reader.corrections())
    kept = doubles.kept & ~_are_among(rows, deleted)
    if not people.tracking.all():
        kept &= _each(told, lambda one: one.type in NEEDS_NO_TRACKING)[of_kind] | people.tracking[place]
    # To be of no kind is cheaper than to be taken out.
    of_kind[~kept] = len(told)
    by_machine = _are_among(rows, named)
    by_machine |= _betrayed(reader, plan.bursts, _Clicks(rows, place, of_kind, told))
    if plan.by_machine_label:
        left[place[by_machine]] = True
    by_machine &= kept
    return History(rows, place, of_kind * 2 + by_machine, [one for one, _ in known], left, read)


def _each(told: Sequence[Told], holds: Callable[[Told], bool]) -> Mask:
    """Return of which kinds something holds; it does not of the last one, of which is what does not count."""
    return np.array([*map(holds, told), False], np.bool_)


Events = Mapping[int, set[int]]
"""Numbers of people by those of their events."""


def _corrected(corrections: Iterable[Correction]) -> tuple[Events, Events]:
    """Return the events that did not happen, and those that machines made."""
    said = list(corrections)
    deleted, named = defaultdict[int, set[int]](set), defaultdict[int, set[int]](set)
    for one in said:
        if one.deleted:
            deleted[one.corrects].add(one.person)
    for one in said:
        # One that is deleted itself says nothing, unless it deletes.
        if not one.deleted and one.person not in deleted.get(one.id, ()):
            named[one.corrects].add(one.person)
    return deleted, named


def _are_among(rows: Rows, events: Events) -> Mask:
    """Return which rows are of these people's events."""
    among = np.zeros(len(rows), np.bool_)
    if events:
        maybe = np.flatnonzero(Lookup(np.array(list(events), np.uint64)).places(rows.id) >= 0)
        pairs = zip(rows.id[maybe].tolist(), rows.person[maybe].tolist(), strict=True)
        among[maybe] = [person in events[event] for event, person in pairs]
    return among


class _Clicks(NamedTuple):
    rows: Rows
    place: Places
    of_kind: Places
    told: list[Told]


def _betrayed(reader: Reader, bursts: BurstSettings, clicks: _Clicks) -> Mask:
    """Return which rows are hits that others of the same message show to be a machine's."""
    rows, place, of_kind, told = clicks
    suspects = _suspects(bursts, clicks)
    betrayed = np.zeros(len(rows), np.bool_)
    if not len(suspects):
        return betrayed
    theirs = np.flatnonzero(np.isin(place, suspects) & (of_kind < len(told)))
    # As they are after corrections, with the instants that count.
    columns = (theirs, rows.person[theirs], rows.id[theirs], rows.at[theirs])
    known = {
        (person, event): (number, at)
        for number, person, event, at in zip(*(one.tolist() for one in columns), strict=True)
    }
    hits: defaultdict[int, dict[int, Hit]] = defaultdict(dict)
    for person, event, happened, event_type, said in reader.hits(np.unique(rows.person[theirs])):
        message, position = message_key(said), link_position(event_type, said)
        number, at = known.get((person, event), (-1, -1))
        if happened == at and message and (not said.get(MACHINE) or position == HONEYPOT_POSITION):
            hits[person][number] = Hit(str(number), at, message, position)
    for of_one in hits.values():
        betrayed[[int(number) for number in machine_ids(of_one.values(), bursts)]] = True
    return betrayed


def _suspects(bursts: BurstSettings, clicks: _Clicks) -> Places:
    """Return where those people are who clicked so fast that some of it may be a burst, or on the invisible link."""
    rows, place, of_kind, told = clicks
    traps = _each(told, lambda one: one.honeypot)
    by_people = _each(told, lambda one: one.type == CLICKED and not one.properties.get(MACHINE))
    clicked = np.flatnonzero((by_people | traps)[of_kind])
    found = [place[clicked[traps[of_kind[clicked]]]]]
    clicked = clicked[np.lexsort((rows.at[clicked], place[clicked]))]
    for burst in bursts.bursts:
        first, last = clicked[: max(0, len(clicked) - burst.links + 1)], clicked[burst.links - 1 :]
        near = rows.at[last] - rows.at[first] <= burst.within
        found.append(place[first[(place[first] == place[last]) & near]])
    return np.unique(np.concatenate(found))
