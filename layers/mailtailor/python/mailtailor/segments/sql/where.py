"""WHERE: expressions become formulas, NOT moved inwards to the comparisons.

A comparison with a missing value is neither true nor false in SQL, and NOT leaves it so. Moved inwards, NOT turns
`=` into `<>`, which a missing value does not pass either, so that truth needs no third value here.
"""

from __future__ import annotations

import math
from typing import Any, Final, Protocol

from pydantic import ValidationError
from sqlglot import exp

from mailtailor.segments.definition import MAX_WINDOW, AttributeIs, InSegment, Test
from mailtailor.segments.sql.formula import (
    Every,
    Formula,
    Kinds,
    Known,
    Moment,
    Value,
    facts,
    none_of,
    one_of,
)
from mailtailor.segments.sql.ranges import BOUNDS, MIRRORED, OPPOSITES, Impossible, ages, as_filter
from mailtailor.segments.sql.scope import Found, Scope
from mailtailor.segments.sql.times import since_now
from mailtailor.segments.vocabulary import mismatch, suggested

OPERATORS: Final[dict[type[exp.Expr], str]] = {
    exp.EQ: "==",
    exp.NEQ: "!=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
SHORT: Final = 40
MAX_VALUES: Final = 1_000
_EXPLICIT: Final = "Write user_id IN (SELECT user_id FROM ...) for each."
_HINTS: Final[dict[type[exp.Expr], tuple[str, str]]] = {
    exp.RegexpLike: ("regular expressions are not available.", "Use LIKE 'start%', '%part%' or '%end'."),
    exp.RegexpILike: ("regular expressions are not available.", "Use ILIKE 'start%', '%part%' or '%end'."),
    exp.SimilarTo: ("SIMILAR TO is not available.", "Use LIKE 'start%', '%part%' or '%end'."),
    exp.NullSafeEQ: ("IS NOT DISTINCT FROM is not available.", "Write = 'value', or IS NULL."),
    exp.NullSafeNEQ: ("IS DISTINCT FROM is not available.", "Write (column <> 'value' OR column IS NULL)."),
    exp.Case: ("CASE is not available.", "Write the alternatives with AND and OR."),
    exp.Boolean: ("a condition of a column is needed.", "Leave TRUE and FALSE out."),
    exp.Window: ("window functions are not available.", "Count with GROUP BY user_id HAVING COUNT(*) >= 3."),
    exp.AggFunc: ("totals are for HAVING.", "Write GROUP BY user_id HAVING COUNT(*) >= 3."),
    exp.Query: ("a subquery must be asked whether the person is in it.", "Write user_id IN (SELECT user_id ...)."),
    exp.Any: ("ANY is not available.", "Write user_id IN (SELECT user_id FROM ...)."),
    exp.All: ("ALL is not available.", "Write user_id NOT IN (SELECT user_id FROM ...)."),
    exp.Lower: ("LOWER is not available.", "Compare without case by ILIKE 'value'."),
    exp.Upper: ("UPPER is not available.", "Compare without case by ILIKE 'value'."),
    exp.Binary: (
        "a column stands alone in a comparison.",
        "Move the arithmetic to the other side: occurred_at > NOW() - INTERVAL '2 days'.",
    ),
    exp.Placeholder: ("a query has no parameters.", "Write the value itself."),
    exp.Parameter: ("a query has no parameters.", "Write the value itself."),
    exp.Cast: ("types are known and need no cast.", "Leave the cast out."),
    exp.JSONExtract: ("properties are columns.", "Write the property's name."),
    exp.JSONExtractScalar: ("properties are columns.", "Write the property's name."),
}


def formula_of(node: exp.Expr, scope: Scope, *, negated: bool = False) -> Formula:
    """Return a condition as a formula; `negated`, that it is false.

    Raises
    ------
    SqlError
        If it is not of the subset.
    """
    match node:
        case exp.Paren():
            return formula_of(node.this, scope, negated=negated)
        case exp.Not():
            return formula_of(node.this, scope, negated=not negated)
        case exp.Exists():
            return _person(node, node.this, scope, negated=negated, correlated=True)
        case _:
            read = _READERS.get(type(node))
            if read is None:
                raise refused(node, scope)
            return read(node, scope, negated=negated)


def refused(node: exp.Expr, scope: Scope) -> Exception:
    """Return the error of an expression that is not of the subset."""
    for kind, (reason, hint) in _HINTS.items():
        if isinstance(node, kind):
            return scope.text.error(node, reason, hint)
    if isinstance(node, exp.Func):
        name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
        return scope.text.error(
            node, f"the function {name.upper()[:SHORT]} is not available.", "Compare plain columns."
        )
    return scope.text.error(node, "this is not available.", "Compare columns with values, joined by AND, OR and NOT.")


def _joined(node: exp.And | exp.Or, scope: Scope, *, negated: bool) -> Formula:
    told = [formula_of(part, scope, negated=negated) for part in node.flatten()]
    if negated:
        for fact in (fact for one in told for fact in facts(one)):
            if isinstance(fact, Moment) and fact.which != "row":
                hint = "Write the opposite comparison, such as >= in place of <, and leave NOT out."
                raise scope.text.error(
                    fact.node, "NOT of a last or first time beside other conditions is unclear.", hint
                )
    return Every(tuple(told)) if isinstance(node, exp.And) != negated else one_of(told)


def _person(node: exp.Expr, query: exp.Expr, scope: Scope, *, negated: bool, correlated: bool) -> Formula:
    scope.text.only(node, {"this", "query"})
    condition = scope.subquery(query, scope, correlated)
    return Known(none_of(condition) if negated else condition)


def _in(node: exp.In, scope: Scope, *, negated: bool) -> Formula:
    scope.text.only(node, {"this", "query", "expressions"})
    found = _column(node.this, scope)
    query = node.args.get("query")
    if query is not None:
        if found.column.role != "user":
            raise scope.text.error(node, "IN (SELECT ...) is for user_id.", "List the values: IN ('a', 'b').")
        return _person(node, query, scope, negated=negated, correlated=False)
    if len(node.expressions) > MAX_VALUES:
        raise scope.text.error(node, f"IN takes at most {MAX_VALUES} values.", "Divide the list by UNION.")
    values = [_constant(one, scope) for one in node.expressions]
    operator = "!=" if negated else "=="
    if found.column.role == "event":
        return _kinds(node, found, values, scope, excluded=negated)
    if found.column.role != "value":
        raise _unfit(node, found, scope)
    return _value(node, found, {"not_in" if operator == "!=" else "in": tuple(dict.fromkeys(values))}, scope)


def _between(node: exp.Between, scope: Scope, *, negated: bool) -> Formula:
    scope.text.only(node, {"this", "low", "high", "negate"})
    negated ^= bool(node.args.get("negate"))
    ends = ((">=", node.args["low"]), ("<=", node.args["high"]))
    told = [_compared(node.this, operator, end, node, scope, negated=negated) for operator, end in ends]
    return one_of(told) if negated else Every(tuple(told))


def _is(node: exp.Is, scope: Scope, *, negated: bool) -> Formula:
    scope.text.only(node, {"this", "expression", "negate"})
    if not isinstance(node.expression, exp.Null):
        raise scope.text.error(node, "IS is for NULL.", "Write = TRUE or = FALSE.")
    negated ^= bool(node.args.get("negate"))
    found = _column(node.this, scope)
    if found.column.role == "value":
        return _value(node, found, {"exists": negated}, scope)
    if negated:
        return Every()
    hint = "For people without such rows write user_id NOT IN (SELECT user_id FROM ...)."
    raise scope.text.error(node, f"{found.column.name} is in every row.", hint)


def _like(node: exp.Like | exp.ILike | exp.Escape, scope: Scope, *, negated: bool) -> Formula:
    escape = None
    if isinstance(node, exp.Escape):
        escape, node = node.expression.name, node.this
        if len(escape) != 1:
            raise scope.text.error(node, "ESCAPE takes one character.", "Write ESCAPE '!'.")
    if not isinstance(node, exp.Like | exp.ILike):
        raise refused(node, scope)
    scope.text.only(node, {"this", "expression", "negate"})
    negated ^= bool(node.args.get("negate"))
    found = _column(node.this, scope)
    if found.column.role != "value" or found.column.type not in {"text", "time", "any"}:
        raise scope.text.error(node, f"LIKE is for text, which {found.column.name} is not.")
    pattern = node.expression
    if not isinstance(pattern, exp.Literal) or not pattern.is_string:
        raise scope.text.error(pattern, "LIKE needs a text.", "Write LIKE '%part%'.")
    tests = _pattern(pattern, escape or "\\", scope)
    if isinstance(node, exp.ILike) and "exists" not in tests:
        tests["ignore_case"] = True
    return _unlike(node, found, tests, scope) if negated else _value(node, found, tests, scope)


def _unlike(node: exp.Expr, found: Found, tests: dict[str, Any], scope: Scope) -> Formula:
    """Return that a text is there and not like a pattern."""
    if "in" in tests:
        return _value(node, found, {"not_in": tests.pop("in"), **tests}, scope)
    if "exists" in tests:
        return _value(node, found, {"exists": False}, scope)
    if scope.sources[found.source].kind == "profiles":
        like = AttributeIs(attribute=found.column.name, is_=as_filter(tests))
        return Every((_value(node, found, {"exists": True}, scope), Known(none_of(like))))
    hint = "Write user_id NOT IN (SELECT user_id FROM ... WHERE ... LIKE ...), which leaves out who has any such row."
    raise scope.text.error(node, "a row cannot be asked for what it is not LIKE.", hint)


def _pattern(node: exp.Literal, escape: str, scope: Scope) -> dict[str, Any]:
    """Return the test of a pattern: text with % at one end, at both or at none."""
    hint = "Use 'start%', '%part%', '%end' or the whole text."
    characters: list[str] = []
    wild: list[int] = []
    rest = iter(node.name)
    for one in rest:
        if one == escape:
            escaped = next(rest, None)
            if escaped is None:
                raise scope.text.error(node, "the pattern ends where it escapes a character.", hint)
            characters.append(escaped)
        elif one == "%":
            wild.append(len(characters))
        elif one == "_":
            raise scope.text.error(node, "_ in LIKE is not available.", hint)
        else:
            characters.append(one)
    text, ends = "".join(characters), {0, len(characters)}
    if not set(wild) <= ends:
        raise scope.text.error(node, "% in the middle of LIKE is not available.", hint)
    if not text:
        return {"exists": True} if wild else {"in": ("",)}
    kind = {(True, True): "contains", (False, True): "prefix", (True, False): "suffix"}.get(
        (0 in wild, len(characters) in wild)
    )
    return {kind: text} if kind else {"in": (text,)}


def _truth(node: exp.Column, scope: Scope, *, negated: bool) -> Formula:
    found = scope.found(node)
    if found.column.role != "value" or found.column.type != "boolean":
        raise scope.text.error(node, f"{found.column.name} is not true or false.", "Compare it with a value.")
    return _value(node, found, {"in": (not negated,)}, scope)


def _comparison(node: exp.Expr, scope: Scope, *, negated: bool) -> Formula:
    scope.text.only(node, {"this", "expression"})
    operator = OPERATORS[type(node)]
    left, right = node.this.unnest(), node.expression.unnest()
    if isinstance(right, exp.Column) and not isinstance(left, exp.Column):
        left, right, operator = right, left, MIRRORED[operator]
    return _compared(left, operator, right, node, scope, negated=negated)


def _compared(
    left: exp.Expr, operator: str, right: exp.Expr, node: exp.Expr, scope: Scope, *, negated: bool
) -> Formula:
    found = _column(left, scope)
    if isinstance(right.unnest(), exp.Column):
        raise _of_two_columns(right.unnest(), node, scope)
    operator = OPPOSITES[operator] if negated else operator
    match found.column.role:
        case "user":
            raise scope.text.error(node, "people are not named in a segment.", _EXPLICIT)
        case "event":
            if operator not in {"==", "!="}:
                raise _unfit(node, found, scope)
            return _kinds(node, found, [_constant(right, scope)], scope, excluded=operator == "!=")
        case "value":
            value = _constant(right, scope)
            tests = {"==": {"in": (value,)}, "!=": {"not_in": (value,)}}.get(operator)
            return _value(node, found, tests or {BOUNDS[operator]: value}, scope)
        case _:
            return _moment(node, found, operator, right, scope)


def _of_two_columns(right: exp.Expr, node: exp.Expr, scope: Scope) -> Exception:
    if isinstance(right, exp.Column) and right.args["this"].args.get("quoted"):
        return scope.text.error(right, f"{right.name!r} in double quotes is a column.", "Texts have single quotes.")
    hint = "What follows what is written in YAML, with followed_by or not_followed_by; people are joined by user_id."
    return scope.text.error(node, "two columns are compared.", hint)


def _column(node: exp.Expr, scope: Scope) -> Found:
    node = node.unnest()
    if not isinstance(node, exp.Column):
        if isinstance(node, exp.Literal | exp.Neg | exp.Null | exp.Boolean):
            raise scope.text.error(node, "a comparison needs a column.", "Write column = value.")
        raise refused(node, scope)
    found = scope.found(node)
    if found.outer:
        hint = "Only user_id ties a subquery to the query around it."
        raise scope.text.error(node, f"{node.sql()[:SHORT]} is of the query around.", hint)
    return found


def _constant(node: exp.Expr, scope: Scope) -> str | int | float | bool:
    node = node.unnest()
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal) and not node.this.is_string:
        return -_number(node.this, scope)
    if isinstance(node, exp.Literal):
        return node.name if node.is_string else _number(node, scope)
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Null):
        raise scope.text.error(node, "nothing equals NULL.", "Write IS NULL or IS NOT NULL.")
    if isinstance(node, exp.Column):
        raise _of_two_columns(node, node, scope)
    if since_now(node, scope.text) is not None:
        raise scope.text.error(node, "this column is no time of an event.", "Compare occurred_at with NOW().")
    raise refused(node, scope)


def _number(node: exp.Literal, scope: Scope) -> int | float:
    if node.name.isdecimal() and len(node.name) <= 15:
        return int(node.name)
    number = float(node.name)
    if not math.isfinite(number):
        raise scope.text.error(node, "the number is too large.", "Write a smaller one.")
    return number


def _unfit(node: exp.Expr, found: Found, scope: Scope) -> Exception:
    name = found.column.name
    hint = {
        "user": _EXPLICIT,
        "event": "Compare it by =, <> or IN.",
    }.get(found.column.role, f"Write {name} > NOW() - INTERVAL '2 days'.")
    return scope.text.error(node, f"{name} cannot be compared so.", hint)


def _kinds(node: exp.Expr, found: Found, values: list[Any], scope: Scope, *, excluded: bool) -> Formula:
    events = scope.sources[found.source].events
    known = events or scope.vocabulary.events
    for value in values:
        if value not in known:
            reason = f"{found.source} has no event {str(value)[:SHORT]!r}."
            raise scope.text.error(node, reason, suggested(str(value), known) or f"It has {', '.join(events)}.")
    return Kinds(found.source, frozenset(values), excluded, node)


def _value(node: exp.Expr, found: Found, tests: dict[str, Any], scope: Scope) -> Formula:
    if scope.sources[found.source].kind == "segments":
        _check_names(node, tests.get("in", ()), scope)
    try:
        written = Test.model_validate(tests)
    except ValidationError as error:
        raise scope.text.error(node, f"{error.errors()[0]['msg'].removeprefix('Value error, ')}.") from error
    if fault := mismatch(written, found.column.type):
        quoted = "Write numbers without quotes." if found.column.type == "number" else "Write texts in single quotes."
        raise scope.text.error(node, f"{found.column.name}: {fault}.", quoted)
    # Whoever lacks a value does not pass `<>` in SQL.
    tests = tests | ({"exists": True} if "not_in" in tests else {})
    if scope.sources[found.source].kind == "profiles":
        return Known(AttributeIs(attribute=found.column.name, is_=as_filter(tests)))
    return Value(found.source, found.column.name, tests, node)


def _check_names(node: exp.Expr, names: tuple[object, ...], scope: Scope) -> None:
    for name in names:
        try:
            InSegment.model_validate({"segment": name})
        except ValidationError as error:
            raise scope.text.error(node, f"{str(name)[:SHORT]!r} is no name of a segment.") from error


def _moment(node: exp.Expr, found: Found, operator: str, right: exp.Expr, scope: Scope) -> Formula:
    before = since_now(right, scope.text)
    name = found.column.name
    if before is None:
        hint = f"Times are relative to now: write {name} > NOW() - INTERVAL '2 days'."
        raise scope.text.error(right, f"{name} is compared with NOW() less an interval.", hint)
    if operator in {"==", "!="}:
        hint = f"Write {name} > NOW() - INTERVAL '2 days', or BETWEEN."
        raise scope.text.error(node, "nothing happens at one very millisecond.", hint)
    try:
        of = ages(operator, before)
    except Impossible as error:
        raise scope.text.error(
            node, "nothing happens in the future.", "Compare with NOW() less an interval."
        ) from error
    if of.least >= MAX_WINDOW or (of.end or 0) > MAX_WINDOW:
        raise scope.text.error(right, "profiles remember 400 days.", "Write a shorter interval.")
    which = found.column.role
    assert which in {"row", "last", "first"}  # noqa: S101 - the others are taken above
    return Moment(found.source, which, of, node)


class _Reads(Protocol):
    def __call__(self, node: Any, scope: Scope, *, negated: bool) -> Formula: ...  # noqa: ANN401 - its kind of node


_READERS: Final[dict[type[exp.Expr], _Reads]] = {
    exp.And: _joined,
    exp.Or: _joined,
    exp.In: _in,
    exp.Between: _between,
    exp.Is: _is,
    exp.Like: _like,
    exp.ILike: _like,
    exp.Escape: _like,
    exp.Column: _truth,
    **dict.fromkeys(OPERATORS, _comparison),
}
