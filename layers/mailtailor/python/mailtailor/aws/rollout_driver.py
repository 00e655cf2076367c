"""Takes a rollout (`segments.rollout`) from step to step, each a conditional write, so that it may die and repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.definition_versions import DefinitionVersions
from mailtailor.aws.recompute_runs import Progress, Purpose, RecomputeRuns, Run
from mailtailor.instant import MINUTE, SECOND, SKEW, Instant
from mailtailor.profiles.recompute import Tally
from mailtailor.segments.live import LEASE
from mailtailor.segments.rollout import Phase, Rollout

LONGEST_WRITER: Final = 60 * SECOND
"""The time-out of the functions that remember live events: what one of them began to write by what it knew, it has
written after that. Recomputing and rebuilding remember archived events alone, and are written over by the backfill."""
SETTLE: Final = LEASE + LONGEST_WRITER + SKEW
"""After so long everybody who remembers live events knows what is staged."""
REBUILDS: Final = 15 * MINUTE
"""So long a rollout waits for profiles that were left to the rebuilder, which waits nine minutes itself."""
ATTEMPTS: Final = 3
"""Recomputations of one phase, if profiles could not be written because others did all the time."""
MAX_STEPS: Final = 8
"""More than one look can take."""


class RolloutDriver:
    """Drives rollouts.

    Parameters
    ----------
    versions, runs, watermark
        What is stored of definitions, of recomputing and of the archive.
    send
        Sends the messages that have buckets recomputed.
    clock
        Tells the current instant.
    new_id
        Makes ids of runs.
    settle
        Milliseconds after which everybody knows of a phase.
    """

    def __init__(
        self,
        *,
        versions: DefinitionVersions,
        runs: RecomputeRuns,
        watermark: ArchiveWatermark,
        send: Callable[[Run, Iterable[int]], None],
        clock: Callable[[], Instant],
        new_id: Callable[[], str],
        settle: int = SETTLE,
    ) -> None:
        self._versions = versions
        self._runs = runs
        self._watermark = watermark
        self._send = send
        self._clock = clock
        self._new_id = new_id
        self._settle = settle

    def drive(self) -> Rollout | None:
        """Go on as far as possible now, and return where it stands; None if nothing was ever applied."""
        rollout = self._versions.rollout()
        for _ in range(MAX_STEPS):
            following = None if rollout is None else self._next(rollout)
            if following is None:
                break
            # If somebody else was faster, theirs is what we go on from.
            rollout = self._versions.save(following) or self._versions.rollout()
        return rollout

    def _next(self, rollout: Rollout) -> Rollout | None:
        """Return the next state, None as long as this one lasts."""
        now = self._clock()
        match rollout.phase:
            case Phase.WAITING if rollout.heard_at is None:
                return rollout.heard(now + self._settle)
            case Phase.WAITING:
                return rollout.backfill(at=now) if self._archive_is_complete(rollout, now) else None
            case Phase.BACKFILLING:
                return self._recomputing(rollout, Purpose.SWITCH) or self._activated(rollout, now)
            case Phase.CLOSING if rollout.heard_at is None:
                return rollout.heard(now + self._settle)
            case Phase.CLOSING if now >= (rollout.heard_at or now):
                return self._recomputing(rollout, Purpose.REST) or self._settled(rollout, now)
        return None

    def _archive_is_complete(self, rollout: Rollout, now: Instant) -> bool:
        """Return whether all that was received before everybody knew what is staged is in the archive."""
        heard_at = rollout.heard_at or now
        return now >= heard_at and (self._watermark.read() or 0) >= heard_at

    def _recomputing(self, rollout: Rollout, purpose: Purpose) -> Rollout | None:
        """Start the phase's recomputation, or what of it is missing; return the next state, None if it is started."""
        now = self._clock()
        if not rollout.run:
            return None if self._runs.under_way(now) else rollout.recompute(self._new_id())
        run = self._runs.read()
        if run is None or run.id != rollout.run:
            if self._runs.under_way(now):
                return None
            if rollout.sent:
                # Another run came between; ours begins anew.
                return replace(rollout, sent=False)
            previous, run = run, Run(rollout.run, now, skip_unreadable=rollout.skip_unreadable, purpose=purpose)
            if not self._runs.start(run, previous=previous):
                return None
        if rollout.sent:
            return None
        self._send(run, [one.bucket for one in self._runs.all(run) if not one.done])
        return replace(rollout, sent=True)

    def _activated(self, rollout: Rollout, now: Instant) -> Rollout | None:
        done = self._done(rollout)
        if done is None:
            return None
        tally = _tally(done)
        if tally.failed and rollout.attempt < ATTEMPTS:
            return rollout.recompute(self._new_id())
        if tally.left and now < max(one.updated_at for one in done) + REBUILDS:
            return None
        return rollout.activate(at=now, people=tally.profiles, entered=tally.entered, left=tally.exited)

    def _settled(self, rollout: Rollout, now: Instant) -> Rollout | None:
        done = self._done(rollout)
        if done is None:
            return None
        if _tally(done).failed and rollout.attempt < ATTEMPTS:
            return rollout.recompute(self._new_id())
        return rollout.settle(at=now)

    def _done(self, rollout: Rollout) -> list[Progress] | None:
        """Return what became of the phase's recomputation; None before it is done."""
        run = self._runs.read()
        if run is None or run.id != rollout.run:
            return None
        buckets = self._runs.all(run)
        return buckets if all(one.done for one in buckets) else None


def _tally(buckets: Iterable[Progress]) -> Tally:
    total = Tally()
    for one in buckets:
        total.add(one.tally)
    return total
