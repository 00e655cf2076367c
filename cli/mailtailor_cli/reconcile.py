"""Compares everybody's memberships with the archive: `mailtailor segments reconcile`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mailtailor.aws.reconciliations import Reconciliation, Reconciliations, Result
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.events.archive import BUCKETS
from mailtailor.instant import HOUR, Instant, to_datetime
from mailtailor_cli.connection import Connection, Where, connect
from mailtailor_cli.keys import asking

EACH: Final = 2.0
"""Seconds between two looks at how far it has come."""
SHOWN: Final = 7
"""Results that are listed: a week's."""


def reconcile(
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Show progress until it is done.")] = True,
    status: Annotated[bool, typer.Option("--status", help="Show the last ones; begin none.")] = False,
    on: Annotated[Where, typer.Option("--on", help="The system to work on.")] = Where.AUTO,
) -> None:
    """Compare everybody's memberships with what the archive says. Nothing is changed.

    The system does this by itself each day. What differs is an incident: ask
    `segments why` about those that the log names, find the cause, then mend
    with `segments recompute`. It runs in the system, not here: it can be
    interrupted, and looked at with --status.
    """
    system = connect(on)
    with asking(system):
        reconciliations = _reconciliations(system)
        run = None if status else _begun(system, reconciliations)
        if run is not None and not wait:
            _say(f"{system.subject} compares everybody. Look at it with --status.")
            return
        result = _watched(system, reconciliations, run) if run is not None else None
        results = reconciliations.results() if result is None else [result]
        under_way = reconciliations.read() if status else None
    if under_way is not None and all(one.id != under_way.id for one in results):
        _say(f"One is under way since {_minute(under_way.started_at)}.")
    elif not results:
        raise NotFound("Nobody has been compared yet.", "Begin with: mailtailor segments reconcile")
    for one in results[:SHOWN]:
        _say("\n".join(_told(one)))
    if result is not None and (result.findings.wrong or result.findings.overdue):
        raise MailtailorError(
            "Not everybody is as they should be.",
            "Ask about them with: mailtailor segments why PROFILE SEGMENT. docs/operations.md says how to go on.",
        )


def _reconciliations(system: Connection) -> Reconciliations:
    if "SegmentReconcileFunction" not in system.outputs:
        raise MailtailorError(f"{system.subject} cannot reconcile.", "Deploy it again.")
    return Reconciliations(client=system.client("dynamodb"), table=system.outputs["ClockTable"])


def _begun(system: Connection, reconciliations: Reconciliations) -> Reconciliation:
    invoked = system.client("lambda").invoke(
        FunctionName=system.outputs["SegmentReconcileFunction"], Payload=json.dumps({"asked": True})
    )
    answer: dict[str, Any] = json.loads(invoked["Payload"].read())
    run = reconciliations.read()
    if "refused" not in answer or run is None:
        raise MailtailorError(
            f"{system.subject} could not begin to reconcile.", "The log of SegmentReconcile says why."
        )
    if answer["refused"]:
        raise BadInput(f"Nobody is compared now. {answer['refused']}", "Look at the last ones with --status.")
    return run


def _watched(system: Connection, reconciliations: Reconciliations, run: Reconciliation) -> Result:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(highlight=False), transient=True) as progress:
        task = progress.add_task("Comparing", total=BUCKETS)
        while True:
            if found := next((one for one in reconciliations.results() if one.id == run.id), None):
                return found
            parts = reconciliations.parts(run)
            people = sum(one.findings.profiles for one in parts)
            progress.update(
                task, completed=sum(one.done for one in parts), description=f"Compared {people:,} people; buckets"
            )
            if system.clock() - max(run.started_at, *(one.updated_at for one in parts)) > HOUR:
                raise MailtailorError("It stands still.", "The log of SegmentReconcile says why.")
            time.sleep(EACH)


def _told(result: Result) -> Iterator[str]:
    found = result.findings
    yield f"{_minute(result.started_at)}: {result.stopped or 'everybody was looked at.'}"
    if not found.profiles:
        return
    yield f"  {found.profiles:,} people, {found.compared:,} compared with the archive, {found.alone:,} of it alone."
    for reason, number in sorted(found.skipped.items()):
        yield f"  {number:,} left out: {reason}."
    if result.until:
        yield f"  The archive had everything that was received before {_minute(result.until)}."
    yield f"  {found.wrong:,} with wrong memberships, {found.overdue:,} whose wake-up is lost."
    for segment, number in sorted(found.mismatches.items()):
        yield f"    {segment}: {number:,}"
    for profile_id, segment, wrong in found.examples:
        yield f"    {profile_id} {segment + ': ' if segment else ''}{wrong}"


def _minute(at: Instant) -> str:
    return f"{to_datetime(at):%Y-%m-%d %H:%M} UTC"


def _say(text: str) -> None:
    Console(soft_wrap=True, highlight=False).print(text, markup=False)
