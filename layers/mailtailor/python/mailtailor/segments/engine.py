"""The segments of a deployment, ready to evaluate: who is a member when."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol

from mailtailor.consent.policy import ConsentRecord, Purpose, allows
from mailtailor.instant import FOREVER, Instant
from mailtailor.segments.definition import Condition, InSegment, SegmentDefinition, conditions
from mailtailor.segments.features import Feature, Features, Needs
from mailtailor.segments.index import Index
from mailtailor.segments.memory import Memory
from mailtailor.segments.person import Person, Rule, Stated
from mailtailor.segments.rules import compile_condition
from mailtailor.segments.streams import Streams
from mailtailor.segments.verdict import NEVER, Verdict
from mailtailor.tracking.bursts import BurstSettings

MAX_LINKS: Final = 20
"""Segments that refer to one another in a chain; each is a call within a call."""
DEFAULT_BURSTS: Final = BurstSettings()


class Membership(NamedTuple):
    """A profile's verdict for a segment as stored: valid until an instant, and a member since when."""

    member: bool
    valid_until: Instant
    since: Instant


NOT_A_MEMBER: Final = Membership(member=False, valid_until=FOREVER, since=0)
"""What a segment that a profile does not mention says."""


class BadReference(Exception):
    """A segment refers to one that there is not, to itself by way of others, or by way of too many."""


class Subject(Protocol):
    """What the engine needs of a profile."""

    @property
    def id(self) -> str:
        """Who it is."""

    @property
    def attributes(self) -> Mapping[str, Stated]:
        """What was stated of the person."""

    @property
    def streams(self) -> Streams:
        """What the profile remembers of its events."""

    @property
    def consent(self) -> ConsentRecord:
        """What the person allowed."""

    @property
    def memberships(self) -> Mapping[str, Membership]:
        """The verdicts stored last."""

    @property
    def definitions(self) -> str:
        """The fingerprint of the definitions that gave them."""


class Engines(Protocol):
    """Tells by which engine somebody is evaluated: always the same, or one of two while definitions change."""

    def of(self, *evaluated_by: str) -> Engine:
        """Return the engine of a profile.

        Parameters
        ----------
        evaluated_by
            The fingerprint of the definitions that gave the stored verdicts, empty if none did; of profiles that
            become one, each one's.
        """

    def of_whole(self) -> Engine:
        """Return the engine of a profile that is united with all its archived events, read from now on."""


class Engine:
    """Evaluates all segments.

    Parameters
    ----------
    definitions
        The segments, each name once.
    bursts
        What of opens and clicks is a machine's, and how long they are provisional.
    also
        Segments that are not evaluated, but of which all that they need is remembered too: those that shall replace
        these, or that these replace.
    mark
        Tells these definitions from the same ones at another time.
    """

    def __init__(
        self,
        definitions: Iterable[SegmentDefinition],
        *,
        bursts: BurstSettings = DEFAULT_BURSTS,
        also: Iterable[SegmentDefinition] = (),
        mark: str = "",
    ) -> None:
        known = {definition.name: definition for definition in definitions}
        self._definitions = known
        features: Features = {}
        needs, rules = _compiled(known, features)
        _compiled({definition.name: definition for definition in also}, features)
        digest = blake2b(mark.encode(), digest_size=6)
        for definition in known.values():
            # What a segment means to people changes no membership.
            digest.update(definition.model_dump_json(exclude={"description"}, exclude_unset=True).encode())
        self._rules = {name: rules[name] for name in known}
        self.fingerprint: Final = digest.hexdigest()
        """Tells whether stored memberships were evaluated by the definitions of this engine."""
        self._index = Index(features, needs)
        self.memory: Final = Memory(features, self._index, bursts=bursts)
        """Remembers of events what these segments need, and those of `also`."""

    def of(self, *_evaluated_by: str) -> Engine:
        """Return this engine: without others, it is the one for everybody."""
        return self

    def of_whole(self) -> Engine:
        """Return this engine, as `of` does."""
        return self

    @property
    def segments(self) -> tuple[str, ...]:
        """The names of all segments."""
        return tuple(self._rules)

    def definition(self, segment: str) -> SegmentDefinition:
        """Return the definition of a segment; raise `KeyError` if there is none of that name."""
        return self._definitions[segment]

    def examined(self, condition: Condition) -> tuple[Rule, list[Feature]]:
        """Return the rule of one condition, compiled as in its segment, and the streams it looks at, in its order."""
        needs = Needs({})
        rule = compile_condition(condition, needs, self._rules)
        # A stream that others share keeps more than this condition needs.
        return rule, [self.memory.features.get(own, one) for own, one in needs.features.items()]

    def audience(self, condition: Condition) -> Rule:
        """Return the rule of a condition that is no segment of its own, such as the audience of a block's variant.

        Raises
        ------
        BadReference
            If it names a segment that there is not, or asks for events that profiles do not remember, because no
            segment asks for the same.
        """
        for one in conditions(condition):
            if isinstance(one, InSegment) and one.segment not in self._rules:
                raise BadReference(f"there is no segment {one.segment!r}")
        needs = Needs({})
        rule = compile_condition(condition, needs, self._rules)
        if not all(self.memory.remembers(feature) for feature in needs.features.values()):
            raise BadReference("profiles remember of events what segments ask for, and no segment asks for these")
        return rule

    def affected(self, event_type: str, properties: Mapping[str, Any]) -> set[str]:
        """Return the segments whose truth an event may change."""
        return self._index.segments(event_type, self._index.features(event_type, properties))

    def affected_by_attributes(self, names: Iterable[str]) -> set[str]:
        """Return the segments whose truth a statement of these attributes may change."""
        return self._index.by_attributes(names)

    @property
    def affected_by_hits(self) -> frozenset[str]:
        """The segments whose truth changes if an open or click turns out to be a machine's."""
        return self._index.by_hits

    @property
    def affected_by_consent(self) -> frozenset[str]:
        """The segments that ask what the person allowed."""
        return self._index.by_consent

    def evaluate(self, subject: Subject, now: Instant, only: Collection[str] | None = None) -> dict[str, Verdict]:
        """Return the verdict of every segment; without consent for personalization nobody is a member.

        Parameters
        ----------
        only
            The segments to evaluate, instead of all.
        """
        names = self._rules if only is None else only
        if not allows(subject.consent, Purpose.PERSONALIZATION):
            return dict.fromkeys(names, NEVER)
        person, rules = self.person(subject), self._rules
        return {name: rules[name](person, now) for name in names}

    def person(self, subject: Subject) -> Person:
        """Return what rules look at of a profile, for one instant; opens and clicks that are provisional count."""
        effective = self.memory.effective(subject.streams)
        return Person(subject.id, effective, subject.attributes, subject.consent, definitions=self.fingerprint)

    def reader(self, subject: Subject, now: Instant) -> Person:
        """Return what audiences look at, for one instant; stored verdicts that still hold are not evaluated again."""
        person = self.person(subject)
        if subject.definitions == self.fingerprint:
            for name in self._rules:
                stored = subject.memberships.get(name, NOT_A_MEMBER)
                if now < stored.valid_until:
                    person.verdicts[name] = stored.member, stored.valid_until
        return person

    def memberships(self, subject: Subject, now: Instant) -> frozenset[str]:
        """Return the segments that the profile is in at `now`, exact even if every timer is late."""
        if not allows(subject.consent, Purpose.PERSONALIZATION):
            return frozenset()
        current = subject.definitions == self.fingerprint
        person = self.person(subject)
        members = set()
        for name, rule in self._rules.items():
            stored = subject.memberships.get(name, NOT_A_MEMBER)
            fresh = current and now < stored.valid_until
            if stored.member if fresh else rule(person, now)[0]:
                members.add(name)
        return frozenset(members)


def _compiled(known: Mapping[str, SegmentDefinition], features: Features) -> tuple[dict[str, Needs], dict[str, Rule]]:
    """Return what each segment looks at, and its rule; what has to be remembered for it is added to `features`."""
    needs: dict[str, Needs] = {}
    rules: dict[str, Rule] = {}
    for name in in_order(known):
        needs[name] = Needs(features)
        rules[name] = compile_condition(known[name].rule, needs[name], rules)
    return needs, rules


def in_order(known: Mapping[str, SegmentDefinition]) -> list[str]:
    """Return the segments' names, those that others refer to first.

    Raises
    ------
    BadReference
        If one refers to what there is not, to itself by way of others, or by way of too many.
    """
    references = {
        name: [one.segment for one in conditions(definition.rule) if isinstance(one, InSegment)]
        for name, definition in known.items()
    }
    for name, others in references.items():
        if unknown := [one for one in others if one not in known]:
            raise BadReference(f"the segment {name} refers to {min(unknown)}, which does not exist")
    try:
        order = list(TopologicalSorter(references).static_order())
    except CycleError as error:
        raise BadReference(f"segments refer to each other in a circle: {' → '.join(error.args[1])}") from error
    links: dict[str, int] = {}
    for name in order:
        links[name] = 1 + max((links[other] for other in references[name]), default=0)
        if links[name] > MAX_LINKS:
            raise BadReference(f"the segment {name} refers to others in a chain of more than {MAX_LINKS} segments")
    return order
