"""Tells from the archive alone how many would be in segments, and enter and leave by time in the next days.

Everybody is evaluated by columns (`segments.columns`), and those of whom these cannot tell everything by the engine.
What people allowed, and their attributes, are taken from the archive, too. So nothing is known of who was merged, and
nobody's attributes are dropped for want of room: it is an estimate of what the profiles say, by a few people.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from mailtailor.consent.policy import stated
from mailtailor.events import histories
from mailtailor.events.event import Event
from mailtailor.instant import DAY, Instant
from mailtailor.profiles import projection, rebuild
from mailtailor.profiles.estimates import DAYS, Estimate, Estimates
from mailtailor.profiles.profile import Attribute, Profile
from mailtailor.segments.columns.evaluation import Evaluated
from mailtailor.segments.columns.evaluation import evaluate as by_columns
from mailtailor.segments.columns.plan import planned
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.engine import DEFAULT_BURSTS, Engine
from mailtailor.segments.verdict import Verdict
from mailtailor.tracking.bursts import BurstSettings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PROFILES_AT_ONCE: Final = histories.PROFILES_AT_ONCE


def estimate(
    connection: DuckDBPyConnection,
    files: Iterable[str],
    definitions: Iterable[SegmentDefinition],
    now: Instant,
    *,
    bursts: BurstSettings = DEFAULT_BURSTS,
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
    bursts
        What of opens and clicks is a machine's.

    Raises
    ------
    BadReference
        As the engine does.
    duckdb.Error
        If a file cannot be read.
    """
    engine = Engine(definitions, bursts=bursts)
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

    return by_columns(
        connection, files, planned(definitions, engine.memory.bursts), now, by_engine=by_engine, threads=threads
    )


def verdicts(profile_id: str, events: Sequence[Event], engine: Engine, now: Instant) -> dict[str, Verdict]:
    """Return the engine's verdicts of somebody of whom nothing is known but all their archived events, each once."""
    profile = Profile(id=profile_id)
    for event in events:
        profile.consent = stated(profile.consent, event.consent, event.occurred_at)
        for name, value in event.attributes.items():
            projection.state(profile, name, Attribute(value, event.occurred_at))
    rebuild.apply(profile, events, engine=engine, now=now)
    return engine.evaluate(profile, now)
