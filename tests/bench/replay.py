"""What the demonstration's events cost in DynamoDB, one by one in order of their time, wake-ups included."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from operator import attrgetter

from mailtailor.events.event import Event
from mailtailor.instant import Instant
from mailtailor.profiles.processing import Processor, WakeUpProcessor
from tests.bench.capacity import MeteredStore, Units, item_size
from tests.demonstration import engine, people_events


@dataclass
class Replay:
    """A replay's result.

    Attributes
    ----------
    events, wake_ups
        How many there were.
    by_events, by_wake_ups
        What they cost.
    sizes
        The sizes of all profiles' items at the end, ascending, in bytes.
    """

    events: int = 0
    wake_ups: int = 0
    by_events: Units = field(default_factory=Units)
    by_wake_ups: Units = field(default_factory=Units)
    sizes: list[int] = field(default_factory=list)


def replay(everybody: list[list[Event]] | None = None) -> Replay:
    """Process every event as its own batch, and every wake-up at its instant."""
    store, now, segments = MeteredStore(), [0], engine()
    processor = Processor(
        store=store,
        engine=segments,
        archive=lambda _: None,
        wake=lambda _: None,
        rebuild=lambda _: None,
        clock=lambda: now[0],
    )
    waker = WakeUpProcessor(
        store=store, engine=segments, wake=lambda _: None, rebuild=lambda _: None, clock=lambda: now[0]
    )
    result, due = Replay(), _Due(store)
    events = sorted(
        (event for person in everybody or people_events() for event in person), key=attrgetter("occurred_at")
    )
    for event in events:
        while (woken := due.before(event.occurred_at)) is not None:
            now[0], profile_id = woken
            before = replace(store.units)
            waker.wake_ups([profile_id])
            _add(result.by_wake_ups, before, store.units)
            result.wake_ups += 1
            due.note(profile_id)
        now[0] = event.occurred_at
        before = replace(store.units)
        if processor.events({"message": [event]}).failed:
            raise AssertionError("an event of the benchmark failed")
        _add(result.by_events, before, store.units)
        result.events += 1
        due.note(event.identities[0].id)
    result.sizes = sorted(item_size(item) for item in store.items.values() if "merged_into" not in item)
    return result


def _add(total: Units, before: Units, after: Units) -> None:
    for name in Units.__dataclass_fields__:
        setattr(total, name, getattr(total, name) + getattr(after, name) - getattr(before, name))


class _Due:
    """The due index, as a heap."""

    def __init__(self, store: MeteredStore) -> None:
        self._store = store
        self._heap: list[tuple[Instant, str]] = []

    def note(self, profile_id: str) -> None:
        item = self._store.items.get(profile_id, {})
        if "due_at" in item:
            heapq.heappush(self._heap, (int(item["due_at"]["N"]), profile_id))

    def before(self, instant: Instant) -> tuple[Instant, str] | None:
        """Return the next wake-up that comes before `instant`, leaving out those that were re-armed meanwhile."""
        while self._heap and self._heap[0][0] <= instant:
            due_at, profile_id = heapq.heappop(self._heap)
            if self._store.items[profile_id].get("due_at") == {"N": str(due_at)}:
                return due_at, profile_id
        return None
