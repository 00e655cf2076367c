"""What segments need remembered of events: features, each the description of one stream."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final, Literal

from mailtailor.segments.definition import MAX_WINDOW, EventTypes, Filter
from mailtailor.segments.filters import comparable, values_at
from mailtailor.segments.streams import First, Occurrences, Values, id_hash

DELIVERED: Final = "email_delivered"
OPENED: Final = "email_opened"
CLICKED: Final = "email_link_clicked"
HITS: Final = frozenset({OPENED, CLICKED})
"""Events that machines make too."""
AMOUNT_UNIT: Final = 10_000
"""Amounts are kept as whole ten-thousandths, so that sums are exact in any order."""
MAX_AMOUNT: Final = 10**12

Measure = Literal["", "amount", "value"]
"""Of an event: nothing, a number, or which value a property has."""


@dataclass(frozen=True, slots=True)
class EventFeature:
    """A stream of events of some types that pass filters, machines' included or not.

    Attributes
    ----------
    id
        Equal needs of two segments have one id, and so one stream.
    kind
        Whether the last `keep`, all of a `window`, or the first.
    events, where, include_machine
        Which events.
    keep, window
        How many at most, and from what age on they are forgotten.
    measure, of, minus
        What `Values` keep of an event: the property, and the types whose amounts count against.
    """

    id: int
    kind: type[Occurrences | Values | First]
    events: frozenset[str]
    where: tuple[tuple[str, Filter], ...]
    include_machine: bool = False
    keep: int = 1
    window: int = MAX_WINDOW
    measure: Measure = ""
    of: str = ""
    minus: frozenset[str] = frozenset()

    def values(self, event_type: str, properties: Mapping[str, Any]) -> tuple[int, ...]:
        """Return what to keep of an event: an entry for each number here, none if it lacks what is measured."""
        match self.measure:
            case "":
                return (0,)
            case "amount":
                amount = _amount(values_at(properties, self.of))
                return () if amount is None else (-amount if event_type in self.minus else amount,)
            case _:
                known = dict.fromkeys(map(comparable, values_at(properties, self.of)))
                return tuple(_short(one) for one in known if one is not None)


@dataclass(frozen=True, slots=True)
class MessageFeature:
    """A stream of messages delivered and opened or clicked (`hit`), as far back as `window`; by people, or any."""

    id: int
    hit: str
    window: int
    include_machine: bool = False


Feature = EventFeature | MessageFeature
Features = dict[int, Feature]


def feature_id(*parts: object) -> int:
    """Return the id of the stream that these parts describe: equal needs of two segments share one stream."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=4).digest(), "big")


MESSAGES: Final = feature_id("messages")
MESSAGES_WITH_MACHINES: Final = feature_id("messages", "machine")
CLICKED_MESSAGES: Final = feature_id("messages", "clicked")
CLICKED_MESSAGES_WITH_MACHINES: Final = feature_id("messages", "clicked", "machine")


def need(features: Features, feature: Feature) -> int:
    """Add a feature; a stream that two conditions share keeps as much as the more demanding one needs."""
    match feature, features.get(feature.id):
        case EventFeature(), EventFeature() as known:
            keep, window = max(known.keep, feature.keep), max(known.window, feature.window)
            if (keep, window) != (known.keep, known.window):
                features[feature.id] = replace(known, keep=keep, window=window)
        case MessageFeature(), MessageFeature() as known:
            if feature.window > known.window:
                features[feature.id] = feature
        case _:
            features[feature.id] = feature
    return feature.id


@dataclass(slots=True)
class Needs:
    """What a segment's rule looks at, collected while it is compiled."""

    features: Features
    """Of all segments."""
    streams: set[int] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    segments: set[str] = field(default_factory=set)
    consent: bool = False

    def event(
        self,
        kind: type[Occurrences | Values | First],
        events: EventTypes,
        where: tuple[tuple[str, Filter], ...],
        *,
        machines: bool,
        keep: int = 1,
        window: int = MAX_WINDOW,
        measure: Measure = "",
        of: str = "",
        minus: EventTypes = (),
    ) -> int:
        """Note that a stream of events is needed, and return its id."""
        types = frozenset((*events, *minus))
        name = tuple(sorted((path, repr(wanted)) for path, wanted in where))
        own = feature_id(kind.__name__, tuple(sorted(types)), name, machines, measure, of, tuple(sorted(minus)))
        feature = EventFeature(own, kind, types, where, machines, keep, window, measure, of, frozenset(minus))
        self.streams.add(need(self.features, feature))
        return own


def _amount(values: list[Any]) -> int | None:
    """Return the sum of the numbers among `values` in whole units, None without any."""
    numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    usable = [one for one in numbers if math.isfinite(one) and abs(one) <= MAX_AMOUNT]
    # By way of their text, for 0.1 is meant and not the binary fraction next to it.
    return sum(round(Decimal(str(one)) * AMOUNT_UNIT) for one in usable) if usable else None


def _short(value: object) -> int:
    is_truth, plain = value if isinstance(value, tuple) else (False, value)
    number = plain if isinstance(plain, str) or is_truth else float(plain)
    return id_hash(f"{type(number).__name__}\0{number}")
