"""Decides conditions that contain no other, for all people together.

Where a handful of each person's instants decides, columns do. Where events have to be paired, the engine's own rule is
asked, person by person, about streams made of the same columns; and what only a few different attributes decide is
asked of the engine's rule once for each of those.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mailtailor.consent.policy import Consent, ConsentRecord, Purpose
from mailtailor.instant import FOREVER, Instant
from mailtailor.segments import windows
from mailtailor.segments.columns.people import Mask, People
from mailtailor.segments.columns.plan import Leaf, Plan
from mailtailor.segments.columns.reading import Reader
from mailtailor.segments.columns.streams import NEVER_AT, Entries, Streams, grouped
from mailtailor.segments.columns.turning import Verdicts, measured, negated, once
from mailtailor.segments.definition import (
    MAX_WINDOW,
    Average,
    ClickedShare,
    Condition,
    First,
    InBucket,
    LastIs,
    LastOlderThan,
    MailStateIs,
    Occurred,
    OpenedShare,
    Sequence,
    Sum,
)
from mailtailor.segments.event_rules import mail_state
from mailtailor.segments.features import EventFeature, MessageFeature
from mailtailor.segments.person import Person
from mailtailor.segments.streams import First as FirstEvent
from mailtailor.segments.streams import Occurrences, Stream, Values
from mailtailor.segments.verdict import Verdict


@dataclass(frozen=True, slots=True)
class _Stated:
    value: Any
    at: Instant = 0


@dataclass(frozen=True, slots=True, eq=False)
class Leaves:
    """What conditions say of some people.

    Attributes
    ----------
    plan
        The conditions, and what they look at.
    people, streams
        Of whom, and what they did.
    reader
        Where texts and ids are read that conditions ask for.
    now
        When.
    known
        What was asked of the engine about attributes before, of these people or of others.
    """

    plan: Plan
    people: People
    streams: Streams
    reader: Reader
    now: Instant
    known: dict[tuple[object, ...], Verdict]
    _texts: dict[str, dict[int, str | None]] = field(default_factory=dict)

    def verdicts(self, condition: Condition, needed: Mask) -> Verdicts:  # noqa: PLR0911 - a kind of condition each
        """Return the verdicts of a condition, right for those at least whom `needed` names."""
        leaf = self.plan.leaves[id(condition)]
        if isinstance(condition, MailStateIs):
            condition = mail_state(condition)
        match condition:
            case Occurred() if not condition.ages[0]:
                return self._occurred(leaf, condition)
            case LastOlderThan():
                at = self._last(leaf)
                return once(at + condition.older_than, at + MAX_WINDOW, self.now)
            case LastIs():
                return self._last_is(leaf, condition.within)
            case First():
                return self._first(leaf, condition)
            case Sequence() if condition.not_followed_by and (condition.step.within, condition.step.same) == (
                None,
                None,
            ):
                return self._not_since(leaf, condition)
            case Occurred() | Sum() | Average() | OpenedShare() | ClickedShare():
                return self._measured(leaf, condition, needed)
            case _ if leaf.needs.streams:
                return self._walked(leaf, needed)
            case _:
                return self._of_person(leaf)

    def _entries(self, leaf: Leaf, number: int = 0) -> Entries:
        """Return the entries of one of a leaf's streams, in the order in which its rule names them."""
        feature = self.plan.features[leaf.streams[number]]
        assert isinstance(feature, EventFeature)  # noqa: S101 - shares, which look at messages, do not come here
        return self.streams.of(feature)

    def _last(self, leaf: Leaf, number: int = 0) -> np.ndarray[Any, np.dtype[np.int64]]:
        return self._entries(leaf, number).nth_last(1, len(self.people))

    def _occurred(self, leaf: Leaf, condition: Occurred) -> Verdicts:
        least, most = condition.numbers
        found = np.ones(len(self.people), np.bool_), np.full(len(self.people), FOREVER)
        if least:
            found = self._at_least(leaf, least, condition.ages[1])
        if most is None:
            return found
        few = negated(self._at_least(leaf, most + 1, condition.ages[1]))
        return _both(found, few)

    def _at_least(self, leaf: Leaf, least: int, within: int) -> Verdicts:
        leaves = self._entries(leaf).nth_last(least, len(self.people)) + within
        truth = leaves > self.now
        return truth, np.where(truth, leaves, FOREVER)

    def _last_is(self, leaf: Leaf, within: int) -> Verdicts:
        at = self._last(leaf)
        begins = np.where(self._last(leaf, 1) == at, at, NEVER_AT)
        return once(begins, begins + within, self.now)

    def _first(self, leaf: Leaf, condition: First) -> Verdicts:
        at = self._entries(leaf).first(len(self.people))
        ends = at + condition.within if condition.within else np.where(at == NEVER_AT, NEVER_AT, FOREVER)
        return once(at + (condition.older_than or 0), ends, self.now)

    def _not_since(self, leaf: Leaf, condition: Sequence) -> Verdicts:
        later = not set(condition.event).isdisjoint(condition.step.event)
        at, follower = self._last(leaf), self._last(leaf, len(leaf.streams) - 1)
        followed = (follower > at) if later else (follower >= at)
        least, end = max(condition.ages[0], condition.older_than or 0), condition.ages[1]
        begins = np.where(followed, NEVER_AT, at)
        return once(begins + least, begins + end, self.now)

    def _measured(
        self, leaf: Leaf, condition: Occurred | Sum | Average | OpenedShare | ClickedShare, needed: Mask
    ) -> Verdicts:
        mean, ages = isinstance(condition, Average), (0, 0)
        feature = self.plan.features[leaf.streams[0]]
        match condition:
            case Occurred():
                holds, ages = windows.between(*condition.numbers), condition.ages
            case Sum() | Average():
                holds, ages = windows.bounds(condition), condition.ages
            case OpenedShare(opened_share=wanted) | ClickedShare(clicked_share=wanted):
                mean, ages = True, (0, condition.within)
                top, bottom = wanted.as_integer_ratio()
                holds = _share(top, bottom)
        if isinstance(feature, MessageFeature):
            entries = self.streams.messages(feature, ages[1], self.now, needed)
        else:
            entries = self.streams.of(feature)
            entries = entries.only(needed[entries.place])
        return measured(entries, ages, holds, mean=mean, now=self.now, people=len(self.people))

    def _walked(self, leaf: Leaf, needed: Mask) -> Verdicts:
        """Ask the engine's rule about each person who has any of the events."""
        truths, untils = np.zeros(len(self.people), np.bool_), np.full(len(self.people), FOREVER)
        by_person: dict[int, dict[int, Stream]] = {}
        for number in leaf.streams:
            feature = self.plan.features[number]
            assert isinstance(feature, EventFeature)  # noqa: S101 - see above
            entries = self.streams.of(feature)
            entries = entries.only(needed[entries.place] & (entries.at + feature.window > self.now))
            for place, own in grouped(entries).items():
                by_person.setdefault(place, {})[number] = _stream(feature, own)
        truths[:], untils[:] = leaf.rule(Person("", {}, {}, {}), self.now)
        for place, streams in by_person.items():
            truths[place], untils[place] = leaf.rule(Person("", streams, {}, {}), self.now)
        return truths, untils

    def _of_person(self, leaf: Leaf) -> Verdicts:
        """Ask the engine's rule about each different person: by attributes, consent, and identity."""
        if isinstance(leaf.condition, InBucket):
            ids = self.reader.ids()
            verdicts = [leaf.rule(Person(ids[one], {}, {}, {}), self.now) for one in self.people.numbers.tolist()]
            return _arrays(verdicts)
        names = sorted(leaf.needs.attributes)
        columns = [self.people.attributes[name] for name in names]
        different, which = np.unique(
            np.stack([*columns, self.people.tracking.astype(np.uint64)], axis=1), axis=0, return_inverse=True
        )
        verdicts = []
        for *hashes, tracking in different.tolist():
            asked = id(leaf), *hashes, tracking
            if asked not in self.known:
                self.known[asked] = leaf.rule(self._person(names, hashes, tracking=bool(tracking)), self.now)
            verdicts.append(self.known[asked])
        truths, untils = _arrays(verdicts)
        return truths[which.ravel()], untils[which.ravel()]

    def _person(self, names: list[str], hashes: list[int], *, tracking: bool) -> Person:
        texts = {name: self._text(name, number) for name, number in zip(names, hashes, strict=True) if number}
        attributes = {name: _Stated(json.loads(text)) for name, text in texts.items()}
        consent: ConsentRecord = {
            Purpose.PERSONALIZATION: Consent(granted=True, at=0),
            Purpose.TRACKING: Consent(granted=tracking, at=0),
        }
        return Person("", {}, attributes, consent)

    def _text(self, name: str, number: int) -> str:
        if name not in self._texts:
            self._texts[name] = self.reader.attribute_texts(name)
        return self._texts[name][number] or "null"


def _both(one: Verdicts, other: Verdicts) -> Verdicts:
    holds = one[0] & other[0]
    fails = np.maximum(np.where(one[0], -1, one[1]), np.where(other[0], -1, other[1]))
    return holds, np.where(holds, np.minimum(one[1], other[1]), fails)


def _share(top: int, bottom: int) -> windows.Holds:
    return lambda hits, number: number > 0 and hits * bottom >= number * top


def _stream(feature: EventFeature, entries: list[tuple[Instant, int, int]]) -> Stream:
    if feature.kind is Values:
        return Values(entries)
    occurred = [(at, event) for at, event, _ in entries]
    return Occurrences(occurred) if feature.kind is Occurrences else FirstEvent(occurred[:1])


def _arrays(verdicts: list[Verdict]) -> Verdicts:
    truths = np.array([truth for truth, _ in verdicts], np.bool_)
    return truths, np.array([until for _, until in verdicts], np.int64)
