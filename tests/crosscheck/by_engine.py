"""Who is in each segment, by the engine, which is told each event as it comes and forgets what it may."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from mailtailor.instant import Instant
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import Engine
from mailtailor.segments.stream_codec import decode, encode
from mailtailor.segments.streams import Streams
from tests.bench.people import Happened, people
from tests.crosscheck.by_sql import Members
from tests.crosscheck.cases import CASES
from tests.crosscheck.instants import BEFORE_EDGE


def members(folder: Path, instants: tuple[Instant, ...], *, number: int, processes: int) -> Members:
    """Return who of a number of people is in each segment at each instant; each process judges its share of them."""
    shares = [(number * n // processes, number * (n + 1) // processes) for n in range(processes)]
    if processes == 1:
        return _judge(folder, instants, shares[0])
    found: Members = {}
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for part in pool.map(_judge, [folder] * processes, [instants] * processes, shares):
            for key, them in part.items():
                found.setdefault(key, set()).update(them)
    return found


def _judge(folder: Path, instants: tuple[Instant, ...], share: tuple[int, int]) -> Members:
    engine = Engine(
        SegmentDefinition.model_validate({"name": name, "description": name, "rule": case.rule})
        for name, case in CASES.items()
    )
    found: Members = {(now, name): set() for now in instants for name in CASES}
    for someone in people(folder, *share):
        profile, told = someone.profile, 0
        for now in instants:
            while told < len(someone.events) and someone.events[told].received_at <= now:
                _tell(engine, profile.streams, someone.events[told])
                told += 1
            engine.memory.prune(profile.streams, now)
            if now == BEFORE_EDGE:
                # As if it had been stored and read again; once, for it takes as long as all the rest.
                profile.streams = decode(encode(profile.streams))
            for name, (truth, _) in engine.evaluate(profile, now).items():
                if truth:
                    found[now, name].add(someone.number)
    return found


def _tell(engine: Engine, streams: Streams, event: Happened) -> None:
    engine.memory.record(streams, event_id=event.id, event_type=event.type, at=event.at, properties=event.properties)
