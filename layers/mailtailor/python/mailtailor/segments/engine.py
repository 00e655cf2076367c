"""The segments of a deployment, ready to evaluate: what to remember of events, and who is a member when."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from copy import copy
from graphlib import CycleError, TopologicalSorter
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

from mailtailor.consent.policy import ConsentRecord, Purpose, allows
from mailtailor.instant import DAY, FOREVER, Instant
from mailtailor.segments.definition import MAX_COUNT, Condition, InSegment, SegmentDefinition, conditions
from mailtailor.segments.features import (
    CLICKED,
    DELIVERED,
    OPENED,
    EventFeature,
    Feature,
    Features,
    MessageFeature,
    Needs,
    feature_id,
)
from mailtailor.segments.index import Index
from mailtailor.segments.person import Person, Rule, Stated
from mailtailor.segments.rules import compile_condition
from mailtailor.segments.streams import (
    MAX_VALUES,
    First,
    Messages,
    Occurrences,
    Provisional,
    ProvisionalHit,
    Recents,
    Stream,
    Streams,
    Values,
    id_hash,
)
from mailtailor.segments.verdict import NEVER, Verdict
from mailtailor.tracking.bursts import HONEYPOT_POSITION, OPEN, BurstSettings, Hit, machine_ids

VIEWED: Final = feature_id("recents", "viewed")
PURCHASED: Final = feature_id("recents", "purchased")
PROVISIONAL: Final = feature_id("provisional")
RECENT_PRODUCTS: Final = 6
"""As many products of each kind as content can use; more would only make every write dearer."""
RETENTION: Final = 400 * DAY
MAX_PRODUCT_ID: Final = 64
MAX_POSITION: Final = 9_999
HITS: Final = frozenset({OPENED, CLICKED})
"""Events that machines make too."""
MAX_LINKS: Final = 20
"""Segments that refer to one another in a chain; each is a call within a call."""
NOTHING_MEASURED: Final = (0,)
DEFAULT_BURSTS: Final = BurstSettings()


class Membership(NamedTuple):
    """A profile's verdict for a segment as stored: valid until an instant, and a member since when."""

    member: bool
    valid_until: Instant
    since: Instant


NOT_A_MEMBER: Final = Membership(member=False, valid_until=FOREVER, since=0)
"""What a segment that a profile does not mention says."""


class Recorded(NamedTuple):
    """What an event meant to the segments.

    Attributes
    ----------
    affected
        The segments whose truth it may have changed.
    short
        Whether something may be missing, because an event turned out to have happened before what is kept.
    """

    affected: set[str]
    short: bool


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
        self.bursts: Final = bursts
        """What of opens and clicks is a machine's."""
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
        self._events = {one.id: one for one in features.values() if isinstance(one, EventFeature)}
        self._messages = {one.id: one for one in features.values() if isinstance(one, MessageFeature)}
        self._not_of_hits = {one.id for one in self._events.values() if HITS.isdisjoint(one.events)}
        self._with_machines = {one.id for one in self._events.values() if one.include_machine}
        self._with_machines |= {one.id for one in self._messages.values() if one.include_machine}

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
        shared: Features = {**self._events, **self._messages}
        return rule, [shared.get(own, one) for own, one in needs.features.items()]

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
        if not all(self._remembers(feature) for feature in needs.features.values()):
            raise BadReference("profiles remember of events what segments ask for, and no segment asks for these")
        return rule

    def _remembers(self, wanted: Feature) -> bool:
        known: Feature | None = self._events.get(wanted.id) or self._messages.get(wanted.id)
        if known is None or known.window < wanted.window:
            return False
        return not isinstance(wanted, EventFeature) or not isinstance(known, EventFeature) or known.keep >= wanted.keep

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

    def record(
        self,
        streams: Streams,
        *,
        event_id: str,
        event_type: str,
        at: Instant,
        properties: Mapping[str, Any],
        seen: Instant | None = None,
    ) -> Recorded:
        """Remember what the segments and blocks need of one event.

        Of an open or click that a machine made (`properties["machine"]`), only what includes machines is remembered;
        of an event that was deleted before it came, nothing.

        Parameters
        ----------
        streams
            What is remembered so far.
        event_id, event_type, at, properties
            The event.
        seen
            When it is processed. An open or click is provisional from then on; without, it is settled at once.
        """
        found = self._index.features(event_type, properties)
        affected = self._index.segments(event_type, found)
        entries = [
            (feature.id, value)
            for feature in found
            for value in (feature.values(event_type, properties) if feature.measure else NOTHING_MEASURED)
        ]
        if event_type not in HITS:
            if self._is_deleted(streams, event_id):
                return Recorded(affected, short=False)
            if event_type == DELIVERED:
                self._record_message(streams, self._messages, message_key(properties), delivered=at)
            short = self._remember(streams, entries, at, event_id)
            for stream, product in _products(event_type, properties):
                _stream(streams, stream, Recents).add(product, at, keep=RECENT_PRODUCTS)
            return Recorded(affected, short)
        message = message_key(properties)
        by_any = [one for one in self._messages.values() if one.include_machine and one.hit == event_type]
        self._record_message(streams, [one.id for one in by_any], message, hit=at)
        short = self._remember(streams, [one for one in entries if one[0] in self._with_machines], at, event_id)
        by_people = [one for one in entries if one[0] not in self._with_machines]
        hit = ProvisionalHit(
            at,
            at if seen is None else seen,
            message,
            link_position(event_type, properties),
            bool(properties.get("machine")),
            tuple(by_people),
            _product_id(properties) if event_type == CLICKED else "",
        )
        return Recorded(affected, self._record_hit(streams, event_id, hit, settled=seen is None) or short)

    def _remember(self, streams: Streams, entries: Collection[tuple[int, int]], at: Instant, event_id: str) -> bool:
        """Add an event to streams; return whether an earlier event may be missing in one now."""
        if not entries:
            return False
        short, event = False, id_hash(event_id)
        for feature, value in entries:
            known = self._events.get(feature)
            if known is None or known.kind is Occurrences:
                keep = known.keep if known is not None else MAX_COUNT
                short |= _stream(streams, feature, Occurrences).add(at, event, keep=keep)
            elif known.kind is Values:
                several = known.measure == "value"
                short |= _stream(streams, feature, Values).add(at, event, value, several=several)
            else:
                _stream(streams, feature, First).add(at, event)
        return short

    def _record_message(self, streams: Streams, features: Iterable[int], message: int, **known: Instant) -> None:
        for feature in features if message else ():
            _stream(streams, feature, Messages).add(message, **known)

    def _is_deleted(self, streams: Streams, event_id: str) -> bool:
        young = streams.get(PROVISIONAL)
        if not isinstance(young, Provisional):
            return False
        hit = young.entries.get(event_id)
        return hit is not None and hit.machine

    def _record_hit(self, streams: Streams, event_id: str, hit: ProvisionalHit, *, settled: bool) -> bool:
        if settled or not hit.message:
            return not hit.machine and self._settle(streams, event_id, hit)
        # A machine's hit that says so itself needs no memory, but for the invisible link, which betrays others.
        if not hit.machine or hit.position == HONEYPOT_POSITION:
            forgotten = hit._replace(entries=(), product="")
            _stream(streams, PROVISIONAL, Provisional).add(event_id, forgotten if hit.machine else hit)
        return False

    def _settle(self, streams: Streams, event_id: str, hit: ProvisionalHit) -> bool:
        short = self._remember(streams, hit.entries, hit.at, event_id)
        self._record_message(streams, self._messages_of(hit), hit.message, hit=hit.at)
        if hit.product:
            _stream(streams, VIEWED, Recents).add(hit.product, hit.at, keep=RECENT_PRODUCTS)
        return short

    def _messages_of(self, hit: ProvisionalHit) -> list[int]:
        kind = OPENED if hit.position == OPEN else CLICKED
        return [one.id for one in self._messages.values() if one.hit == kind and not one.include_machine]

    def judge(self, streams: Streams) -> dict[str, tuple[Instant, str]]:
        """Find provisional hits that a machine made, take them out of what counts, and return those newly found.

        Returns
        -------
        By event id, when the hit happened and the reason.
        """
        stream = streams.get(PROVISIONAL)
        if not isinstance(stream, Provisional):
            return {}
        hits = [Hit(event, hit.at, hit.message, hit.position) for event, hit in stream.entries.items()]
        found = {
            event: (stream.entries[event].at, reason)
            for event, reason in machine_ids(hits, self.bursts).items()
            if not stream.entries[event].machine
        }
        for event in found:
            stream.condemn(event)
        return found

    def forget(
        self,
        streams: Streams,
        *,
        event_id: str,
        at: Instant,
        properties: Mapping[str, Any],
        seen: Instant,
        deleted: bool = False,
    ) -> bool:
        """Take an open or click that a machine made, or any event that is deleted, out of what counts.

        It does not count either if it comes (again) while hits are provisional.

        Parameters
        ----------
        streams
            What is remembered.
        event_id, at, properties
            The event's; of its properties, campaign and instance.
        seen
            When the correction is processed.
        deleted
            That it did not happen at all, instead of by a machine.

        Returns
        -------
        Whether something may be missing now, because it was pruned in favour of what is forgotten, or still be there,
        because the event is said to have happened at another instant than the one that is remembered.
        """
        young, message = _stream(streams, PROVISIONAL, Provisional), message_key(properties)
        settled = event_id not in young.entries
        young.add(event_id, ProvisionalHit(at, seen, message, OPEN, machine=True))
        kept = frozenset[int]() if deleted else self._with_machines | self._not_of_hits
        short = False
        # One that came again after it was settled is provisional and settled.
        for feature, stream in streams.items():
            if feature in kept:
                continue
            match stream:
                case Occurrences() | Values() | First():
                    full = self._is_full(feature, stream)
                    short |= stream.remove(id_hash(event_id)) and full
                case Messages():
                    short |= stream.remove_hit(message, at) or (settled and stream.is_hit(message))
                case Recents() if deleted or feature == VIEWED:
                    short |= stream.remove_at(at) or (settled and bool(stream.entries))
                case _:
                    pass
        return short

    def _is_full(self, feature: int, stream: Occurrences | Values | First) -> bool:
        """Return whether a stream may have dropped events that count again if it loses one."""
        known = self._events.get(feature)
        match stream:
            case Occurrences():
                return len(stream.entries) >= (known.keep if known else 1)
            case Values():
                return len(stream.entries) >= MAX_VALUES
            case First():
                return True

    def is_late(self, streams: Streams, *, event_type: str, at: Instant, properties: Mapping[str, Any]) -> bool:
        """Return whether hits that an open or click is to be judged with may be forgotten already.

        A machine's that says so itself is not judged, but one on the invisible link judges others.
        """
        if properties.get("machine") and link_position(event_type, properties) != HONEYPOT_POSITION:
            return False
        young = streams.get(PROVISIONAL)
        reach = max(self.bursts.honeypot_within, *(burst.within for burst in self.bursts.bursts))
        return isinstance(young, Provisional) and at - reach <= young.settled_to

    def unite(self, streams: Streams, other: Streams) -> None:
        """Add to `streams` all that `other` remembers, for merging two profiles of one person."""
        for feature, theirs in other.items():
            known = self._events.get(feature)
            match streams.setdefault(feature, type(theirs)()), theirs:
                case Occurrences() as ours, Occurrences():
                    # Of a stream that a newer function collects, nothing is known but that all of it may be needed.
                    ours.unite(theirs, keep=known.keep if known else max(len(ours.entries), len(theirs.entries)))
                case Values() as ours, Values():
                    ours.unite(theirs, several=known is None or known.measure == "value")
                case First() as ours, First():
                    ours.unite(theirs)
                case Messages() as ours, Messages():
                    ours.unite(theirs)
                case Recents() as ours, Recents():
                    ours.unite(theirs, keep=RECENT_PRODUCTS)
                case Provisional() as ours, Provisional():
                    ours.unite(theirs)

    def prune(self, streams: Streams, now: Instant) -> bool:
        """Settle hits that are no longer provisional; forget what no window reaches any more, and what nothing feeds.

        A stream of a feature this engine does not know stays as long as we remember: during a deployment, older and
        newer functions run side by side, and the older must not throw away what the newer collects.

        Returns
        -------
        Whether something may be missing, as `Recorded.short` says.
        """
        short = False
        young = streams.get(PROVISIONAL)
        if isinstance(young, Provisional):
            for event_id, hit in young.take(now - self.bursts.provisional):
                short |= self._settle(streams, event_id, hit)
        for feature, stream in list(streams.items()):
            if self._is_useless(feature, stream, now):
                del streams[feature]
        return short

    def _is_useless(self, feature: int, stream: Stream, now: Instant) -> bool:
        """Forget what no window of a stream reaches any more; return whether nothing is left."""
        known = self._events.get(feature)
        if known is not None and type(stream) is known.kind:
            # The first event is never too old to be the first. What is exactly as old as its window no longer counts.
            if isinstance(stream, Occurrences | Values):
                stream.prune(now - known.window + 1)
            return not stream.entries
        if isinstance(stream, Messages) and feature in self._messages:
            stream.prune(now - self._messages[feature].window)
            return not stream.entries
        # A stream of young hits notes how far it is settled even when none is left.
        empty = not stream.entries and not isinstance(stream, Provisional)
        return empty or stream.newest() + RETENTION < now

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
        effective = self._effective(subject.streams)
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

    def _effective(self, streams: Streams) -> Streams:
        """Return the streams with provisional hits counted as people's, for a moment; nothing is pruned for them."""
        young = streams.get(PROVISIONAL)
        if not isinstance(young, Provisional) or not young.entries:
            return streams
        effective = dict(streams)
        copied: set[int] = set()
        for event_id, hit in young.people():
            event = id_hash(event_id)
            for feature, value in hit.entries:
                if known := self._events.get(feature):
                    entry = hit.at, event, value
                    _add_for_a_moment(_copy(effective, copied, feature, known.kind), entry, known)
            for feature in self._messages_of(hit):
                _copy(effective, copied, feature, Messages).add(hit.message, hit=hit.at)
        return effective

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

    def recent(self, subject: Subject, kind: Literal["viewed", "purchased"]) -> tuple[str, ...]:
        """Return the product ids last viewed or purchased, the newest first."""
        stream = subject.streams.get(VIEWED if kind == "viewed" else PURCHASED)
        known = Recents(dict(stream.entries)) if isinstance(stream, Recents) else Recents()
        young = subject.streams.get(PROVISIONAL)
        if kind == "viewed" and isinstance(young, Provisional):
            for _, hit in young.people():
                if hit.product:
                    known.add(hit.product, hit.at, keep=RECENT_PRODUCTS)
        return known.newest_first()


S = TypeVar("S", bound=Stream)


def _stream(streams: Streams, feature: int, kind: type[S]) -> S:
    """Return a feature's stream. Two features of one id are a collision of 32-bit hashes; the newer starts afresh."""
    stream = streams.get(feature)
    if not isinstance(stream, kind):
        stream = streams[feature] = kind()
    return stream


def _copy(streams: Streams, copied: set[int], feature: int, kind: type[S]) -> S:
    """Return a feature's stream as a copy of its own, made at the first time."""
    stream = _stream(streams, feature, kind)
    if feature not in copied:
        copied.add(feature)
        stream = streams[feature] = kind(copy(stream.entries))  # type: ignore[arg-type]
    return stream


def _add_for_a_moment(stream: Stream, entry: tuple[Instant, int, int], feature: EventFeature) -> None:
    at, event, value = entry
    match stream:
        case Occurrences():
            stream.add(at, event, keep=len(stream.entries) + 1)
        case Values():
            stream.add(at, event, value, several=feature.measure == "value")
        case First():
            stream.add(at, event)


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


def message_key(properties: Mapping[str, Any]) -> int:
    """Return the short form of a message's key, 0 for an event of none.

    Of the key (mailing, instance, profile), the profile is the one whose stream it is in: so a message stays the same
    message when two profiles turn out to be one person.
    """
    campaign, instance = properties.get("campaign"), properties.get("instance", "")
    return id_hash(f"{campaign}\0{instance}") if isinstance(campaign, str) else 0


def link_position(event_type: str, properties: Mapping[str, Any]) -> int:
    """Return a link's position; for what an ESP reports without one, a number that stands for its address."""
    if event_type == "email_opened":
        return OPEN
    position = properties.get("position")
    # False equals the invisible link's position.
    if isinstance(position, int) and not isinstance(position, bool) and 0 <= position <= MAX_POSITION:
        return position
    return MAX_POSITION + 1 + id_hash(str(properties.get("url"))) % MAX_POSITION


def _products(event_type: str, properties: Mapping[str, Any]) -> Iterable[tuple[int, str]]:
    """Yield the products that an event is about, with the stream that remembers them."""
    if event_type == "order_completed":
        lines = properties.get("products")
        for line in lines if isinstance(lines, list) else ():
            if isinstance(line, Mapping) and (product := _product_id(line)):
                yield PURCHASED, product
    elif event_type == "product_viewed" and (product := _product_id(properties)):
        yield VIEWED, product


def _product_id(properties: Mapping[str, Any]) -> str:
    product = properties.get("product_id")
    return product if isinstance(product, str) and len(product) <= MAX_PRODUCT_ID else ""
