"""A query has the members here that a database gives it: DuckDB runs the very text over the same events.

DuckDB reads views as docs/segments-sql.md describes them. Ages lie on the edges of windows and a millisecond beside.
"""

from __future__ import annotations

import random
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailtailor.instant import DAY, HOUR
from mailtailor.segments import sql
from mailtailor.segments.definition import (
    MAX_WINDOW,
    All,
    AnyOf,
    AttributeIs,
    Average,
    Condition,
    Distinct,
    Filter,
    First,
    LastOlderThan,
    Not,
    Occurred,
    SegmentDefinition,
    Sum,
)
from mailtailor.segments.definition import Test as PropertyTest
from mailtailor.segments.engine import Engine
from tests.unit.segments.people import NOW, Happened, person

AGES = [age + shift for age in (HOUR, DAY, 2 * DAY, 7 * DAY, 9 * DAY, 30 * DAY) for shift in (-1, 0, 1)]
VIEWS = """
CREATE VIEW product_viewed AS SELECT * FROM happened WHERE event = 'product_viewed';
CREATE VIEW order_completed AS SELECT * FROM happened WHERE event = 'order_completed';
CREATE VIEW browsing_events AS
    SELECT *, product_id AS product_viewed, occurred_at AS viewed_at,
        -- Each product has a category of its own, so either names the rows of which this is the last.
        max(occurred_at) OVER (PARTITION BY user_id, product_id) AS last_viewed,
        min(occurred_at) OVER (PARTITION BY user_id, product_id) AS first_viewed
    FROM happened WHERE event IN ('product_viewed', 'email_link_clicked');
CREATE VIEW purchases AS
    SELECT *, occurred_at AS purchase_date, max(occurred_at) OVER (PARTITION BY user_id) AS last_purchase
    FROM happened WHERE event = 'order_completed';
CREATE VIEW orders AS SELECT * FROM purchases;
CREATE VIEW opens AS SELECT *, occurred_at AS opened_at FROM happened WHERE event = 'email_opened';
CREATE VIEW clicks AS SELECT *, occurred_at AS clicked_at FROM happened WHERE event = 'email_link_clicked';
CREATE VIEW events AS SELECT * FROM happened;
"""
QUERIES = Path(__file__).with_name("queries.sql").read_text(encoding="utf-8").strip().split("\n\n")[1:]
COLUMNS = ("product_id", "category", "price", "currency", "total", "coupon", "discount", "campaign", "prefetch")
KINDS = ("product_viewed", "order_completed", "order_completed", "email_opened", "email_link_clicked")
People = dict[str, tuple[list[Happened], dict[str, Any]]]


def invented(seed: int) -> People:
    """Return people with events and attributes, each value missing now and then."""
    # S311: tests want the same people each time
    chance = random.Random(seed)

    def some(**values: list[Any]) -> dict[str, Any]:
        chosen = {name: chance.choice([*options, None]) for name, options in values.items()}
        return {name: value for name, value in chosen.items() if value is not None}

    def happened() -> Happened:
        kind = chance.choice(
            ["product_viewed", "order_completed", "order_completed", "email_opened", "email_link_clicked"]
        )
        properties: dict[str, Any] = {}
        if kind in {"product_viewed", "email_link_clicked"}:
            product, category = chance.choice([("Product_X", "Lighting"), ("Product_Y", "Home")])
            properties = {"product_id": product, "category": category}
        if kind == "product_viewed":
            properties |= some(price=[2.5, 5, 7.75])
        elif kind == "order_completed":
            properties = some(
                currency=["GBP", "EUR"], total=[2.5, 5, 7.5, 10, 20.25], coupon=["A", "Ab", "B"], discount=[0, 5, -5]
            )
        else:
            properties |= some(campaign=["x", "y"])
        if kind == "email_opened":
            properties |= some(prefetch=[True, False])
        return kind, NOW - chance.choice([0, *AGES]), properties

    return {
        f"u{number}": (
            [happened() for _ in range(chance.randrange(9))],
            some(country=["GB", "FR"], age=[20, 30, 40], plan=["free", "free trial", "paid"]),
        )
        for number in range(60)
    }


@cache
def database(seed: int) -> tuple[People, duckdb.DuckDBPyConnection]:
    people = invented(seed)
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE happened (user_id TEXT, event TEXT, occurred_at TIMESTAMP, product_id TEXT, category TEXT,"
        " price DOUBLE, currency TEXT, total DOUBLE, coupon TEXT, discount DOUBLE, campaign TEXT, prefetch BOOLEAN);"
        " CREATE TABLE profiles (user_id TEXT, country TEXT, age INT, plan TEXT);" + VIEWS
    )
    for user, (events, attributes) in people.items():
        for kind, at, properties in events:
            values = [properties.get(name) for name in COLUMNS]
            connection.execute(
                f"INSERT INTO happened VALUES (?, ?, make_timestamp_ms(?){', ?' * len(values)})",
                [user, kind, at, *values],
            )
        row = [user, *(attributes.get(name) for name in ("country", "age", "plan"))]
        connection.execute("INSERT INTO profiles VALUES (?, ?, ?, ?)", row)
    return people, connection


def members_in_duckdb(query: str, connection: duckdb.DuckDBPyConnection) -> set[str]:
    return {user for (user,) in connection.execute(query.replace("NOW()", f"make_timestamp_ms({NOW})")).fetchall()}


def members_here(condition: Condition, people: People) -> set[str]:
    engine = Engine([SegmentDefinition(name="s", description="d", rule=condition)])
    profiles = {user: person(engine, *events, **attributes) for user, (events, attributes) in people.items()}
    return {user for user, profile in profiles.items() if engine.evaluate(profile, NOW)["s"][0]}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_has_the_members_that_duckdb_gives_it(query: str) -> None:
    sizes = set()
    for seed in range(4):
        people, connection = database(seed)
        # when
        members = members_here(sql.parse(query), people)
        # then
        assert members == members_in_duckdb(query, connection)
        sizes.add(len(members))
    assert sizes - {0, 60}


# Random trees, written as SQL by the simplest means: each condition is one subquery on people.

TEXTS = st.sampled_from(["GBP", "EUR", "A", "Ab", "it's", "50%", "a_b", "x -- y", "\\"])
NUMBERS = st.sampled_from([0, 5, 7.5, 10, -5, 20.25])
SPANS = st.sampled_from(AGES)
SOME_TEXTS = st.lists(TEXTS, min_size=2, max_size=3, unique=True)
TEXT_TESTS = st.one_of(
    TEXTS,
    st.builds(lambda values: PropertyTest(in_=tuple(values)), SOME_TEXTS),
    st.builds(lambda value: PropertyTest(not_=value, exists=True), TEXTS),
    st.builds(
        lambda values: PropertyTest(not_in=tuple(values), exists=True),
        SOME_TEXTS,
    ),
    st.builds(lambda value: PropertyTest(prefix=value), TEXTS),
    st.builds(lambda value: PropertyTest(contains=value, ignore_case=True), TEXTS),
    st.builds(lambda value: PropertyTest(suffix=value), TEXTS),
    st.tuples(TEXTS, TEXTS)
    .filter(lambda ends: ends[0] < ends[1])
    .map(lambda ends: PropertyTest(above=ends[0], at_most=ends[1])),
    st.booleans().map(lambda there: PropertyTest(exists=there)),
)
NUMBER_TESTS = st.one_of(
    NUMBERS,
    st.builds(lambda values: PropertyTest(in_=tuple(values)), st.lists(NUMBERS, min_size=2, max_size=3, unique=True)),
    st.builds(lambda value: PropertyTest(not_=value, exists=True), NUMBERS),
    st.tuples(NUMBERS, NUMBERS)
    .filter(lambda ends: ends[0] < ends[1])
    .map(lambda ends: PropertyTest(at_least=ends[0], below=ends[1])),
)
OF_ORDERS = st.fixed_dictionaries({}, optional={"currency": TEXT_TESTS, "coupon": TEXT_TESTS, "total": NUMBER_TESTS})
WINDOWS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    SPANS.map(lambda span: {"within": span}),
    st.tuples(SPANS, SPANS).filter(lambda both: both[0] < both[1]).map(lambda both: {"between": both}),
    SPANS.map(lambda span: {"between": (span, MAX_WINDOW)}),
)
COUNTS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.integers(2, 4).map(lambda least: {"at_least": least}),
    st.integers(1, 3).map(lambda count: {"exactly": count}),
    st.tuples(st.integers(1, 2), st.integers(3, 4)).map(lambda ends: {"at_least": ends[0], "at_most": ends[1]}),
)
BOUNDS = st.one_of(
    NUMBERS.map(lambda value: {"at_least": Decimal(str(value))}),
    NUMBERS.map(lambda value: {"above": Decimal(str(value))}),
)
ORDER = ("order_completed",)


def measured(model: Any, key: str, column: str) -> st.SearchStrategy[Condition]:
    positive = BOUNDS.filter(
        lambda bounds: key == "average" or (bounds.get("at_least", 1) > 0 and bounds.get("above", 1) >= 0)
    )
    if key == "distinct":
        positive = st.integers(1, 3).map(lambda least: {"at_least": Decimal(least)})
    return st.builds(
        lambda where, window, bounds: model(event=ORDER, where=where, **window, **{key: column}, **bounds),
        OF_ORDERS,
        WINDOWS,
        positive,
    )


LEAVES: st.SearchStrategy[Condition] = st.one_of(
    st.builds(
        lambda where, window, counts: Occurred(event=ORDER, where=where, **window, **counts), OF_ORDERS, WINDOWS, COUNTS
    ),
    st.builds(lambda where, age: LastOlderThan(event=ORDER, where=where, older_than=age), OF_ORDERS, SPANS),
    st.builds(lambda where, age: First(event=ORDER, where=where, first=True, older_than=age), OF_ORDERS, SPANS),
    st.builds(lambda where, age: First(event=ORDER, where=where, first=True, within=age), OF_ORDERS, SPANS),
    measured(Sum, "sum", "total"),
    measured(Average, "average", "discount"),
    measured(Distinct, "distinct", "currency"),
    st.builds(lambda wanted: AttributeIs(attribute="country", is_=wanted), st.sampled_from(["GB", "FR"])),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda some: All(all=tuple(some))),
        st.lists(inner, min_size=2, max_size=3).map(lambda some: AnyOf(any=tuple(some))),
        inner.map(lambda one: Not(not_=one)),
    ),
    max_leaves=6,
)


def quoted(value: object) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def pattern(text: str, before: str = "", after: str = "") -> str:
    escaped = text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"{quoted(before + escaped + after)} ESCAPE '!'"


def compared(column: str, wanted: Filter) -> str:
    if not isinstance(wanted, PropertyTest):
        return f"{column} = {quoted(wanted)}"
    like = "ILIKE" if wanted.ignore_case else "LIKE"
    given_tests: dict[str, str] = {
        "in_": f"{column} IN ({', '.join(map(quoted, wanted.in_ or ()))})",
        "not_in": f"{column} NOT IN ({', '.join(map(quoted, wanted.not_in or ()))})",
        "not_": f"{column} <> {quoted(wanted.not_)}",
        "prefix": f"{column} {like} {pattern(wanted.prefix or '', after='%')}",
        "suffix": f"{column} {like} {pattern(wanted.suffix or '', before='%')}",
        "contains": f"{column} {like} {pattern(wanted.contains or '', before='%', after='%')}",
        "at_least": f"{column} >= {quoted(wanted.at_least)}",
        "at_most": f"{column} <= {quoted(wanted.at_most)}",
        "above": f"{column} > {quoted(wanted.above)}",
        "below": f"{column} < {quoted(wanted.below)}",
        "exists": f"{column} IS {'NOT ' if wanted.exists else ''}NULL",
    }
    return " AND ".join(text for name, text in given_tests.items() if name in wanted.model_fields_set)


def ago(span: int) -> str:
    return f"NOW() - INTERVAL '{span} milliseconds'"


def rows(condition: Any) -> str:
    told = [compared(column, wanted) for column, wanted in condition.where.items()]
    least, end = getattr(condition, "ages", (0, MAX_WINDOW))
    told += [f"occurred_at <= {ago(least)}"] if least else []
    told += [f"occurred_at > {ago(end)}"] if end != MAX_WINDOW else []
    return "SELECT user_id FROM order_completed" + (f" WHERE {' AND '.join(told)}" if told else "")


def having(condition: Any) -> str:  # noqa: PLR0911 - one for each kind of total
    match condition:
        case Occurred(exactly=int(count)):
            return f"COUNT(*) = {count}"
        case Occurred(at_least=None):
            return "COUNT(*) > 0"
        case Occurred():
            ends = [f"COUNT(*) >= {condition.at_least}"]
            return " AND ".join([*ends, f"COUNT(*) <= {condition.at_most}"] if condition.at_most else ends)
        case LastOlderThan():
            return f"MAX(occurred_at) <= {ago(condition.older_than)}"
        case First(within=int(span)):
            return f"MIN(occurred_at) > {ago(span)}"
        case First(older_than=int(span)):
            return f"MIN(occurred_at) <= {ago(span)}"
    of = {"Sum": "SUM(total)", "Average": "AVG(discount)", "Distinct": "COUNT(DISTINCT currency)"}[
        type(condition).__name__
    ]
    return f"{of} >= {condition.at_least}" if condition.at_least is not None else f"{of} > {condition.above}"


def written(condition: Condition) -> str:
    match condition:
        case All():
            return "(" + " AND ".join(map(written, condition.all)) + ")"
        case AnyOf():
            return "(" + " OR ".join(map(written, condition.any)) + ")"
        case Not():
            return f"NOT {written(condition.not_)}"
        case AttributeIs():
            # Asked by itself, who has no country is not of the country, as in trees.
            return f"user_id IN (SELECT user_id FROM profiles WHERE {compared(condition.attribute, condition.is_)})"
        case _:
            return f"user_id IN ({rows(condition)} GROUP BY user_id HAVING {having(condition)})"


def plain(condition: Condition) -> Condition:
    """Return a tree without nested lists, repetitions and double negations, NOT moved inwards as SQL is read."""
    match condition:
        case Not(not_=Not() as inner):
            return plain(inner.not_)
        case Not(not_=All() as inner):
            return plain(AnyOf(any=tuple(Not(not_=one) for one in inner.all)))
        case Not(not_=AnyOf() as inner):
            return plain(All(all=tuple(Not(not_=one) for one in inner.any)))
        case All():
            told = [
                one for part in map(plain, condition.all) for one in (part.all if isinstance(part, All) else (part,))
            ]
            some = tuple(one for index, one in enumerate(told) if one not in told[:index])
            return some[0] if len(some) == 1 else All(all=some)
        case AnyOf():
            told = [
                one for part in map(plain, condition.any) for one in (part.any if isinstance(part, AnyOf) else (part,))
            ]
            some = tuple(one for index, one in enumerate(told) if one not in told[:index])
            return some[0] if len(some) == 1 else AnyOf(any=some)
    return condition


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES)
def test_a_tree_written_as_sql_is_read_as_the_same_tree_and_means_the_same_to_duckdb(tree: Condition) -> None:
    # given
    query = f"SELECT user_id FROM profiles WHERE {written(tree)}"
    # when
    condition = sql.parse(query)
    # then
    assert condition == plain(tree)
    people, connection = database(0)
    assert members_here(condition, people) == members_in_duckdb(query, connection)
