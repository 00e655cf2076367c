"""What segments mean, cost and depend on, and why somebody is in one: `mailtailor segments`.

All but `why` works on files alone; no system need be running.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from mailtailor.errors import BadInput, MailtailorError, NotFound
from mailtailor.segments import cost
from mailtailor.segments.definition import SegmentDefinition
from mailtailor.segments.english import explain as in_english
from mailtailor.segments.files import SUFFIXES, load_segment, load_segments, load_vocabulary, read_segment
from mailtailor.segments.freshness import described, freshened_by
from mailtailor.segments.notation import as_yaml
from mailtailor_cli.admin_routes import AdminFunction
from mailtailor_cli.conditions import condition_tree, second, until
from mailtailor_cli.connection import Connection, Where, connect

app = typer.Typer(
    help="What segments mean and cost, what keeps them fresh, and why somebody is in one.", no_args_is_help=True
)

DEFINITIONS: Final = Path(__file__).resolve().parents[2] / "layers" / "definitions" / "segments"
STANDARD_INPUT: Final = "-"
PROFILES: Final = AdminFunction("ProfileApi", "answers about profiles", "look at the profile")
TRAIL: Final = AdminFunction("TrailApi", "answers about flips", "look at the flips")


@app.command(name="list")
def list_(
    directory: Annotated[Path, typer.Argument(help="Where the definitions are.", show_default=False)] = DEFINITIONS,
) -> None:
    """List the segments of a directory: what they are, what they cost, and whether time alone changes them."""
    definitions = load_segments(directory)
    table = Table(
        Column("Segment", no_wrap=True), Column("Description", overflow="fold"), "By time", title_justify="left"
    )
    for heading in ("Events", "Bytes", "µs"):
        table.add_column(heading, justify="right")
    for one in definitions:
        each = cost.estimate(one)
        table.add_row(
            one.name,
            escape(one.description),
            _by_time(one),
            f"{each.entries:,}",
            f"{each.typical_bytes:,}",
            f"{max(1, round(each.typical_microseconds)):,}",
        )
    Console().print(table)
    _say(f"Together: {cost.estimate_all(definitions)}.")
    try:
        cost.check_all(definitions)
    except ValueError as error:
        raise _refused(error) from error


@app.command()
def explain(
    segment: Annotated[
        str,
        typer.Argument(help="A segment's name or file (YAML, JSON, SQL); - for standard input.", show_default=False),
    ] = "",
    *,
    sql: Annotated[str, typer.Option("--sql", help="A query, in place of a segment.", show_default=False)] = "",
    rules: Annotated[bool, typer.Option("--rules", help="Print the rule as YAML too, which SQL becomes.")] = False,
    directory: Annotated[
        Path, typer.Option("--directory", help="Where segments that are named are.", show_default=False)
    ] = DEFINITIONS,
) -> None:
    """Say in plain English what a segment means, what it costs, what keeps it fresh, and what time alone does to it."""
    if bool(segment) == bool(sql):
        raise BadInput("One segment can be explained.", "Give its name, its file, - or --sql 'SELECT ...'.")
    definition = read_segment(sql, Path("--sql"), load_vocabulary(directory)) if sql else _found(segment, directory)
    if not sql and segment != STANDARD_INPUT:
        _say(f"{definition.name}: {definition.description}\n")
    _say(in_english(definition.rule))
    _say("\n" + "\n".join(described(freshened_by(definition.rule))))
    _say(f"Cost: {cost.estimate(definition)}.")
    if rules:
        _say("\n" + as_yaml(definition.rule))
    try:
        cost.check(definition)
    except ValueError as error:
        raise _refused(error) from error


@app.command()
def why(
    profile: Annotated[str, typer.Argument(help="The profile's id.", show_default=False)],
    segment: Annotated[str, typer.Argument(help="The segment's name.", show_default=False)],
    *,
    at: Annotated[
        str, typer.Option("--at", help="When: such as 2026-11-20T10:00:00Z; now, if not given.", show_default=False)
    ] = "",
    flips: Annotated[int, typer.Option("--flips", help="How many of the last flips.", min=1, max=100)] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    on: Annotated[Where, typer.Option("--on", help="The system to work on.")] = Where.AUTO,
) -> None:
    """Say why somebody is, or is not, in a segment: each condition, until when it holds, and what it rests on.

    Then when they entered and left it, and why, the newest first.
    """
    system, query = connect(on), {"at": at} if at else {}
    path = f"/admin/profiles/{quote(profile, safe='')}/segments/{quote(segment, safe='')}"
    trail = _trail(system, path, {**query, "limit": str(flips)})
    try:
        told = PROFILES.ask(system, path, query)
    except MailtailorError:
        # A segment that there is no more has left its flips.
        if not trail["flips"]:
            raise
        told = {"notes": ["There is no segment of this name any more."]}
    if as_json:
        typer.echo(json.dumps({**told, **trail, "notes": [*told["notes"], *trail["notes"]]}, indent=2))
        return
    if "condition" in told:
        verb = "is" if told["member"] else "is not"
        # Of a profile that became part of another, the id is that of the other.
        _say(f"{told['profile_id']} {verb} in {told['segment']} at {second(told['at'])}, {until(told)}.")
        _say(f"{told['segment']}: {told['description']}\n")
        Console(highlight=False).print(condition_tree(told["condition"]))
        _say(f"\n{_stored(told)}")
    _say("\n".join([*told["notes"], *_told_flips(trail)]))


def _trail(system: Connection, path: str, query: Mapping[str, str]) -> dict[str, Any]:
    """Return somebody's flips; if they cannot be read, none and a note that says so."""
    try:
        return TRAIL.ask(system, f"{path}/flips", query)
    except MailtailorError as error:
        return {"flips": [], "notes": [f"Flips cannot be told. {error}"]}


def _told_flips(trail: Mapping[str, Any]) -> Iterator[str]:
    match trail.get("was_member", ""):
        case None:
            yield "Whether they were in it then, the flips that are known do not tell."
        case bool(was):
            yield f"By their flips, they were {'' if was else 'not '}in it then."
    if trail["flips"]:
        yield "Flips, the newest first:"
    for flip in trail["flips"]:
        other = f", as {flip['profile_id']}" if flip["profile_id"] != trail["profile_id"] else ""
        yield f"  {'entered' if flip['entered'] else 'left'} {second(flip['at'])} {flip['because']}{other}"
    yield from trail["notes"]


def _stored(told: Mapping[str, Any]) -> str:
    stored = told["stored"]
    if stored["evaluated_at"] is None:
        return "Nothing is stored: the profile was never evaluated."
    parts = ["a member" if stored["member"] else "no member"]
    if stored["since"] is not None:
        parts.append(f"since {second(stored['since'])}")
    if stored["valid_until"] is not None:
        parts.append(f"valid until {second(stored['valid_until'])}")
    by = "these" if stored["by_these_definitions"] else "other"
    return f"Stored: {', '.join(parts)}; evaluated at {second(stored['evaluated_at'])} by {by} definitions."


def _found(segment: str, directory: Path) -> SegmentDefinition:
    if segment == STANDARD_INPUT:
        return read_segment(_standard_input(), Path(STANDARD_INPUT), load_vocabulary(directory))
    path = Path(segment)
    if path.suffix in SUFFIXES or path.parent != Path() or path.exists():
        return _from_file(path)
    known = {one.name: one for one in load_segments(directory)}
    if segment not in known:
        close = get_close_matches(segment, list(known), n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(known)}."
        raise NotFound(f"There is no segment {segment!r} in {directory}.", hint)
    return known[segment]


def _standard_input() -> str:
    try:
        return typer.get_binary_stream("stdin").read().decode()
    except UnicodeDecodeError as error:
        raise BadInput("Standard input is no text in UTF-8.") from error


def _from_file(path: Path) -> SegmentDefinition:
    if path.suffix not in SUFFIXES:
        raise BadInput(f"{path} is no file of a segment.", f"These end in {', '.join(SUFFIXES)}.")
    try:
        return load_segment(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error


def _by_time(definition: SegmentDefinition) -> str:
    fresh = freshened_by(definition.rule)
    verbs = [("enter", fresh.people_enter_by_time), ("leave", fresh.people_leave_by_time)]
    return " and ".join(verb for verb, does in verbs if does)


def _refused(error: ValueError) -> MailtailorError:
    said = str(error)
    return BadInput(f"{said[:1].upper()}{said[1:]}.")


def _say(text: str) -> None:
    Console(soft_wrap=True, highlight=False).print(text, markup=False)
