"""Finds what an event concerns: the features that remember it, and the segments whose truth it may change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mailtailor.segments.features import (
    CLICKED,
    DELIVERED,
    OPENED,
    EventFeature,
    Feature,
    Features,
    MessageFeature,
    Needs,
)
from mailtailor.segments.filters import Matches, accepted, comparable, matcher, values_at

Candidate = tuple[EventFeature, Matches | None]
"""A feature, and what an event must pass besides what found it."""


@dataclass(slots=True)
class _ByType:
    """The features of one type of event: those tried each time, and those found by the value of a property."""

    always: list[Candidate] = field(default_factory=list)
    by_value: dict[str, dict[object, list[Candidate]]] = field(default_factory=dict)


class Index:
    """Finds features and segments.

    Parameters
    ----------
    features
        All that is remembered, also for segments that are not among these.
    needs
        What each segment looks at.
    """

    def __init__(self, features: Features, needs: Mapping[str, Needs]) -> None:
        dependents = _dependents(needs)
        self._segments = _inverted((name, needs[name].streams) for name in needs)
        self._attributes = _inverted((name, needs[name].attributes) for name in needs)
        for index in (self._segments, self._attributes):
            for key, names in index.items():
                index[key] = frozenset().union(*(dependents[name] for name in names))
        self.by_consent: Final = frozenset[str]().union(*(dependents[name] for name in needs if needs[name].consent))
        self._types: dict[str, _ByType] = {}
        self._messages: dict[str, frozenset[str]] = {}
        for feature in features.values():
            if isinstance(feature, MessageFeature):
                for event in (DELIVERED, feature.hit):
                    self._messages[event] = self._messages.get(event, frozenset()) | self._of(feature)
            else:
                self._add(feature)
        hits = [one for one in features.values() if isinstance(one, EventFeature) and one.events & {OPENED, CLICKED}]
        self.by_hits: Final = frozenset[str]().union(
            *map(self._of, hits), *(self._messages.get(kind, ()) for kind in (OPENED, CLICKED))
        )

    def _of(self, feature: Feature) -> frozenset[str]:
        """Return the segments that look at a feature: none, if it is remembered for others than these."""
        return self._segments.get(feature.id, frozenset())

    def _add(self, feature: EventFeature) -> None:
        selective, rest = None, []
        for path, wanted in feature.where:
            values = None if selective is not None else accepted(wanted)
            if values is None:
                rest.append((path, wanted))
            else:
                selective = path, values
        candidate = feature, matcher(rest) if rest else None
        for event in feature.events:
            known = self._types.setdefault(event, _ByType())
            if selective is None:
                known.always.append(candidate)
                continue
            path, values = selective
            for value in dict.fromkeys(values):
                known.by_value.setdefault(path, {}).setdefault(value, []).append(candidate)

    def features(self, event_type: str, properties: Mapping[str, Any]) -> list[EventFeature]:
        """Return the features that remember an event, each once."""
        known = self._types.get(event_type)
        if known is None:
            return []
        candidates = list(known.always)
        for path, by_value in known.by_value.items():
            values = values_at(properties, path)
            alike = [one for value in values for one in by_value.get(comparable(value), ())]
            # Of several values, more than one may be wanted.
            candidates += alike if len(values) < 2 else {one[0].id: one for one in alike}.values()
        return [feature for feature, matches in candidates if matches is None or matches(properties)]

    def segments(self, event_type: str, features: Collection[EventFeature]) -> set[str]:
        """Return the segments that look at one of the features, or at messages of which the event tells."""
        return set(self._messages.get(event_type, ())).union(*map(self._of, features))

    def by_attributes(self, names: Iterable[str]) -> set[str]:
        """Return the segments that look at one of the attributes."""
        return set[str]().union(*(self._attributes.get(name, ()) for name in names))


def _inverted(needed: Iterable[tuple[str, Iterable[Any]]]) -> dict[Any, frozenset[str]]:
    found: dict[Any, set[str]] = {}
    for name, keys in needed:
        for key in keys:
            found.setdefault(key, set()).add(name)
    return {key: frozenset(names) for key, names in found.items()}


def _dependents(needs: Mapping[str, Needs]) -> dict[str, frozenset[str]]:
    """Return for each segment itself and those that refer to it, by way of others too."""
    dependents: dict[str, set[str]] = {name: {name} for name in needs}
    # Segments were compiled after those they refer to, so the last are referred to by none that is not yet complete.
    for name in reversed(list(needs)):
        for referred in needs[name].segments:
            dependents[referred] |= dependents[name]
    return {name: frozenset(names) for name, names in dependents.items()}
