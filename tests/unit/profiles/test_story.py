"""Whole stories against an oracle: late and repeated events, merges, consent, rivals, crashes, lost wake-ups.

A story plays in minutes. It has one person, known by three identities that may turn out to be one or not, random
segments, and a queue that delivers again what was not acknowledged. Whenever nothing is underway, what a reader is told
has to be what a count over everything that happened gives; when wake-ups have caught up, so has what was published.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from mailtailor.events.event import Event
from mailtailor.instant import HOUR, MINUTE, SECOND
from mailtailor.profiles.processing import Processor, WakeUpProcessor
from mailtailor.profiles.sweep import Place, Shard, find_stragglers, sweep
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import Engine
from tests.unit.profiles.memory_store import MemoryCursor, MemoryStore
from tests.unit.segments.oracle import Happening, truth

START = 1_790_000_000_000
LENGTH = 24
"""Minutes; windows are as long."""
ANNA, MAIL, BROWSER = "A" * 22, "M" * 22, "B" * 22
KINDS = {ANNA: "user_id", MAIL: "email", BROWSER: "anonymous_id"}
NAMED = [(ANNA,), (MAIL,), (BROWSER,), (ANNA, BROWSER), (ANNA, MAIL), (MAIL, BROWSER), (ANNA, MAIL, BROWSER)]


class Crash(Exception):
    """The function was killed."""


class Story:
    """Everything around the processors, in memory, with troubles that `seed` chooses."""

    def __init__(self, seed: int, checked: Callable[[], None] = lambda: None) -> None:
        self.random = random.Random(seed)
        self.checked = checked
        self.now = START
        self.troubled = True
        self.store = MemoryStore(self.trouble)
        self.rules = {f"s{n}": rule(self.random) for n in range(3)}
        definitions = [
            SegmentDefinition.model_validate({"name": name, "description": name, "rule": one})
            for name, one in self.rules.items()
        ]
        self.engine = Engine(definitions)
        self.waker = WakeUpProcessor(
            store=self.store, engine=self.engine, wake=self.wake, rebuild=self.rebuild, clock=lambda: self.now
        )
        self.processor = self.fresh()
        self.rivals: list[list[Event]] = []
        self.archived: dict[str, Event] = {}
        self.sent: dict[str, Event] = {}
        self.done: set[str] = set()
        """Ids of the events of acknowledged messages."""
        self.wake_ups: list[tuple[int, str]] = []
        self.rebuilds: list[str] = []
        self.shard = Shard(index=self, ahead=MemoryCursor(), back=MemoryCursor())

    def fresh(self) -> Processor:
        return Processor(
            store=self.store,
            engine=self.engine,
            archive=self.archive,
            wake=self.wake,
            rebuild=self.rebuild,
            clock=lambda: self.now,
        )

    # Troubles.

    def trouble(self, operation: str) -> None:
        if not self.troubled:
            return
        if self.random.random() < 0.03:
            raise Crash
        if operation == "save" and self.rivals and self.random.random() < 0.3:
            self.troubled = False
            events = self.rivals.pop()
            assert self.fresh().events({"rival": events}).failed == {}
            self.done |= {one.id for one in events}
            self.waker.wake_ups([ANNA, MAIL, BROWSER])
            self.troubled = True

    def archive(self, events: Any) -> None:
        events = list(events)
        self.store.before("archive")
        self.archived |= {one.id: one for one in events}

    def rebuild(self, profile_id: str) -> None:
        self.store.before("rebuild")
        self.rebuilds.append(profile_id)

    def wake(self, by_delay: Mapping[int, list[str]]) -> None:
        self.store.before("wake")
        for delay, ids in by_delay.items():
            copies = self.random.choice([0, 1, 1, 2]) if self.troubled else 1
            late = self.random.choice([0, 0, 30]) if self.troubled else 0
            self.wake_ups += [(self.now + (delay + late) * SECOND, one) for one in ids] * copies

    # The due index and its cursor.

    def due(self, hour: int, start: Place, end: int) -> Iterator[list[Place]]:
        waiting = [Place(int(item["due_at"]["N"]), one) for one, item in self.store.items.items() if "due_at" in item]
        if found := sorted(one for one in waiting if one.due_at // HOUR == hour and start < one < (end,)):
            yield found

    # What goes on.

    def play(self) -> None:
        for _ in range(self.random.randint(5, 25)):
            self.deliver([[self.event() for _ in range(self.random.randint(1, 3))] for _ in range(2)])
            self.pass_time(self.random.choice([0, 1, 20, 60, 150, 400]))
            self.check_reads()
        self.troubled = False
        self.deliver(self.rivals)
        # A sweep finds stragglers two minutes after they were due.
        for _ in range(self.random.choice([5, 2 * LENGTH])):
            self.pass_time(60)
        self.check_reads()
        self.check_published()

    def event(self) -> Event:
        if self.sent and self.random.random() < 0.15:
            return self.random.choice(list(self.sent.values()))
        number = len(self.sent)
        at = self.now - self.random.choice([0, 0, 1, self.random.randint(0, 10 * MINUTE)])
        named = self.random.choice(NAMED if self.random.random() < 0.3 else NAMED[:3])
        happening: dict[str, Any] = {
            "type": self.random.choice(["view", "cart", "buy", "email_delivered"]),
            "properties": {"campaign": f"c{number}", "value": self.random.choice("xy")},
        }
        delivered = [one for one in self.sent.values() if one.type == "email_delivered"]
        if delivered and self.random.random() < 0.3:
            mail = self.random.choice(delivered)
            happening = {"type": "email_opened", "properties": mail.properties}
            named, at = tuple(one.id for one in mail.identities), max(at, mail.occurred_at)
        if number < len(KINDS):
            named, at = (list(KINDS)[number],), START - HOUR
            happening = {"type": "consent_changed", "consent": {"tracking": True}}
        elif number == len(KINDS) or self.random.random() < 0.08:
            named, granted = (ANNA,), self.random.random() < 0.7
            happening = {"type": "consent_changed", "consent": {"personalization": granted}}
        event = Event.model_validate(
            {
                "id": f"e{number}",
                "source": "test",
                "identities": [{"kind": KINDS[one], "id": one} for one in named],
                "occurred_at": at,
                "received_at": self.now,
                **happening,
            }
        )
        self.sent[event.id] = event
        return event

    def deliver(self, messages: list[list[Event]]) -> None:
        """Deliver messages, some of them through a rival, until all are acknowledged."""
        if self.troubled and len(self.sent) > 10 and self.random.random() < 0.3:
            self.rivals.append(messages.pop())
        waiting = {f"m{number}": events for number, events in enumerate(messages)}
        while waiting:
            failed = self.processor.events(waiting).failed
            assert {type(error) for error in failed.values()} <= {Crash}
            waiting = {message: waiting[message] for message in failed}
            if failed:
                self.processor = self.fresh()
        self.done |= {one.id for events in messages for one in events}

    def pass_time(self, seconds: int) -> None:
        until = self.now + seconds * SECOND
        while self.now < until:
            self.now = min(until, (self.now // SECOND + 1) * SECOND)
            if self.now % MINUTE == 0 and not (self.troubled and self.random.random() < 0.2):
                self.sweep()
            ready = [one for one in self.wake_ups if one[0] <= self.now]
            self.wake_ups = [one for one in self.wake_ups if one[0] > self.now]
            for at, one in ready:
                if not self.woken(one):
                    self.wake_ups.append((at + 5 * SECOND, one))

    def woken(self, profile_id: str) -> bool:
        try:
            return not self.waker.wake_ups([profile_id]).failed
        except Crash:
            return False

    def sweep(self) -> None:
        try:
            sweep(self.shard, wake=self.wake, a_second=1_000, now=self.now)
            find_stragglers(self.shard, wake=self.wake, a_second=1_000, now=self.now, at_most=1_000)
        except Crash:
            return

    # What is true.

    def end(self, profile_id: str) -> str:
        while "merged_into" in (item := self.store.items.get(profile_id, {})):
            profile_id = item["merged_into"]["S"]
        return profile_id

    def members(self, profile_id: str, at: int) -> set[str]:
        mine = [one for one in map(self.sent.get, self.done) if one and self.end(one.identities[0].id) == profile_id]
        stated = [(one.occurred_at, not said, said) for one in mine for said in _personalization(one)]
        if not stated or not max(stated)[2]:
            return set()
        happened: list[Happening] = [
            (one.type, one.occurred_at, str(one.properties["campaign" if one.type.startswith("email") else "value"]))
            for one in mine
            if not one.consent
        ]
        return {name for name, one in self.rules.items() if truth(one, happened, at)}

    def check_reads(self) -> None:
        for one in KINDS:
            if self.end(one) != one:
                assert self.store.profile(one).memberships == {}
                continue
            profile = self.store.profile(one)
            ends = [until for _, until, _ in profile.memberships.values() if self.now < until < self.now + HOUR]
            for at in {self.now, self.now + LENGTH * MINUTE, *(end - 1 for end in ends), *ends}:
                assert self.engine.memberships(profile, at) == self.members(one, at)
                self.checked()
        assert self.done <= self.archived.keys()

    def check_published(self) -> None:
        for one in KINDS:
            said = [(version, flip) for profile, version, flip in self.store.published if profile == one]
            assert [version for version, _ in said] == sorted(version for version, _ in said)
            entered = set()
            for name in self.rules:
                turns = [flip.entered for _, flip in said if flip.segment == name]
                # Each flip once: in, out, in.
                assert turns == [number % 2 == 0 for number in range(len(turns))]
                entered |= {name} if len(turns) % 2 else set()
            assert entered == (self.members(one, self.now) if self.end(one) == one else set())
            self.checked()


def _personalization(event: Event) -> Iterator[bool]:
    return (granted for purpose, granted in event.consent.items() if purpose == "personalization")


def rule(chance: random.Random, depth: int = 3) -> dict[str, Any]:
    """Return a random rule, as written in a file."""
    kind = chance.choice(["occurred", "occurred", "older", "share", "all", "any", "not"][: 7 if depth else 4])
    if kind in {"all", "any"}:
        return {kind: [rule(chance, depth - 1) for _ in range(chance.randint(1, 3))]}
    if kind == "not":
        return {"not": rule(chance, depth - 1)}
    window = chance.randint(1, LENGTH) * MINUTE
    if kind == "share":
        return {"opened_share": chance.choice([0.25, 0.5, 0.7, 1.0]), "within": window}
    leaf: dict[str, Any] = {"event": chance.sample(["view", "cart", "buy"], chance.randint(1, 2))}
    if chance.random() < 0.5:
        leaf["where"] = {"value": chance.choice("xy")}
    return (
        {**leaf, "older_than": window}
        if kind == "older"
        else {**leaf, "at_least": chance.randint(1, 3), "within": window}
    )


@pytest.mark.parametrize("first", range(0, 150, 30))
def test_whatever_happens_reads_are_true_and_what_is_published_comes_true(first: int) -> None:
    for seed in range(first, first + 30):
        Story(seed).play()
