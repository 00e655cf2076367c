"""Wake-ups that are lost, late, doubled and out of order, an index that lags, and clocks that are wrong.

Four people live through minutes that are full of edges. Each wake-up has a fate, the due index tells of a profile some
time after it was written, and each machine has a clock of its own. Whatever happens, who reads is told what a count
over the whole history gives; and a few sweeps after the trouble has ended, each flip has been pushed once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import pytest

from mailtailor.events.event import Event
from mailtailor.instant import HOUR, MINUTE, SECOND
from mailtailor.profiles.processing import Processor, WakeUpProcessor
from mailtailor.profiles.sweep import Place, Shard, find_stragglers, sweep
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import Engine
from tests.unit.profiles.memory_store import MemoryCursor, MemoryStore
from tests.unit.segments.random_rules import EVENTS, RandomRules
from tests.unit.segments.whole_history import Happened, History, holds

START: Final = 1_790_000_000_000
UNIT: Final = 30 * SECOND
"""Windows are a few of these long."""
PEOPLE: Final = [f"{number:022d}" for number in range(4)]
NAMES: Final = ["s0", "s1", "s2"]
CATCH_UP: Final = 4
"""Minutes from the end of trouble until everything is pushed: a straggler is two old when a sweep looks for it."""


class Fates:
    """What becomes of a wake-up: the seconds after which it comes, once for each time it does."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def punctual(self) -> list[int]:
        return [0]

    def dropped(self) -> list[int]:
        return []

    def delayed(self) -> list[int]:
        return [self.chance.randint(1, 400)]

    def doubled(self) -> list[int]:
        return [0, self.chance.choice([0, 1, 90])]

    def mixed(self) -> list[int]:
        return self.chance.choice([self.punctual, self.dropped, self.delayed, self.doubled])()


class Life:
    """Four people, and everything around the processors, in memory.

    Parameters
    ----------
    seed
        Decides everything else.
    fate
        Of all wake-ups, a name of `Fates`.
    lag
        Seconds, at most, after which the due index tells of a write.
    wrong
        Milliseconds, at most, by which machines' clocks are off; functions that write are held to two seconds
        (`aws.witnessed_clock`), the sweep might jump by an hour all the same.
    """

    def __init__(self, seed: int, *, fate: str = "mixed", lag: int = 0, wrong: int = 0) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.fate: Callable[[], list[int]] = getattr(Fates(self.chance), fate)
        self.lag, self.wrong, self.jumps = lag, wrong, bool(wrong)
        self.store = MemoryStore()
        rules = RandomRules(self.chance, UNIT)
        self.rules = rules
        definitions = {
            name: SegmentDefinition.model_validate(
                {"name": name, "description": "d", "rule": rules.rule(NAMES[:number])}
            )
            for number, name in enumerate(NAMES)
        }
        self.conditions = {name: one.rule for name, one in definitions.items()}
        self.engine = Engine(definitions.values())
        self.histories = {one: History(one) for one in PEOPLE}
        self.incomplete: set[str] = set()
        self.wake_ups: list[tuple[int, str]] = []
        self.shard = Shard(index=self, ahead=MemoryCursor(), back=MemoryCursor())
        self.entries: dict[str, list[tuple[int, int | None]]] = {one: [] for one in PEOPLE}
        self.processor = Processor(
            store=self.store,
            engine=self.engine,
            archive=lambda _: None,
            wake=self.wake,
            rebuild=self.incomplete.add,
            clock=self.some_clock,
        )
        self.wakers = [
            WakeUpProcessor(
                store=self.store,
                engine=self.engine,
                wake=self.wake,
                rebuild=self.incomplete.add,
                clock=self.some_clock,
            )
            for _ in range(2)
        ]

    # What is wrong.

    def some_clock(self) -> int:
        return self.now + self.chance.randint(-self.wrong, self.wrong)

    def sweeps_clock(self) -> int:
        jump = self.chance.choice([0, 0, 0, HOUR, -HOUR, 10 * MINUTE]) if self.jumps else 0
        return self.some_clock() + jump

    def wake(self, by_delay: Mapping[int, list[str]]) -> None:
        for delay, ids in by_delay.items():
            for one in ids:
                self.wake_ups += [(self.now + (delay + late) * SECOND, one) for late in self.fate()]

    def note_index(self) -> None:
        """Let the due index hear of what was written, some time from now."""
        for one in PEOPLE:
            item = self.store.items.get(one, {})
            due_at = int(item["due_at"]["N"]) if "due_at" in item else None
            if not self.entries[one] or self.entries[one][-1][1] != due_at:
                self.entries[one].append((self.now + self.chance.randint(0, self.lag) * SECOND, due_at))

    def due(self, hour: int, start: Place, end: int) -> Iterator[list[Place]]:
        told = {one: [at for seen, at in entries if seen <= self.now] for one, entries in self.entries.items()}
        waiting = [Place(known[-1], one) for one, known in told.items() if known and known[-1] is not None]
        if found := sorted(one for one in waiting if one.due_at // HOUR == hour and start < one < (end,)):
            yield found

    # What goes on.

    def play(self) -> None:
        for one in PEOPLE:
            self.deliver(one, "consent_changed", consent={"tracking": True, "personalization": True})
        for _ in range(15):
            for _ in range(self.chance.randint(0, 2)):
                self.happen(self.chance.choice(PEOPLE))
            self.pass_time(self.chance.choice([1, 10, 30, 60, 150, 240]))
            self.check_reads()
        self.fate, self.wrong, self.jumps, self.lag = Fates(self.chance).punctual, 0, False, 0
        self.pass_time(CATCH_UP * 60)
        while any(int(item.get("due_at", {"N": self.now + 1})["N"]) <= self.now for item in self.store.items.values()):
            # Somebody is due since less than a second.
            self.pass_time(1)
            assert self.now < START + 2 * HOUR
        self.check_reads()
        self.check_pushed()

    def happen(self, one: str) -> None:
        event_type = self.chance.choice(EVENTS[:4])
        at = self.now - self.chance.choice([0, 0, 0, 1, 2, 5]) * UNIT
        self.deliver(one, event_type, at=at, properties=self.rules.properties(event_type))

    def deliver(self, one: str, event_type: str, *, at: int | None = None, **more: object) -> None:
        at = self.now if at is None else at
        event = Event.model_validate(
            {
                "id": f"{one}-{len(self.histories[one].events)}",
                "type": event_type,
                "source": "test",
                "profile_id": one,
                "occurred_at": at,
                "received_at": self.now,
                **more,
            }
        )
        self.histories[one].add(Happened(event.id, event.type, at, event.properties))
        assert not self.processor.events({"m": [event]}).failed
        self.note_index()

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += SECOND
            if self.now % MINUTE == 0:
                now = self.sweeps_clock()
                sweep(self.shard, wake=self.wake, a_second=1_000, now=now)
                find_stragglers(self.shard, wake=self.wake, a_second=1_000, now=now, at_most=1_000)
            come = [one for at, one in self.wake_ups if at <= self.now]
            self.wake_ups = [wake_up for wake_up in self.wake_ups if wake_up[0] > self.now]
            self.chance.shuffle(come)
            for one in come:
                assert not self.chance.choice(self.wakers).wake_ups([one]).failed
            self.note_index()

    # What is true.

    def members(self, one: str, at: int) -> set[str]:
        person = self.histories[one]
        return {name for name, rule in self.conditions.items() if holds(rule, person, at, self.conditions)}

    def check_reads(self) -> None:
        for one in PEOPLE:
            profile = self.store.profile(one)
            # What a machine wrote whose clock is ahead by two seconds is read as of then.
            at = max(self.now, profile.as_of)
            assert at <= self.now + self.wrong
            if one not in self.incomplete:
                assert set(self.engine.memberships(profile, at)) == self.members(one, at)

    def check_pushed(self) -> None:
        for one in PEOPLE:
            said = [(version, flip) for profile, version, flip in self.store.published if profile == one]
            assert [version for version, _ in said] == sorted(version for version, _ in said)
            entered = set()
            for name in NAMES:
                turns = [flip.entered for _, flip in said if flip.segment == name]
                assert turns == [number % 2 == 0 for number in range(len(turns))]
                entered |= {name} if len(turns) % 2 else set()
            if one not in self.incomplete:
                assert entered == self.members(one, self.now)


@pytest.mark.parametrize("fate", ["punctual", "dropped", "delayed", "doubled", "mixed"])
def test_whatever_becomes_of_wake_ups_reads_are_exact_and_pushes_catch_up(fate: str) -> None:
    for seed in range(25):
        Life(seed, fate=fate).play()


def test_an_index_that_tells_late_delays_pushes_and_loses_none() -> None:
    for seed in range(100, 140):
        Life(seed, lag=200).play()


def test_clocks_that_are_wrong_lose_nothing_and_let_nobody_leave_early() -> None:
    for seed in range(200, 260):
        Life(seed, lag=5, wrong=2 * SECOND).play()
