"""Reconciliations, as they are stored: items of the clock's table.

`reconcile` names the one that was begun last, `reconcile#07` says how far it has come in a bucket of the archive, and
`reconciliations` holds the results of the last ones. Each is written on the condition that nobody else wrote it
meanwhile. They are apart from the runs of recomputing (`recompute_runs`), which so never wait for them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from mailtailor.aws.conditional_items import ConditionalItems
from mailtailor.events.archive import BUCKETS
from mailtailor.instant import Instant
from mailtailor.profiles.reconcile import Findings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RUN_ID: Final = "reconcile"
RESULTS_ID: Final = "reconciliations"
MOST_RESULTS: Final = 30


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One that was begun.

    Attributes
    ----------
    id
        Tells it from others.
    started_at
        When.
    until
        The archive's watermark then.
    definitions
        The fingerprint of those that people are judged by.
    recompute
        The run of recomputing that was started last before; empty if none was. Another one ends this.
    """

    id: str
    started_at: Instant
    until: Instant
    definitions: str
    recompute: str


@dataclass(frozen=True, slots=True)
class Part:
    """How far a bucket has come.

    Attributes
    ----------
    run, bucket
        Which one.
    after, done
        The id up to which all profiles are done, and whether all are.
    findings
        What was found.
    updated_at, revision
        When this was written, and how often; 0 if never.
    """

    run: str
    bucket: int
    after: str = ""
    done: bool = False
    findings: Findings = field(default_factory=Findings)
    updated_at: Instant = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one.

    Attributes
    ----------
    id, started_at, until, definitions
        As in `Reconciliation`; `until` is 0 if it was not begun.
    ended_at
        When.
    stopped
        Why not everybody was looked at; empty if everybody was.
    findings
        What was found.
    """

    id: str
    started_at: Instant
    ended_at: Instant
    until: Instant = 0
    definitions: str = ""
    stopped: str = ""
    findings: Findings = field(default_factory=Findings)


class Reconciliations:
    """The reconciliations.

    Parameters
    ----------
    client, table
        DynamoDB and the clock's table.
    """

    def __init__(self, *, client: DynamoDBClient, table: str) -> None:
        self._items = ConditionalItems(client=client, table=table)

    def read(self) -> Reconciliation | None:
        """Return the one that was begun last; None if there has been none."""
        item = self._items.get(RUN_ID)
        return Reconciliation(**json.loads(item["run"]["S"])) if item else None

    def begin(self, run: Reconciliation, *, previous: Reconciliation | None) -> bool:
        """Store a new one; return whether nobody else began one since `previous` was read."""
        item = {"id": {"S": RUN_ID}, "run_id": {"S": run.id}, "run": {"S": json.dumps(asdict(run))}}
        return self._items.put_if(item, "run_id", previous.id if previous else None)

    def part(self, run: Reconciliation, bucket: int) -> Part:
        """Return how far a bucket has come."""
        item = self._items.get(f"{RUN_ID}#{bucket:02}")
        if not item or item["run"]["S"] != run.id:
            # What an earlier one left is overwritten.
            return Part(run.id, bucket, revision=int(item["revision"]["N"]) if item else 0)
        noted = json.loads(item["part"]["S"])
        return Part(**{**noted, "findings": _findings(noted["findings"])}, revision=int(item["revision"]["N"]))

    def parts(self, run: Reconciliation) -> list[Part]:
        """Return how far all buckets have come."""
        return [self.part(run, bucket) for bucket in range(BUCKETS)]

    def save(self, part: Part, *, at: Instant) -> Part | None:
        """Store how far a bucket has come, and return it as stored; None if somebody else is at it."""
        now = replace(part, updated_at=at, revision=part.revision + 1)
        noted = asdict(now)
        del noted["revision"]
        item = {
            "id": {"S": f"{RUN_ID}#{now.bucket:02}"},
            "run": {"S": now.run},
            "revision": {"N": str(now.revision)},
            "part": {"S": json.dumps(noted)},
        }
        return now if self._items.put_if(item, "revision", part.revision or None) else None

    def results(self) -> list[Result]:
        """Return what came of the last ones, the newest first."""
        item = self._items.get(RESULTS_ID)
        listed = json.loads(item["results"]["S"]) if item else []
        return [Result(**{**one, "findings": _findings(one["findings"])}) for one in listed]

    def conclude(self, result: Result) -> None:
        """Keep a result, unless one of the same reconciliation is kept already."""
        while True:
            item = self._items.get(RESULTS_ID)
            listed = json.loads(item["results"]["S"]) if item else []
            if any(one["id"] == result.id for one in listed):
                return
            kept = [asdict(result), *listed][:MOST_RESULTS]
            revision = int(item["revision"]["N"]) if item else 0
            fresh = {
                "id": {"S": RESULTS_ID},
                "revision": {"N": str(revision + 1)},
                "results": {"S": json.dumps(kept)},
            }
            if self._items.put_if(fresh, "revision", revision or None):
                return


def _findings(noted: dict[str, Any]) -> Findings:
    return Findings(**{**noted, "examples": [tuple(one) for one in noted["examples"]]})
