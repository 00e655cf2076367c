"""Changes the definitions of segments while the system runs: `mailtailor segments apply`, `versions` and `diff`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from mailtailor.aws import bucket_message
from mailtailor.aws.archive_watermark import ArchiveWatermark
from mailtailor.aws.definition_versions import CANDIDATE, DefinitionVersions
from mailtailor.aws.queues import Queue
from mailtailor.aws.recompute_runs import Purpose, RecomputeRuns, Run
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.events.archive import BUCKETS
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.difference import Change, difference
from mailtailor.segments.files import load_segment, load_segments
from mailtailor.segments.rollout import Phase, Rollout
from mailtailor.segments.versions import MAX_NOTE, BadVersion, Version, checked, same_members
from mailtailor_cli.connection import Connection, Where, connect
from mailtailor_cli.keys import asking
from mailtailor_cli.recompute import Status, members_table, minute, say
from mailtailor_cli.segments import DEFINITIONS

EACH: Final = 2.0
"""Seconds between two looks at how far it has come."""
LOOKS: Final = 5
"""Every so many looks the system is asked to go on, which it does by itself each minute."""
SHOWN: Final = 20
_WHAT: Final = {
    "added": ("+", "green", "is new"),
    "removed": ("-", "red", "is removed, its members leave"),
    "changed": ("~", "yellow", "changes"),
    "follows": ("~", "yellow", "changes with what it refers to"),
    "described": (" ", "dim", "gets another description, no member changes"),
}


@dataclass(frozen=True, slots=True)
class Live:
    """The definitions of a running system."""

    system: Connection
    versions: DefinitionVersions
    runs: RecomputeRuns
    watermark: ArchiveWatermark

    @classmethod
    def of(cls, system: Connection) -> Live:
        """Return them.

        Raises
        ------
        MailtailorError
            If the system was deployed before definitions could be changed.
        """
        if "DefinitionsTable" not in system.outputs:
            raise MailtailorError(f"{system.subject} cannot change its definitions.", "Deploy it again.")
        dynamodb, outputs = system.client("dynamodb"), system.outputs
        return cls(
            system,
            DefinitionVersions(client=dynamodb, table=outputs["DefinitionsTable"]),
            RecomputeRuns(client=dynamodb, table=outputs["ClockTable"]),
            ArchiveWatermark(client=dynamodb, table=outputs["ClockTable"]),
        )

    def go_on(self) -> None:
        """Have the system take the next step now, which it does by itself each minute."""
        answer = self.system.client("lambda").invoke(
            FunctionName=self.system.outputs["SegmentRolloutFunction"], Payload=b"{}"
        )
        if answer.get("FunctionError"):
            raise MailtailorError(
                f"{self.system.subject} could not go on with it.", "The log of SegmentRollout says why."
            )

    def rollout(self) -> Rollout:
        """Return what rules; before anything was applied, that is what was deployed, version 0."""
        found = self.versions.rollout()
        if found is None:
            self.go_on()
        return found or Rollout()

    def save(self, rollout: Rollout) -> Rollout:
        """Store the next state, and have the system go on with it."""
        stored = self.versions.save(rollout)
        if stored is None:
            raise MailtailorError("Somebody else has changed the definitions just now.", "Look with --status.")
        self.go_on()
        return stored

    def add(self, version: Version) -> Version:
        """Store a version under the next number that is free."""
        for number in range(version.number, version.number + 100):
            # One that was stored by a command that then died was never applied, and keeps its number.
            numbered = replace(version, number=number, mark=version.mark or str(number))
            if self.versions.add(numbered):
                return numbered
        raise MailtailorError("There is no free number for a version.")


def apply(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            help="A directory, which has all segments, or files of those to add or change.", show_default=False
        ),
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what changes and for how many; change nothing.")] = (
        False
    ),
    sample: Annotated[
        int, typer.Option("--sample", min=1, max=BUCKETS, help="Of a dry run: look at so many sixteenths of people.")
    ] = BUCKETS,
    version: Annotated[
        int | None, typer.Option("--version", min=0, help="Go back to an earlier version.", show_default=False)
    ] = None,
    note: Annotated[str, typer.Option("--note", help="What for, kept with the version.", show_default=False)] = "",
    replace_: Annotated[
        bool, typer.Option("--replace", help="Give up what is being changed, and change to this instead.")
    ] = False,
    abandon: Annotated[bool, typer.Option("--abandon", help="Give up what is being changed.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Have what stands still done again.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Show how far the last change has come.")] = False,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave files of the archive out that cannot be read.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Show progress until it is done.")] = True,
    on: Annotated[Where, typer.Option("--on", help="The system to work on.")] = Where.AUTO,
) -> None:
    """Change the definitions of segments while the system runs; nothing is deployed.

    Everybody is evaluated by the new definitions, with all of their history
    out of the archive, and only then do these rule. Live events go on
    meanwhile. Who enters or leaves by the change does so once. It runs in the
    system, not here: this command can be interrupted and asked with --status.
    """
    asked = [abandon, resume, status, bool(sources) or version is not None or dry_run or replace_]
    if sum(asked) > 1 or (sources and version is not None):
        raise BadInput("These options exclude each other.", "Give definitions, or --abandon, --resume or --status.")
    if len(note) > MAX_NOTE:
        raise BadInput(f"The note is longer than {MAX_NOTE} characters.")
    with asking(connected := connect(on)):
        live = Live.of(connected)
        if status:
            _show(live)
            return
        if abandon or resume:
            stored = _abandoned(live) if abandon else _resumed(live, skip_unreadable=skip_unreadable)
        else:
            before = live.rollout()
            old, new = live.versions.version(before.active), wanted_segments(live, before, sources or [], version)
            changes = difference(old.segments, new)
            _tell(changes)
            if dry_run:
                _estimate(live, new, changes, buckets=sample, skip_unreadable=skip_unreadable)
                return
            if not changes and (before.staged is None or not replace_):
                return
            note = note or (f"The definitions of version {version}." if version is not None else "")
            stored = _apply(live, before, old, new, note=note, replacing=replace_, skip_unreadable=skip_unreadable)
        if wait and stored.under_way:
            _watch(live, stored)
        _show(live)


def versions(
    *,
    everything: Annotated[bool, typer.Option("--all", help=f"Not only the last {SHOWN}.")] = False,
    on: Annotated[Where, typer.Option("--on", help="The system to work on.")] = Where.AUTO,
) -> None:
    """List the versions of the definitions, and say which one rules."""
    with asking(system := connect(on)):
        live = Live.of(system)
        rollout = live.rollout()
        table = Table(
            Column("Version", justify="right"), Column("Applied", no_wrap=True), Column("Segments", justify="right"), ""
        )
        table.add_column("Note", overflow="fold")
        for number in range(rollout.latest, -1, -1)[: None if everything else SHOWN]:
            one = live.versions.version(number)
            mark = {rollout.active: "rules", rollout.staged: "is changed to"}.get(number, "")
            applied = minute(one.applied_at) if one.applied_at else ""
            table.add_row(str(number), applied, str(len(one.segments)), mark, escape(one.note))
    Console().print(table)


def diff(
    old: Annotated[str, typer.Argument(help="A version's number; what rules, if not given.", show_default=False)] = "",
    new: Annotated[
        str, typer.Argument(help="A version's number or a directory; the files, if not given.", show_default=False)
    ] = "",
    *,
    on: Annotated[Where, typer.Option("--on", help="The system to work on.")] = Where.AUTO,
) -> None:
    """Say in plain English what differs between what rules and the files, or between two versions."""
    with asking(system := connect(on)):
        live = Live.of(system)
        rollout = live.rollout()
        before = _named(live, old or str(rollout.active))
        _tell(difference(before, _named(live, new or str(DEFINITIONS))))


def _named(live: Live, name: str) -> Sequence[SegmentDefinition]:
    if not name.isdecimal():
        return _loaded(Path(name))
    try:
        return live.versions.version(int(name)).segments
    except BadVersion as error:
        raise _no_version(error) from error


def _no_version(error: BadVersion) -> NotFound:
    return NotFound(_sentence(error), "See which there are: mailtailor segments versions")


def _loaded(directory: Path) -> list[SegmentDefinition]:
    if not directory.is_dir():
        raise NotFound(f"There is no directory {directory}.")
    return load_segments(directory)


def wanted_segments(
    live: Live, rollout: Rollout, sources: Sequence[Path], version: int | None
) -> tuple[SegmentDefinition, ...]:
    """Return all segments as they shall be."""
    try:
        if version is not None:
            return live.versions.version(version).segments
        if len(sources) < 2 and (not sources or sources[0].is_dir()):
            return checked(_loaded(sources[0] if sources else DEFINITIONS))
        known = {one.name: one for one in live.versions.version(rollout.ruling).segments}
        try:
            known |= {one.name: one for one in map(load_segment, sources)}
        except OSError as error:
            raise BadInput(f"{error.filename} cannot be read: {error.strerror}.") from error
        return checked(known.values())
    except BadVersion as error:
        raise (_no_version(error) if version is not None else BadInput(_sentence(error))) from error


def _apply(
    live: Live,
    before: Rollout,
    old: Version,
    new: tuple[SegmentDefinition, ...],
    *,
    note: str,
    replacing: bool,
    skip_unreadable: bool,
) -> Rollout:
    """Store the definitions as a version, and have it rule."""
    if before.staged is not None and not replacing:
        raise MailtailorError(
            f"The definitions are being changed to version {before.staged}.",
            "Watch it with --status, or give it up with --replace or --abandon.",
        )
    now, same = live.system.clock(), same_members(old.segments, new)
    if before.staged is not None and old.segments == new:
        return live.save(before.abandon(at=now))
    try:
        added = live.add(Version(before.latest + 1, new, old.mark if same else "", now, note))
    except BadVersion as error:
        raise BadInput(_sentence(error)) from error
    if not same:
        say(f"Version {added.number} is stored, and everybody is about to be evaluated by it.")
        return live.save(before.stage(added.number, at=now, skip_unreadable=skip_unreadable))
    # Nobody enters or leaves, so it can rule at once.
    given_up = before if before.staged is None else before.abandon(at=now)
    return live.save(given_up.adopt(added.number, at=now))


def _abandoned(live: Live) -> Rollout:
    rollout = live.rollout()
    if rollout.staged is None:
        raise BadInput(
            f"There is nothing to give up: version {rollout.active} rules.",
            "To go back to an earlier one, give --version.",
        )
    say(f"Version {rollout.staged} is given up; version {rollout.active} goes on.")
    return live.save(rollout.abandon(at=live.system.clock()))


def _resumed(live: Live, *, skip_unreadable: bool) -> Rollout:
    rollout, run = live.rollout(), live.runs.read()
    if not rollout.under_way:
        raise BadInput("There is nothing to resume.", f"Version {rollout.active} rules.")
    if run is None or run.id != rollout.run:
        live.go_on()
        return rollout
    if skip_unreadable and not run.skip_unreadable:
        return live.save(replace(rollout, run="", sent=False, skip_unreadable=True))
    for one in live.runs.all(run):
        if one.unreadable and not one.done:
            # It may be mended by now; if not, the function notes it again.
            live.runs.save(replace(one, unreadable=()), at=live.system.clock())
    return live.save(replace(rollout, sent=False))


def _tell(changes: Iterable[Change]) -> None:
    console, none = Console(highlight=False, soft_wrap=True), True
    for change in changes:
        sign, colour, what = _WHAT[change.what]
        console.print(f"[{colour}]{sign} {change.segment}[/] {what}.")
        texts = {"changed": (("was", change.before), ("becomes", change.after))}.get(
            change.what, (("", change.after or change.before),)
        )
        for word, text in texts:
            said = f"{word}: {text}" if word else text
            console.print("\n".join(f"    {line}" for line in said.splitlines()), markup=False)
        none = False
    if none:
        say("Nothing changes.")


def _estimate(
    live: Live, new: tuple[SegmentDefinition, ...], changes: Sequence[Change], *, buckets: int, skip_unreadable: bool
) -> None:
    """Evaluate everybody, or a sample, by definitions that nobody is switched to, and say who would come and go."""
    if not any(change.changes_members for change in changes):
        return
    now, rollout = live.system.clock(), live.rollout()
    if live.runs.under_way(now, of_rollout=rollout.run):
        raise MailtailorError("A run is under way.", "Watch it with: mailtailor segments recompute --status")
    run = Run(secrets.token_hex(8), now, True, skip_unreadable, Purpose.TRY, buckets)
    live.versions.add(Version(CANDIDATE, new, applied_at=now, note=run.id))
    if not live.runs.start(run, previous=live.runs.read()):
        raise MailtailorError("Somebody else has started a run just now.", "Try again when it is done.")
    queue = Queue(client=live.system.client("sqs"), url=live.system.outputs["RecomputeQueueUrl"])
    queue.send_all(bucket_message.pack(run.id, number) for number in range(buckets))
    found = _tried(live, run)
    if found.failing:
        raise MailtailorError(
            f"These files of the archive cannot be read: {', '.join(found.unreadable[:5])}.",
            "Restore or delete them, or give --skip-unreadable.",
        )
    say(f"\nOf {found.tally.profiles:,} people with {found.tally.events:,} events:")
    Console().print(members_table(found.tally) if buckets == BUCKETS else _extrapolated(found, BUCKETS / buckets))


def _tried(live: Live, run: Run) -> Status:
    columns = (TextColumn("Trying"), BarColumn(), MofNCompleteColumn(), TextColumn("buckets"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=run.buckets)
        while True:
            found = Status(run, live.runs.all(run))
            progress.update(task, completed=found.done)
            if found.finished or found.stands:
                return found
            time.sleep(EACH)


def _extrapolated(found: Status, factor: float) -> Table:
    """Return what a sample says of everybody, each number with the margin in which it is 19 of 20 times."""

    def of_all(number: int) -> str:
        margin = 1.96 * factor * (max(number, 1) * (1 - 1 / factor)) ** 0.5
        return f"{number * factor:,.0f} ± {margin:,.0f}"

    table, tally = Table(Column("Segment", overflow="fold"), title="Everybody, by a sample"), found.tally
    for heading in ("Members", "Entering", "Leaving"):
        table.add_column(heading, justify="right")
    for segment in sorted({*tally.members, *tally.entered, *tally.exited}):
        numbers = (of.get(segment, 0) for of in (tally.members, tally.entered, tally.exited))
        table.add_row(escape(segment), *map(of_all, numbers))
    return table


def _watch(live: Live, wanted: Rollout) -> None:
    """Show progress until the change is done, stands still, or makes room for another one."""
    console, looks = Console(stderr=True), 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("", total=BUCKETS)
            while True:
                found = live.rollout()
                if not found.under_way or (found.ruling, found.staged_at) != (wanted.ruling, wanted.staged_at):
                    break
                status = _run_of(live, found)
                _progress(live, progress, task, found, status)
                if status is not None and status.failing and status.stands:
                    break
                looks += 1
                if looks % LOOKS == 0:
                    live.go_on()
                time.sleep(EACH)
    except KeyboardInterrupt:
        console.print("It goes on without you: mailtailor segments apply --status", highlight=False)
        raise


def _progress(live: Live, progress: Progress, task: TaskID, rollout: Rollout, status: Status | None) -> None:
    if status is None:
        progress.update(task, description=_phase(live, rollout), completed=0)
        return
    tally = status.tally
    said = f"{_phase(live, rollout)}: {tally.profiles:,} people, {tally.flips:,} flips; buckets"
    progress.update(task, description=said, completed=status.done)


def _run_of(live: Live, rollout: Rollout) -> Status | None:
    run = live.runs.read() if rollout.run else None
    return Status(run, live.runs.all(run)) if run is not None and run.id == rollout.run else None


def _phase(live: Live, rollout: Rollout) -> str:
    match rollout.phase:
        case Phase.WAITING if rollout.heard_at is not None:
            archived = live.watermark.read()
            reached = f", and has up to {_second(archived)}" if archived else ""
            return f"Waiting until the archive has all that came before {_second(rollout.heard_at)}{reached}"
        case Phase.WAITING:
            return "Waiting until all functions know of it"
        case Phase.BACKFILLING:
            return "Evaluating everybody with their history"
        case Phase.CLOSING:
            return "Evaluating whoever is left"
    return "Done"


def _show(live: Live) -> None:
    rollout = live.rollout()
    active = live.versions.version(rollout.active)
    since = f", applied {minute(active.applied_at)}" if active.applied_at and rollout.active else ""
    say(f"On {live.system.name}, version {rollout.active} rules{since}.")
    if rollout.staged is not None:
        say(f"It is being changed to version {rollout.staged} since {minute(rollout.staged_at)}.")
    if rollout.people:
        say(f"The last change evaluated {rollout.people:,} people with their history.")
    if rollout.entered or rollout.left:
        Console().print(_flips_table(rollout))
    if not rollout.under_way:
        return
    say(f"{_phase(live, rollout)}.")
    status = _run_of(live, rollout)
    if status is None:
        return
    tally = status.tally
    say(f"{status.done} of {BUCKETS} buckets are done: {tally.profiles:,} people, {tally.flips:,} flips.")
    if status.failing:
        raise MailtailorError(
            f"{len(status.failing)} buckets cannot be finished, for these files cannot be read: "
            f"{', '.join(status.unreadable[:5])}.",
            "Restore or delete them and give --resume, or --resume --skip-unreadable.",
        )


def _flips_table(rollout: Rollout) -> Table:
    table = Table(Column("Segment", overflow="fold"))
    for heading in ("Entered", "Left"):
        table.add_column(heading, justify="right")
    for segment in sorted({*rollout.entered, *rollout.left}):
        table.add_row(escape(segment), *(f"{of.get(segment, 0):,}" for of in (rollout.entered, rollout.left)))
    return table


def _second(at: int) -> str:
    return f"{minute(at).removesuffix(' UTC')}:{at // 1000 % 60:02} UTC"


def _sentence(error: BadVersion) -> str:
    said = str(error)
    return f"{said[:1].upper()}{said[1:]}."
