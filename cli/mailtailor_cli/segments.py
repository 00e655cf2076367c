"""What segments mean, cost and depend on: `mailtailor segments`. Works on files alone; no system need be running."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final

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

app = typer.Typer(help="What segments mean, what they cost, and what keeps them fresh.", no_args_is_help=True)

DEFINITIONS: Final = Path(__file__).resolve().parents[2] / "layers" / "definitions" / "segments"
STANDARD_INPUT: Final = "-"


@app.command(name="list")
def list_(
    directory: Annotated[Path, typer.Argument(help="Where the definitions are.", show_default=False)] = DEFINITIONS,
) -> None:
    """List the segments of a directory: what they are, what they cost, and whether time alone changes them."""
    definitions = load_segments(directory)
    table = Table(Column("Segment", no_wrap=True), Column("Description", overflow="fold"), "By time", title_justify="left")
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
