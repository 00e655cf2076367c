"""Reads a population: everybody with what they did, in order of receipt."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from mailtailor.consent.policy import Consent, Purpose
from mailtailor.instant import Instant
from mailtailor.profiles.profile import Attribute, Profile

_ATTRIBUTES = ("country", "plan", "birthday")
_PROPERTIES = (
    "campaign",
    "product_id",
    "category",
    "price",
    "quantity",
    "total",
    "products",
    "currency",
    "coupon",
    "payment_method",
    "position",
    "machine",
)
_PEOPLE = f"""
SELECT person, {", ".join(_ATTRIBUTES)} FROM '{{folder}}/people.parquet'
WHERE person >= {{first}} AND person < {{end}} ORDER BY person
"""
_EVENTS = f"""
SELECT person, id, type, occurred_at, received_at,
    {", ".join(_PROPERTIES[:-1])}, nullif(machine, false) AS machine
FROM '{{folder}}/events.parquet'
WHERE person >= {{first}} AND person < {{end}} ORDER BY person, received_at, id
"""


class Happened(NamedTuple):
    """An event; machines' opens and clicks say so in their properties."""

    id: str
    type: str
    at: Instant
    received_at: Instant
    properties: dict[str, Any]


class Someone(NamedTuple):
    """A person, of whom nothing is remembered yet, and what they will do, in order of receipt."""

    number: int
    profile: Profile
    events: list[Happened]


def people(folder: Path, first: int, end: int) -> Iterator[Someone]:
    """Yield everybody from the first number up to the end, not included."""
    with duckdb.connect() as connection:
        # A bar of progress would break the lines that are printed.
        connection.execute("SET enable_progress_bar = false; SET threads = 1")
        share = {"folder": folder, "first": first, "end": end}
        everybody = connection.execute(_PEOPLE.format(**share)).fetchall()
        groups = groupby(_rows(connection.execute(_EVENTS.format(**share))), key=itemgetter(0))
        whose, theirs = next(groups, (end, iter(())))
        for number, *stated in everybody:
            events = []
            if number == whose:
                events = [_event(row) for row in theirs]
                whose, theirs = next(groups, (end, iter(())))
            yield Someone(number, _profile(number, stated), events)


def _rows(result: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while some := result.fetchmany(20_000):
        yield from some


def _event(row: tuple[Any, ...]) -> Happened:
    _, identifier, event_type, at, received_at, *values = row
    known = zip(_PROPERTIES, values, strict=True)
    return Happened(
        identifier, event_type, at, received_at, {name: value for name, value in known if value is not None}
    )


def _profile(number: int, stated: list[Any]) -> Profile:
    return Profile(
        id=f"{number:022}",
        attributes={name: Attribute(value, 0) for name, value in zip(_ATTRIBUTES, stated, strict=True)},
        consent={Purpose.PERSONALIZATION: Consent(granted=True, at=0)},
    )
