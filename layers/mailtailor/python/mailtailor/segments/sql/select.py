"""SELECTs: which people a query has, as a condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from mailtailor.segments.definition import Condition
from mailtailor.segments.sql.formula import (
    Alternative,
    Every,
    Formula,
    Row,
    about_person,
    all_of,
    alternatives,
    any_of,
    facts,
    none_of,
    parts,
)
from mailtailor.segments.sql.having import Group
from mailtailor.segments.sql.rows import any_row, row_condition
from mailtailor.segments.sql.scope import Scope
from mailtailor.segments.sql.tables import USER, table
from mailtailor.segments.sql.text import Text
from mailtailor.segments.sql.where import SHORT, formula_of
from mailtailor.segments.vocabulary import Unknown, Vocabulary

MAX_SUBQUERIES: Final = 5
"""How deep subqueries may be nested."""
_ALONE: Final = "Write SELECT user_id FROM a table WHERE conditions."


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the statement of a text."""

    text: Text
    vocabulary: Vocabulary

    def query(self, node: exp.Expr, around: Scope | None = None, correlated: bool = False) -> Condition:
        """Return the condition that the people of a query fulfil.

        Raises
        ------
        SqlError
            If it is not of the subset.
        """
        match node:
            case exp.Subquery():
                self.text.only(node, {"this"})
                return self.query(node.this, around, correlated)
            case exp.Union() | exp.Intersect() | exp.Except():
                return self._combined(node, around, correlated)
            case exp.Select():
                return self._select(node, around, correlated)
            case _:
                kind = type(node).__name__.upper()[:SHORT]
                raise self.text.error(node, f"{kind} is no query; a segment only reads.", _ALONE)

    def _combined(self, node: exp.SetOperation, around: Scope | None, correlated: bool) -> Condition:
        self.text.only(node, {"this", "expression", "distinct"})
        one, other = (self.query(part, around, correlated) for part in (node.this, node.expression))
        match node:
            case exp.Union():
                return any_of((one, other))
            case exp.Except():
                if not node.args.get("distinct"):
                    raise self.text.error(node.expression, "EXCEPT ALL counts rows.", "Write EXCEPT.")
                return all_of((one, none_of(other)))
            case _:
                return all_of((one, other))

    def _select(self, node: exp.Select, around: Scope | None, correlated: bool) -> Condition:
        self.text.only(node, {"expressions", "distinct", "from_", "joins", "where", "group", "having"})
        scope = Scope(self.text, self.vocabulary, self.query, {}, around)
        if scope.depth > MAX_SUBQUERIES:
            raise self.text.error(node, f"subqueries are nested deeper than {MAX_SUBQUERIES}.", "Name one a segment.")
        if node.args.get("from_") is None:
            raise self.text.error(node, "FROM is missing.", _ALONE)
        self._add(node.args["from_"].this, scope)
        tied = [one for join in node.args.get("joins") or [] for one in self._join(join, scope)]
        self._projection(node, scope, correlated)
        conditions = [*tied, *_all(node.args["where"].this if node.args.get("where") else None)]
        told = self._without_ties(conditions, scope, correlated, node)
        return self._people(node, scope, Every(tuple(formula_of(one, scope) for one in told)))

    def _add(self, node: exp.Expr, scope: Scope) -> str:
        """Add a table of FROM or JOIN, and return the name by which the query calls it."""
        if isinstance(node, exp.Subquery):
            raise self.text.error(node, "FROM takes tables only.", "Write user_id IN (SELECT user_id FROM ...).")
        if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier) or len(node.parts) > 1:
            raise self.text.error(node, "FROM takes tables by their plain names.", _ALONE)
        self.text.only(node, {"this", "alias"})
        if node.args.get("alias") is not None:
            self.text.only(node.args["alias"], {"this"})
        try:
            found = table(node.name.lower(), self.vocabulary)
        except Unknown as fault:
            raise self.text.error(node, fault.reason, fault.hint) from fault
        name = node.alias.lower() or found.name
        if name in scope.sources:
            raise self.text.error(
                node, f"{name!r} is there twice.", f"Give it a name of its own: {found.name} AS other."
            )
        scope.sources[name] = found
        return name

    def _join(self, node: exp.Join, scope: Scope) -> list[exp.Expr]:
        """Add a join's table, and return its conditions; all but that on user_id."""
        hint = "Write JOIN table USING (user_id); who is not there is user_id NOT IN (SELECT user_id FROM ...)."
        if node.side or node.args.get("method") or node.kind not in {"", "INNER"}:
            words = " ".join(word for word in (node.args.get("method"), node.side, node.kind) if word)
            raise self.text.error(node, f"{words} JOIN is not available.", hint)
        self.text.only(node, {"this", "on", "using", "kind"})
        name = self._add(node.this, scope)
        using = [one.name.lower() for one in node.args.get("using") or []]
        if using:
            if using != ["user_id"]:
                raise self.text.error(node, "tables are joined by user_id alone.", hint)
            return []
        told = _all(node.args.get("on"))
        tied = [one for one in told if name in (self._tie(one, scope) or ())]
        if told and not tied:
            raise self.text.error(node, "tables are joined by user_id.", hint)
        return told

    def _tie(self, node: exp.Expr, scope: Scope) -> tuple[str, str] | None:
        """Return the tables that `a.user_id = b.user_id` ties, None of another condition."""
        node = node.unnest()
        if not isinstance(node, exp.EQ):
            return None
        left, right = node.this.unnest(), node.expression.unnest()
        if not all(isinstance(one, exp.Column) and one.name.lower() in USER for one in (left, right)):
            return None
        return scope.found(left).source, scope.found(right).source

    def _without_ties(self, told: list[exp.Expr], scope: Scope, correlated: bool, node: exp.Select) -> list[exp.Expr]:
        """Return the conditions other than those that tie tables by user_id, which must tie all of them."""
        ties = [(one, self._tie(one, scope)) for one in told]
        tied = {next(iter(scope.sources))}
        pairs = [set(pair) for _, pair in ties if pair is not None]
        for join in node.args.get("joins") or []:
            if join.args.get("using"):
                tied.add(join.this.alias.lower() or join.this.name.lower())
        for _ in scope.sources:
            tied |= {name for pair in pairs if pair & tied for name in pair}
        loose = [name for name in scope.sources if name not in tied]
        first = next(iter(scope.sources))
        if loose:
            hint = f"Write JOIN {loose[0]} USING (user_id)."
            raise self.text.error(node.args["joins"][0], f"{loose[0]} is not joined by user_id.", hint)
        if correlated and not tied - set(scope.sources):
            outer = next(reversed(scope.around.sources)) if scope.around is not None else "outer"
            hint = f"Write {first}.user_id = {outer}.user_id inside, or user_id IN (SELECT user_id ...)."
            raise self.text.error(node, "EXISTS is not tied to the person.", hint)
        return [one for one, pair in ties if pair is None]

    def _projection(self, node: exp.Select, scope: Scope, correlated: bool) -> None:
        distinct = node.args.get("distinct")
        if distinct is not None:
            self.text.only(distinct, set())
        if correlated:
            for one in node.expressions:
                if not isinstance(one, exp.Literal | exp.Star | exp.Column | exp.Null | exp.Boolean):
                    raise self.text.error(one, "EXISTS needs no values.", "Write SELECT 1.")
            return
        told = [one.this if isinstance(one, exp.Alias) else one for one in node.expressions]
        if len(told) != 1 or not isinstance(told[0], exp.Column) or told[0].is_star or scope.found(told[0]).outer:
            raise self.text.error(told[0] if told else node, "a segment selects user_id alone.", _ALONE)
        if scope.found(told[0]).column.role != "user":
            raise self.text.error(told[0], "a segment selects user_id alone.", _ALONE)

    def _people(self, node: exp.Select, scope: Scope, told: Formula) -> Condition:
        of_person = [one for one in parts(told) if next(facts(one), None) is None]
        of_rows = [one for one in parts(told) if next(facts(one), None) is not None]
        known = [one for one in map(about_person, of_person) if one is not None]
        group, having = node.args.get("group"), node.args.get("having")
        if group is not None:
            self._check_group(group, scope)
        if having is not None:
            if group is None:
                raise self.text.error(having, "HAVING needs GROUP BY user_id.", "Write GROUP BY user_id before it.")
            return all_of((self._grouped(node, scope, of_rows).condition(having.this), *known))
        found = [*self._rows(node, scope, of_rows), *known]
        if not found:
            raise self.text.error(node, "this is everybody.", "Write a condition.")
        return all_of(found)

    def _check_group(self, node: exp.Group, scope: Scope) -> None:
        self.text.only(node, {"expressions"})
        for one in node.expressions or [node]:
            if not isinstance(one, exp.Column) or scope.found(one).column.role != "user":
                raise self.text.error(one, "groups are people.", "Write GROUP BY user_id.")

    def _rows(self, node: exp.Select, scope: Scope, told: list[Formula]) -> list[Condition]:
        """Return conditions that there are such rows; tables that no condition brings together are looked at apart."""
        found = []
        for names, those in _apart(told, [name for name, one in scope.sources.items() if one.kind != "profiles"]):
            start = {name: any_row(scope.sources[name]) for name in names}
            chosen = alternatives(Every(tuple(those)), start, self.text)
            self._check_edges(chosen)
            found.append(any_of(self._alternative(one, scope, node) for one in chosen))
        return found

    def _alternative(self, chosen: Alternative, scope: Scope, node: exp.Select) -> Condition:
        told = [row_condition(row, scope.sources[name], self.text, node) for name, row in chosen.rows.items()]
        return all_of((*told, *chosen.conditions))

    def _check_edges(self, chosen: list[Alternative]) -> None:
        """Refuse a last time beside an OR of rows: it would not be clear the last of which."""
        seen: dict[int, Row] = {}
        for row in (row for one in chosen for row in one.rows.values()):
            for edge in row.edges:
                known = seen.setdefault(id(edge), row)
                if (known.events, known.values) != (row.events, row.values):
                    hint = "Write it in each alternative, or IN in place of OR."
                    raise self.text.error(edge, "beside OR it is not clear which rows' last or first is meant.", hint)

    def _grouped(self, node: exp.Select, scope: Scope, told: list[Formula]) -> Group:
        sources = [name for name, one in scope.sources.items() if one.kind == "events"]
        if len(sources) != 1:
            hint = "Group one table; ask for the other by user_id IN (SELECT user_id FROM ...)."
            raise self.text.error(node.args["group"], "GROUP BY takes rows of one table of events.", hint)
        source = sources[0]
        if any(fact.source != source for one in told for fact in facts(one)):
            raise self.text.error(node.args["group"], "GROUP BY takes rows of one table of events.")
        chosen = alternatives(Every(tuple(told)), {source: any_row(scope.sources[source])}, self.text)
        row = chosen[0].rows[source]
        if len(chosen) > 1 or chosen[0].conditions:
            hint = "Write IN in place of OR, or move what is about the person out of OR."
            raise self.text.error(next(facts(told[0])).node, "rows that are counted have no alternatives.", hint)
        if row.edges:
            raise self.text.error(
                row.edges[0], "rows that are grouped have no last time.", "Write HAVING MAX(occurred_at) < ..."
            )
        row_condition(row, scope.sources[source], self.text, node)
        return Group(source, row, scope)


def _all(node: exp.Expr | None) -> list[exp.Expr]:
    """Return the conditions that must all be true."""
    if node is None:
        return []
    node = node.unnest()
    return [part for one in node.flatten() for part in _all(one)] if isinstance(node, exp.And) else [node]


def _apart(told: list[Formula], names: list[str]) -> list[tuple[list[str], list[Formula]]]:
    """Return the formulas in groups that have no table in common, in the order of the tables."""
    groups: list[tuple[set[str], list[Formula]]] = [({name}, []) for name in names]
    for one in told:
        of = {fact.source for fact in facts(one)}
        joined = [group for group in groups if group[0] & of]
        kept = joined[0]
        for group in joined[1:]:
            kept[0].update(group[0])
            kept[1].extend(group[1])
            groups.remove(group)
        kept[1].append(one)
    return [([name for name in names if name in of], those) for of, those in groups]


def read(text: Text, vocabulary: Vocabulary) -> Condition:
    """Return the condition of a parsed text."""
    return Reader(text, vocabulary).query(text.statement)
