"""Rows become conditions on events: that there is one, how old it is, and how old the last or the first is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mailtailor.segments.definition import (
    MAX_WINDOW,
    Condition,
    Filter,
    First,
    InSegment,
    LastOlderThan,
    Occurred,
)
from mailtailor.segments.sql.formula import Row, all_of, any_of
from mailtailor.segments.sql.ranges import ALL_AGES, Ages, as_filter
from mailtailor.segments.sql.tables import Table
from mailtailor.segments.sql.text import Place, Text


def any_row(table: Table) -> Row:
    """Return what every row of a table is."""
    return Row(events=frozenset(table.events) or None)


def events_of(row: Row, table: Table) -> dict[str, Any]:
    """Return the events of a row and their filters, as conditions take them."""
    kinds = row.events or frozenset()
    # In the order in which the table has them, for people read it.
    ordered = tuple(one for one in table.events if one in kinds) or tuple(sorted(kinds))
    where: dict[str, Filter] = {name: as_filter(tests) for name, tests in row.values.items()}
    return {"event": ordered} | ({"where": where} if where else {})


def window_of(ages: Ages) -> dict[str, Any]:
    """Return ages as conditions take them."""
    if ages.least:
        return {"between": (ages.least, ages.end or MAX_WINDOW)}
    return {"within": ages.end} if ages.end is not None and ages.end < MAX_WINDOW else {}


def row_condition(row: Row, table: Table, text: Text, place: Place) -> Condition:
    """Return that there is such a row.

    Raises
    ------
    SqlError
        If nothing says which events, or which segments, are meant.
    """
    if table.kind == "segments":
        return _segments(row, text, place)
    if row.events is None:
        hint = "Write event = 'product_viewed', or read a table of its own, such as FROM product_viewed."
        raise text.error(place, "it must say which events it wants.", hint)
    return all_of(_conditions(row, table))


def _conditions(row: Row, table: Table) -> Iterator[Condition]:
    told = events_of(row, table)
    if row.row is not None or (row.last is None and row.first is None):
        yield Occurred(**told, **window_of(row.row or ALL_AGES))
    if row.last is not None:
        yield from last_of(told, row.last)
    if row.first is not None:
        yield from first_of(told, row.first)


def last_of(told: dict[str, Any], ages: Ages) -> Iterator[Condition]:
    """Yield that the last event is of these ages."""
    if ages.end is not None or not ages.least:
        yield Occurred(**told, **window_of(Ages(0, ages.end)))
    if ages.least:
        yield LastOlderThan(**told, older_than=ages.least)


def first_of(told: dict[str, Any], ages: Ages) -> Iterator[Condition]:
    """Yield that the first event is of these ages."""
    if ages.end is not None:
        yield First(**told, first=True, within=ages.end)
    if ages.least:
        yield First(**told, first=True, older_than=ages.least)
    if ages == ALL_AGES:
        yield Occurred(**told)


def _segments(row: Row, text: Text, place: Place) -> Condition:
    tests = row.values.get("segment")
    if tests is None or set(tests) != {"in"}:
        raise text.error(place, "it must say which segments.", "Write WHERE segment = 'recent_purchasers', or IN.")
    return any_of(InSegment(segment=name) for name in tests["in"])
