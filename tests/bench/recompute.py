"""What recomputing costs on one core: an archive of people who behave like a shop's, read and evaluated, no network.

Profiles are decoded and encoded as for the table, which is a dictionary here. The first pass finds profiles that
remember nothing, so all of them change; the second finds nothing to change.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mailtailor.aws.profile_item import encode, same_content
from mailtailor.aws.profile_table import loaded
from mailtailor.consent.policy import Consent, Purpose
from mailtailor.events import archive, histories
from mailtailor.events.event import Event
from mailtailor.profiles.profile import Flip, Profile
from mailtailor.profiles.projection import Merged
from mailtailor.profiles.recompute import Person, Recomputer, Tally
from mailtailor.profiles.store import Loaded
from mailtailor.segments.engine import Engine
from mailtailor.segments.files import load_segments
from tests.bench.people import Someone, people
from tests.bench.population import END, write

SEGMENTS = Path("layers/definitions/segments")


@dataclass(frozen=True)
class Recomputed:
    """One pass over everybody.

    Attributes
    ----------
    tally
        What it did.
    reading, evaluating
        Seconds of one core: rows to events, and all the rest.
    """

    tally: Tally
    reading: float
    evaluating: float


class _Items:
    """Items as the table keeps them."""

    def __init__(self, profiles: Iterable[Profile]) -> None:
        self._items = {one.id: encode(replace(one, version=1), ()) for one in profiles}

    def load(self, ids: Iterable[str]) -> dict[str, Loaded]:
        return {one: loaded(self._items[one]) for one in ids}

    def save(self, prepared: Loaded, flips: Sequence[Flip], merged: Sequence[Merged] = ()) -> bool:
        item = encode(prepared.profile, flips)
        if not merged and not flips and same_content(item, prepared.stored):
            return False
        self._items[prepared.profile.id] = item
        return True

    def point(self, identity: str, *, to: str) -> Loaded | None:
        raise NotImplementedError(f"{identity}, {to}")


def passes(number: int, folder: Path) -> Iterator[Recomputed]:
    """Recompute so many people twice."""
    write(number, folder)
    connection = archive.connect(memory="1GiB", threads=1, folder=folder / "duckdb")
    days: dict[str, archive.Part] = {}
    profiles = []
    for someone in people(folder, 0, number):
        # Whoever is remembered by the engine alone needs no leave to be recorded; here they do.
        profiles.append(replace(someone.profile, consent={one: Consent(granted=True, at=0) for one in Purpose}))
        for event in _events(someone):
            day = archive.day_folder(event.received_at)
            days.setdefault(day, archive.Part(day)).rows.add(archive._row(event))
    files = []
    for count, part in enumerate(days.values()):
        files.append(folder / f"{count}.parquet")
        files[-1].write_bytes(part.parquet(connection))
    del days
    recomputer = _recomputer(_Items(profiles))
    for _ in range(2):
        yield _pass(connection, [str(file) for file in files], recomputer)


def _pass(connection: Any, files: Sequence[str], recomputer: Recomputer) -> Recomputed:
    tally, reading, evaluating = Tally(), 0.0, 0.0
    # What the benchmark itself holds is not collected meanwhile: a function has no such heap.
    gc.collect()
    gc.freeze()
    started = time.process_time()
    in_order = Path(files[0]).parent / "in-order"
    histories.sort(connection, files, in_order, after="")
    own = [str(in_order)]
    found = histories.found(connection, own, after="", most=1_000_000_000)
    for ids in histories.in_chunks(found):
        events = histories.in_range(connection, own, first=ids[0], last=ids[-1])
        some = [Person(one, frozenset({one}), events[one]) for one in ids]
        read = time.process_time()
        tally.add(recomputer.recompute(some))
        done = time.process_time()
        reading, evaluating, started = reading + read - started, evaluating + done - read, done
    return Recomputed(tally, reading, evaluating)


def _recomputer(store: _Items) -> Recomputer:
    def nowhere(*_given: Any) -> None:
        """Keep nothing."""

    return Recomputer(
        store=store,
        engine=Engine(load_segments(SEGMENTS)),
        archive=nowhere,
        wake=nowhere,
        rebuild=nowhere,
        clock=lambda: END,
        pause=nowhere,
        failed=nowhere,
    )


def _events(someone: Someone) -> Iterator[Event]:
    for one in someone.events:
        yield Event.model_validate(
            {
                "id": one.id,
                "type": one.type,
                "source": "bench",
                "profile_id": someone.profile.id,
                "occurred_at": one.at,
                "received_at": one.received_at,
                "properties": one.properties,
            }
        )
