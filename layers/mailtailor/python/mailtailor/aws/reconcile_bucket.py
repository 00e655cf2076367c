"""Begins reconciliations, and works them off bucket by bucket of the archive, some minutes at a time.

How far a bucket has come is noted after each chunk of people, and what was found in it is told before that: what is
found may be told twice, and is never untold. None goes on beside a run of recomputing, which would mend in silence what
this is to find.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from mailtailor.aws.archive_people import ArchivePeople
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.observability import logger
from mailtailor.aws.recompute_runs import RecomputeRuns
from mailtailor.aws.reconciliations import Part, Reconciliation, Reconciliations, Result
from mailtailor.instant import HOUR, Instant
from mailtailor.profiles.reconcile import Findings, Reconciler
from mailtailor.segments.live import View

NO_WATERMARK: Final = "The archive has no watermark yet."
CHANGING: Final = "Definitions are being changed."
RECOMPUTING: Final = "Everybody is being recomputed."
CHANGED: Final = "Definitions were changed since the last one, and nobody was recomputed since."
UNDER_WAY: Final = "Another one is under way."


class BucketReconciler:
    """Begins and works off reconciliations.

    Parameters
    ----------
    people, reconciler
        Who is in a bucket, and what compares them.
    reconciliations, recomputes, watermark
        How far reconciliations and runs of recomputing have come, and the archive.
    view
        Returns which definitions rule in this moment.
    send
        Sends the message that has a bucket compared.
    told
        Told what was found, at once.
    clock
        Tells the current instant.
    """

    def __init__(
        self,
        *,
        people: ArchivePeople,
        reconciler: Reconciler,
        reconciliations: Reconciliations,
        recomputes: RecomputeRuns,
        watermark: ArchiveWatermark,
        view: Callable[[], View],
        send: Callable[[Reconciliation, int], None],
        told: Callable[[Findings], None],
        clock: Callable[[], Instant],
    ) -> None:
        self._people = people
        self._reconciler = reconciler
        self._reconciliations = reconciliations
        self._recomputes = recomputes
        self._watermark = watermark
        self._view = view
        self._send = send
        self._told = told
        self._clock = clock

    def begin(self, run_id: str, *, asked: bool) -> str:
        """Begin a reconciliation; return why not, empty if it was begun.

        Parameters
        ----------
        run_id
            Tells it from others.
        asked
            Whether a person asked for it, who knows whether definitions were changed.
        """
        now, previous, last = self._clock(), self._reconciliations.read(), self._recomputes.read()
        if previous is not None and self._is_under_way(previous, now):
            # Its beginning may have died in the middle of sending.
            self._send_unfinished(previous)
            return UNDER_WAY
        view, until = self._view(), self._watermark.read()
        definitions = view.active.fingerprint
        recomputed, recomputed_at = last.last_writing if last is not None else ("", 0)
        reason = ""
        if until is None:
            reason = NO_WATERMARK
        elif view.staged is not None:
            reason = CHANGING
        elif last is not None and not last.dry_run and self._recomputes.goes_on(last, now):
            reason = RECOMPUTING
        elif not asked and previous is not None and previous.definitions != definitions:
            # Whatever nobody remembered of new definitions is no damage; the one after this finds it all the same.
            reason = "" if recomputed_at > previous.started_at else CHANGED
        if reason:
            # Before it is stored as the last one: one that is and has no result is taken for begun, and goes on.
            self._reconciliations.conclude(Result(run_id, now, now, definitions=definitions, stopped=reason))
        run = Reconciliation(run_id, now, until or 0, definitions, recomputed)
        if not self._reconciliations.begin(run, previous=previous):
            return UNDER_WAY
        if not reason:
            self._send_unfinished(run)
        return reason

    def _send_unfinished(self, run: Reconciliation) -> None:
        for part in self._reconciliations.parts(run):
            if not part.done:
                self._send(run, part.bucket)

    def _is_under_way(self, run: Reconciliation, now: Instant) -> bool:
        if any(one.id == run.id for one in self._reconciliations.results()):
            return False
        return now - max(run.started_at, *(part.updated_at for part in self._reconciliations.parts(run))) < HOUR

    def work(self, run_id: str, bucket: int, *, out_of_time: Callable[[], bool]) -> bool:
        """Go on with a bucket until it is done or time is over.

        Returns
        -------
        Whether that ended the reconciliation, and everybody was looked at.

        Raises
        ------
        UnreadableFile
            If a file of the archive cannot be read.
        """
        run = self._reconciliations.read()
        if run is None or run.id != run_id or any(one.id == run_id for one in self._reconciliations.results()):
            logger.info("This reconciliation has ended.", run=run_id)
            return False
        part = self._reconciliations.part(run, bucket)
        if not part.done and not self._go_on(run, part, out_of_time):
            return False
        parts = self._reconciliations.parts(run)
        if not all(one.done for one in parts):
            return False
        stopped = RECOMPUTING if self._is_replaced(run) else ""
        self._conclude(run, parts, stopped=stopped)
        return not stopped

    def _go_on(self, run: Reconciliation, part: Part, out_of_time: Callable[[], bool]) -> bool:
        """Compare some people; return whether the bucket is done."""
        engine = self._view().active
        with self._people.of(part.bucket, after=part.after, skip_unreadable=False) as people:
            for last, some in people:
                if self._is_replaced(run) or engine.fingerprint != run.definitions:
                    stopped = RECOMPUTING if self._is_replaced(run) else CHANGING
                    self._conclude(run, self._reconciliations.parts(run), stopped=stopped)
                    return False
                found = self._reconciler.compare(some, engine=engine, until=run.until)
                self._told(found)
                total = Findings()
                total.add(part.findings)
                total.add(found)
                stored = self._reconciliations.save(replace(part, after=last, findings=total), at=self._clock())
                if stored is None:
                    logger.info("Somebody else is at this bucket.", bucket=part.bucket)
                    return False
                part = stored
                if out_of_time():
                    self._send(run, part.bucket)
                    return False
            if not people.last:
                self._send(run, part.bucket)
                return False
        return self._reconciliations.save(replace(part, done=True), at=self._clock()) is not None

    def _is_replaced(self, run: Reconciliation) -> bool:
        last = self._recomputes.read()
        return last is not None and last.last_writing[0] != run.recompute

    def _conclude(self, run: Reconciliation, parts: list[Part], *, stopped: str = "") -> None:
        total = Findings()
        for part in parts:
            total.add(part.findings)
        self._reconciliations.conclude(
            Result(run.id, run.started_at, self._clock(), run.until, run.definitions, stopped, total)
        )
