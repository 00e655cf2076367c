"""What is to be read of the archive for some definitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mailtailor.segments.definition import All, AnyOf, Condition, InSegment, Not, SegmentDefinition
from mailtailor.segments.engine import DEFAULT_BURSTS, in_order
from mailtailor.segments.features import DELIVERED, HITS, EventFeature, Features, MessageFeature, Needs, need
from mailtailor.segments.index import Index
from mailtailor.segments.person import Rule
from mailtailor.segments.rules import compile_condition
from mailtailor.tracking.bursts import BurstSettings

MACHINE: Final = "machine"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A condition that contains no other: how the engine decides it for one person, and what it looks at."""

    condition: Condition
    rule: Rule
    needs: Needs
    streams: tuple[int, ...]
    """Those that it looks at, in the order in which its rule names them."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What some definitions need.

    Attributes
    ----------
    definitions
        By name, those that others refer to first.
    leaves
        Every condition that contains no other, by its identity.
    index, features
        Which streams an event belongs to.
    bursts
        What of opens and clicks is a machine's.
    types
        The events that matter.
    keys
        Names of the properties, at their top level, by which filters decide.
    measured
        Such names of what is summed up or told apart, each with the types of which it is.
    attributes
        Names of the attributes asked for.
    """

    definitions: Mapping[str, SegmentDefinition]
    leaves: Mapping[int, Leaf]
    index: Index
    features: Features
    bursts: BurstSettings
    types: tuple[str, ...]
    keys: tuple[str, ...]
    measured: Mapping[str, frozenset[str]]
    attributes: tuple[str, ...]

    @property
    def messages(self) -> bool:
        """Whether shares are asked for."""
        return any(isinstance(one, MessageFeature) for one in self.features.values())

    @property
    def by_machine_label(self) -> bool:
        """Whether a filter asks for the very reason why a hit is a machine's, which a correction changes."""
        return any(top(path) == MACHINE for one in _of_events(self.features) for path, _ in one.where)


def planned(definitions: Iterable[SegmentDefinition], bursts: BurstSettings = DEFAULT_BURSTS) -> Plan:
    """Return what `definitions` need.

    Raises
    ------
    BadReference
        As the engine does.
    """
    known = {one.name: one for one in definitions}
    features: Features = {}
    leaves: dict[int, Leaf] = {}
    needs: dict[str, Needs] = {}
    for name in in_order(known):
        needs[name] = Needs(features)
        _compile(known[name].rule, needs[name], leaves)
    events = _of_events(features)
    types = {event for one in events for event in one.events}
    messages = [one for one in features.values() if isinstance(one, MessageFeature)]
    if messages or types & HITS:
        # An invisible link betrays opens, and clicks betray each other.
        types |= HITS
    types |= {DELIVERED} if messages else set()
    keys = {key for one in events for path, _ in one.where for key in (path, top(path))}
    measured: dict[str, set[str]] = {}
    for one in events:
        for key in (one.of, top(one.of)) if one.measure else ():
            measured.setdefault(key, set()).update(one.events)
    return Plan(
        definitions={name: known[name] for name in needs},
        leaves=leaves,
        index=Index(features, needs),
        features=features,
        bursts=bursts,
        types=tuple(sorted(types)),
        keys=tuple(sorted(keys | ({MACHINE} if types & HITS else set()))),
        measured={key: frozenset(of) for key, of in sorted(measured.items())},
        attributes=tuple(sorted({name for leaf in leaves.values() for name in leaf.needs.attributes})),
    )


def top(path: str) -> str:
    """Return the name at the top level from which a path such as `products.category` starts."""
    return path.partition(".")[0]


def _of_events(features: Features) -> list[EventFeature]:
    return [one for one in features.values() if isinstance(one, EventFeature)]


def _compile(condition: Condition, needs: Needs, leaves: dict[int, Leaf]) -> None:
    match condition:
        case All():
            children: tuple[Condition, ...] = condition.all
        case AnyOf():
            children = condition.any
        case Not():
            children = (condition.not_,)
        case InSegment():
            needs.segments.add(condition.segment)
            return
        case _:
            own = Needs({})
            rule = compile_condition(condition, own, {})
            leaves[id(condition)] = Leaf(condition, rule, own, tuple(own.features))
            for feature in own.features.values():
                need(needs.features, feature)
            needs.streams |= own.streams
            needs.attributes |= own.attributes
            needs.consent |= own.consent
            return
    for child in children:
        _compile(child, needs, leaves)


@dataclass(frozen=True, slots=True)
class Kind:
    """Events that all filters treat alike.

    Attributes
    ----------
    type
        Of the event.
    machine
        Whether it is an open or click that says itself that a machine made it.
    streams
        The streams of events that it belongs to, and those it does if it turns out to be a machine's.
    messages
        Likewise, the streams of messages.
    """

    type: str
    machine: bool
    streams: tuple[frozenset[int], frozenset[int]]
    messages: tuple[frozenset[int], frozenset[int]]


def kind(plan: Plan, event_type: str, properties: Mapping[str, Any], *, has_message: bool) -> Kind:
    """Return what the engine's memory does with an event of such properties; see `Memory.record`."""
    found = plan.index.features(event_type, properties)
    hit = event_type in HITS
    by_any = frozenset(one.id for one in found if one.include_machine or not hit)
    of_messages = [one for one in plan.features.values() if isinstance(one, MessageFeature) and has_message]
    told = [one for one in of_messages if event_type in {DELIVERED, one.hit}]
    told_by_any = frozenset(one.id for one in told if one.include_machine or not hit)
    machine = hit and bool(properties.get(MACHINE))
    return Kind(
        event_type,
        machine,
        (by_any if machine else frozenset(one.id for one in found), by_any),
        (told_by_any if machine else frozenset(one.id for one in told), told_by_any),
    )
