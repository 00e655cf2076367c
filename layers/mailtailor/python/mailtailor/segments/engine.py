"""The segments of a deployment, ready to evaluate: what to remember of events, and who is a member when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, Protocol

from mailtailor.consent.policy import ConsentRecord, Purpose, allows
from mailtailor.instant import DAY, FOREVER, Instant
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.rules import (
    MESSAGES,
    Features,
    Matches,
    MessageFeature,
    OccurrenceFeature,
    Rule,
    compile_condition,
    feature_id,
    matcher,
)
from mailtailor.segments.streams import Messages, Occurrences, Recents, Streams, id_hash
from mailtailor.segments.verdict import NEVER_BY_TIME, Verdict

VIEWED: Final = feature_id("recents", "viewed")
PURCHASED: Final = feature_id("recents", "purchased")
RECENT_PRODUCTS: Final = 6
"""As many products of each kind as content can use; more would only make every write dearer."""
RETENTION: Final = 400 * DAY
MAX_PRODUCT_ID: Final = 64
MAIL_EVENTS: Final = frozenset({"email_delivered", "email_opened"})


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
    """

    def __init__(self, definitions: Iterable[SegmentDefinition]) -> None:
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
        self._kept = {
            feature.id: feature.keep for feature in features.values() if isinstance(feature, OccurrenceFeature)
        }
        self._by_event: dict[str, list[tuple[int, int, Matches]]] = {}
        for feature in features.values():
            if isinstance(feature, OccurrenceFeature):
                matches = matcher(feature.where)
                for event in feature.events:
                    self._by_event.setdefault(event, []).append((feature.id, feature.keep, matches))

    @property
    def segments(self) -> tuple[str, ...]:
        """The names of all segments."""
        return tuple(self._rules)

    def record(
        self, streams: Streams, *, event_id: str, event_type: str, at: Instant, properties: Mapping[str, Any]
    ) -> None:
        """Remember what the segments and blocks need of one event."""
        for feature, keep, matches in self._by_event.get(event_type, ()):
            if matches(properties):
                _occurrences(streams, feature).add(at, id_hash(event_id), keep=keep)
        self._record_message(streams, event_type, at, properties)
        for feature, product in _products(event_type, properties):
            stream = streams.setdefault(feature, Recents())
            if isinstance(stream, Recents):
                stream.add(product, at, keep=RECENT_PRODUCTS)

    def _record_message(self, streams: Streams, event_type: str, at: Instant, properties: Mapping[str, Any]) -> None:
        campaign, instance = properties.get("campaign"), properties.get("instance", "")
        if MESSAGES not in self._windows or event_type not in MAIL_EVENTS or not isinstance(campaign, str):
            return
        stream = streams.setdefault(MESSAGES, Messages())
        if isinstance(stream, Messages):
            known = {"delivered": at} if event_type == "email_delivered" else {"opened": at}
            # Of a message's key (mailing, instance, profile), the profile is the one whose stream this is: so a
            # message stays the same message when two profiles turn out to be one person.
            stream.add(id_hash(f"{campaign}\0{instance}"), **known)

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

    def prune(self, streams: Streams, now: Instant) -> None:
        """Forget what no window reaches any more, and streams that nothing has fed for as long as we remember.

        A stream of a feature this engine does not know stays until then: during a deployment, older and newer
        functions run side by side, and the older must not throw away what the newer collects.
        """
        for feature, stream in list(streams.items()):
            if isinstance(stream, Messages) and feature in self._windows:
                stream.prune(now - self._windows[feature])
            if not stream.entries or stream.newest() + RETENTION < now:
                del streams[feature]

    def evaluate(self, subject: Subject, now: Instant) -> dict[str, Verdict]:
        """Return the verdict of every segment; without consent for personalization nobody is a member."""
        if not allows(subject.consent, Purpose.PERSONALIZATION):
            return dict.fromkeys(self._rules, NEVER_BY_TIME)
        return {name: rule(subject.streams, now) for name, rule in self._rules.items()}

    def memberships(self, subject: Subject, now: Instant) -> frozenset[str]:
        """Return the segments that the profile is in at `now`, exact even if every timer is late."""
        if not allows(subject.consent, Purpose.PERSONALIZATION):
            return frozenset()
        current = subject.definitions == self.fingerprint
        members = set()
        for name, rule in self._rules.items():
            stored = subject.memberships.get(name, NOT_A_MEMBER)
            fresh = current and now < stored.valid_until
            if stored.member if fresh else rule(subject.streams, now).truth:
                members.add(name)
        return frozenset(members)

    def recent(self, subject: Subject, kind: Literal["viewed", "purchased"]) -> tuple[str, ...]:
        """Return the product ids last viewed or purchased, the newest first."""
        stream = subject.streams.get(VIEWED if kind == "viewed" else PURCHASED)
        return stream.newest_first() if isinstance(stream, Recents) else ()


def _occurrences(streams: Streams, feature: int) -> Occurrences:
    stream = streams.setdefault(feature, Occurrences())
    if not isinstance(stream, Occurrences):
        # Two features with one id would be a collision of 32-bit hashes; the newer definition starts afresh.
        stream = streams[feature] = Occurrences()
    return stream


def _products(event_type: str, properties: Mapping[str, Any]) -> Iterable[tuple[int, str]]:
    """Yield the products that an event is about, with the stream that remembers them."""
    if event_type == "order_completed":
        lines = properties.get("products")
        for line in lines if isinstance(lines, list) else ():
            if isinstance(line, Mapping) and (product := _product_id(line)):
                yield PURCHASED, product
    elif event_type in {"product_viewed", "email_link_clicked"} and (product := _product_id(properties)):
        yield VIEWED, product


def _product_id(properties: Mapping[str, Any]) -> str:
    product = properties.get("product_id")
    return product if isinstance(product, str) and len(product) <= MAX_PRODUCT_ID else ""
