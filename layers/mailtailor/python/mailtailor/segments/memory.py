"""What is remembered of events in a profile's streams, and what is forgotten again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from copy import copy
from typing import Any, Final, Literal, NamedTuple, TypeVar

from mailtailor.instant import DAY, Instant
from mailtailor.segments.definition import MAX_COUNT
from mailtailor.segments.features import (
    CLICKED,
    DELIVERED,
    HITS,
    OPENED,
    EventFeature,
    Feature,
    Features,
    MessageFeature,
    feature_id,
)
from mailtailor.segments.index import Index
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
from mailtailor.tracking.bursts import HONEYPOT_POSITION, OPEN, BurstSettings, Hit, machine_ids

VIEWED: Final = feature_id("recents", "viewed")
PURCHASED: Final = feature_id("recents", "purchased")
PROVISIONAL: Final = feature_id("provisional")
RECENT_PRODUCTS: Final = 6
"""As many products of each kind as content can use; more would only make every write dearer."""
RETENTION: Final = 400 * DAY
MAX_PRODUCT_ID: Final = 64
MAX_POSITION: Final = 9_999
NOTHING_MEASURED: Final = (0,)


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


class Memory:
    """Remembers of events what segments and blocks need.

    Parameters
    ----------
    features
        All that is remembered.
    index
        Finds those of an event, and the segments whose truth it may change.
    bursts
        What of opens and clicks is a machine's, and how long they are provisional.
    """

    def __init__(self, features: Features, index: Index, *, bursts: BurstSettings) -> None:
        self.features: Final = features
        """All that is remembered."""
        self.bursts: Final = bursts
        """What of opens and clicks is a machine's."""
        self._index = index
        self._events = {one.id: one for one in features.values() if isinstance(one, EventFeature)}
        self._messages = {one.id: one for one in features.values() if isinstance(one, MessageFeature)}
        self._not_of_hits = {one.id for one in self._events.values() if HITS.isdisjoint(one.events)}
        self._with_machines = {one.id for one in self._events.values() if one.include_machine}
        self._with_machines |= {one.id for one in self._messages.values() if one.include_machine}

    def remembers(self, wanted: Feature) -> bool:
        """Return whether a feature's stream is there, and reaches as far back and keeps as much as is wanted."""
        known = self.features.get(wanted.id)
        if known is None or known.window < wanted.window:
            return False
        return not isinstance(wanted, EventFeature) or not isinstance(known, EventFeature) or known.keep >= wanted.keep

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

    def effective(self, streams: Streams) -> Streams:
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

    def recent(self, streams: Streams, kind: Literal["viewed", "purchased"]) -> tuple[str, ...]:
        """Return the product ids last viewed or purchased, the newest first."""
        stream = streams.get(VIEWED if kind == "viewed" else PURCHASED)
        known = Recents(dict(stream.entries)) if isinstance(stream, Recents) else Recents()
        young = streams.get(PROVISIONAL)
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
