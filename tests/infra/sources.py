"""What a function's code imports and calls, read without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from infra.build.layers import FUNCTIONS, SOURCES

LIBRARY = SOURCES / "mailtailor" / "python"


class _Code(ast.NodeVisitor):
    """Collects imports and method calls, but not what only the type checker reads."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.nodes: list[ast.AST] = []

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.imports |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.module is not None
        self.imports |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}

    def generic_visit(self, node: ast.AST) -> None:
        self.nodes.append(node)
        super().generic_visit(node)


@cache
def _code(file: Path) -> _Code:
    code = _Code()
    code.visit(ast.parse(file.read_text()))
    return code


def _module(name: str) -> Path | None:
    path = LIBRARY.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def files(job: str) -> set[Path]:
    """Return the files of our own that the function's handler imports, directly or not."""
    found: set[Path] = set()
    waiting = [FUNCTIONS / job / "handler.py"]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += [module for name in _code(file).imports if (module := _module(name))]
    return found


def imports(job: str) -> set[str]:
    """Return the names of all modules that those files import."""
    return {name for file in files(job) for name in _code(file).imports}


def settings(job: str) -> dict[str, bool]:
    """Return the variables that the function's `Settings` name, and whether each must be given."""
    return {
        field.target.id.upper(): field.value is None
        for node in _nodes(job)
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }


def calls(job: str) -> set[str]:
    """Return the names of all methods that those files mention, and all texts, for paginators are named by text."""
    methods = {node.attr for node in _nodes(job) if isinstance(node, ast.Attribute)}
    return methods | {
        node.value for node in _nodes(job) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _nodes(job: str) -> Iterator[ast.AST]:
    for file in files(job):
        yield from _code(file).nodes
