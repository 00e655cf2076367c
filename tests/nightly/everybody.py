"""Compares three ways to one truth: told event by event, recomputed from all events, and by columns of the archive.

Among the instants are some at which windows of those whose time is told by the half hour end, and a millisecond before
and after. At each, everybody's verdict of each segment is compared: its truth, and until when it holds.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mailtailor.consent.policy import Purpose
from mailtailor.events import archive
from mailtailor.events.event import Event
from mailtailor.instant import DAY, Instant
from mailtailor.profiles.estimate import evaluate, verdicts
from mailtailor.profiles.profile import Profile
from mailtailor.segments.engine import Engine
from mailtailor.segments.files import load_segments
from mailtailor.segments.verdict import Verdict
from tests.bench.archived import join, write_part
from tests.bench.invented import definitions
from tests.bench.people import Happened, people
from tests.bench.population import DAYS, START
from tests.bench.segments import Lives, live_on
from tests.demonstration import SEGMENTS
from tests.unit.segments.columns.archived_lives import number_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PEOPLE: Final = 100_000
AT_ONCE: Final = 6_250
INVENTED: Final = 8


def instants(seed: int) -> list[Instant]:
    """Return the edges of a window and an instant after, in order."""
    chance = random.Random(seed)
    edge = START + chance.randint(DAYS * 2 // 3, DAYS - 2) * DAY
    return [edge - 1, edge, edge + 1, edge + chance.randint(2, DAY)]


def compare(first: int, number: int, seed: int) -> int:
    """Compare some of the population's people, and return how many verdicts were compared.

    Raises
    ------
    AssertionError
        If anything differs.
    """
    engine = Engine([*load_segments(SEGMENTS), *definitions(INVENTED, seed)])
    at = instants(seed)
    compared = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_part(first, number, folder, folder / "parts" / "all")
        join(folder / "parts", folder / "archive")
        connection = archive.connect(memory="512MiB", threads=1, folder=folder / "duckdb")
        by_columns = [_by_columns(connection, folder, engine, one) for one in at]
        for someone in people(folder, first, first + number):
            own = number_of(someone.profile.id)
            # As it is when the function that was told has stored it; whoever reads it later evaluates anew.
            incremental = _incremental(engine, someone.profile, someone.events, at)
            asked = someone.number % len(at)
            recomputed = _recomputed(engine, someone.profile, someone.events, at[asked])
            for place, (now, known) in enumerate(zip(at, incremental, strict=True)):
                ways = [known, by_columns[place].get(own, {}), recomputed if place == asked else known]
                if not ways[0] == ways[1] == ways[2]:
                    differ = {
                        segment: [way.get(segment) for way in ways]
                        for segment in known
                        if any(way.get(segment) != known[segment] for way in ways)
                    }
                    raise AssertionError(f"{someone.profile.id} at {now} (seed {seed}): {differ}")
                compared += len(known) * (2 if place == asked else 1)
    return compared


def _by_columns(
    connection: DuckDBPyConnection, folder: Path, engine: Engine, now: Instant
) -> dict[int, dict[str, Verdict]]:
    """Return everybody's verdicts by what was in the archive then."""
    files = []
    for bucket in range(archive.BUCKETS):
        files.append(folder / f"at-{now}" / f"bucket={bucket:02}" / "all.parquet")
        files[-1].parent.mkdir(parents=True)
        connection.execute(
            f"""COPY (
                FROM read_parquet($files, union_by_name = true, hive_partitioning = false)
                WHERE epoch_ms(received_at) <= $now
            ) TO '{files[-1]}' (FORMAT parquet)""",
            {"files": f"{folder}/archive/*/bucket={bucket:02}/*.parquet", "now": now},
        )
    return {
        number: {name: (bool(truths[place]), int(untils[place])) for name, (truths, untils) in some.verdicts.items()}
        for some in evaluate(connection, map(str, files), engine, now, threads=1)
        for place, number in enumerate(some.numbers.tolist())
    }


def _incremental(
    engine: Engine, profile: Profile, events: Sequence[Happened], at: Sequence[Instant]
) -> list[dict[str, Verdict]]:
    """Return the verdicts at some instants of somebody who is told one event after the other."""
    found, done, lives = [], 0, Lives()
    for now in at:
        past = [event for event in events[done:] if event.received_at <= now]
        live_on(engine, profile, past, now, lives)
        done += len(past)
        fresh = engine.evaluate(profile, now)
        for name, known in profile.memberships.items():
            # What was stored before may end sooner than what is found now: a wake-up too many, and no wrong truth.
            if now < known.valid_until:
                truth, until = fresh[name]
                assert known.member == truth, f"{profile.id}: {name} at {now} is stored wrongly"
                assert known.valid_until <= until, f"{profile.id}: {name} at {now} is stored for too long"
        found.append(fresh)
    return found


def _recomputed(engine: Engine, profile: Profile, events: Sequence[Happened], now: Instant) -> dict[str, Verdict]:
    """Return the verdicts of somebody of whom only the events are known."""
    told = [_event(profile, "told", "identified", START, consent=dict.fromkeys(Purpose, True))]
    told[0].attributes.update({name: known.value for name, known in profile.attributes.items()})
    told += [
        _event(profile, one.id, one.type, one.at, received_at=one.received_at, properties=one.properties)
        for one in events
        if one.received_at <= now
    ]
    return verdicts(profile.id, archive.once_each(told), engine, now)


def _event(profile: Profile, event_id: str, event_type: str, at: Instant, **fields: Any) -> Event:
    told = {"received_at": at, "attributes": {}, **fields}
    return Event.model_construct(
        id=event_id, type=event_type, source="bench", profile_id=profile.id, occurred_at=at, **told
    )


def main() -> int:
    """Compare, and return 1 if anything differed."""
    number, seed = (int(one) for one in sys.argv[1:3]) if len(sys.argv) > 2 else (PEOPLE, 1)
    started = time.monotonic()
    firsts = range(0, number, AT_ONCE)
    with ProcessPoolExecutor(2) as pool:
        try:
            compared = sum(
                pool.map(compare, firsts, [min(AT_ONCE, number - one) for one in firsts], [seed] * len(firsts))
            )
        except AssertionError as error:
            print(error)  # noqa: T201 - the answer
            return 1
    print(f"{compared:,} verdicts of {number:,} people in {time.monotonic() - started:.0f} s: no difference.")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
