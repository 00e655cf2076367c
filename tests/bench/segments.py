"""What segments cost: time an event, beside a plain interpreter; compiling; wake-ups; what a profile remembers.

Times are of this process alone, medians of several runs, for the machine is shared with others.
"""

from __future__ import annotations

import gc
import json
import time
from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from heapq import nlargest
from pathlib import Path
from statistics import mean, median
from typing import TypeVar

from mailtailor.instant import FOREVER, Instant
from mailtailor.profiles import projection
from mailtailor.profiles.profile import Profile
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import Engine
from mailtailor.segments.stream_codec import encode
from tests.bench.interpreter import holds
from tests.bench.invented import as_written, definitions
from tests.bench.people import Happened, people
from tests.bench.population import CATEGORIES, END

Number = TypeVar("Number", int, float)

HISTORY = 200
"""Events that the busy person remembers."""
TIMED = 100
"""Events that follow, and are timed."""


def calibration() -> float:
    """Return the milliseconds of a fixed piece of Python: figures of two machines compare by it."""
    return _seconds([_fixed_work] * 9) * 1_000


def _fixed_work() -> None:
    entries: list[tuple[int, int]] = []
    counts: dict[int, int] = {}
    for number in range(20_000):
        key = number * 7_919 % 1_009
        counts[key] = counts.get(key, 0) + 1
        insort(entries, (key, number))
        del entries[:-50]


def _seconds(calls: Iterable[Callable[[], object]]) -> float:
    """Return the seconds that this process, and no other, spends on one of several calls alike: the median."""
    # What the benchmark itself holds is not collected meanwhile: a function has no such heap.
    gc.collect()
    gc.freeze()
    times = []
    for call in calls:
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    gc.unfreeze()
    return median(times)


@dataclass(frozen=True)
class Busy:
    """A busy person: who remembers a history, and what they do next."""

    profile: Profile
    history: list[Happened]
    following: list[Happened]


def busy(folder: Path, number: int) -> Busy:
    """Return one as busy as the busiest of so many people together."""
    events: list[Happened] = []
    busiest = nlargest(4, people(folder, 0, number), key=lambda one: len(one.events))
    for someone in busiest:
        for event in someone.events:
            if "campaign" in event.properties:
                # Of two people's mails each stays one of its own.
                event.properties["campaign"] += f"-{someone.number}"
            events.append(event)
    in_order = sorted({event.id: event for event in events}.values(), key=lambda event: event.at)
    if len(in_order) < HISTORY + TIMED:
        raise AssertionError("nobody is busy enough")
    return Busy(busiest[0].profile, in_order[-HISTORY - TIMED : -TIMED], in_order[-TIMED:])


def tell(engine: Engine, profile: Profile, event: Happened, seen: Instant | None) -> set[str]:
    """Remember an event that is seen at an instant, or settled at once; return the segments that it may change."""
    return engine.memory.record(
        profile.streams,
        event_id=event.id,
        event_type=event.type,
        at=event.at,
        properties=event.properties,
        seen=seen,
    ).affected


def warm(engine: Engine, person: Busy) -> Profile:
    """Return the profile of a person's history, as it is stored."""
    profile = deepcopy(person.profile)
    for event in person.history:
        tell(engine, profile, event, event.at)
        engine.memory.prune(profile.streams, event.at)
    projection.evaluate(profile, engine=engine, now=person.history[-1].at, reason="history")
    return profile


@dataclass(frozen=True)
class EventCost:
    """What an event of a busy person costs.

    Attributes
    ----------
    affected
        Segments that it affects, on average.
    engine
        Microseconds to remember it, evaluate the segments it affects and find when to wake up next.
    stored
        Microseconds with all that is stored: memberships, flips, expired verdicts, pruning.
    plain
        Microseconds of a plain interpreter that evaluates every segment.
    """

    affected: float
    engine: float
    stored: float
    plain: float


def event_cost(person: Busy, segments: int, *, seeds: int, runs: int) -> EventCost:
    """Return what an event costs with so many segments, the mean over several choices of them."""
    costs = [_event_cost(person, definitions(segments, seed), runs) for seed in range(seeds)]
    return EventCost(*(mean(getattr(one, name) for one in costs) for name in EventCost.__dataclass_fields__))


def _event_cost(person: Busy, segments: Sequence[SegmentDefinition], runs: int) -> EventCost:
    engine, events = Engine(segments), person.following
    profile = warm(engine, person)
    stored = [deepcopy(profile) for _ in range(runs)]
    incremental = [(one, _turns(one)) for one in deepcopy(stored)]
    affected = mean(len(engine.affected(event.type, event.properties)) for event in events)
    each = 1e6 / len(events)
    return EventCost(
        affected,
        _seconds([partial(_incremental, engine, *one, events) for one in incremental]) * each,
        _seconds([partial(_as_stored, engine, one, events) for one in stored]) * each,
        _plain(engine, person, segments),
    )


def _turns(profile: Profile) -> dict[str, Instant]:
    return {name: known.valid_until for name, known in profile.memberships.items()}


def _incremental(engine: Engine, profile: Profile, turns: dict[str, Instant], events: list[Happened]) -> None:
    for event in events:
        # Nothing is pruned here, so that hits would never be settled.
        affected = tell(engine, profile, event, seen=None)
        for name, (_, until) in engine.evaluate(profile, event.at, affected).items():
            if until < FOREVER:
                turns[name] = until
            else:
                turns.pop(name, None)
        min(turns.values(), default=FOREVER)


def _as_stored(engine: Engine, profile: Profile, events: list[Happened]) -> None:
    for event in events:
        affected = tell(engine, profile, event, event.at)
        projection.evaluate(profile, engine=engine, now=event.at, reason="event", touched=affected)


def _plain(engine: Engine, person: Busy, segments: Sequence[SegmentDefinition]) -> float:
    """Return the microseconds of the plain interpreter, which must say what the engine says."""
    events = [*person.history, person.following[0]]
    now = person.following[0].at
    truths = [holds(segment.rule, events, now) for segment in segments]
    profile = warm(engine, person)
    _as_stored(engine, profile, person.following[:1])
    if truths != [truth for truth, _ in engine.evaluate(profile, now).values()]:
        raise AssertionError("the engine and the plain interpreter disagree")
    return _seconds([lambda: [holds(one.rule, events, now) for one in segments]] * 5) * 1e6


def compiling(segments: int) -> tuple[float, float]:
    """Return the milliseconds of compiling so many segments, and of reading and validating their JSON before."""
    texts = [json.dumps(one) for one in as_written(segments)]
    known = definitions(segments)
    compiled = _seconds([lambda: Engine(known)] * 21)
    return compiled * 1_000, _seconds(
        [lambda: [SegmentDefinition.model_validate_json(one) for one in texts]] * 5
    ) * 1_000


def of_one_category(segments: Sequence[SegmentDefinition]) -> list[SegmentDefinition]:
    """Return segments with browsing of eight categories, all of the shop's, made browsing of one."""
    texts = [one.model_dump_json(by_alias=True, exclude_unset=True) for one in segments]
    everything = json.dumps({"in": CATEGORIES}, separators=(",", ":"))
    narrowed = [text.replace(everything, json.dumps(CATEGORIES[0])) for text in texts]
    if narrowed == texts:
        raise AssertionError("no segment is of all categories")
    return [SegmentDefinition.model_validate_json(text) for text in narrowed]


@dataclass
class Lives:
    """What people's lives took, told event by event, with the wake-ups that the engine asked for and no others."""

    events: int = 0
    wake_ups: int = 0
    flips_by_event: int = 0
    flips_by_time: int = 0
    useful: int = 0
    """Wake-ups that change a membership."""
    early: int = 0
    """Wake-ups before any verdict runs out, because the due index is not re-armed for a later instant."""
    seconds: float = 0

    def each(self, number: float) -> float:
        """Return how many that are an event."""
        return number / self.events


def live(engine: Engine, folder: Path, number: int) -> Lives:
    """Return what so many people's lives took."""
    lives = Lives()
    for someone in people(folder, 0, number):
        started = time.process_time()
        live_on(engine, someone.profile, someone.events, END, lives)
        lives.seconds += time.process_time() - started
    return lives


def live_on(engine: Engine, profile: Profile, events: Iterable[Happened], until: Instant, lives: Lives) -> None:
    """Let somebody live on until an instant, and count what that takes."""
    for event in events:
        _sleep(engine, profile, event.received_at, lives)
        affected = tell(engine, profile, event, event.received_at)
        flips = projection.evaluate(profile, engine=engine, now=event.received_at, reason="event", touched=affected)
        lives.flips_by_time += sum(flip.reason == "time" for flip in flips)
        lives.flips_by_event += sum(flip.reason != "time" for flip in flips)
        lives.events += 1
    _sleep(engine, profile, until, lives)


def _sleep(engine: Engine, profile: Profile, until: Instant, lives: Lives) -> None:
    """Let time pass, with a wake-up each time that the profile is due."""
    while profile.due_at is not None and profile.due_at < until:
        due = profile.due_at
        lives.early += all(known.valid_until > due for known in profile.memberships.values())
        flips = projection.evaluate(profile, engine=engine, now=due, reason="time", touched=())
        lives.useful += bool(flips)
        lives.flips_by_time += len(flips)
        lives.wake_ups += 1


def state_sizes(engine: Engine, folder: Path, number: int) -> list[int]:
    """Return the bytes that so many people's profiles remember at the end, ascending."""
    sizes = []
    for someone in people(folder, 0, number):
        for event in someone.events:
            tell(engine, someone.profile, event, event.received_at)
            engine.memory.prune(someone.profile.streams, event.received_at)
        engine.memory.prune(someone.profile.streams, END)
        sizes.append(len(encode(someone.profile.streams)))
    return sorted(sizes)


def at_share(ascending: Sequence[Number], share: float) -> Number:
    """Return the value that this share of all does not exceed."""
    return ascending[min(len(ascending) - 1, int(len(ascending) * share))]
