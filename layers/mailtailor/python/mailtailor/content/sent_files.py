"""A block's files as they come with a request: untrusted, bounded, and read as files of the same names are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import Field, StringConstraints

from mailtailor.content.admin_request import AdminRequest
from mailtailor.content.block import MAX_TEMPLATE, Block
from mailtailor.content.files import BLOCK_FILE, Checked, check_block
from mailtailor.content.versions import MAX_NOTE, Number
from mailtailor.definition_files import DefinitionError
from mailtailor.errors import BadInput

MAX_BYTES: Final = 1_000_000
"""Of a request."""
MAX_FILES: Final = 60
MAX_DEPTH: Final = 30
"""Lists and mappings inside one another; PyYAML's time grows with its square."""
MAX_TOLD: Final = 5
"""Errors that a refusal names."""

FileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$")]
FileText = Annotated[str, StringConstraints(max_length=MAX_TEMPLATE)]


class PushRequest(AdminRequest):
    """A block's files by name, what for, the newest version that is known, and whether to publish it at once."""

    files: dict[FileName, FileText] = Field(min_length=1, max_length=MAX_FILES)
    note: Annotated[str, StringConstraints(max_length=MAX_NOTE)] = ""
    after: Number | None = None
    publish: bool = Field(default=False, strict=True)


class PublishRequest(AdminRequest):
    """The version to publish; the newest, if not given."""

    version: Number | None = None


def written(name: str, request: PushRequest, directory: Path) -> Path:
    """Write the files into a directory of the block's name, and return its `block.yaml`."""
    folder = directory / name
    folder.mkdir()
    for file, text in request.files.items():
        (folder / file).write_text(text, encoding="utf-8", errors="replace")
    return folder / BLOCK_FILE


def checked(file: Path) -> tuple[Block, Checked]:
    """Return the block of files that were sent, and what there is to say of it.

    Raises
    ------
    BadInput
        If there are errors; names the first ones by file and line.
    """
    try:
        _refuse_bombs(file)
        found = check_block(file)
    except DefinitionError as error:
        raise refusal(error, file.parent) from error
    if found.block is None:
        errors = [f"{one.file}:{one.line}: {one.message}." for one in found.findings if one.level == "error"]
        raise BadInput(errors[0], " ".join(errors[1:MAX_TOLD]))
    return found.block, found


def refusal(error: DefinitionError, folder: Path) -> BadInput:
    """Return an error as whoever sent the files knows them, by their names alone."""
    return BadInput(error.message.replace(f"{folder}/", ""), error.hint)


def _refuse_bombs(file: Path) -> None:
    """Refuse what makes of a small file of YAML a huge document, or one that takes minutes to read."""
    depth = 0
    try:
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise DefinitionError(file, line, "the file refers to other parts of itself; write them out.")
            if depth > MAX_DEPTH:
                raise DefinitionError(file, line, f"more than {MAX_DEPTH} lists and mappings are inside one another.")
    except yaml.YAMLError:
        return  # told by whoever reads it, with its line
