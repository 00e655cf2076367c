"""What conditions look at: for each stream of the engine's the events of all people, in order of person and time."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mailtailor.instant import Instant
from mailtailor.segments.columns.history import TIME_BITS, History
from mailtailor.segments.columns.lookup import Lookup, Places
from mailtailor.segments.columns.people import Mask
from mailtailor.segments.columns.plan import top
from mailtailor.segments.columns.reading import Instants, Texts
from mailtailor.segments.features import DELIVERED, EventFeature, MessageFeature
from mailtailor.segments.streams import SLACK

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEVER_AT: Final = -(1 << 61)
"""Stands for the instant of what did not happen: with any age added it has long passed."""
MAX_VALUE: Final = 1 << 52
"""A thousand of these can be added up. Who has a larger one is left to the engine."""
_MESSAGE_BITS: Final = 40


@dataclass(frozen=True, slots=False)
class Entries:
    """Events of all people, in order of person and time.

    Attributes
    ----------
    place, at
        Whose each is, and when it happened.
    value
        What is measured of it; empty if nothing is.
    """

    place: Places
    at: Instants
    value: NDArray[np.int64]

    @cached_property
    def ends(self) -> Places:
        """Where each person's last entry is."""
        return np.flatnonzero(np.append(self.place[1:] != self.place[:-1], True)) if len(self.place) else self.place

    @cached_property
    def starts(self) -> Places:
        """Where each person's first entry is."""
        return np.append(0, self.ends[:-1] + 1) if len(self.place) else self.place

    def nth_last(self, number: int, people: int) -> Instants:
        """Return when each person's nth-last event was, `NEVER_AT` of who has fewer."""
        found = np.full(people, NEVER_AT)
        nth = self.ends - (number - 1)
        enough = nth >= self.starts
        found[self.place[self.ends[enough]]] = self.at[nth[enough]]
        return found

    def first(self, people: int) -> Instants:
        """Return when each person's first event was, `NEVER_AT` of who has none."""
        found = np.full(people, NEVER_AT)
        found[self.place[self.starts]] = self.at[self.starts]
        return found

    def only(self, which: Mask) -> Entries:
        """Return some of the entries, in their order."""
        return Entries(self.place[which], self.at[which], self.value[which] if len(self.value) else self.value)


class Streams:
    """The streams of a history.

    Parameters
    ----------
    history
        What counts.
    texts
        Returns what is measured of a property, as JSON, by its hash.
    """

    def __init__(self, history: History, texts: Callable[[str], Texts]) -> None:
        self._history = history
        self._texts = texts
        self._known: dict[int, Entries] = {}
        # So small numbers are sorted by counting.
        self._order = np.argsort(
            history.kind.astype(np.int16 if len(history.kinds) < 1 << 14 else np.int64), kind="stable"
        )
        self._ends = np.cumsum(np.bincount(history.kind, minlength=2 * len(history.kinds) + 1))
        self.left: Mask = np.zeros(len(history.left), np.bool_)
        """Of whom columns turned out not to tell everything."""

    def of(self, feature: EventFeature) -> Entries:
        """Return a stream of events."""
        entries = self._known.get(feature.id)
        if entries is None:
            entries = self._known[feature.id] = self._valued(feature) if feature.measure else self._plain(feature)
        return entries

    def _plain(self, feature: EventFeature) -> Entries:
        rows = self._rows(feature.id)
        at = self._history.rows.at[rows]
        base = int(at.min()) if len(at) else 0
        # Person and time in one number, of which the rows of each day are in order already.
        in_order = np.sort((self._history.place[rows] << TIME_BITS) | (at - base), kind="stable")
        return Entries(in_order >> TIME_BITS, (in_order & ((1 << TIME_BITS) - 1)) + base, np.zeros(0, np.int64))

    def _rows(self, feature: int) -> Places:
        """Return the rows that belong to a stream."""
        return self._of_kinds(lambda number, machine: feature in self._history.kinds[number].streams[machine])

    def _of_kinds(self, wanted: Callable[[int, bool], bool]) -> Places:
        found = [
            self._of_kind(2 * number + machine)
            for number in range(len(self._history.kinds))
            for machine in (False, True)
            if wanted(number, machine)
        ]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def _of_kind(self, kind: int) -> Places:
        return self._order[self._ends[kind - 1] if kind else 0 : self._ends[kind]]

    def _valued(self, feature: EventFeature) -> Entries:
        parts = [
            self._values(feature, self._history.kinds[number].type, self._of_kind(2 * number + machine))
            for number in range(len(self._history.kinds))
            for machine in (False, True)
            if feature.id in self._history.kinds[number].streams[machine]
        ]
        rows, values = (
            (np.concatenate([np.zeros(0, np.int64), *some]) for some in zip(*parts, strict=True))
            if parts
            else (np.zeros(0, np.int64),) * 2
        )
        place, at = self._history.place[rows], self._history.rows.at[rows]
        order = np.lexsort((at, place))
        return Entries(place[order], at[order], values[order])

    def _values(self, feature: EventFeature, event_type: str, rows: Places) -> tuple[Places, NDArray[np.int64]]:
        """Return rows of one type, each as often as it has values, with these."""
        keys = dict.fromkeys((feature.of, top(feature.of)))
        columns = [self._history.rows.measured[key][rows] for key in keys]
        different, first, which = _different(columns)
        told = [{key: int(column[row]) for key, column in zip(keys, columns, strict=True)} for row in first.tolist()]
        values = [feature.values(event_type, self._properties(one)) for one in told]
        too_large = np.array([any(abs(value) > MAX_VALUE for value in some) for some in values], np.bool_)
        self.left[self._history.place[rows[too_large[which]]]] = True
        values = [() if large else some for some, large in zip(values, too_large, strict=True)]
        numbers = np.array([len(some) for some in values], np.int64)
        starts = np.cumsum(numbers) - numbers
        flat = np.array([value for some in values for value in some], np.int64)
        each = numbers[which] if different else np.zeros(0, np.int64)
        repeated = np.repeat(np.arange(len(rows)), each)
        # The how-many-eth value of its row each is.
        nth = np.arange(len(repeated)) - np.repeat(np.cumsum(each) - each, each)
        return rows[repeated], flat[starts[which[repeated]] + nth]

    def _properties(self, hashes: Mapping[str, int]) -> dict[str, Any]:
        texts = {key: self._texts(key)[number] for key, number in hashes.items()}
        return {key: json.loads(text) for key, text in texts.items() if text is not None}

    def messages(self, feature: MessageFeature, within: int, now: Instant, whose: Mask) -> Entries:
        """Return when messages were last delivered to some people within a time, valued 1 if they were hit since."""
        kinds = self._history.kinds
        delivered = self._messages(
            lambda n, m: kinds[n].type == DELIVERED and feature.id in kinds[n].messages[m], now - within, whose
        )
        hits = self._messages(
            lambda n, m: kinds[n].type == feature.hit and feature.id in kinds[n].messages[m],
            now - within - SLACK,
            whose,
        )
        # Of each message the last delivery, and the last hit.
        last, last_hit = _last_of_each(delivered), _last_of_each(hits)
        known = Lookup(last_hit.message)
        found = known.places(last.message)
        at_hit = np.append(last_hit.at, NEVER_AT)[found]
        order = np.lexsort((last.at, last.place))
        return Entries(last.place[order], last.at[order], (at_hit >= last.at - SLACK)[order].astype(np.int64))

    def _messages(self, wanted: Callable[[int, bool], bool], after: Instant, whose: Mask) -> _Messages:
        rows = self._of_kinds(wanted)
        told = self._history.rows
        rows = rows[whose[self._history.place[rows]]]
        rows = rows[told.at[rows] > after]
        place = self._history.place[rows]
        # One number a person and message; the factor mixes the person's into its first bits.
        message = told.message[rows] ^ (place.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        return _Messages(place, told.at[rows], message)


@dataclass(frozen=True, slots=True)
class _Messages:
    place: Places
    at: Instants
    message: NDArray[np.uint64]


def _last_of_each(messages: _Messages) -> _Messages:
    order = np.lexsort((messages.at, messages.message))
    message = messages.message[order]
    order = order[np.append(message[1:] != message[:-1], True)] if len(order) else order
    return _Messages(messages.place[order], messages.at[order], messages.message[order])


def _different(columns: Sequence[NDArray[np.uint64]]) -> tuple[int, Places, Places]:
    """Return how many different rows there are, where each is first, and which of them every row is."""
    mixed = columns[0]
    for column in columns[1:]:
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15) ^ column
    _, first, which = np.unique(mixed, return_index=True, return_inverse=True)
    return len(first), first, which


def grouped(entries: Entries, places: Collection[int] | None = None) -> dict[int, list[tuple[Instant, int, int]]]:
    """Return entries as the engine's streams have them, by person; ids, which decide nothing, are 0."""
    at, values = entries.at.tolist(), entries.value.tolist() if len(entries.value) else [0] * len(entries.at)
    rows = list(zip(at, [0] * len(at), values, strict=True))
    whose = entries.place[entries.ends].tolist()
    spans = zip(whose, entries.starts.tolist(), entries.ends.tolist(), strict=True)
    return {place: rows[start : end + 1] for place, start, end in spans if places is None or place in places}
