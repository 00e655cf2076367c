"""Evaluates everybody anew from the archive: `mailtailor segments recompute`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from mailtailor.aws import bucket_message, recompute_runs
from mailtailor.aws.definition_versions import DefinitionVersions
from mailtailor.aws.queues import Queue, SendFailed
from mailtailor.aws.recompute_runs import RecomputeRuns, Run
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.events.archive import BUCKETS
from mailtailor.profiles.recompute import Tally
from mailtailor.segments.rollout import Rollout
from mailtailor_cli.connection import Connection, Where, connect
from mailtailor_cli.keys import asking

EACH: Final = 2.0
"""Seconds between two looks at how far it has come."""


@dataclass(frozen=True, slots=True)
class Status:
    """How far a run has come."""

    run: Run
    buckets: Sequence[recompute_runs.Progress]

    @property
    def done(self) -> int:
        """How many buckets are done."""
        return sum(one.done for one in self.buckets)

    @property
    def finished(self) -> bool:
        """Whether all are."""
        return self.done == len(self.buckets)

    @property
    def failing(self) -> list[recompute_runs.Progress]:
        """The buckets that cannot go on before a file is mended."""
        skips = self.run.skip_unreadable
        return [one for one in self.buckets if one.unreadable and not one.done and not skips]

    @property
    def stands(self) -> bool:
        """Whether all that is left fails."""
        return self.done + len(self.failing) == len(self.buckets)

    @property
    def unreadable(self) -> list[str]:
        """The files that cannot be read."""
        return sorted({file for one in self.buckets for file in one.unreadable})

    @property
    def tally(self) -> Tally:
        """What has been done so far."""
        total = Tally()
        for one in self.buckets:
            total.add(one.tally)
        return total


def recompute(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count who would come and go; change nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Show progress until it is done.")] = True,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave files out that cannot be read, and name them.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Have the last run's unfinished buckets done.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Show how far the last run has come.")] = False,
    on: Annotated[Where, typer.Option("--on", help="The system to work on.")] = Where.AUTO,
) -> None:
    """Evaluate everybody anew from the archive, by the definitions that rule.

    Do this when in doubt about who is in which segment. Changed definitions
    need no other command than apply. Live events go on meanwhile. It runs in
    the system, not here: it can be interrupted and asked again with --status.
    Doing it twice changes nothing.
    """
    if (resume and status) or ((resume or status) and (dry_run or skip_unreadable)):
        raise BadInput("These options exclude each other.", "--dry-run and --skip-unreadable are for a new run.")
    system = connect(on)
    with asking(system):
        runs = _runs(system)
        if not status:
            _send(system, runs, _resumed(runs) if resume else _started(system, runs, dry_run, skip_unreadable))
        found = _watch(runs) if wait and not status else _last(runs)
    _show(system, found)
    if found.failing:
        raise MailtailorError(
            f"{len(found.failing)} buckets cannot be finished, for these files cannot be read: "
            f"{', '.join(found.unreadable[:5])}.",
            "Restore or delete them and give --resume, or start again with --skip-unreadable.",
        )


def _runs(system: Connection) -> RecomputeRuns:
    if "RecomputeQueueUrl" not in system.outputs:
        raise MailtailorError(f"{system.subject} cannot recompute.", "Deploy it again.")
    return RecomputeRuns(client=system.client("dynamodb"), table=system.outputs["ClockTable"])


def rollout_of(system: Connection) -> Rollout | None:
    """Return which definitions rule; None if nothing was ever applied."""
    if "DefinitionsTable" not in system.outputs:
        return None
    return DefinitionVersions(client=system.client("dynamodb"), table=system.outputs["DefinitionsTable"]).rollout()


def _last(runs: RecomputeRuns) -> Status:
    run = runs.read()
    if run is None:
        raise NotFound("Nothing has been recomputed yet.", "Start with: mailtailor segments recompute")
    return Status(run, runs.all(run))


def _started(system: Connection, runs: RecomputeRuns, dry_run: bool, skip_unreadable: bool) -> Status:
    rollout = rollout_of(system)
    if rollout is not None and rollout.under_way:
        raise MailtailorError(
            f"Definitions are being changed, and version {rollout.ruling} is evaluated for everybody anyway.",
            "Watch it with: mailtailor segments apply --status",
        )
    previous, now = runs.read(), system.clock()
    if (going := runs.under_way(now)) is not None:
        found = Status(going, runs.all(going))
        raise MailtailorError(
            f"A run is under way since {minute(going.started_at)}: {found.done} of {going.buckets} buckets are done.",
            "Watch it with --status. If it stands still, go on with --resume; after an hour you may start another.",
        )
    run = Run(secrets.token_hex(8), now, dry_run=dry_run, skip_unreadable=skip_unreadable)
    if not runs.start(run, previous=previous):
        raise MailtailorError("Somebody else has started a run just now.", "Watch it with --status.")
    return Status(run, runs.all(run))


def _resumed(runs: RecomputeRuns) -> Status:
    found = _last(runs)
    if found.run.purpose.is_of_rollout:
        raise BadInput("The last run is part of a change of definitions.", "Give: mailtailor segments apply --resume")
    if found.finished:
        raise BadInput("The last run is done; there is nothing to resume.")
    return found


def _send(system: Connection, runs: RecomputeRuns, wanted: Status) -> None:
    """Have the unfinished buckets done; each bucket's item says from where."""
    for one in wanted.failing:
        # It may be mended by now; if not, the function notes it again.
        runs.save(replace(one, unreadable=()), at=system.clock())
    queue = Queue(client=system.client("sqs"), url=system.outputs["RecomputeQueueUrl"])
    try:
        queue.send_all(bucket_message.pack(wanted.run.id, one.bucket) for one in wanted.buckets if not one.done)
    except SendFailed as error:
        raise MailtailorError(
            f"Not all buckets could be sent: {error}.", "Give the command again with --resume."
        ) from error


def _watch(runs: RecomputeRuns) -> Status:
    """Show progress until the run is done or stands still."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("Recomputing", total=BUCKETS)
            while True:
                found = _last(runs)
                tally = found.tally
                said = f"{tally.profiles:,} people, {tally.changed:,} changed, {tally.flips:,} flips; buckets"
                progress.update(task, completed=found.done, description=said)
                if found.finished or found.stands:
                    return found
                time.sleep(EACH)
    except KeyboardInterrupt:
        console.print("It goes on without you: mailtailor segments recompute --status", highlight=False)
        raise


def _show(system: Connection, found: Status) -> None:
    tally, run = found.tally, found.run
    what = "Dry run" if run.dry_run else "Run"
    state = "done" if found.finished else f"{found.done} of {len(found.buckets)} buckets done"
    say(f"{what} of {minute(run.started_at)} on {system.name}: {state}.")
    say(
        f"{tally.profiles:,} people with {tally.events:,} events; {tally.changed:,} "
        f"{'would change' if run.dry_run else 'changed'}, {tally.flips:,} memberships with them."
    )
    for number, sentence in (
        (tally.left, "were left to the rebuilder, which does them within minutes."),
        (tally.unknown, "ids have events and no profile."),
        (tally.failed, "could not be read or written; the log of SegmentRecompute names them."),
    ):
        if number:
            say(f"{number:,} {sentence}")
    if found.unreadable and not found.failing:
        say(f"Left out, for they cannot be read: {', '.join(found.unreadable)}.")
    archived_until = min((one.archived_until for one in found.buckets if one.updated_at), default=0)
    if archived_until:
        say(f"The archive had everything that was received before {minute(archived_until)}.")
    if tally.members or tally.flips:
        Console().print(members_table(tally))


def members_table(tally: Tally) -> Table:
    """Return who is in each segment, and who came and went."""
    table = Table(Column("Segment", overflow="fold"))
    for heading in ("Members", "Entered", "Left"):
        table.add_column(heading, justify="right")
    for segment in sorted({*tally.members, *tally.entered, *tally.exited}):
        numbers = (of.get(segment, 0) for of in (tally.members, tally.entered, tally.exited))
        table.add_row(escape(segment), *(f"{number:,}" for number in numbers))
    return table


def minute(at: int) -> str:
    """Return an instant for people."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def say(text: str) -> None:
    """Print a text as it is."""
    Console(soft_wrap=True, highlight=False).print(text, markup=False)
