"""Processors with everything around them in memory, and the events of one person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mailtailor.events.event import Event
from mailtailor.instant import DAY, HOUR, MINUTE
from mailtailor.profiles.processing import Processor, WakeUpProcessor
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import Engine
from tests.unit.profiles.memory_store import MemoryStore

NOW = 1_790_000_000_000
ANNA = "A" * 22
BROWSER = "B" * 22
MAIL = "M" * 22
OTHER = "O" * 22

CONSENT = {"tracking": True, "personalization": True}


def segment(name: str, rule: dict[str, Any]) -> SegmentDefinition:
    return SegmentDefinition.model_validate({"name": name, "description": name, "rule": rule})


SEGMENTS = [
    segment("recent_purchasers", {"event": "order_completed", "within": "7d"}),
    segment(
        "browse_abandoners",
        {"all": [{"event": "product_viewed", "within": "48h"}, {"not": {"event": "product_added", "within": "48h"}}]},
    ),
    segment("lapsed", {"event": "product_viewed", "older_than": "2d"}),
]


class World:
    """A processor with everything around it in memory."""

    def __init__(self, store: MemoryStore | None = None, segments: Iterable[SegmentDefinition] = ()) -> None:
        self.now = NOW
        self.store = store or MemoryStore()
        self.archived: list[Event] = []
        self.woken: list[tuple[int, str]] = []
        self.rebuilds: list[str] = []
        self.engine = Engine(segments or SEGMENTS)
        self.processor = self.fresh()
        self.waker = WakeUpProcessor(
            store=self.store, engine=self.engine, wake=self.wake, rebuild=self.rebuild, clock=lambda: self.now
        )

    def fresh(self) -> Processor:
        return Processor(
            store=self.store,
            engine=self.engine,
            archive=self.archive,
            wake=self.wake,
            rebuild=self.rebuild,
            clock=lambda: self.now,
        )

    def archive(self, events: Iterable[Event]) -> None:
        self.store.before("archive")
        self.archived += events

    def rebuild(self, profile_id: str) -> None:
        self.store.before("rebuild")
        self.rebuilds.append(profile_id)

    def wake(self, by_delay: Mapping[int, list[str]]) -> None:
        self.store.before("wake")
        self.woken += [(delay, one) for delay, ids in by_delay.items() for one in ids]

    def process(self, *events: Event) -> dict[str, Exception]:
        return self.processor.events({f"message-{n}": [event] for n, event in enumerate(events)}).failed

    def members(self, profile_id: str = ANNA, at: int | None = None) -> set[str]:
        return set(self.engine.memberships(self.store.profile(profile_id), at or self.now))


def event(event_type: str, *, id: str = "", at: int = NOW, **more: Any) -> Event:  # noqa: A002
    return Event.model_validate(
        {
            "id": id or f"{event_type}-{at}",
            "type": event_type,
            "source": "test",
            "occurred_at": at,
            "received_at": max(at, NOW),
            **({} if "identities" in more else {"profile_id": ANNA}),
            **more,
        }
    )


def consented(at: int = NOW - HOUR, **more: Any) -> Event:
    return event("consent_changed", at=at, consent=CONSENT, **more)


def identities(*known: tuple[str, str]) -> list[dict[str, str]]:
    return [{"kind": kind, "id": one} for kind, one in known]


JOURNEY = [
    consented(identities=identities(("anonymous_id", BROWSER))),
    event("product_viewed", id="v1", at=NOW - 30 * MINUTE, identities=identities(("anonymous_id", BROWSER))),
    event("identified", identities=identities(("user_id", ANNA), ("anonymous_id", BROWSER)), attributes={"n": 1}),
    event("order_completed", identities=identities(("user_id", ANNA), ("email", MAIL))),
    event("product_viewed", id="v2", at=NOW - 2 * DAY + MINUTE),
]
"""Of an anonymous visitor who signs in, buys and comes back."""
