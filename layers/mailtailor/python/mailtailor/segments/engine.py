"""The segments of a deployment, ready to evaluate: what to remember of events, and who is a member when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, Protocol

from mailtailor.consent.policy import ConsentRecord, Purpose, allows
from mailtailor.instant import DAY, FOREVER, Instant
from mailtailor.segments.definition import MAX_COUNT, SegmentDefinition
from mailtailor.segments.rules import (
    MESSAGES,
    MESSAGES_WITH_MACHINES,
    Features,
    Matches,
    MessageFeature,
    OccurrenceFeature,
    Rule,
    compile_condition,
    feature_id,
    matcher,
)
from mailtailor.segments.streams import (
    Messages,
    Occurrences,
    Provisional,
    ProvisionalHit,
    Recents,
    Streams,
    id_hash,
)
from mailtailor.segments.verdict import NEVER_BY_TIME, Verdict
from mailtailor.tracking.bursts import HONEYPOT_POSITION, OPEN, BurstSettings, Hit, machine_ids

VIEWED: Final = feature_id("recents", "viewed")
PURCHASED: Final = feature_id("recents", "purchased")
PROVISIONAL: Final = feature_id("provisional")
RECENT_PRODUCTS: Final = 6
"""As many products of each kind as content can use; more would only make every write dearer."""
RETENTION: Final = 400 * DAY
MAX_PRODUCT_ID: Final = 64
MAX_POSITION: Final = 9_999
HITS: Final = frozenset({"email_opened", "email_link_clicked"})
"""Events that machines make too."""
DEFAULT_BURSTS: Final = BurstSettings()


class Membership(NamedTuple):
    """A profile's verdict for a segment as stored: valid until an instant, and a member since when."""

    member: bool
    valid_until: Instant
    since: Instant


NOT_A_MEMBER: Final = Membership(member=False, valid_until=FOREVER, since=0)
"""What a segment that a profile does not mention says."""


class Subject(Protocol):
    """What the engine needs of a profile."""

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


class Engine:
    """Evaluates all segments.

    Parameters
    ----------
    definitions
        The segments, each name once.
    bursts
        What of opens and clicks is a machine's, and how long they are provisional.
    """

    def __init__(self, definitions: Iterable[SegmentDefinition], *, bursts: BurstSettings = DEFAULT_BURSTS) -> None:
        self._bursts = bursts
        features: Features = {}
        self._rules: dict[str, Rule] = {}
        digest = blake2b(digest_size=6)
        for definition in definitions:
            self._rules[definition.name] = compile_condition(definition.rule, features)
            # What a segment means to people changes no membership.
            digest.update(definition.model_dump_json(exclude={"description"}).encode())
        self.fingerprint: Final = digest.hexdigest()
        """Tells whether stored memberships were evaluated by the definitions of this engine."""
        self._windows = {
            feature.id: feature.window for feature in features.values() if isinstance(feature, MessageFeature)
        }
        occurrences = [feature for feature in features.values() if isinstance(feature, OccurrenceFeature)]
        self._kept = {feature.id: feature.keep for feature in occurrences}
        self._with_machines = {feature.id for feature in occurrences if feature.include_machine}
        self._not_of_hits = {feature.id for feature in occurrences if HITS.isdisjoint(feature.events)}
        self._by_event: dict[str, list[tuple[int, Matches]]] = {}
        for feature in occurrences:
            for event in feature.events:
                self._by_event.setdefault(event, []).append((feature.id, matcher(feature.where)))

    @property
    def segments(self) -> tuple[str, ...]:
        """The names of all segments."""
        return tuple(self._rules)

    def record(
        self,
        streams: Streams,
        *,
        event_id: str,
        event_type: str,
        at: Instant,
        properties: Mapping[str, Any],
        seen: Instant | None = None,
    ) -> None:
        """Remember what the segments and blocks need of one event.

        Of an open or click that a machine made (`properties["machine"]`), only what includes machines is remembered.

        Parameters
        ----------
        streams
            What is remembered so far.
        event_id, event_type, at, properties
            The event.
        seen
            When it is processed. An open or click is provisional from then on; without, it is settled at once.
        """
        features = [feature for feature, matches in self._by_event.get(event_type, ()) if matches(properties)]
        message = _message(properties)
        if event_type == "email_delivered":
            self._record_message(streams, message, delivered=at)
        if event_type in HITS:
            self._record_opened_by_any(streams, event_type, message, at)
            any_maker = [feature for feature in features if feature in self._with_machines]
            self._record_occurrences(streams, any_maker, at, event_id)
            features = [feature for feature in features if feature not in self._with_machines]
            hit = ProvisionalHit(
                at,
                at if seen is None else seen,
                message,
                _position(event_type, properties),
                bool(properties.get("machine")),
                tuple(features),
                _product_id(properties) if event_type == "email_link_clicked" else "",
            )
            self._record_hit(streams, event_id, hit, settled=seen is None)
            return
        self._record_occurrences(streams, features, at, event_id)
        for feature, product in _products(event_type, properties):
            _recents(streams, feature).add(product, at, keep=RECENT_PRODUCTS)

    def _record_occurrences(self, streams: Streams, features: Iterable[int], at: Instant, event_id: str) -> None:
        for feature in features:
            _occurrences(streams, feature).add(at, id_hash(event_id), keep=self._kept.get(feature, MAX_COUNT))

    def _record_message(self, streams: Streams, message: int, **known: Instant) -> None:
        for feature in (MESSAGES, MESSAGES_WITH_MACHINES):
            if feature in self._windows and message:
                _messages(streams, feature).add(message, **known)

    def _record_opened_by_any(self, streams: Streams, event_type: str, message: int, at: Instant) -> None:
        if event_type == "email_opened" and MESSAGES_WITH_MACHINES in self._windows and message:
            _messages(streams, MESSAGES_WITH_MACHINES).add(message, opened=at)

    def _record_hit(self, streams: Streams, event_id: str, hit: ProvisionalHit, *, settled: bool) -> None:
        if settled or not hit.message:
            if not hit.machine:
                self._settle(streams, event_id, hit)
        # A machine's hit that says so itself needs no memory, but for the invisible link, which betrays others.
        elif not hit.machine or hit.position == HONEYPOT_POSITION:
            _provisional(streams).add(event_id, hit._replace(features=(), product="") if hit.machine else hit)

    def _settle(self, streams: Streams, event_id: str, hit: ProvisionalHit) -> None:
        self._record_occurrences(streams, hit.features, hit.at, event_id)
        if hit.position == OPEN and hit.message and MESSAGES in self._windows:
            _messages(streams, MESSAGES).add(hit.message, opened=hit.at)
        if hit.product:
            _recents(streams, VIEWED).add(hit.product, hit.at, keep=RECENT_PRODUCTS)

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
            for event, reason in machine_ids(hits, self._bursts).items()
            if not stream.entries[event].machine
        }
        for event in found:
            stream.condemn(event)
        return found

    def forget(
        self, streams: Streams, *, event_id: str, at: Instant, properties: Mapping[str, Any], seen: Instant
    ) -> bool:
        """Take an open or click that a machine made out of what counts, and do not count it if it comes (again).

        Parameters
        ----------
        streams
            What is remembered.
        event_id, at, properties
            The event's; of its properties, campaign and instance.
        seen
            When the correction is processed.

        Returns
        -------
        Whether something may be missing now, because it was pruned in favour of what is forgotten, or still be there,
        because the event is said to have happened at another instant than the one that is remembered.
        """
        young, message = _provisional(streams), _message(properties)
        settled = event_id not in young.entries
        young.add(event_id, ProvisionalHit(at, seen, message, OPEN, machine=True))
        short = False
        # One that came again after it was settled is provisional and settled.
        for feature, stream in streams.items():
            match stream:
                case Occurrences() if feature not in self._with_machines | self._not_of_hits:
                    full = len(stream.entries) >= self._kept.get(feature, 1)
                    short |= stream.remove(id_hash(event_id)) and full
                case Messages() if feature == MESSAGES:
                    short |= stream.remove_open(message, at) or (settled and stream.is_opened(message))
                case Recents() if feature == VIEWED:
                    short |= stream.remove_at(at) or (settled and bool(stream.entries))
        return short

    def is_late(self, streams: Streams, *, event_type: str, at: Instant, properties: Mapping[str, Any]) -> bool:
        """Return whether hits that an open or click is to be judged with may be forgotten already.

        A machine's that says so itself is not judged, but one on the invisible link judges others.
        """
        if properties.get("machine") and _position(event_type, properties) != HONEYPOT_POSITION:
            return False
        young = streams.get(PROVISIONAL)
        reach = max(self._bursts.honeypot_within, *(burst.within for burst in self._bursts.bursts))
        return isinstance(young, Provisional) and at - reach <= young.settled_to

    def unite(self, streams: Streams, other: Streams) -> None:
        """Add to `streams` all that `other` remembers, for merging two profiles of one person."""
        for feature, theirs in other.items():
            match streams.setdefault(feature, type(theirs)()), theirs:
                case Occurrences() as ours, Occurrences():
                    # Of a stream that a newer function collects, nothing is known but that all of it may be needed.
                    known = max(len(ours.entries), len(theirs.entries))
                    ours.unite(theirs, keep=self._kept.get(feature, known))
                case Messages() as ours, Messages():
                    ours.unite(theirs)
                case Recents() as ours, Recents():
                    ours.unite(theirs, keep=RECENT_PRODUCTS)
                case Provisional() as ours, Provisional():
                    ours.unite(theirs)

    def prune(self, streams: Streams, now: Instant) -> None:
        """Settle hits that are no longer provisional; forget what no window reaches any more, and what nothing feeds.

        A stream of a feature this engine does not know stays as long as we remember: during a deployment, older and
        newer functions run side by side, and the older must not throw away what the newer collects.
        """
        young = streams.get(PROVISIONAL)
        if isinstance(young, Provisional):
            for event_id, hit in young.take(now - self._bursts.provisional):
                self._settle(streams, event_id, hit)
        for feature, stream in list(streams.items()):
            if isinstance(stream, Messages) and feature in self._windows:
                stream.prune(now - self._windows[feature])
            gone = not stream.entries and not isinstance(stream, Provisional)
            if gone or stream.newest() + RETENTION < now:
                del streams[feature]

    def evaluate(self, subject: Subject, now: Instant) -> dict[str, Verdict]:
        """Return the verdict of every segment; without consent for personalization nobody is a member."""
        if not allows(subject.consent, Purpose.PERSONALIZATION):
            return dict.fromkeys(self._rules, NEVER_BY_TIME)
        streams = self._effective(subject.streams)
        return {name: rule(streams, now) for name, rule in self._rules.items()}

    def _effective(self, streams: Streams) -> Streams:
        """Return the streams with provisional hits counted as people's, for a moment; nothing is pruned for them."""
        young = streams.get(PROVISIONAL)
        if not isinstance(young, Provisional):
            return streams
        effective = dict(streams)
        for event_id, hit in young.people():
            for feature in hit.features:
                effective[feature] = known = Occurrences(list(_occurrences(effective, feature).entries))
                known.add(hit.at, id_hash(event_id), keep=len(known.entries) + 1)
            if hit.position == OPEN and MESSAGES in self._windows:
                effective[MESSAGES] = messages = Messages(dict(_messages(effective, MESSAGES).entries))
                messages.add(hit.message, opened=hit.at)
        return effective

    def memberships(self, subject: Subject, now: Instant) -> frozenset[str]:
        """Return the segments that the profile is in at `now`, exact even if every timer is late."""
        if not allows(subject.consent, Purpose.PERSONALIZATION):
            return frozenset()
        current = subject.definitions == self.fingerprint
        streams = self._effective(subject.streams)
        members = set()
        for name, rule in self._rules.items():
            stored = subject.memberships.get(name, NOT_A_MEMBER)
            fresh = current and now < stored.valid_until
            if stored.member if fresh else rule(streams, now).truth:
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


# Two features with one id would be a collision of 32-bit hashes; then the newer definition starts afresh.


def _occurrences(streams: Streams, feature: int) -> Occurrences:
    stream = streams.get(feature)
    if not isinstance(stream, Occurrences):
        stream = streams[feature] = Occurrences()
    return stream


def _messages(streams: Streams, feature: int) -> Messages:
    stream = streams.get(feature)
    if not isinstance(stream, Messages):
        stream = streams[feature] = Messages()
    return stream


def _recents(streams: Streams, feature: int) -> Recents:
    stream = streams.get(feature)
    if not isinstance(stream, Recents):
        stream = streams[feature] = Recents()
    return stream


def _provisional(streams: Streams) -> Provisional:
    stream = streams.get(PROVISIONAL)
    if not isinstance(stream, Provisional):
        stream = streams[PROVISIONAL] = Provisional()
    return stream


def _message(properties: Mapping[str, Any]) -> int:
    """Return the short form of a message's key, 0 for an event of none.

    Of the key (mailing, instance, profile), the profile is the one whose stream it is in: so a message stays the same
    message when two profiles turn out to be one person.
    """
    campaign, instance = properties.get("campaign"), properties.get("instance", "")
    return id_hash(f"{campaign}\0{instance}") if isinstance(campaign, str) else 0


def _position(event_type: str, properties: Mapping[str, Any]) -> int:
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
