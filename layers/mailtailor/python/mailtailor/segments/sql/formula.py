"""Conditions of a query before they are a tree: those about one row of a table apart from those about the person.

`WHERE category = 'X' AND price > 5` asks for one row with both, `user_id IN (...)` beside it for something of the
person. Each alternative of rows becomes one condition on events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Final, Literal

from mailtailor.segments.definition import All, AnyOf, Condition, Not
from mailtailor.segments.sql.ranges import ALL_AGES, Ages, Apart, Impossible, Tests, both, either
from mailtailor.segments.sql.text import Text

if TYPE_CHECKING:
    from sqlglot import exp

MAX_ALTERNATIVES: Final = 64
"""Of rows, after OR is distributed over AND."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is about the person, whatever the row."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Value:
    """A row's column passes a test."""

    source: str
    name: str
    tests: Tests
    node: exp.Expr


@dataclass(frozen=True, slots=True)
class Kinds:
    """A row is one of these events, or none of them."""

    source: str
    events: frozenset[str]
    excluded: bool
    node: exp.Expr


@dataclass(frozen=True, slots=True)
class Moment:
    """The row, or the person's last or first such row, is of these ages."""

    source: str
    which: Literal["row", "last", "first"]
    ages: Ages
    node: exp.Expr


@dataclass(frozen=True, slots=True)
class Every:
    """All of them."""

    parts: tuple[Formula, ...] = ()


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of them."""

    parts: tuple[Formula, ...]


OfRow = Value | Kinds | Moment
Formula = Known | OfRow | Every | Either


@dataclass(frozen=True, slots=True)
class Row:
    """All that one row of a table must be."""

    events: frozenset[str] | None = None
    values: dict[str, Tests] = field(default_factory=dict)
    row: Ages | None = None
    last: Ages | None = None
    first: Ages | None = None
    edges: tuple[exp.Expr, ...] = ()
    """Where the query speaks of the last or the first one."""

    def narrowed(self, fact: OfRow) -> Row:
        """Return what a row must be that also is as `fact` says.

        Raises
        ------
        Impossible
            If no row is.
        Apart
            If one condition cannot say so.
        """
        match fact:
            case Value():
                known = self.values.get(fact.name)
                tests = fact.tests if known is None else both(known, fact.tests)
                return replace(self, values={**self.values, fact.name: tests})
            case Kinds():
                return replace(self, events=self._kinds(fact))
            case Moment():
                known_ages: Ages | None = getattr(self, fact.which)
                ages = (known_ages or ALL_AGES).narrowed(fact.ages)
                edges = self.edges if fact.which == "row" else (*self.edges, fact.node)
                match fact.which:
                    case "row":
                        return replace(self, row=ages)
                    case "last":
                        return replace(self, last=ages, edges=edges)
                    case "first":
                        return replace(self, first=ages, edges=edges)

    def _kinds(self, fact: Kinds) -> frozenset[str]:
        if fact.excluded and self.events is None:
            raise Apart
        events = self.events if self.events is not None else fact.events
        left = events - fact.events if fact.excluded else events & fact.events
        if not left:
            raise Impossible
        return left


@dataclass(frozen=True, slots=True)
class Alternative:
    """Rows, by their tables, and what else must be true of the person."""

    rows: dict[str, Row]
    conditions: tuple[Condition, ...] = ()


def facts(formula: Formula) -> Iterator[OfRow]:
    """Yield all that is about rows."""
    match formula:
        case Every() | Either():
            for part in formula.parts:
                yield from facts(part)
        case Value() | Kinds() | Moment():
            yield formula


def parts(formula: Formula) -> list[Formula]:
    """Return what must all be true."""
    return [one for part in formula.parts for one in parts(part)] if isinstance(formula, Every) else [formula]


def one_of(formulas: Iterable[Formula]) -> Formula:
    """Return that one of them is true; equalities of one column become a list, which keeps it one condition."""
    kept: list[Formula] = []
    for formula in formulas:
        for one in formula.parts if isinstance(formula, Either) else (formula,):
            _add(kept, one)
    return kept[0] if len(kept) == 1 else Either(tuple(kept))


def _add(kept: list[Formula], one: Formula) -> None:
    for index, known in enumerate(kept):
        match known, one:
            case Value(), Value() if (known.source, known.name) == (one.source, one.name):
                tests = either(known.tests, one.tests)
                if tests is not None:
                    kept[index] = replace(known, tests=tests)
                    return
            case Kinds(excluded=False), Kinds(excluded=False) if known.source == one.source:
                kept[index] = replace(known, events=known.events | one.events)
                return
    kept.append(one)


def about_person(formula: Formula) -> Condition | None:
    """Return a formula that speaks of no row as a condition; None of one that is always true."""
    match formula:
        case Known():
            return formula.condition
        case Every():
            found = [one for one in map(about_person, formula.parts) if one is not None]
            return all_of(found) if found else None
        case Either():
            told = [about_person(part) for part in formula.parts]
            return None if None in told else any_of(one for one in told if one is not None)
        case _:
            raise TypeError(formula)


def alternatives(formula: Formula, start: dict[str, Row], text: Text) -> list[Alternative]:
    """Return the rows that a formula accepts, OR distributed over AND; those that no row can be are left out.

    Raises
    ------
    SqlError
        If there are too many, or none.
    """
    found: list[Alternative] = []
    fault: OfRow | None = None
    for chosen in _distributed(formula, text):
        made = _alternative(chosen, start, text)
        if isinstance(made, Alternative):
            found.append(made)
        else:
            fault = made
    if not found and fault is not None:
        raise text.error(fault.node, "no row can pass this and the other conditions.", "Look for a contradiction.")
    return found


def _distributed(formula: Formula, text: Text) -> list[tuple[Formula, ...]]:
    match formula:
        case Every():
            each = [_distributed(part, text) for part in formula.parts]
            total = 1
            for one in each:
                total *= len(one)
            if total > MAX_ALTERNATIVES:
                raise _too_many(formula, text)
            return [tuple(one for group in chosen for one in group) for chosen in product(*each)]
        case Either():
            if next(facts(formula), None) is None:
                return [(formula,)]
            told = [one for part in formula.parts for one in _distributed(part, text)]
            if len(told) > MAX_ALTERNATIVES:
                raise _too_many(formula, text)
            return told
        case _:
            return [(formula,)]


def _too_many(formula: Formula, text: Text) -> Exception:
    place = next(facts(formula)).node
    hint = "Write lists with IN, or divide the query with UNION."
    return text.error(place, f"OR and AND make more than {MAX_ALTERNATIVES} alternatives.", hint)


def _alternative(chosen: Sequence[Formula], start: dict[str, Row], text: Text) -> Alternative | OfRow:
    rows, conditions = dict(start), []
    for one in chosen:
        match one:
            case Value() | Kinds() | Moment():
                try:
                    rows[one.source] = rows[one.source].narrowed(one)
                except Impossible:
                    return one
                except Apart as error:
                    raise _apart(one, text) from error
            case _:
                condition = about_person(one)
                conditions += [] if condition is None else [condition]
    return Alternative(rows, tuple(conditions))


def _apart(fact: OfRow, text: Text) -> Exception:
    if isinstance(fact, Kinds):
        return text.error(fact.node, "it must say which events it wants.", "Write event = 'product_viewed' beside it.")
    reason = "one row's column takes one LIKE of each kind, and ignores case in all its comparisons or in none."
    return text.error(fact.node, reason, "Ask the other thing of user_id IN (SELECT user_id FROM ...).")


def all_of(conditions: Iterable[Condition]) -> Condition:
    """Return that all hold, each said once."""
    found = _flat(conditions, lambda one: one.all if isinstance(one, All) else None)
    return found[0] if len(found) == 1 else All(all=tuple(found))


def any_of(conditions: Iterable[Condition]) -> Condition:
    """Return that at least one holds, each said once."""
    found = _flat(conditions, lambda one: one.any if isinstance(one, AnyOf) else None)
    return found[0] if len(found) == 1 else AnyOf(any=tuple(found))


def _flat(
    conditions: Iterable[Condition], inner: Callable[[Condition], tuple[Condition, ...] | None]
) -> list[Condition]:
    found: list[Condition] = []
    for condition in conditions:
        for one in inner(condition) or (condition,):
            if one not in found:
                found.append(one)
    return found


def none_of(condition: Condition) -> Condition:
    """Return that a condition does not hold."""
    return condition.not_ if isinstance(condition, Not) else Not(not_=condition)
