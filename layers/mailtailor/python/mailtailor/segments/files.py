"""Reads segment definitions from files: YAML, JSON or SQL.

A file of SQL is named as its segment, and begins with comments that say what the segment means to people. What the
files may name is the vocabulary and what `events.yaml`, beside their directory, declares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from mailtailor.definition_files import DefinitionError, line_in_text, load, parsed, read
from mailtailor.segments import cost
from mailtailor.segments.definition import Condition, InSegment, SegmentDefinition
from mailtailor.segments.engine import BadReference, Engine
from mailtailor.segments.vocabulary import (
    KNOWN,
    Declared,
    Location,
    Unknown,
    Vocabulary,
    check,
    located,
    suggested,
)

SUFFIXES: Final = (".yaml", ".json", ".sql")
DECLARATIONS: Final = "events.yaml"
UNNAMED: Final = "this_segment"
_QUERY: Final = re.compile(r"(\s|\(|--[^\n]*(\n|$)|/\*(?:[^*]|\*(?!/))*\*/)*(SELECT|WITH)\b", re.IGNORECASE)
_COMMENT: Final = re.compile(r"\s*--(.*)")
_FROM_CONDITIONS: Final = "Some of these conditions belong into a segment of their own."


@dataclass(frozen=True, slots=True)
class _Read:
    """A definition, and the text and file that it is from."""

    definition: SegmentDefinition
    path: Path
    text: str

    def error(self, location: Location, message: str, hint: str = "", *, named: str = "") -> DefinitionError:
        """Return the error of what stands at a place; in SQL, of the text `named`."""
        if self.path.suffix != ".sql":
            return DefinitionError(self.path, line_in_text(self.text, self.path, location), message, hint)
        before = self.text[: max(0, self.text.find(named))] if named else ""
        return DefinitionError(self.path, before.count("\n") + 1, message, hint)


def load_segments(directory: Path) -> list[SegmentDefinition]:
    """Return the definitions of all files in `directory`, by name.

    Raises
    ------
    DefinitionError
        If there is none, one cannot be used, a name differs from its file's or occurs twice, or segments refer to one
        that there is not, or to each other in a circle.
    """
    files = sorted(file for file in directory.glob("*") if file.suffix in SUFFIXES)
    if not files:
        raise DefinitionError(directory, 1, "there is no segment definition here.", "Add a *.yaml, *.json or *.sql.")
    vocabulary = load_vocabulary(directory)
    found: dict[str, _Read] = {}
    for file in files:
        one = _load(file, vocabulary)
        if (other := found.get(one.definition.name)) is not None:
            hint = "Remove one of them, or give it another name."
            raise one.error(("name",), f"the segment {one.definition.name!r} is in {other.path.name} too.", hint)
        try:
            cost.check(one.definition)
        except ValueError as error:
            raise one.error(("rule",), f"{error}.") from error
        found[one.definition.name] = one
    _check_references(found)
    definitions = [one.definition for one in found.values()]
    try:
        Engine(definitions)
    except BadReference as error:
        raise DefinitionError(directory, 1, f"{error}.") from error
    return definitions


def load_vocabulary(directory: Path) -> Vocabulary:
    """Return what the segments of a directory may name.

    Raises
    ------
    DefinitionError
        If the file of declarations cannot be used.
    """
    declarations = directory.parent / DECLARATIONS
    return KNOWN.with_declared(load(declarations, Declared)) if declarations.is_file() else KNOWN


def load_segment(path: Path) -> SegmentDefinition:
    """Return the definition of one file; the segments that it refers to are not looked for, and its cost is not judged.

    Raises
    ------
    DefinitionError
        If it cannot be used, or its name differs from the file's.
    """
    return _load(path, load_vocabulary(path.parent)).definition


def read_segment(text: str, path: Path, vocabulary: Vocabulary = KNOWN) -> SegmentDefinition:
    """Return the definition in a text of either form; a query needs no comments.

    Parameters
    ----------
    text
        A query, or YAML or JSON.
    path
        What to name in errors.
    vocabulary
        What it may name.

    Raises
    ------
    DefinitionError
        If it cannot be used.
    """
    if _QUERY.match(text):
        rule = _rule(text, path, vocabulary)
        return SegmentDefinition(name=UNNAMED, description=_description(text)[:500] or "A query.", rule=rule)
    return _checked(_Read(parsed(text, path, SegmentDefinition), path, text), vocabulary).definition


def _load(path: Path, vocabulary: Vocabulary) -> _Read:
    text = read(path)
    if path.suffix == ".sql":
        return _checked(_Read(_of_sql(text, path, vocabulary), path, text), vocabulary)
    one = _Read(parsed(text, path, SegmentDefinition), path, text)
    if one.definition.name != path.stem:
        message = f"the segment is named {one.definition.name!r}, its file {path.name!r}."
        raise one.error(("name",), message, "Give both the same name.")
    return _checked(one, vocabulary)


def _checked(one: _Read, vocabulary: Vocabulary) -> _Read:
    try:
        check(one.definition, vocabulary)
    except Unknown as fault:
        raise one.error(fault.location, fault.reason, fault.hint) from fault
    return one


def _of_sql(text: str, path: Path, vocabulary: Vocabulary) -> SegmentDefinition:
    description = _description(text)
    if not description:
        hint = "Begin the file with comments: -- Bought in the last 7 days."
        raise DefinitionError(path, 1, "nothing says what the segment means to people.", hint)
    rule = _rule(text, path, vocabulary)
    try:
        return SegmentDefinition(name=path.stem, description=description, rule=rule)
    except ValidationError as error:
        fault = error.errors()[0]
        where = "".join(f"{part}: " for part in fault["loc"][:1])
        raise DefinitionError(path, 1, f"{where}{fault['msg'].removeprefix('Value error, ')}.") from error


def _description(text: str) -> str:
    """Return what the comments say with which a file begins."""
    lines = []
    for line in text.splitlines():
        comment = _COMMENT.match(line)
        if comment is None and line.strip():
            break
        if comment is not None:
            lines.append(comment[1].strip())
    return " ".join(line for line in lines if line)


def _rule(text: str, path: Path, vocabulary: Vocabulary) -> Condition:
    try:
        # Whoever has no segments in SQL needs no parser of it.
        from mailtailor.segments import sql  # noqa: PLC0415
    except ImportError as error:
        hint = "Install it: pip install 'mailtailor[sql]'."
        raise DefinitionError(path, 1, "SQL needs a parser that is not installed.", hint) from error
    try:
        return sql.parse(text, vocabulary)
    except sql.SqlError as fault:
        raise DefinitionError(path, fault.line, fault.reason, fault.hint, column=fault.column) from fault


def _references(one: _Read) -> Iterator[tuple[Location, str]]:
    for location, condition in located(one.definition.rule, ("rule",)):
        if isinstance(condition, InSegment):
            yield (*location, "segment"), condition.segment


def _check_references(found: dict[str, _Read]) -> None:
    graph: dict[str, list[str]] = {}
    for name, one in found.items():
        graph[name] = []
        for location, other in _references(one):
            if other not in found:
                hint = suggested(other, found)
                raise one.error(location, f"there is no segment {other!r}.", hint, named=f"'{other}'")
            graph[name].append(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise _circle(error.args[1], found) from error


def _circle(names: Sequence[str], found: dict[str, _Read]) -> DefinitionError:
    # Each of the list is what the next one refers to.
    one, other = found[names[1]], names[0]
    location = next((place for place, name in _references(one) if name == other), ("rule",))
    told = " → ".join(reversed(names))
    return one.error(
        location, f"segments refer to each other in a circle: {told}.", _FROM_CONDITIONS, named=f"'{other}'"
    )
