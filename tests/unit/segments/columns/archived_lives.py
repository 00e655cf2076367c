"""Random people with random histories in archived files, for random segments: columns beside the engine.

In the files is what an archive may hold: events twice, dated anew, corrected, deleted, in bursts, with properties that
are no JSON to DuckDB, of people who withdrew their consent, in joined files and such as came only now.
"""

from __future__ import annotations

import json
import random
from hashlib import md5
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mailtailor.events import archive, joining
from mailtailor.events.event import Event
from mailtailor.instant import HOUR
from mailtailor.profiles.estimate import evaluate, verdicts
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import Engine
from mailtailor.segments.verdict import NEVER, Verdict
from tests.unit.segments.people import NOW, definition
from tests.unit.segments.random_rules import EVENTS, TOLD, RandomRules

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SEGMENTS: Final = 16


class Differs(AssertionError):
    """Columns say another thing than the engine."""


class ArchivedLives:
    """So many people, and the segments that judge them.

    Parameters
    ----------
    seed
        Decides everything.
    people
        How many people there are.
    """

    def __init__(self, seed: int, people: int = 40) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        # With hours, days turn; with milliseconds, windows' edges are met all the time.
        self.unit = self.chance.choice([1, 1, HOUR * 4])
        self.rules = RandomRules(self.chance, self.unit)
        names = [f"s{number}" for number in range(SEGMENTS)]
        self.written = {name: self.rules.rule(names[:number]) for number, name in enumerate(names)}
        self.definitions: list[SegmentDefinition] = [definition(rule, name) for name, rule in self.written.items()]
        self.engine = Engine(self.definitions)
        self.lives = {f"{self.chance.randrange(10**9):022d}": self._life(number) for number in range(people)}

    def _life(self, number: int) -> list[dict[str, Any]]:
        """Return somebody's rows."""
        chance = self.chance
        allowed = {"personalization": chance.random() < 0.93, "tracking": chance.random() < 0.85}
        rows = [self._row(f"{number}-told", "identified", 40, attributes=self.rules.statement(), consent=allowed)]
        for count in range(chance.choice([0, 3, 10, 25])):
            rows.append(self._happened(f"{number}-{count}"))
            if chance.random() < 0.04:
                rows += self._clicks(rows[-1])
        for again in chance.sample(rows, min(len(rows), 3)):
            rows += self._more_of(again)
        if chance.random() < 0.3:
            rows.append(self._row(f"{number}-more", "identified", 3, attributes=self.rules.statement()))
        if chance.random() < 0.25:
            changed = {chance.choice(["tracking", "personalization"]): chance.random() < 0.6}
            rows.append(self._row(f"{number}-changed", "consent_changed", 2, consent=changed))
        if chance.random() < 0.02:
            rows.append(self._row(f"{number}-ahead", chance.choice(EVENTS), -chance.randint(1, 3)))
        return rows

    def _happened(self, event_id: str) -> dict[str, Any]:
        """Return an event of any kind, some with properties that hardly any has."""
        event_type = self.chance.choice([*EVENTS, *EVENTS, *TOLD[: self.chance.randint(0, 4)]])
        properties = self.rules.properties(event_type)
        if event_type == "email_link_clicked":
            properties["position"] = self.chance.randint(0, 7)
        elif event_type.startswith("email_") and self.chance.random() < 0.05:
            properties["instance"] = self.chance.choice(["", "b", 7, None])
        if self.chance.random() < 0.01:
            properties["note"] = "\ud83d"
        return self._row(event_id, event_type, self.chance.randint(0, 20), properties=properties)

    def _clicks(self, after: dict[str, Any]) -> list[dict[str, Any]]:
        """Return a scanner's clicks, or what is hardly one."""
        rows = []
        for link in range(self.chance.randint(1, 4)):
            clicked = {"campaign": self.chance.choice("abc"), "position": link + 1}
            row = self._row(f"{after['id']}-{link}", "email_link_clicked", 0, properties=clicked)
            rows.append({**row, "occurred_at": after["occurred_at"] - link * self.chance.choice([1, 500, 4_000])})
        return rows

    def _more_of(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what comes of an event again, or about it."""
        chance = self.chance
        again: list[dict[str, Any]] = [
            {**row, "received_at": NOW},
            {**row, "occurred_at": row["occurred_at"] + chance.choice([-1, 1, 2]) * self.unit},
            {**row, "properties": self.rules.properties(row["type"])},
        ]
        told = {"corrects": row["id"], **chance.choice([{"machine": "burst"}, {"deleted": True}])}
        again.append(self._row(f"c-{row['id']}", "event_corrected", 0, properties=told))
        return [one for one in again if chance.random() < 0.12]

    def _row(self, event_id: str, event_type: str, age: int, **fields: Any) -> dict[str, Any]:
        at = NOW - age * self.unit
        row = {"properties": {}, "id": event_id, "type": event_type, "source": "test", "occurred_at": at}
        return {**row, "received_at": max(at, NOW - self.chance.choice([0, 0, 1, 5, 30]) * HOUR), **fields}

    def events(self) -> dict[str, list[Event]]:
        """Return everybody's events, doubles included."""
        return {
            profile: [Event.model_validate({**row, "profile_id": profile}) for row in rows]
            for profile, rows in self.lives.items()
        }

    def write(self, connection: DuckDBPyConnection, folder: Path) -> list[str]:
        """Write the archive: of some folders one joined file, of others two as they come; return their paths."""
        everything = [event for some in self.events().values() for event in some]
        self.chance.shuffle(everything)
        for half in (everything[::2], everything[1::2]):
            for part in archive.parts({"m": half}):
                if part.key.startswith(archive.EVENTS):
                    (folder / part.key).parent.mkdir(parents=True, exist_ok=True)
                    (folder / part.key).write_bytes(part.parquet(connection))
        for directory in sorted(folder.glob("events/*/*")):
            if self.chance.random() < 0.6:
                files = sorted(map(str, directory.glob("*.parquet")))
                name = f"{directory.relative_to(folder)}/"
                joining.join(connection, files, directory / "joined.parquet", folder=name, erasures=())
                for file in files:
                    Path(file).unlink()
        return sorted(map(str, folder.glob("events/*/*/*.parquet")))

    def compare(self, connection: DuckDBPyConnection, folder: Path) -> int:
        """Compare what columns and the engine say of everybody, and return how many verdicts that were.

        Raises
        ------
        Differs
            With all that has to be known to look into it.
        """
        files = self.write(connection, folder)
        found: dict[int, dict[str, Verdict]] = {}
        for some in evaluate(connection, files, self.engine, NOW):
            for place, number in enumerate(some.numbers.tolist()):
                found[number] = {
                    name: (bool(truths[place]), int(untils[place])) for name, (truths, untils) in some.verdicts.items()
                }
        for profile, events in self.events().items():
            expected = verdicts(profile, archive.once_each(events), self.engine, NOW)
            known = found.get(number_of(profile), dict.fromkeys(expected, NEVER))
            for name, verdict in expected.items():
                if known[name] != verdict:
                    raise Differs(self._told(profile, name, known[name], verdict))
        return len(self.lives) * len(self.definitions)

    def _told(self, profile: str, name: str, known: Verdict, expected: Verdict) -> str:
        rows = [
            {**row, "occurred_at": row["occurred_at"] - NOW, "received_at": row["received_at"] - NOW}
            for row in self.lives[profile]
        ]
        happened = "\n".join(map(json.dumps, sorted(rows, key=lambda row: row["occurred_at"])))
        rules = json.dumps(self.written, indent=1)
        return (
            f"seed {self.seed}, unit {self.unit}: {name} of {profile} is {known}, not {expected}\n{rules}\n{happened}"
        )


def number_of(profile: str) -> int:
    """Return the number by which columns know a profile."""
    return int(np.frombuffer(md5(profile.encode(), usedforsecurity=False).digest()[8:], "<u8")[0])
