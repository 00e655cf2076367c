"""Reads definitions (segments, blocks, offers) from YAML files, with errors that name file and line.

Only deploying and the command line read files; functions get the compiled JSON.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from mailtailor.errors import MailtailorError

M = TypeVar("M", bound=BaseModel)


class DefinitionError(MailtailorError):
    """A definition that cannot be used.

    Parameters
    ----------
    path
        The file.
    line, column
        Where, from 1; the column where a line may be long.
    message, hint
        What is wrong and what to do.
    """

    def __init__(self, path: Path, line: int, message: str, hint: str = "", *, column: int | None = None) -> None:
        super().__init__(f"{path}:{line}:{'' if column is None else f'{column}:'} {message}", hint)
        self.path = path
        self.line = line
        self.column = column


def load(path: Path, model: type[M]) -> M:
    """Return the definition in `path`, validated by `model`.

    Raises
    ------
    DefinitionError
        If the file is missing, not YAML, or does not fit the model; the line is that of the faulty value.
    """
    return parsed(read(path), path, model)


def read(path: Path) -> str:
    """Return the text of a file.

    Raises
    ------
    DefinitionError
        If it is missing, or no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DefinitionError(path, 1, "the file is missing.") from error
    except UnicodeDecodeError as error:
        raise DefinitionError(path, 1, "the file is no text in UTF-8.") from error


def parsed(text: str, path: Path, model: type[M]) -> M:
    """Return the definition in the text of a file, as of `load`."""
    node = _compose(text, path)
    try:
        data = _Loader("").construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, path) from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        fault = error.errors()[0]
        where = " → ".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        raise DefinitionError(
            path, line_of(node, fault["loc"]), f"{where}: {message}." if where else message
        ) from error


def _compose(text: str, path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, path) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise DefinitionError(path, 1, "not valid YAML.") from error


class _Loader(yaml.SafeLoader):
    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401 - as PyYAML has it
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, ArithmeticError, AttributeError, TypeError) as error:
            # PyYAML reads 2026-02-30 as a date and `!!int x` as a number, and lets Python's own errors through.
            raise yaml.MarkedYAMLError(
                problem="a value is not what it looks like", problem_mark=node.start_mark
            ) from error


def _not_yaml(error: yaml.MarkedYAMLError, path: Path) -> DefinitionError:
    mark = error.problem_mark
    return DefinitionError(path, mark.line + 1 if mark else 1, f"not valid YAML: {error.problem}.")


def line_of(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """Return the line of the value at `location`, or of the nearest value above it that exists."""
    line = node.start_mark.line + 1 if node is not None else 1
    for part in location:
        step = _step(node, part)
        if step is not None:
            node, line = step, step.start_mark.line + 1
    return line


def line_in(path: Path, location: tuple[int | str, ...]) -> int:
    """Return the line in `path` of the value at `location`."""
    return line_in_text(read(path), path, location)


def line_in_text(text: str, path: Path, location: tuple[int | str, ...]) -> int:
    """Return the line in the text of a file of the value at `location`."""
    return line_of(_compose(text, path), location)


def _step(node: Any, part: int | str) -> yaml.Node | None:  # noqa: ANN401 - PyYAML's nodes share no useful type
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        step: yaml.Node = node.value[part]
        return step
    return None
