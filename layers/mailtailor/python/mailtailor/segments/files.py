"""Reads segment definitions from a directory of YAML files."""

from __future__ import annotations

from pathlib import Path

from mailtailor.definition_files import DefinitionError, line_in, load
from mailtailor.segments.definition import SegmentDefinition


def load_segments(directory: Path) -> list[SegmentDefinition]:
    """Return the definitions of all `*.yaml` files in `directory`, by name.

    Raises
    ------
    DefinitionError
        If there is none, one cannot be used, a name differs from its file's, or a name occurs twice.
    """
    files = sorted(directory.glob("*.yaml"))
    if not files:
        raise DefinitionError(directory, 1, "there is no segment definition here.", "Add at least one *.yaml file.")
    definitions = []
    for file in files:
        definition = load(file, SegmentDefinition)
        if definition.name != file.stem:
            raise DefinitionError(
                file,
                line_in(file, ("name",)),
                f"the segment is named {definition.name!r}, its file {file.name!r}.",
                "Give both the same name.",
            )
        definitions.append(definition)
    return definitions
