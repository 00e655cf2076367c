"""HAVING: what a person's rows of a table are together. A group exists only of people with rows."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from sqlglot import exp

from mailtailor.segments.definition import (
    MAX_COUNT,
    MAX_WINDOW,
    Average,
    Condition,
    Distinct,
    Not,
    Occurred,
    Sum,
)
from mailtailor.segments.sql.formula import Formula, Row, about_person, all_of, any_of, facts
from mailtailor.segments.sql.ranges import ALL_AGES, BOUNDS, MIRRORED, OPPOSITES, Ages, Impossible, ages, both, numbers
from mailtailor.segments.sql.rows import events_of, first_of, last_of, window_of
from mailtailor.segments.sql.scope import Found, Scope
from mailtailor.segments.sql.times import since_now
from mailtailor.segments.sql.where import OPERATORS, SHORT, formula_of, refused

Measure = Literal["count", "distinct", "sum", "average", "last", "first"]
_MEASURES: Final[dict[type[exp.Expr], Measure]] = {
    exp.Count: "count",
    exp.Sum: "sum",
    exp.Avg: "average",
    exp.Max: "last",
    exp.Min: "first",
}
MAX_TOTAL: Final = 10**15
_NOBODY: Final = "Groups are of people with rows: for those without write user_id NOT IN (SELECT user_id FROM ...)."


@dataclass(frozen=True, slots=True)
class Total:
    """A total compares so: `tests` of a number, or `ages` of a time."""

    measure: Measure
    name: str
    node: exp.Expr
    tests: dict[str, Any] | None = None
    ages: Ages = ALL_AGES

    def narrowed(self, other: Total, scope: Scope) -> Total:
        """Return that both hold of one total."""
        try:
            tests = None if self.tests is None else both(self.tests, other.tests or {})
            return Total(self.measure, self.name, self.node, tests, self.ages.narrowed(other.ages))
        except Impossible as error:
            raise scope.text.error(other.node, "this contradicts the other comparison.", "") from error


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of a person: those of one table that WHERE lets pass."""

    source: str
    row: Row
    scope: Scope

    def condition(self, node: exp.Expr) -> Condition:
        """Return that the group exists and HAVING is true of it."""
        told = self._all([node])
        return told if self._of_rows(node) else all_of((self._exists(), told))

    def _exists(self) -> Condition:
        return Occurred(**self._events(), **window_of(self._ages()))

    def _ages(self) -> Ages:
        return self.row.row or ALL_AGES

    def _events(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - tests
        row = self.row
        if more:
            row = Row(row.events, {**row.values, **more})
        return events_of(row, self.scope.sources[self.source])

    def _of_rows(self, node: exp.Expr) -> bool:
        """Return whether a condition is true of people with rows only, as every comparison of a total is."""
        if isinstance(node, exp.Paren | exp.Not):
            return self._of_rows(node.this)
        if isinstance(node, exp.And | exp.Or):
            return all(self._of_rows(part) for part in node.flatten())
        return not isinstance(node, exp.In | exp.Exists) and node.find(exp.AggFunc) is not None

    def _all(self, nodes: list[exp.Expr], *, negated: bool = False) -> Condition:
        totals: dict[tuple[Measure, str], Total] = {}
        others: list[Condition] = []
        for node in nodes:
            for one in self._read(node, negated=negated):
                if isinstance(one, Total):
                    known = totals.get((one.measure, one.name))
                    totals[one.measure, one.name] = one if known is None else known.narrowed(one, self.scope)
                else:
                    others.append(one)
        return all_of((*(all_of(self._conditions(total)) for total in totals.values()), *others))

    def _read(self, node: exp.Expr, *, negated: bool) -> Iterator[Total | Condition]:
        """Yield what must all be true; of totals, not yet as conditions, for several may be about one."""
        match node:
            case exp.Paren():
                yield from self._read(node.this, negated=negated)
            case exp.Not():
                yield from self._read(node.this, negated=not negated)
            case exp.And() | exp.Or():
                told = list(node.flatten())
                if isinstance(node, exp.And) != negated:
                    for part in told:
                        yield from self._read(part, negated=negated)
                else:
                    yield any_of(self._all([part], negated=negated) for part in told)
            case exp.Between() if _total(node.this):
                yield from self._between(node, negated=negated)
            case exp.EQ() | exp.NEQ() | exp.LT() | exp.LTE() | exp.GT() | exp.GTE() if node.find(exp.AggFunc):
                yield from self._comparison(node, negated=negated)
            case _:
                yield from self._person(node, negated=negated)

    def _person(self, node: exp.Expr, *, negated: bool) -> Iterator[Condition]:
        if node.find(exp.AggFunc) is not None and not node.find(exp.Select):
            raise refused(node, self.scope)
        told: Formula = formula_of(node, self.scope, negated=negated)
        fact = next(facts(told), None)
        if fact is not None:
            raise self.scope.text.error(fact.node, "HAVING is of totals.", "Move this condition to WHERE.")
        found = about_person(told)
        if found is not None:
            yield found

    def _between(self, node: exp.Between, *, negated: bool) -> Iterator[Total | Condition]:
        self.scope.text.only(node, {"this", "low", "high", "negate"})
        negated ^= bool(node.args.get("negate"))
        ends = ((">=", node.args["low"]), ("<=", node.args["high"]))
        told = [self._compared(node.this, OPPOSITES[op] if negated else op, end, node) for op, end in ends]
        if negated:
            yield any_of(all_of(self._conditions(one)) for one in told)
        else:
            yield from told

    def _comparison(self, node: exp.Expr, *, negated: bool) -> Iterator[Total | Condition]:
        compares = OPERATORS[type(node)]
        left, right = node.this.unnest(), node.expression.unnest()
        if not _total(left):
            left, right, compares = right, left, MIRRORED[compares]
        compares = OPPOSITES[compares] if negated else compares
        if compares == "!=":
            around = [self._compared(left, one, right, node) for one in ("<", ">")]
            yield any_of(one for total in around for one in self._possible(total))
        else:
            yield self._compared(left, compares, right, node)

    def _possible(self, total: Total) -> Iterator[Condition]:
        """Yield a total's condition, nothing if none can pass: `COUNT(*) <> 1` leaves only more."""
        least, most = (total.tests or {}).get("at_least"), (total.tests or {}).get("at_most")
        if total.measure != "count" or total.name or most is None or most >= max(least or 0, 1):
            yield all_of(self._conditions(total))

    def _compared(self, left: exp.Expr, compares: str, right: exp.Expr, node: exp.Expr) -> Total:
        text = self.scope.text
        if not _total(left):
            hint = "Compare one total with a value: HAVING SUM(total) >= 100."
            raise text.error(node, "a total stands alone in a comparison.", hint)
        measure, column = self._measured(left)
        name = "" if column is None else column.column.name
        if measure in {"last", "first"}:
            before = since_now(right, text)
            if before is None or compares in {"==", "!="}:
                hint = f"Write HAVING {left.sql()[:SHORT]} < NOW() - INTERVAL '2 days'."
                raise text.error(right, "MIN and MAX are of times, and compared with NOW() less an interval.", hint)
            return Total(measure, name, node, None, self._aged(compares, before, right))
        value = self._number(right)
        if measure not in {"count", "distinct"}:
            tests = {"at_least": value, "at_most": value} if compares == "==" else {BOUNDS[compares]: value}
            return Total(measure, name, node, tests)
        try:
            least, most = numbers(compares, value)
        except Impossible as error:
            raise text.error(node, "no number of rows is so.", _NOBODY) from error
        return Total(measure, name, node, {"at_least": least} | ({} if most is None else {"at_most": most}))

    def _aged(self, compares: str, before: int, node: exp.Expr) -> Ages:
        try:
            of = ages(compares, before)
        except Impossible as error:
            raise self.scope.text.error(node, "nothing happens in the future.", "") from error
        if of.least >= MAX_WINDOW or (of.end or 0) > MAX_WINDOW:
            raise self.scope.text.error(node, "profiles remember 400 days.", "Write a shorter interval.")
        return of

    def _number(self, node: exp.Expr) -> Decimal:
        node = node.unnest()
        sign = -1 if isinstance(node, exp.Neg) else 1
        node = node.this if isinstance(node, exp.Neg) else node
        if not isinstance(node, exp.Literal) or node.is_string or len(node.name) > 20:
            hint = "Write HAVING COUNT(*) >= 3. Shares are written in YAML, with opened_share."
            raise self.scope.text.error(node, "a total is compared with a number.", hint)
        number = sign * Decimal(node.name)
        if abs(number) >= MAX_TOTAL:
            raise self.scope.text.error(node, "the number is too large.", "Write a smaller one.")
        return number

    def _measured(self, node: exp.Expr) -> tuple[Measure, Found | None]:
        """Return what is measured, and of which column; None for rows themselves."""
        text = self.scope.text
        text.only(node, {"this", "big_int", "distinct"})
        of, measure = node.this, _MEASURES[type(node)]
        if isinstance(of, exp.Distinct):
            if measure != "count" or len(of.expressions) != 1:
                raise text.error(node, "DISTINCT is for COUNT of one column.", "Write COUNT(DISTINCT product_id).")
            of, measure = of.expressions[0], "distinct"
        if measure == "count" and isinstance(of, exp.Star | exp.Literal):
            return measure, None
        if not isinstance(of, exp.Column):
            raise text.error(node, "a total is of one column.", "Write SUM(total) or COUNT(*).")
        found = self.scope.found(of)
        if found.source != self.source and found.column.role != "user":
            raise text.error(of, f"{of.sql()[:SHORT]} is not of the rows that are grouped.")
        if measure == "count" and found.column.role != "value":
            return measure, None
        self._fits(of, measure, found)
        return measure, found

    def _fits(self, node: exp.Expr, measure: Measure, found: Found) -> None:
        role, kind = found.column.role, found.column.type
        if measure in {"last", "first"}:
            fits = role == "row"
        elif measure in {"sum", "average"}:
            fits = role == "value" and kind in {"number", "any"}
        else:
            fits = role == "value" and kind != "list"
        if not fits:
            hint = "SUM and AVG take numbers, MIN and MAX times such as occurred_at, COUNT values."
            raise self.scope.text.error(node, f"{found.column.name} has no such total.", hint)

    def _conditions(self, total: Total) -> Iterator[Condition]:
        tests = total.tests or {}
        match total.measure:
            case "count":
                yield from self._count(total, tests)
            case "distinct":
                if not tests.get("at_least"):
                    yield self._exists()
                    tests = {key: value for key, value in tests.items() if key != "at_least"}
                if tests:
                    yield Distinct(**self._events(), **window_of(self._ages()), distinct=total.name, **tests)
            case "sum":
                if not _beyond_zero(tests):
                    yield Occurred(**self._events(**self._there(total.name)), **window_of(self._ages()))
                yield Sum(**self._events(), **window_of(self._ages()), sum=total.name, **tests)
            case "average":
                yield Average(**self._events(), **window_of(self._ages()), average=total.name, **tests)
            case _:
                yield from self._edge(total)

    def _there(self, name: str) -> dict[str, Any]:
        """Return the test that a value is there, beside what is asked of it anyway."""
        return {name: both(self.row.values.get(name, {}), {"exists": True})}

    def _count(self, total: Total, tests: dict[str, Any]) -> Iterator[Condition]:
        least, most = tests["at_least"], tests.get("at_most")
        if max(least, most or 0) > MAX_COUNT:
            hint = f"Write at most {MAX_COUNT}."
            raise self.scope.text.error(total.node, f"more than {MAX_COUNT} are not counted.", hint)
        told = {**self._events(**(self._there(total.name) if total.name else {})), **window_of(self._ages())}
        if total.name and not least:
            # The group exists by rows without that value, too.
            yield self._exists()
            if most is not None:
                yield Occurred(**told, at_most=most)
            return
        least = max(least, 1)
        if most is not None and most < least:
            raise self.scope.text.error(total.node, "no number of rows is so.", _NOBODY)
        if most == least:
            yield Occurred(**told, exactly=least)
        else:
            ends = ({"at_least": least} if least > 1 or most is not None else {}) | (
                {} if most is None else {"at_most": most}
            )
            yield Occurred(**told, **ends)

    def _edge(self, total: Total) -> Iterator[Condition]:
        """Yield that the last (MAX) or the first (MIN) of the rows in WHERE's window is of some ages."""
        told, of, asked = self._events(), self._ages(), total.ages
        if of == ALL_AGES:
            yield from last_of(told, asked) if total.measure == "last" else first_of(told, asked)
            return
        try:
            yield Occurred(**told, **window_of(of.narrowed(asked)))
        except Impossible as error:
            raise self.scope.text.error(total.node, "no row is both in this and in WHERE's window.") from error
        outside = Ages(of.least, asked.least) if total.measure == "last" else Ages(asked.end or MAX_WINDOW, of.end)
        if outside.least < (MAX_WINDOW if outside.end is None else outside.end):
            yield Not(not_=Occurred(**told, **window_of(outside)))


def _total(node: exp.Expr) -> bool:
    return type(node) in _MEASURES


def _beyond_zero(tests: dict[str, Any]) -> bool:
    """Return whether a sum of nothing, which is 0 here and NULL in SQL, fails these tests anyway."""
    passes = {"at_least": operator.ge, "above": operator.gt, "at_most": operator.le, "below": operator.lt}
    return not all(passes[key](0, value) for key, value in tests.items())
