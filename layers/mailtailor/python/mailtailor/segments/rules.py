"""Compiles conditions into closures, and says which streams they need."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from hashlib import blake2b
from typing import Any, Final

from mailtailor.instant import FOREVER, Instant
from mailtailor.segments.definition import (
    All,
    AnyOf,
    Condition,
    Exists,
    Filter,
    Filters,
    In,
    LastOlderThan,
    Not,
    Occurred,
    OpenedShare,
)
from mailtailor.segments.streams import Messages, Occurrences, Streams
from mailtailor.segments.verdict import NEVER_BY_TIME, Verdict, all_of, any_of, negated

Rule = Callable[[Streams, Instant], Verdict]
"""Evaluates a condition over a profile's streams at an instant."""
Matches = Callable[[Mapping[str, Any]], bool]
"""Tells whether an event's properties pass a condition's filters."""

_LATEST: Final = 1 << 64
"""Greater than any id in a stream: with it, bisecting finds all entries up to and including an instant."""


@dataclass(frozen=True, slots=True)
class OccurrenceFeature:
    """A stream of the last `keep` events of some types that pass filters, machines' included or not."""

    id: int
    events: frozenset[str]
    where: Filters
    keep: int
    include_machine: bool = False


@dataclass(frozen=True, slots=True)
class MessageFeature:
    """A stream of messages delivered and opened, as far back as `window`; with people's opens, or any."""

    id: int
    window: int


Feature = OccurrenceFeature | MessageFeature
Features = dict[int, Feature]


def feature_id(*parts: object) -> int:
    """Return the id of the stream that these parts describe: equal needs of two segments share one stream."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=4).digest(), "big")


MESSAGES: Final = feature_id("messages")
MESSAGES_WITH_MACHINES: Final = feature_id("messages", "machine")


def compile_condition(condition: Condition, features: Features) -> Rule:
    """Return the closure for `condition`, and add to `features` what it needs.

    A stream that two conditions share keeps as much as the more demanding one needs.
    """
    match condition:
        case All():
            return _all([compile_condition(child, features) for child in condition.all])
        case AnyOf():
            return _any([compile_condition(child, features) for child in condition.any])
        case Not():
            return _not(compile_condition(condition.not_, features))
        case Occurred():
            feature = _occurrences(condition, condition.at_least, features)
            return _occurred(feature, condition.at_least, condition.within)
        case LastOlderThan():
            return _last_older_than(_occurrences(condition, 1, features), condition.older_than)
        case OpenedShare():
            feature = MESSAGES_WITH_MACHINES if condition.include_machine else MESSAGES
            _need(features, MessageFeature(id=feature, window=condition.within))
            return _opened_share(feature, Fraction(condition.opened_share), condition.within)


def _occurrences(condition: Occurred | LastOlderThan, keep: int, features: Features) -> int:
    filters = tuple(sorted((name, repr(value)) for name, value in condition.where.items()))
    machines = ("machine",) if condition.include_machine else ()
    feature = OccurrenceFeature(
        id=feature_id("occurrences", tuple(sorted(condition.event)), filters, *machines),
        events=frozenset(condition.event),
        where=condition.where,
        keep=keep,
        include_machine=condition.include_machine,
    )
    _need(features, feature)
    return feature.id


def _need(features: Features, feature: Feature) -> None:
    match feature, features.get(feature.id):
        case OccurrenceFeature(), OccurrenceFeature() as known:
            features[feature.id] = replace(known, keep=max(known.keep, feature.keep))
        case MessageFeature(), MessageFeature() as known:
            features[feature.id] = replace(known, window=max(known.window, feature.window))
        case _:
            features[feature.id] = feature


def _all(rules: list[Rule]) -> Rule:
    return lambda streams, now: all_of([rule(streams, now) for rule in rules])


def _any(rules: list[Rule]) -> Rule:
    return lambda streams, now: any_of([rule(streams, now) for rule in rules])


def _not(rule: Rule) -> Rule:
    return lambda streams, now: negated(rule(streams, now))


def _occurred(feature: int, at_least: int, within: int) -> Rule:
    def rule(streams: Streams, now: Instant) -> Verdict:
        stream = streams.get(feature)
        if not isinstance(stream, Occurrences):
            return NEVER_BY_TIME
        entries = stream.entries
        past = bisect_right(entries, (now, _LATEST))
        if past >= at_least and (leaves := entries[past - at_least][0] + within) > now:
            return Verdict(truth=True, valid_until=leaves)
        return Verdict(truth=False, valid_until=_next(entries, past))

    return rule


def _last_older_than(feature: int, age: int) -> Rule:
    def rule(streams: Streams, now: Instant) -> Verdict:
        stream = streams.get(feature)
        if not isinstance(stream, Occurrences):
            return NEVER_BY_TIME
        entries = stream.entries
        past = bisect_right(entries, (now, _LATEST))
        upcoming = _next(entries, past)
        if not past:
            return Verdict(truth=False, valid_until=upcoming)
        turns = entries[past - 1][0] + age
        return Verdict(truth=True, valid_until=upcoming) if turns <= now else Verdict(False, min(turns, upcoming))

    return rule


def _next(entries: list[tuple[Instant, int]], past: int) -> Instant:
    """Return when the first entry that lies ahead begins to count.

    Entries can lie ahead by the few milliseconds that two machines' clocks differ.
    """
    return entries[past][0] if past < len(entries) else FOREVER


def _opened_share(feature: int, share: Fraction, within: int) -> Rule:
    def rule(streams: Streams, now: Instant) -> Verdict:
        stream = streams.get(feature)
        if not isinstance(stream, Messages):
            return NEVER_BY_TIME
        # A delivery that is not known yet counts from when it becomes known: an open alone is no message delivered.
        known = sorted((delivered, bool(opened)) for delivered, opened in stream.entries.values() if delivered)
        counted = [entry for entry in known if entry[0] <= now < entry[0] + within]
        upcoming = min((delivered for delivered, _ in known if delivered > now), default=FOREVER)
        total, opened = len(counted), sum(was_opened for _, was_opened in counted)
        truth = _reaches(opened, total, share)
        for index, (delivered, was_opened) in enumerate(counted):
            total, opened = total - 1, opened - was_opened
            leaves_together = index + 1 < len(counted) and counted[index + 1][0] == delivered
            if not leaves_together and _reaches(opened, total, share) != truth:
                return Verdict(truth, min(delivered + within, upcoming))
        return Verdict(truth, upcoming)

    return rule


def _reaches(opened: int, total: int, share: Fraction) -> bool:
    return total > 0 and opened * share.denominator >= total * share.numerator


def matcher(where: Filters) -> Matches:
    """Return a function that tells whether properties pass all filters."""
    tests = [(name, _test(condition)) for name, condition in where.items()]
    return lambda properties: all(test(properties.get(name)) for name, test in tests)


def _test(condition: Filter) -> Callable[[Any], bool]:
    match condition:
        case In():
            accepted = {_comparable(value) for value in condition.in_}
            return lambda value: _comparable(value) in accepted
        case Exists():
            return lambda value: (value is not None) == condition.exists
        case _:
            wanted = _comparable(condition)
            return lambda value: _comparable(value) == wanted


def _comparable(value: object) -> object:
    """Keep true apart from 1, and lists and objects (which no filter equals) hashable."""
    return (type(value) is bool, value) if isinstance(value, str | int | float) else None
