"""Tells from the archive alone how many would be in segments, and enter and leave by time in the next days.

Everybody is evaluated by columns (`segments.columns`), and those of whom these cannot tell everything by the engine.
What people allowed, and their attributes, are taken from the archive, too. So nothing is known of who was merged, and
nobody's attributes are dropped for want of room: it is an estimate of what the profiles say, by a few people.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from mailtailor.consent.policy import stated
from mailtailor.events import histories
from mailtailor.events.event import Event
from mailtailor.instant import DAY, Instant
from mailtailor.profiles import projection, rebuild
from mailtailor.profiles.profile import Attribute, Profile
from mailtailor.segments.columns.evaluation import Evaluated
from mailtailor.segments.columns.evaluation import evaluate as by_columns
from mailtailor.segments.columns.plan import planned
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import Engine
from mailtailor.segments.verdict import Verdict

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DAYS: Final = 7
PROFILES_AT_ONCE: Final = histories.PROFILES_AT_ONCE


@dataclass(slots=True)
class Estimate:
    """What a segment would be like.

    Attributes
    ----------
    members
        How many people are in it.
    entering, leaving
        How many people time alone brings in and takes out, if nothing else happens: of each of the next days, the first
        being the 24 hours from now. Each person counts once, at the next turn.
    """

    members: int = 0
    entering: list[int] = field(default_factory=lambda: [0] * DAYS)
    leaving: list[int] = field(default_factory=lambda: [0] * DAYS)


@dataclass(slots=True)
class Estimates:
    """What segments would be like.

    Attributes
    ----------
    segments
        By name.
    people, events
        Who allows personalization, and how many rows were read for them.
    by_engine
        How many of them the engine had to evaluate by itself.
    """

    segments: dict[str, Estimate]
    people: int = 0
    events: int = 0
    by_engine: int = 0


def estimate(
    connection: DuckDBPyConnection, files: Iterable[str], definitions: Iterable[SegmentDefinition], now: Instant
) -> Estimates:
    """Return what segments would be like by what the archive's files tell.

    Parameters
    ----------
    connection
        DuckDB; see `archive.connect`. Two threads of it are used.
    files
        Paths of all files of events, in their folders of day and bucket.
    definitions
        All segments, for they may refer to each other.
    now
        The instant, not before the last event's.

    Raises
    ------
    BadReference
        As the engine does.
    duckdb.Error
        If a file cannot be read.
    """
    engine = Engine(definitions)
    estimates = Estimates({name: Estimate() for name in engine.segments})
    for some in evaluate(connection, files, engine, now):
        estimates.people += len(some.numbers)
        estimates.events += some.events
        estimates.by_engine += some.by_engine
        for name, (truths, untils) in some.verdicts.items():
            known = estimates.segments[name]
            known.members += int(truths.sum())
            days = np.minimum((untils - now) // DAY, DAYS)
            for turning, of in ((known.leaving, truths), (known.entering, ~truths)):
                for day, number in enumerate(np.bincount(days[of], minlength=DAYS)[:DAYS].tolist()):
                    turning[day] += number
    return estimates


def evaluate(
    connection: DuckDBPyConnection, files: Iterable[str], engine: Engine, now: Instant, *, threads: int = 2
) -> Iterator[Evaluated]:
    """Yield everybody's verdicts by what the archive's files tell, a part of them at a time."""
    definitions = [engine.definition(name) for name in engine.segments]

    def by_engine(
        own: DuckDBPyConnection, some: Sequence[str], ids: Collection[str]
    ) -> Mapping[str, Mapping[str, Verdict]]:
        listed = sorted(ids)
        chunks = (listed[start : start + PROFILES_AT_ONCE] for start in range(0, len(listed), PROFILES_AT_ONCE))
        told = chain.from_iterable(histories.of(own, some, chunk).items() for chunk in chunks)
        return {profile_id: verdicts(profile_id, events, engine, now) for profile_id, events in told}

    return by_columns(connection, files, planned(definitions, engine.bursts), now, by_engine=by_engine, threads=threads)


def verdicts(profile_id: str, events: Sequence[Event], engine: Engine, now: Instant) -> dict[str, Verdict]:
    """Return the engine's verdicts of somebody of whom nothing is known but all their archived events, each once."""
    profile = Profile(id=profile_id)
    for event in events:
        profile.consent = stated(profile.consent, event.consent, event.occurred_at)
        for name, value in event.attributes.items():
            projection.state(profile, name, Attribute(value, event.occurred_at))
    rebuild.apply(profile, events, engine=engine, now=now)
    return engine.evaluate(profile, now)
