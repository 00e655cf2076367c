"""Times in queries: NOW() less an interval, in the spellings of several databases."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from sqlglot import exp

from mailtailor.instant import DAY, HOUR, MINUTE, SECOND
from mailtailor.segments.definition import MAX_WINDOW
from mailtailor.segments.sql.text import Text

_UNITS: Final = {
    name: unit
    for unit, names in {
        1: "ms msec millisecond",
        SECOND: "s sec second",
        MINUTE: "m min minute",
        HOUR: "h hr hour",
        DAY: "d day",
        7 * DAY: "w week",
    }.items()
    for name in names.split()
}
_CALENDAR: Final = {"mon": 30, "month": 30, "quarter": 91, "y": 365, "yr": 365, "year": 365}
_NUMBER: Final = re.compile(r"[+-]?\d{1,15}(\.\d{1,6})?")
_PARTS: Final = re.compile(r"\s*([+-]?\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]+)\s*,?")
_NOW: Final = (exp.CurrentTimestamp, exp.Localtimestamp, exp.CurrentDatetime)
_NOW_NAMES: Final = frozenset({"getdate", "sysdate", "sysdatetime", "getutcdate", "now", "statement_timestamp"})
_ADDED: Final = (exp.DateAdd, exp.TimestampAdd, exp.DatetimeAdd)
_SUBTRACTED: Final = (exp.DateSub, exp.TimestampSub, exp.DatetimeSub)


def since_now(node: exp.Expr, text: Text) -> int | None:
    """Return how many milliseconds before now `node` is, None if it is not about now.

    Raises
    ------
    SqlError
        If it is, but not by a fixed length.
    """
    node = node.unnest()
    if isinstance(node, exp.CurrentDate):
        hint = "Days are 24 hours here: write NOW() - INTERVAL '1 day'."
        raise text.error(node, "CURRENT_DATE begins at a midnight of some time zone.", hint)
    if isinstance(node, _NOW) or (isinstance(node, exp.Anonymous) and node.name.lower() in _NOW_NAMES):
        # A precision may stand in it: CURRENT_TIMESTAMP(3).
        if node.expressions or not isinstance(node.this, str | exp.Literal | None):
            raise text.error(node, "NOW() takes nothing.", "Write NOW() - INTERVAL '2 days'.")
        return 0
    if isinstance(node, exp.Add | exp.Sub):
        before = since_now(node.this, text)
        if before is None:
            return None
        length = _interval(node.expression, text)
        return before + length if isinstance(node, exp.Sub) else before - length
    return _by_function(node, text)


def _by_function(node: exp.Expr, text: Text) -> int | None:
    """Return the same of DATE_SUB(NOW(), INTERVAL 2 DAY), DATEADD(day, -2, GETDATE()), DATETIME('now', '-2 days')."""
    if isinstance(node, (*_ADDED, *_SUBTRACTED)):
        before = since_now(node.this, text)
        if before is None:
            return None
        unit = node.args.get("unit")
        length = _interval(node.expression, text) if unit is None else _length(node.expression, unit.name, text)
        return before + length if isinstance(node, _SUBTRACTED) else before - length
    if isinstance(node, exp.Anonymous) and node.name.lower() == "dateadd" and len(node.expressions) == 3:
        unit, number, start = node.expressions
        before = since_now(start, text)
        return None if before is None else before - _length(number, unit.name, text)
    if isinstance(node, exp.Datetime) and node.this.name.lower() == "now":
        text.only(node, {"this", "expression"})
        shift = node.args.get("expression")
        return 0 if shift is None else -_parts(shift, text)
    return None


def _interval(node: exp.Expr, text: Text) -> int:
    node = node.unnest()
    if isinstance(node, exp.Neg):
        return -_interval(node.this, text)
    if isinstance(node, exp.Cast) and node.to.is_type("interval"):
        return _parts(node.this, text)
    if not isinstance(node, exp.Interval) or node.this is None:
        raise text.error(node, "NOW() takes an interval, no other arithmetic.", "Write NOW() - INTERVAL '2 days'.")
    unit = node.args.get("unit")
    return _parts(node.this, text) if unit is None else _length(node.this, unit.name, text)


def _length(number: exp.Expr, unit: str, text: Text) -> int:
    if isinstance(number, exp.Neg):
        return -_length(number.this, unit, text)
    if not isinstance(number, exp.Literal) or not _NUMBER.fullmatch(number.name.strip()):
        raise text.error(number, "an interval needs a number and a unit.", "Write INTERVAL '2 days'.")
    return _times(number.name.strip(), unit, number, text)


def _parts(node: exp.Expr, text: Text) -> int:
    """Return the length of `1 day 2 hours`."""
    written = node.name.strip() if isinstance(node, exp.Literal) and node.is_string else ""
    total, at = 0, 0
    while at < len(written) or not at:
        part = _PARTS.match(written, at)
        if part is None:
            hint = "Write a number and a unit: INTERVAL '2 days'."
            raise text.error(node, f"{(written or node.sql())[:40]!r} is no interval.", hint)
        total, at = total + _times(part[1], part[2], node, text), part.end()
    return total


def _times(number: str, name: str, node: exp.Expr, text: Text) -> int:
    name = name.lower()
    singular = name.removesuffix("s") if len(name) > 2 else name
    if singular in _CALENDAR:
        days = Decimal(number) * _CALENDAR[singular]
        reason = f"a {singular} has no fixed length."
        raise text.error(node, reason, f"Write the days you mean, such as INTERVAL '{days.normalize():f} days'.")
    if singular not in _UNITS:
        hint = "Write milliseconds, seconds, minutes, hours, days or weeks."
        raise text.error(node, f"{name!r} is no unit of time.", hint)
    length = Decimal(number) * _UNITS[singular]
    if length != length.to_integral_value():
        raise text.error(node, "an interval is of whole milliseconds.", "Write it in a smaller unit.")
    if abs(length) > MAX_WINDOW:
        hint = f"Write at most INTERVAL '{MAX_WINDOW // DAY} days'."
        raise text.error(node, f"profiles remember {MAX_WINDOW // DAY} days.", hint)
    return int(length)
