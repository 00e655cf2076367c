"""Says how large segments would be, and whom time moves in the next days: `mailtailor segments estimate`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from mailtailor.aws.estimate_message import Asked, pack
from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.events.archive import BUCKETS
from mailtailor.instant import Instant, to_iso
from mailtailor.profiles.estimates import DAYS, Estimate, Estimates
from mailtailor.segments.versions import BadVersion, same_members
from mailtailor_cli.connection import Connection, Where, connect
from mailtailor_cli.definitions import Live, wanted_segments
from mailtailor_cli.keys import asking
from mailtailor_cli.recompute import minute, say

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

LONGEST: Final = 900
"""Seconds that one bucket may take."""
AT_ONCE: Final = 8
"""Buckets. Of a million people each takes some seconds."""
FUNCTION: Final = "SegmentEstimateFunction"
UNKNOWN: Final = (
    "It is told by the archive alone. So people who were merged count once for each of their ids, attributes count "
    "that profiles have no room for, and so does whoever withdrew consent by an event that was itself refused."
)


@dataclass(frozen=True, slots=True)
class Told:
    """What all buckets told.

    Attributes
    ----------
    at
        The instant of it.
    archived_until
        Up to when the archive had everything; None if that is not known.
    tried, ruling
        By the definitions asked about, and by those that rule.
    unreadable
        Files that were left out.
    """

    at: Instant
    archived_until: Instant | None
    tried: Estimates
    ruling: Estimates
    unreadable: tuple[str, ...]

    @property
    def removed(self) -> list[str]:
        """The segments that there would be no more."""
        return sorted(self.ruling.segments.keys() - self.tried.segments.keys())


def estimate(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            help="A directory, which has all segments, or files of those to add or change.", show_default=False
        ),
    ] = None,
    *,
    version: Annotated[
        int | None, typer.Option("--version", min=0, help="An earlier version, in place of files.", show_default=False)
    ] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave files of the archive out that cannot be read.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    on: Annotated[Where, typer.Option("--on", help="The system to work on.")] = Where.AUTO,
) -> None:
    """Say how large segments would be, and how many time alone moves in the next seven days.

    It looks at everybody in the archive, in seconds, and changes nothing. Of
    a change, apply --dry-run says exactly who enters and leaves by it, in
    minutes.
    """
    if sources and version is not None:
        raise BadInput("These options exclude each other.", "Give definitions or --version.")
    with asking(system := connect(on)):
        told = _told(Live.of(system), sources or [], version, skip_unreadable=skip_unreadable)
    if not told.tried.people:
        raise NotFound(
            "The archive has nobody yet who allows personalization.", "Events reach it some minutes after they came."
        )
    if as_json:
        typer.echo(json.dumps(_document(told), indent=2))
    else:
        _show(told)


def _told(live: Live, sources: Sequence[Path], version: int | None, *, skip_unreadable: bool) -> Told:
    if FUNCTION not in live.system.outputs:
        raise MailtailorError(f"{live.system.subject} cannot estimate.", "Deploy it again.")
    rollout = live.rollout()
    tried = wanted_segments(live, rollout, sources, version)
    ruling = live.versions.version(rollout.active).segments
    sets = (tried,) if same_members(tried, ruling) else (tried, ruling)
    at, archived_until = live.system.clock(), live.watermark.read()
    answers = _answers(live.system, [_packed(Asked(one, at, sets, skip_unreadable)) for one in range(BUCKETS)])
    unreadable = tuple(sorted(file for one in answers for file in one["unreadable"]))
    if not all("estimates" in one for one in answers):
        raise MailtailorError(
            f"These files of the archive cannot be read: {', '.join(unreadable[:5])}.",
            "Restore or delete them, or give --skip-unreadable.",
        )
    totals = [_total(one["estimates"][number] for one in answers) for number in range(len(sets))]
    return Told(at, archived_until, totals[0], totals[-1], unreadable)


def _packed(asked: Asked) -> str:
    try:
        return json.dumps(pack(asked))
    except BadVersion as error:
        raise BadInput(f"The segments are no version: {error}.") from error


def _answers(system: Connection, messages: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the system answers to each message, and show progress meanwhile."""
    functions = system.patient_client("lambda", LONGEST)
    columns = (TextColumn("Estimating"), BarColumn(), MofNCompleteColumn(), TextColumn("buckets"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(messages))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            futures = [pool.submit(_answer, system, functions, one) for one in messages]
            try:
                for done in as_completed(futures):
                    done.result()
                    progress.advance(task)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return [one.result() for one in futures]


def _answer(system: Connection, functions: LambdaClient, message: str) -> dict[str, Any]:
    invoked = functions.invoke(FunctionName=system.outputs[FUNCTION], Payload=message)
    try:
        answer: dict[str, Any] = json.loads(invoked["Payload"].read())
    except ValueError as error:
        raise MailtailorError(f"{system.subject} does not answer: {error}") from error
    if "error" in answer:
        raise BadInput(answer["error"])
    if "unreadable" not in answer:
        raise MailtailorError(f"{system.subject} could not estimate.", "The log of SegmentEstimate says why.")
    return answer


def _total(parts: Iterable[Mapping[str, Any]]) -> Estimates:
    total = Estimates()
    for one in parts:
        total.add(Estimates.of_payload(one))
    return total


def _document(told: Told) -> dict[str, Any]:
    return {
        "at": to_iso(told.at),
        "archived_until": to_iso(told.archived_until) if told.archived_until else None,
        "people": told.tried.people,
        "segments": {
            name: {"now": _members(told.ruling, name)} | asdict(one)
            for name, one in sorted(told.tried.segments.items())
        },
        "removed": {name: _members(told.ruling, name) for name in told.removed},
        "unreadable": told.unreadable,
        "notes": [UNKNOWN],
    }


def _members(estimates: Estimates, segment: str) -> int | None:
    return estimates.segments[segment].members if segment in estimates.segments else None


def _show(told: Told) -> None:
    say(f"Of {told.tried.people:,} people who allow personalization, at {minute(told.at)}:")
    console = Console()
    console.print(_members_table(told))
    for name in told.removed:
        say(f"{name}, of which {_members(told.ruling, name):,} are members now, would be removed.")
    moved = {name: one for name, one in sorted(told.tried.segments.items()) if any(one.entering + one.leaving)}
    if moved:
        say(
            f"Whom time alone brings in (+) and takes out (-), each at their next turn, in days from {minute(told.at)}:"
        )
        console.print(_days_table(moved))
    else:
        say("Time alone moves nobody in the next seven days.")
    say(UNKNOWN)
    if told.archived_until:
        say(f"The archive had everything that was received before {minute(told.archived_until)}.")
    else:
        say("Up to when the archive has everything is not known yet.")
    if told.unreadable:
        say(f"Left out, for they cannot be read: {', '.join(told.unreadable)}.")


def _members_table(told: Told) -> Table:
    table = Table(Column("Segment", overflow="fold"))
    for heading in ("Members now", "Members then"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, one in sorted(told.tried.segments.items()):
        now = _members(told.ruling, name)
        table.add_row(escape(name), "new" if now is None else f"{now:,}", f"{one.members:,}")
    return table


def _days_table(segments: Mapping[str, Estimate]) -> Table:
    # Narrow, so that numbers of a million people fit beside each other.
    table = Table(Column("Segment", overflow="fold"), box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    for day in range(1, DAYS + 1):
        table.add_column(f"Day {day}", justify="right", no_wrap=True)
    for name, one in segments.items():
        table.add_row(escape(name), *map(_moved, one.entering, one.leaving))
    return table


def _moved(entering: int, leaving: int) -> str:
    return "\n".join(f"{sign}{number:,}" for sign, number in (("+", entering), ("-", leaving)) if number) or "0"
