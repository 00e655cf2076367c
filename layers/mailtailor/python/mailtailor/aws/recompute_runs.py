"""Runs of recomputing, as they are stored: items of the clock's table.

`recompute` names the run that was started last, `recompute#07` says how far a bucket has come in it. An item of an
earlier run counts as none. Each is written on the condition that nobody else wrote it meanwhile, so of two who do one
bucket at once, one goes on.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mailtailor.aws.conditional_items import ConditionalItems
from mailtailor.events.archive import BUCKETS
from mailtailor.instant import HOUR, Instant
from mailtailor.profiles.recompute import Tally

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RUN_ID: Final = "recompute"
STALE: Final = HOUR
"""A bucket that goes on notes it every few minutes, and its message comes again within half an hour."""


class Purpose(StrEnum):
    """What a run is for."""

    RECOMPUTE = "recompute"
    """Everybody in the archive, each by the definitions that evaluate them anyway."""
    TRY = "try"
    """The same by definitions that are only tried; always a dry run."""
    SWITCH = "switch"
    """The same by the definitions that are staged, to which everybody is switched."""
    REST = "rest"
    """All profiles that others than the active definitions evaluated, without the archive."""

    @property
    def is_of_rollout(self) -> bool:
        """Whether it is part of a change of definitions, and ends with it."""
        return self in {Purpose.SWITCH, Purpose.REST}


@dataclass(frozen=True, slots=True)
class Run:
    """A run.

    Attributes
    ----------
    id
        Tells it from others.
    started_at
        When.
    dry_run
        Whether it only evaluates.
    skip_unreadable
        Whether files that cannot be read are left out, instead of failing their bucket.
    purpose
        What it is for.
    buckets
        How many it does, the first ones; others than all are a sample of people.
    wrote, wrote_at
        Of one that only evaluates: the last run before it that wrote, and when that was started; empty if none did.
    """

    id: str
    started_at: Instant
    dry_run: bool = False
    skip_unreadable: bool = False
    purpose: Purpose = Purpose.RECOMPUTE
    buckets: int = BUCKETS
    wrote: str = ""
    wrote_at: Instant = 0

    @property
    def last_writing(self) -> tuple[str, Instant]:
        """The last run that wrote, this one or one before it, and when it was started."""
        return (self.wrote, self.wrote_at) if self.dry_run else (self.id, self.started_at)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bucket has come.

    Attributes
    ----------
    run, bucket
        Which one.
    after
        The id up to which all profiles are done.
    done
        Whether all are.
    tally
        What was done.
    unreadable
        Files that were left out or, if the bucket is not done, that it fails for.
    archived_until
        The archive's watermark when the bucket was begun; 0 if it was not known.
    updated_at, revision
        When this was written, and how often; 0 if never.
    """

    run: str
    bucket: int
    after: str = ""
    done: bool = False
    tally: Tally = field(default_factory=Tally)
    unreadable: tuple[str, ...] = ()
    archived_until: Instant = 0
    updated_at: Instant = 0
    revision: int = 0


class RecomputeRuns:
    """The runs.

    Parameters
    ----------
    client, table
        DynamoDB and the clock's table.
    """

    def __init__(self, *, client: DynamoDBClient, table: str) -> None:
        self._items = ConditionalItems(client=client, table=table)

    def read(self) -> Run | None:
        """Return the run that was started last; None if there has been none."""
        item = self._items.get(RUN_ID)
        if not item:
            return None
        noted = json.loads(item["run"]["S"])
        return Run(**{**noted, "purpose": Purpose(noted.get("purpose", Purpose.RECOMPUTE))})

    def start(self, run: Run, *, previous: Run | None) -> bool:
        """Store a new run; return whether nobody else started one since `previous` was read."""
        if run.dry_run and previous is not None:
            wrote, wrote_at = previous.last_writing
            run = replace(run, wrote=wrote, wrote_at=wrote_at)
        item = {"id": {"S": RUN_ID}, "run_id": {"S": run.id}, "run": {"S": json.dumps(asdict(run))}}
        return self._items.put_if(item, "run_id", previous.id if previous else None)

    def progress(self, run: Run, bucket: int) -> Progress:
        """Return how far a bucket has come in a run."""
        item = self._items.get(f"{RUN_ID}#{bucket:02}")
        if not item or item["run"]["S"] != run.id:
            # What an earlier run left is overwritten.
            return Progress(run.id, bucket, revision=int(item["revision"]["N"]) if item else 0)
        noted = json.loads(item["progress"]["S"])
        return Progress(
            **{**noted, "tally": Tally(**noted["tally"]), "unreadable": tuple(noted["unreadable"])},
            revision=int(item["revision"]["N"]),
        )

    def all(self, run: Run) -> list[Progress]:
        """Return how far all its buckets have come."""
        return [self.progress(run, bucket) for bucket in range(run.buckets)]

    def under_way(self, now: Instant, *, of_rollout: str = "") -> Run | None:
        """Return the run that others have to wait for; None if it is done, or has stood still for an hour.

        Parameters
        ----------
        of_rollout
            The run that the present change of definitions is for; those of earlier changes do nothing any more.
        """
        run = self.read()
        if run is None or (run.purpose.is_of_rollout and run.id != of_rollout):
            return None
        return run if self.goes_on(run, now) else None

    def goes_on(self, run: Run, now: Instant) -> bool:
        """Return whether a run is not done, and has not stood still for an hour."""
        buckets = self.all(run)
        last_seen = max(run.started_at, *(one.updated_at for one in buckets))
        return now - last_seen < STALE and not all(one.done for one in buckets)

    def save(self, progress: Progress, *, at: Instant) -> Progress | None:
        """Store how far a bucket has come, and return it as stored; None if somebody else is at it."""
        now = replace(progress, updated_at=at, revision=progress.revision + 1)
        noted = asdict(now)
        del noted["revision"]
        item = {
            "id": {"S": f"{RUN_ID}#{now.bucket:02}"},
            "run": {"S": now.run},
            "revision": {"N": str(now.revision)},
            "progress": {"S": json.dumps(noted)},
        }
        return now if self._items.put_if(item, "revision", progress.revision or None) else None
