"""Estimates what a segment costs every person's profile, and refuses what would hurt.

A profile is read and written whole for each event, so what segments remember is paid for again and again. Typical
numbers are those of a busy customer, the greatest are those at which streams are cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mailtailor.instant import DAY
from mailtailor.segments.definition import (
    All,
    AnyOf,
    Average,
    ClickedShare,
    Condition,
    DateIn,
    Distinct,
    Near,
    Not,
    Occurred,
    OpenedShare,
    SegmentDefinition,
    Sequence,
    Sum,
    conditions,
)
from mailtailor.segments.features import EventFeature, Feature, Features, need
from mailtailor.segments.freshness import needs_of
from mailtailor.segments.streams import MAX_MESSAGES, MAX_VALUES, First, Occurrences

MAX_ENTRIES: Final = 4_000
"""Four full windows, about 50 KB: as far as a bot may fill a profile whose every write costs a unit a KB."""
MAX_BYTES: Final = 16 * 1024
"""Sixteen times the KB at which a profile is cheap; what needs more belongs into reports on the archive."""
MAX_MICROSECONDS: Final = 500
"""As much as an event may take with a thousand segments; none may cost as much as all of them."""
MAX_BYTES_OF_ALL: Final = 64 * 1024
"""A sixth of DynamoDB's largest item, so that a person ten times as busy as the typical one is cut, not refused."""

_MAILS_A_DAY: Final = 1.0
_ORDERS_A_DAY: Final = 0.2
_EVENTS_A_DAY: Final = 2.0
"""Of one type, on a busy customer's typical day: views, clicks on a site, additions to the cart."""

_STREAM_BYTES: Final = 7
"""A stream's feature, kind and length, and how much longer its first instant is than later distances."""
_ENTRY_BYTES: Final = {"": 11, "amount": 13, "value": 17}
"""An instant's distance, an id, and what is measured; as `stream_codec.encode` writes them."""
_OCCURRENCE_BYTES: Final = 10
_MESSAGE_BYTES: Final = 14

# Microseconds of one core, measured with CPython 3.11: of each condition, entry, message, point and date.
_CONDITION: Final = 0.5
_ENTRY: Final = 0.65
_VALUE: Final = 1.1
_PAIR: Final = 0.3
_MESSAGE: Final = 0.25
_POINT: Final = 0.65
_DATE: Final = 9.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What segments cost a person's profile.

    Attributes
    ----------
    conditions
        How many there are, but for all, any and not.
    entries
        How many events and messages are remembered at most.
    typical_bytes
        What these are in the profile of a busy customer.
    typical_microseconds
        What an evaluation takes then, if no condition spares another.
    """

    conditions: int
    entries: int
    typical_bytes: int
    typical_microseconds: float

    def __str__(self) -> str:
        size = (
            f"{self.typical_bytes:,} bytes" if self.typical_bytes < 1_024 else f"{self.typical_bytes / 1_024:,.1f} KB"
        )
        remembered = f"at most {_counted(self.entries, 'event')} a person, typically {size}"
        return (
            f"{_counted(self.conditions, 'condition')}; remembers {remembered if self.entries else 'no events'}; "
            f"about {max(1, round(self.typical_microseconds)):,} µs an evaluation"
        )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def estimate(definition: SegmentDefinition) -> Cost:
    """Return what one segment costs by itself; the segments that it refers to have costs of their own."""
    return estimate_all([definition])


def estimate_all(definitions: Iterable[SegmentDefinition]) -> Cost:
    """Return what segments cost together; what several of them remember alike is kept once."""
    known, features = list(definitions), Features()
    asked = [
        one for definition in known for one in conditions(definition.rule) if not isinstance(one, All | AnyOf | Not)
    ]
    for definition in known:
        for feature in needs_of(definition.rule).features.values():
            need(features, feature)
    return Cost(
        conditions=len(asked),
        entries=sum(map(_most, features.values())),
        typical_bytes=sum(map(_bytes, features.values())),
        typical_microseconds=sum(map(_microseconds, asked)),
    )


def check(definition: SegmentDefinition) -> None:
    """Refuse a segment that would hurt.

    Raises
    ------
    ValueError
        One sentence with its estimate.
    """
    cost = estimate(definition)
    faults = (
        (cost.entries > MAX_ENTRIES, f"remember more than {MAX_ENTRIES:,} events a person"),
        (cost.typical_bytes > MAX_BYTES, f"typically need more than {MAX_BYTES // 1_024} KB a person"),
        (cost.typical_microseconds > MAX_MICROSECONDS, f"take more than {MAX_MICROSECONDS} µs an evaluation"),
    )
    for is_too_much, what in faults:
        if is_too_much:
            raise ValueError(
                f"the segment {definition.name} would {what}, so shorten its windows or part it into segments of their "
                f"own; its estimate: {cost}"
            )


def check_all(definitions: Iterable[SegmentDefinition]) -> None:
    """Refuse segments of which one would hurt, or all together would.

    Raises
    ------
    ValueError
        One sentence with the estimate.
    """
    known = list(definitions)
    for definition in known:
        check(definition)
    cost = estimate_all(known)
    if cost.typical_bytes > MAX_BYTES_OF_ALL:
        dearest = max(known, key=lambda one: estimate(one).typical_bytes)
        raise ValueError(
            f"the {len(known):,} segments together would typically need more than {MAX_BYTES_OF_ALL // 1_024} KB a "
            f"person, most of all {dearest.name}; their estimate: {cost}"
        )


def _most(feature: Feature) -> int:
    if not isinstance(feature, EventFeature):
        return MAX_MESSAGES
    if feature.kind is First:
        return 1
    return feature.keep if feature.kind is Occurrences else MAX_VALUES


def _typical(feature: Feature) -> int:
    a_day = sum(map(_events_a_day, feature.events)) if isinstance(feature, EventFeature) else _MAILS_A_DAY
    return min(_most(feature), math.ceil(a_day * feature.window / DAY))


def _events_a_day(event_type: str) -> float:
    if event_type.startswith("email_"):
        return _MAILS_A_DAY
    return _ORDERS_A_DAY if event_type.startswith("order_") else _EVENTS_A_DAY


def _bytes(feature: Feature) -> int:
    if not isinstance(feature, EventFeature):
        entry = _MESSAGE_BYTES
    elif feature.kind in {First, Occurrences}:
        entry = _OCCURRENCE_BYTES
    else:
        entry = _ENTRY_BYTES[feature.measure]
    return _STREAM_BYTES + entry * _typical(feature)


def _microseconds(condition: Condition) -> float:
    match condition:
        case Near():
            return _CONDITION + _POINT * len(condition.near.of)
        case DateIn():
            return _CONDITION + _DATE
    return _CONDITION + _of_each(condition) * sum(map(_typical, needs_of(condition).features.values()))


def _of_each(condition: Condition) -> float:
    """Return what each entry that is remembered for a condition costs its evaluation."""
    match condition:
        case OpenedShare() | ClickedShare():
            return _MESSAGE
        case Distinct():
            return _VALUE
        case Sum() | Average():
            return _ENTRY
        case Occurred() if condition.ages[0]:
            return _ENTRY
        case Sequence():
            return _PAIR
    # The last few are found at once, however many there are.
    return 0.0
