"""Plays a person's life as the product would, and compares it at every step with a count over the whole history.

Events come late, twice, in any order and dated anew; attributes and consent change; state is pruned, stored and read
back; wake-ups are lost. After an event only the segments that it affects, and those whose verdict has run out, are
evaluated. Readers evaluate again what has run out.
"""

from __future__ import annotations

import json
import random
from typing import Any

from mailtailor.consent.policy import Consent, Purpose
from mailtailor.profiles.profile import Attribute, Profile
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import Engine
from mailtailor.segments.stream_codec import decode, encode
from mailtailor.segments.verdict import Verdict
from tests.unit.segments.people import NOW
from tests.unit.segments.random_rules import EVENTS, TOLD, RandomRules
from tests.unit.segments.whole_history import Happened, History, holds

HOUR = 3_600_000
NAMES = ["s0", "s1", "s2"]


class Mismatch(AssertionError):
    """The engine says another thing than the history."""


class Replay:
    """One life.

    Parameters
    ----------
    seed
        Decides everything.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        # Days turn only if time passes in hours.
        self.unit = self.chance.choice([1, 1, HOUR * 4])
        self.rules = RandomRules(self.chance, self.unit)
        self.written = {name: self.rules.rule(NAMES[:number]) for number, name in enumerate(NAMES)}
        definitions = {
            name: SegmentDefinition.model_validate({"name": name, "description": "d", "rule": rule})
            for name, rule in self.written.items()
        }
        self.conditions = {name: definition.rule for name, definition in definitions.items()}
        self.engine = Engine(definitions.values())
        self.now = NOW
        identity = f"{self.chance.randrange(10**9):022d}"
        self.person = Profile(id=identity, consent={Purpose.PERSONALIZATION: Consent(granted=True, at=0)})
        self.history = History(identity, tracking=False)
        self.stored: dict[str, Verdict] = {}
        self.log: list[str] = []
        for _ in range(self.chance.choice([0, 6])):
            self.state(self.rules.statement())
        self.checks = 0
        self.short = False

    def play(self, steps: int = 24) -> int:
        """Play, and return the number of comparisons.

        Raises
        ------
        Mismatch
            With the rules and what happened.
        """
        self.evaluate(set(NAMES))
        for _ in range(steps):
            self.now += self.chance.choice([0, 0, 1, 1, 2, 3]) * self.unit
            self.step()
            if self.short:
                # The engine says itself that the archive has to be asked.
                return self.checks
            self.compare()
        return self.checks

    def step(self) -> None:
        """Let something happen."""
        kind = self.chance.random()
        if kind < 0.7:
            self.event()
        elif kind < 0.8:
            stated = self.rules.statement()
            self.state(stated)
            self.evaluate(self.engine.affected_by_attributes(stated))
        elif kind < 0.85:
            self.history.tracking = self.chance.random() < 0.5
            self.person.consent[Purpose.TRACKING] = Consent(self.history.tracking, self.now)
            self.evaluate(set(self.engine.affected_by_consent))
        elif kind < 0.95:
            self.engine.memory.prune(self.person.streams, self.now)
            self.person.streams = decode(encode(self.person.streams))
        elif kind < 0.98:
            # A wake-up.
            self.evaluate(set())

    def state(self, attributes: dict[str, Any]) -> None:
        """Let attributes be stated."""
        self.log.append(f"{self.now - NOW}: {attributes}")
        for name, value in attributes.items():
            self.person.attributes[name] = Attribute(value, self.now)
            self.history.attributes[name] = value

    def event(self) -> None:
        """Let an event come: a new one, perhaps late, or one that has come before, perhaps dated otherwise."""
        known = list(self.history.events.values())
        if known and self.chance.random() < 0.2:
            again = self.chance.choice(known)
            # Of a message the last delivery and open count, so there an event that is dated anew is another one. One
            # dated later than before may have been forgotten by then, and would count for as long as it is dated later.
            earlier = 0 if again.type.startswith("email_") else self.chance.choice([0, 0, 1]) * self.unit
            moved = again.at - earlier
            event = Happened(again.id, again.type, moved, again.properties)
        else:
            event_type = self.chance.choice([*EVENTS, *EVENTS, *TOLD[: self.chance.randint(0, 4)]])
            late = self.chance.choice([0, 0, 0, 1, 2, 5, 11]) * self.unit
            event = Happened(f"e{len(known)}", event_type, self.now - late, self.rules.properties(event_type))
        self.log.append(f"{self.now - NOW}: {event.id} {event.type} at {event.at - NOW} {dict(event.properties)}")
        self.history.add(event)
        recorded = self.engine.memory.record(
            self.person.streams,
            event_id=event.id,
            event_type=event.type,
            at=event.at,
            properties=event.properties,
        )
        self.short |= recorded.short
        self.evaluate(recorded.affected)

    def evaluate(self, touched: set[str]) -> None:
        """Evaluate what may have changed."""
        due = touched | {name for name, (_, until) in self.stored.items() if until <= self.now}
        self.stored |= self.engine.evaluate(self.person, self.now, due)

    def compare(self) -> None:
        """Compare what a reader is told now, and around the instants at which it may turn, with the history."""
        fresh = self.engine.evaluate(self.person, self.now)
        for name in NAMES:
            truth, until = self.stored[name]
            if until <= self.now:
                truth, until = fresh[name]
            self.check(name, truth, self.now)
            self.check(name, fresh[name][0], self.now)
            if not self.now < until:
                raise Mismatch(self.told(name, self.now, "holds until no later instant"))
            for later in self.probes(until):
                self.check(name, truth, later)
            if until < self.now + 40 * self.unit or (self.unit > 1 and until < self.now + 90 * 24 * HOUR):
                for turned in (until, until + 1):
                    self.check(name, self.engine.evaluate(self.person, turned, [name])[name][0], turned)

    def probes(self, until: int) -> set[int]:
        """Return instants from now on at which nothing may have turned."""
        nearby = {self.now + number * self.unit for number in range(1, 20)}
        edges = {until - 1, until - self.unit, self.now + 1}
        return {at for at in nearby | edges if self.now < at < min(until, self.now + 40 * self.unit)}

    def check(self, name: str, truth: bool, at: int) -> None:
        """Compare one truth."""
        self.checks += 1
        if holds(self.conditions[name], self.history, at, self.conditions) != truth:
            raise Mismatch(self.told(name, at, f"is said to be {truth}"))

    def told(self, name: str, at: int, what: str) -> str:
        """Return what has to be known to play it again."""
        rules = json.dumps(self.written, indent=1)
        happened = "\n".join(self.log)
        when = f"at {at - NOW} (unit {self.unit}, now {self.now - NOW})"
        return f"seed {self.seed}: {name} {what} {when}\n{rules}\n{happened}"
