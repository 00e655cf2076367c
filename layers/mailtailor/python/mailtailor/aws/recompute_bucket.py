"""Recomputes a bucket of the archive, some minutes at a time.

How far it has come is noted after each chunk of people, never in the message. So a message that comes twice goes on
from there or finds nothing to do, and what was done before a death is done again, which changes nothing; only what
that chunk changed is then missing in the tally.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final, Protocol

from mailtailor.aws.archive_bucket import UnreadableFile
from mailtailor.aws.archive_people import People
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.batches import RetryLater
from mailtailor.aws.observability import logger
from mailtailor.aws.recompute_runs import Progress, Purpose, RecomputeRuns, Run
from mailtailor.instant import Instant
from mailtailor.profiles.recompute import Recomputer, Tally
from mailtailor.segments.engine import Engine

OTHERS: Final = 300
"""Seconds after which no message of an earlier run is being worked on any more."""


class Superseded(Exception):
    """A run is for definitions that are no longer to be switched to."""


class Bucket(Protocol):
    """Knows who is in a bucket: of the archive, or of the table of profiles."""

    def of(self, number: int, *, after: str, skip_unreadable: bool) -> AbstractContextManager[People]:
        """Open a bucket's people who come after one; see `ArchivePeople.of`."""


class BucketRecomputer:
    """Recomputes buckets.

    Parameters
    ----------
    people, rest, recomputer
        Who is in a bucket, of those in the archive and of those whom others than the active definitions evaluated;
        and what is done to them.
    engine
        Returns by what everybody is evaluated in a run; None if by what evaluates each. Raises `Superseded`.
    runs, watermark
        How far runs have come, and the archive.
    again
        Sends the message that has the rest of a bucket done.
    clock
        Tells the current instant.
    """

    def __init__(
        self,
        *,
        people: Bucket,
        rest: Bucket,
        recomputer: Recomputer,
        engine: Callable[[Run], Engine | None],
        runs: RecomputeRuns,
        watermark: ArchiveWatermark,
        again: Callable[[Run, int], None],
        clock: Callable[[], Instant],
    ) -> None:
        self._people = people
        self._rest = rest
        self._recomputer = recomputer
        self._engine = engine
        self._runs = runs
        self._watermark = watermark
        self._again = again
        self._clock = clock

    def work(self, run_id: str, bucket: int, *, out_of_time: Callable[[], bool]) -> Tally:
        """Go on with a bucket until it is done or time is over, and return what was done; at least one chunk is.

        Raises
        ------
        UnreadableFile
            If a file cannot be read and the run does not skip those; it is noted.
        RetryLater
            If an earlier run is still at the bucket.
        """
        run = self._runs.read()
        if run is None or run.id != run_id:
            logger.info("Another run has been started since.", run=run_id)
            return Tally()
        progress = self._runs.progress(run, bucket)
        if progress.done:
            return Tally()
        if not progress.after:
            progress = replace(progress, archived_until=self._watermark.read() or 0)
        source = self._rest if run.purpose is Purpose.REST else self._people
        try:
            with source.of(bucket, after=progress.after, skip_unreadable=run.skip_unreadable) as people:
                return self._go_on(run, progress, people, out_of_time)
        except Superseded:
            logger.info("Other definitions are to rule since.", run=run_id)
            return Tally()
        except UnreadableFile as error:
            self._runs.save(replace(self._runs.progress(run, bucket), unreadable=(str(error),)), at=self._clock())
            raise

    def _go_on(self, run: Run, progress: Progress, people: People, out_of_time: Callable[[], bool]) -> Tally:
        done = Tally()
        left_out = set(progress.unreadable) if run.skip_unreadable else set()
        progress = replace(progress, unreadable=tuple(sorted({*left_out, *people.unreadable})))
        finished = people.last
        for last, some in people:
            # Asked anew for each chunk, so that nobody is written for long after a version was abandoned.
            tally = self._recomputer.recompute(some, dry_run=run.dry_run, by=self._engine(run))
            done.add(tally)
            tally.add(progress.tally)
            stored = self._runs.save(replace(progress, after=last, tally=tally), at=self._clock())
            if stored is None:
                self._yield_to_others(run, progress.bucket)
                return done
            progress = stored
            if out_of_time():
                finished = False
                break
        if finished:
            self._runs.save(replace(progress, done=True), at=self._clock())
        else:
            self._again(run, progress.bucket)
        return done

    def _yield_to_others(self, run: Run, bucket: int) -> None:
        """Leave a bucket to whoever else is at it, unless they are of another run that has not ended yet."""
        if not self._runs.progress(run, bucket).updated_at:
            raise RetryLater("another run is at this bucket", seconds=OTHERS)
        logger.info("Somebody else is at this bucket.", bucket=bucket)
