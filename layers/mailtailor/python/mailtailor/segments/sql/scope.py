"""Which tables a part of a query reads, and what its columns are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from mailtailor.segments.definition import Condition
from mailtailor.segments.sql.tables import Column, Table, column
from mailtailor.segments.sql.text import SqlError, Text
from mailtailor.segments.vocabulary import Unknown, Vocabulary, suggested


@dataclass(frozen=True, slots=True)
class Found:
    """A column: of which table, by its name or alias in the query, whether of a query around, and what it is."""

    source: str
    column: Column
    outer: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """A SELECT's tables by name or alias, and the SELECT around it.

    Attributes
    ----------
    subquery
        Reads a SELECT inside; True for one of EXISTS, which is bound by a condition to the person around it.
    """

    text: Text
    vocabulary: Vocabulary
    subquery: Callable[[exp.Expr, Scope, bool], Condition]
    sources: dict[str, Table] = field(default_factory=dict)
    around: Scope | None = None

    @property
    def depth(self) -> int:
        """How many SELECTs are around."""
        return 0 if self.around is None else self.around.depth + 1

    def found(self, node: exp.Column) -> Found:
        """Return what a column is.

        Raises
        ------
        SqlError
            If no table has it.
        """
        self.text.only(node, {"this", "table", "db"})
        if not isinstance(node.this, exp.Identifier):
            raise self.text.error(node, "name a column here.")
        prefix = [part.name for part in node.parts[:-1]]
        name = node.name if node.this.args.get("quoted") else node.name.lower()
        if prefix and prefix[0] in self.sources:
            return self._of(prefix[0], [*prefix[1:], name], node)
        if len(prefix) == 1 and self.around is not None and prefix[0] in self.around.all_sources():
            of = self.around.all_sources()[prefix[0]]
            return Found(prefix[0], self._column(of, name, node), outer=True)
        return self._unqualified([*prefix, name], node)

    def all_sources(self) -> dict[str, Table]:
        """Return the tables of this SELECT and of those around it."""
        return {**(self.around.all_sources() if self.around is not None else {}), **self.sources}

    def _of(self, source: str, path: list[str], node: exp.Column) -> Found:
        return Found(source, self._column(self.sources[source], ".".join(path), node))

    def _column(self, of: Table, name: str, node: exp.Column) -> Column:
        try:
            return column(of, name, self.vocabulary)
        except Unknown as fault:
            raise self.text.error(node, fault.reason, fault.hint) from fault

    def _unqualified(self, path: list[str], node: exp.Column) -> Found:
        fault: SqlError | None = None
        having: list[Found] = []
        for source in self.sources:
            try:
                having.append(self._of(source, path, node))
            except SqlError as error:
                fault = fault or error
        if len(having) > 1 and having[0].column.role != "user":
            names = " or ".join(f"{one.source}.{'.'.join(path)}" for one in having)
            raise self.text.error(node, f"{'.'.join(path)!r} is in several tables.", f"Write {names}.")
        if having:
            return having[0]
        if len(path) > 1:
            known = suggested(path[0], self.all_sources())
            raise self.text.error(node, f"there is no table {path[0]!r} here.", known)
        raise fault or self.text.error(node, "there is no table to read.")
