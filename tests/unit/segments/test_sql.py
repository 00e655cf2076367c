"""What people write in SQL is the condition that they would write in YAML; the rest is refused where it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mailtailor.segments import sql
from mailtailor.segments.definition import Condition, SegmentDefinition
from mailtailor.segments.vocabulary import KNOWN, Declared

GUIDE = Path(__file__).parents[3] / "docs" / "segments-sql.md"
MISSION = (
    "SELECT user_id FROM browsing_events WHERE product_viewed = 'Product_X' AND last_viewed < NOW() - INTERVAL '2 days'"
    " AND user_id NOT IN (SELECT user_id FROM purchases WHERE purchase_date > NOW() - INTERVAL '7 days');"
)
WEEK = "NOW() - INTERVAL '7 days'"
P, O = "{event: order_completed", "{event: email_opened"  # noqa: E741 - columns of the table below


def rule(text: str) -> Condition:
    data: Any = yaml.safe_load(text)
    return SegmentDefinition.model_validate({"name": "s", "description": "d", "rule": data}).rule


def test_the_missions_query_runs_as_printed() -> None:
    # when
    condition = sql.parse(MISSION)
    # then
    assert condition == rule(
        """
        all:
          - event: [product_viewed, email_link_clicked]
            where: {product_id: Product_X}
            older_than: 172800001ms
          - not: {event: order_completed, within: 7d}
        """
    )


@pytest.mark.parametrize("query", re.findall(r"```sql\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL))
def test_the_guides_queries_are_of_the_subset(query: str) -> None:
    assert sql.parse(query)


def test_the_guides_tables_are_those_that_there_are() -> None:
    # given
    rows = re.findall(
        r"^\| (`[a-z_`, ]+`) \|", GUIDE.read_text(encoding="utf-8").partition("## Conditions")[0], re.MULTILINE
    )
    named = {name for row in rows for name in re.findall(r"[a-z_]+", row)}
    # when, then
    with pytest.raises(sql.SqlError) as caught:
        sql.parse("SELECT user_id FROM qqqqqq")
    assert set(re.findall(r"[a-z_]+", caught.value.hint.partition("are ")[2].partition(", and")[0])) <= named


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        # Times of a row, to the millisecond
        ("purchase_date > NOW() - INTERVAL '7 days'", f"{P}, within: 7d}}"),
        ("purchase_date >= NOW() - INTERVAL '7 days'", f"{P}, within: 604800001ms}}"),
        ("purchase_date < NOW() - INTERVAL '7 days'", f"{P}, between: [604800001ms, 400d]}}"),
        ("purchase_date <= NOW() - INTERVAL '7 days'", f"{P}, between: [7d, 400d]}}"),
        ("NOW() - INTERVAL '7 days' < purchase_date", f"{P}, within: 7d}}"),
        ("NOT purchase_date <= NOW() - INTERVAL '7 days'", f"{P}, within: 7d}}"),
        (
            "ordered_at BETWEEN NOW() - INTERVAL '9 days' AND NOW() - INTERVAL '2 days'",
            f"{P}, between: [2d, 777600001ms]}}",
        ),
        ("occurred_at > NOW() - INTERVAL '9 days' AND occurred_at > NOW() - INTERVAL '2 days'", f"{P}, within: 2d}}"),
        ("purchase_date < NOW() + INTERVAL '1 day'", f"{P}}}"),
        # The person's last and first
        ("last_purchase < NOW() - INTERVAL '2 days'", f"{P}, older_than: 172800001ms}}"),
        ("last_purchase_date <= NOW() - INTERVAL '2 days'", f"{P}, older_than: 2d}}"),
        ("last_purchased > NOW() - INTERVAL '2 days'", f"{P}, within: 2d}}"),
        (
            "last_purchase BETWEEN NOW() - INTERVAL '9 days' AND NOW() - INTERVAL '2 days'",
            f"{{all: [{P}, within: 777600001ms}}, {P}, older_than: 2d}}]}}",
        ),
        ("first_purchase > NOW() - INTERVAL '30 days'", f"{P}, first: true, within: 30d}}"),
        ("first_purchase <= NOW() - INTERVAL '30 days'", f"{P}, first: true, older_than: 30d}}"),
        # One row passes all filters
        ("currency = 'GBP' AND total > 5", f"{P}, where: {{currency: GBP, total: {{above: 5}}}}}}"),
        (
            "currency = 'GBP' AND purchase_date > NOW() - INTERVAL '7 days'",
            f"{P}, where: {{currency: GBP}}, within: 7d}}",
        ),
        ("total BETWEEN 5 AND 10", f"{P}, where: {{total: {{at_least: 5, at_most: 10}}}}}}"),
        ("5 <= total AND total < 10.5", f"{P}, where: {{total: {{at_least: 5, below: 10.5}}}}}}"),
        ("total > 5 AND total > 7", f"{P}, where: {{total: {{above: 7}}}}}}"),
        ("total > -5", f"{P}, where: {{total: {{above: -5}}}}}}"),
        ("currency IN ('GBP', 'EUR')", f"{P}, where: {{currency: {{in: [GBP, EUR]}}}}}}"),
        ("currency IN ('GBP', 'EUR') AND currency <> 'EUR'", f"{P}, where: {{currency: GBP}}}}"),
        ("currency = 'GBP' OR currency = 'EUR'", f"{P}, where: {{currency: {{in: [GBP, EUR]}}}}}}"),
        ("category = 'Lighting'", f"{P}, where: {{products.category: Lighting}}}}"),
        ("products.category = 'Lighting'", f"{P}, where: {{products.category: Lighting}}}}"),
        ('"products.category" = \'Lighting\'', f"{P}, where: {{products.category: Lighting}}}}"),
        # A missing value passes neither <> nor NOT
        ("currency <> 'GBP'", f"{P}, where: {{currency: {{not: GBP, exists: true}}}}}}"),
        ("NOT currency = 'GBP'", f"{P}, where: {{currency: {{not: GBP, exists: true}}}}}}"),
        ("currency NOT IN ('GBP', 'EUR')", f"{P}, where: {{currency: {{not_in: [GBP, EUR], exists: true}}}}}}"),
        ("currency IS NULL", f"{P}, where: {{currency: {{exists: false}}}}}}"),
        ("currency IS NOT NULL", f"{P}, where: {{currency: {{exists: true}}}}}}"),
        ("NOT currency IS NULL", f"{P}, where: {{currency: {{exists: true}}}}}}"),
        ("currency = 'GBP' AND currency IS NOT NULL AND user_id IS NOT NULL", f"{P}, where: {{currency: GBP}}}}"),
        ("NOT (total < 5 OR total > 10)", f"{P}, where: {{total: {{at_least: 5, at_most: 10}}}}}}"),
        ("total NOT BETWEEN 5 AND 10",
         f"{{any: [{P}, where: {{total: {{below: 5}}}}}}, {P}, where: {{total: {{above: 10}}}}}}]}}"),
        # OR makes conditions of their own
        (
            "(currency = 'GBP' OR total > 5) AND purchase_date > NOW() - INTERVAL '7 days'",
            (f"{{any: [{P}, where: {{currency: GBP}}, within: 7d}}, "
            f"{P}, where: {{total: {{above: 5}}}}, within: 7d}}]}}"),
        ),
        ("currency = 'GBP' AND currency = 'EUR' OR total > 5", f"{P}, where: {{total: {{above: 5}}}}}}"),
        # Patterns
        ("currency LIKE 'G%'", f"{P}, where: {{currency: {{prefix: G}}}}}}"),
        ("currency LIKE '%P'", f"{P}, where: {{currency: {{suffix: P}}}}}}"),
        ("currency LIKE '%B%'", f"{P}, where: {{currency: {{contains: B}}}}}}"),
        ("currency LIKE 'GBP'", f"{P}, where: {{currency: GBP}}}}"),
        ("currency NOT LIKE 'GBP'", f"{P}, where: {{currency: {{not: GBP, exists: true}}}}}}"),
        ("currency LIKE '%'", f"{P}, where: {{currency: {{exists: true}}}}}}"),
        (r"coupon LIKE '%100\%%'", f"{P}, where: {{coupon: {{contains: '100%'}}}}}}"),
        ("coupon LIKE '10!_%' ESCAPE '!'", f"{P}, where: {{coupon: {{prefix: '10_'}}}}}}"),
        ("currency ILIKE 'gb%'", f"{P}, where: {{currency: {{prefix: gb, ignore_case: true}}}}}}"),
        ("currency ILIKE 'gbp'", f"{P}, where: {{currency: {{is: gbp, ignore_case: true}}}}}}"),
        # The person
        (
            "user_id IN (SELECT user_id FROM opens) OR user_id NOT IN (SELECT user_id FROM clicks)",
            f"{{all: [{P}}}, {{any: [{O}}}, {{not: {{event: email_link_clicked}}}}]}}]}}",
        ),
        (
            "EXISTS (SELECT 1 FROM opens o WHERE o.user_id = purchases.user_id AND o.campaign = 'x')",
            f"{{all: [{P}}}, {O}, where: {{campaign: x}}}}]}}",
        ),
        (
            "NOT EXISTS (SELECT * FROM opens WHERE purchases.user_id = opens.user_id)",
            f"{{all: [{P}}}, {{not: {O}}}}}]}}",
        ),
        ("user_id IN (SELECT user_id FROM segments WHERE segment = 'vip')", f"{{all: [{P}}}, {{segment: vip}}]}}"),
        (
            "user_id NOT IN (SELECT user_id FROM segments WHERE segment IN ('a', 'b'))",
            f"{{all: [{P}}}, {{not: {{any: [{{segment: a}}, {{segment: b}}]}}}}]}}",
        ),
        (
            "(currency = 'GBP' OR user_id IN (SELECT user_id FROM opens)) AND user_id IN (SELECT user_id FROM clicks)",
            (f"{{all: [{{any: [{P}, where: {{currency: GBP}}}}, {{all: [{P}}}, {O}}}]}}]}}, "
            f"{{event: email_link_clicked}}]}}"),
        ),
    ],
)  # fmt: skip
def test_where_is_of_one_purchase_and_of_the_person(where: str, expected: str) -> None:
    assert sql.parse(f"SELECT user_id FROM purchases WHERE {where}") == rule(expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT user_id FROM purchases", f"{P}}}"),
        ("SELECT DISTINCT p.user_id FROM purchases AS p -- all of them\n;;", f"{P}}}"),
        ("(SELECT user_id FROM purchases)", f"{P}}}"),
        ("SELECT profile_id FROM orders /* once or more */", f"{P}}}"),
        ("select USER_ID from PURCHASES where CURRENCY = 'GBP'", f"{P}, where: {{currency: GBP}}}}"),
        ("SELECT user_id FROM product_added WHERE product_id = 'a'", "{event: product_added, where: {product_id: a}}"),
        ("SELECT user_id FROM events WHERE event = 'page_viewed' AND url LIKE '%/sale'",
         "{event: page_viewed, where: {url: {suffix: /sale}}}"),
        ("SELECT user_id FROM events WHERE type IN ('page_viewed', 'product_viewed')",
         "{event: [page_viewed, product_viewed]}"),
        ("SELECT user_id FROM events WHERE event = 'page_viewed' OR event = 'product_viewed'",
         "{event: [page_viewed, product_viewed]}"),
        ("SELECT user_id FROM browsing_events WHERE event <> 'email_link_clicked'", "{event: product_viewed}"),
        ("SELECT user_id FROM opens WHERE prefetch", f"{O}, where: {{prefetch: true}}}}"),
        ("SELECT user_id FROM opens WHERE NOT prefetch", f"{O}, where: {{prefetch: false}}}}"),
        # People's attributes
        ("SELECT user_id FROM profiles WHERE country = 'GB' AND age >= 18",
         "{all: [{attribute: country, is: GB}, {attribute: age, is: {at_least: 18}}]}"),
        ("SELECT user_id FROM profiles WHERE plan NOT LIKE 'free%'",
         "{all: [{attribute: plan, is: {exists: true}}, {not: {attribute: plan, is: {prefix: free}}}]}"),
        ("SELECT user_id FROM profiles WHERE score_churn > 0.7 AND web_theme = 'dark'",
         "{all: [{attribute: score_churn, is: {above: 0.7}}, {attribute: web_theme, is: dark}]}"),
        ("SELECT user_id FROM purchases JOIN profiles USING (user_id) WHERE total > 5 AND country = 'GB'",
         f"{{all: [{P}, where: {{total: {{above: 5}}}}}}, {{attribute: country, is: GB}}]}}"),
        ("SELECT p.user_id FROM profiles p INNER JOIN purchases o ON p.user_id = o.user_id AND o.total > 5",
         f"{P}, where: {{total: {{above: 5}}}}}}"),
        ("SELECT user_id FROM purchases p, opens o WHERE p.user_id = o.user_id AND (campaign = 'x' OR campaign = 'y')",
         f"{{all: [{P}}}, {O}, where: {{campaign: {{in: [x, y]}}}}}}]}}"),
        # Sets
        ("SELECT user_id FROM purchases UNION ALL SELECT user_id FROM opens", f"{{any: [{P}}}, {O}}}]}}"),
        ("SELECT user_id FROM purchases INTERSECT SELECT user_id FROM opens", f"{{all: [{P}}}, {O}}}]}}"),
        ("SELECT user_id FROM purchases EXCEPT SELECT user_id FROM opens", f"{{all: [{P}}}, {{not: {O}}}}}]}}"),
        ("SELECT user_id FROM clicks UNION SELECT user_id FROM purchases INTERSECT SELECT user_id FROM opens",
         f"{{any: [{{event: email_link_clicked}}, {{all: [{P}}}, {O}}}]}}]}}"),
    ],
)  # fmt: skip
def test_tables_are_views_of_what_happened(query: str, expected: str) -> None:
    assert sql.parse(query) == rule(expected)


@pytest.mark.parametrize(
    ("having", "expected"),
    [
        ("COUNT(*) >= 3", f"{P}, at_least: 3}}"),
        ("COUNT(*) > 2.5", f"{P}, at_least: 3}}"),
        ("3 <= COUNT(1)", f"{P}, at_least: 3}}"),
        ("COUNT(*) = 3", f"{P}, exactly: 3}}"),
        ("COUNT(user_id) BETWEEN 2 AND 5", f"{P}, at_least: 2, at_most: 5}}"),
        ("COUNT(*) >= 2 AND COUNT(*) <= 5", f"{P}, at_least: 2, at_most: 5}}"),
        # A group exists of people with rows only.
        ("COUNT(*) < 3", f"{P}, at_least: 1, at_most: 2}}"),
        ("NOT COUNT(*) >= 3", f"{P}, at_least: 1, at_most: 2}}"),
        ("COUNT(*) <> 2", f"{{any: [{P}, exactly: 1}}, {P}, at_least: 3}}]}}"),
        ("COUNT(*) <> 1", f"{P}, at_least: 2}}"),
        (
            "COUNT(coupon) <> 1",
            (f"{{any: [{{all: [{P}}}, {P}, where: {{coupon: {{exists: true}}}}, at_most: 0}}]}},"
            f" {P}, where: {{coupon: {{exists: true}}}}, at_least: 2}}]}}"),
        ),
        ("COUNT(*) >= 0", f"{P}}}"),
        ("COUNT(coupon) >= 2", f"{P}, where: {{coupon: {{exists: true}}}}, at_least: 2}}"),
        ("COUNT(coupon) <= 2", f"{{all: [{P}}}, {P}, where: {{coupon: {{exists: true}}}}, at_most: 2}}]}}"),
        ("COUNT(DISTINCT currency) >= 2", f"{P}, distinct: currency, at_least: 2}}"),
        ("COUNT(DISTINCT currency) <= 2", f"{{all: [{P}}}, {P}, distinct: currency, at_most: 2}}]}}"),
        # Of no rows with a value the sum is NULL, which compares with nothing.
        ("SUM(total) >= 100", f"{P}, sum: total, at_least: 100}}"),
        ("SUM(total) <= 100", f"{{all: [{P}, where: {{total: {{exists: true}}}}}}, {P}, sum: total, at_most: 100}}]}}"),
        ("SUM(total) BETWEEN 50 AND 100.5", f"{P}, sum: total, at_least: 50, at_most: 100.5}}"),
        ("SUM(total) = 5", f"{P}, sum: total, at_least: 5, at_most: 5}}"),
        ("AVG(total) < 20", f"{P}, average: total, below: 20}}"),
        ("MAX(purchase_date) < NOW() - INTERVAL '30 days'", f"{P}, older_than: 2592000001ms}}"),
        ("MAX(purchase_date) > NOW() - INTERVAL '30 days'", f"{P}, within: 30d}}"),
        ("MIN(purchase_date) > NOW() - INTERVAL '30 days'", f"{P}, first: true, within: 30d}}"),
        ("COUNT(*) >= 3 OR SUM(total) > 100", f"{{any: [{P}, at_least: 3}}, {P}, sum: total, above: 100}}]}}"),
        ("user_id IN (SELECT user_id FROM opens GROUP BY user_id HAVING COUNT(*) > 1)",
         f"{{all: [{P}}}, {O}, at_least: 2}}]}}"),
    ],
)  # fmt: skip
def test_groups_are_people_with_rows(having: str, expected: str) -> None:
    assert sql.parse(f"SELECT user_id FROM purchases GROUP BY user_id HAVING {having}") == rule(expected)


def test_what_where_lets_pass_is_what_is_grouped() -> None:
    # when
    condition = sql.parse(
        f"""
        SELECT user_id FROM purchases JOIN profiles USING (user_id)
        WHERE currency = 'GBP' AND purchase_date > {WEEK} AND country = 'GB'
        GROUP BY user_id HAVING SUM(total) > 100 AND MAX(purchase_date) < NOW() - INTERVAL '2 days'
        """
    )
    # then
    assert condition == rule(
        """
        all:
          - {event: order_completed, where: {currency: GBP}, within: 7d, sum: total, above: 100}
          - {event: order_completed, where: {currency: GBP}, between: [172800001ms, 7d]}
          - not: {event: order_completed, where: {currency: GBP}, within: 172800001ms}
          - {attribute: country, is: GB}
        """
    )


@pytest.mark.parametrize(
    "week",
    [
        "NOW() - INTERVAL '7 days'",
        "NOW() - INTERVAL '1 week'",
        "NOW() - INTERVAL '6 days 24 hours'",
        "NOW() - INTERVAL '168h'",
        "NOW() - INTERVAL 7 DAY",
        "NOW() - INTERVAL '7' DAY",
        "NOW() - INTERVAL '3 days' - INTERVAL '4 days'",
        "NOW() + INTERVAL '-7 days'",
        "(CURRENT_TIMESTAMP - INTERVAL '7 DAYS')",
        "now() - '7 days'::interval",
        "now() - CAST('7 days' AS interval)",
        "DATE_SUB(NOW(), INTERVAL 7 DAY)",
        "TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 7 DAY)",
        "DATEADD(day, -7, GETDATE())",
        "DATETIME('now', '-7 days')",
    ],
)
def test_times_are_understood_in_the_spelling_of_several_databases(week: str) -> None:
    assert sql.parse(f"SELECT user_id FROM purchases WHERE purchase_date > {week}") == rule(f"{P}, within: 7d}}")


@pytest.mark.parametrize(
    "text",
    [
        "it''s",
        "'); DROP TABLE purchases; --",
        "a -- b",
        "/* a */",
        "a; SELECT 1",
        "\\' OR 1=1",
        '"quoted"',
        "${jndi:ldap://x}",
        "{{ 7 * 7 }}",
        "a\nb",
    ],
)
def test_texts_are_data_whatever_is_in_them(text: str) -> None:
    # given
    written = text.replace("'", "''")
    # when
    condition = sql.parse(f"SELECT user_id FROM purchases WHERE currency = '{written}' AND total > 1")
    # then
    expected = SegmentDefinition.model_validate(
        {
            "name": "s",
            "description": "d",
            "rule": {"event": "order_completed", "where": {"currency": text, "total": {"above": 1}}},
        }
    )
    assert condition == expected.rule


def test_declared_events_and_properties_are_tables_and_columns() -> None:
    # given
    declared = KNOWN.with_declared(Declared(events={"quiz_finished": {"points": "number"}}))
    # when
    condition = sql.parse("SELECT user_id FROM quiz_finished WHERE points > 3 AND finished_at < NOW()", declared)
    # then
    assert condition == rule("{event: quiz_finished, where: {points: {above: 3}}, between: [1ms, 400d]}")


FROM = "SELECT user_id FROM purchases WHERE "
GROUPS = "SELECT user_id FROM purchases GROUP BY user_id HAVING "


@pytest.mark.parametrize(
    ("query", "line", "column", "reason", "hint"),
    [
        # Not one query
        ("", 1, 1, "there is no query", "SELECT user_id"),
        ("(((", 1, 1, "is no query", ""),
        ("-- nothing", 1, 1, "there is no query", "SELECT user_id"),
        ("DROP TABLE purchases", 1, 1, "'DROP' is no query", "SELECT user_id"),
        ("EXPLAIN SELECT user_id FROM purchases", 1, 1, "'EXPLAIN' is no query", ""),
        ("SELECT user_id FROM purchases;\nDELETE FROM purchases", 2, 1, "a segment is one statement", "semicolon"),
        ("SELECT user_id FROM purchases; SELECT 1", 1, 32, "a segment is one statement", "semicolon"),
        (f"{FROM}", 1, 31, "this is no SQL", ""),
        (f"{FROM}currency = 'x", 1, 50, "the end is missing", "quote"),
        (f"{FROM}currency = = 'x'", 1, 48, "this is no SQL", ""),
        (f"{FROM}{'(' * 300}total > 1{')' * 300}", 1, 1, "nested too deeply", "of their own"),
        (f"{FROM}{'NOT ' * 3_000}total > 1", 1, 1, "nested too deeply", "of their own"),
        (f"{FROM}currency = '{'x' * 21_000}'", 1, 1, "longer than 20 KB", "of their own"),
        # What a segment is not
        ("SELECT * FROM purchases", 1, 8, "selects user_id alone", "SELECT user_id"),
        ("SELECT user_id, COUNT(*) FROM purchases GROUP BY user_id", 1, 8, "selects user_id alone", ""),
        ("SELECT total FROM purchases", 1, 8, "selects user_id alone", ""),
        ("SELECT user_id FROM purchases ORDER BY user_id", 1, 40, "ORDER BY is not available", "leave it out"),
        ("SELECT user_id FROM purchases LIMIT 5", 1, 37, "LIMIT is not available", "leave it out"),
        ("SELECT user_id INTO x FROM purchases", 1, 21, "INTO is not available", "only reads"),
        ("SELECT user_id FROM purchases FOR UPDATE", 1, 8, "FOR UPDATE is not available", "only reads"),
        ("SELECT user_id FROM purchases TABLESAMPLE (5)", 1, 44, "TABLESAMPLE is not available", "random"),
        ("WITH x AS (SELECT 1)\nSELECT user_id FROM x", 1, 6, "WITH is not available", "user_id IN"),
        ("SELECT user_id FROM profiles", 1, 8, "this is everybody", "Write a condition"),
        ("SELECT user_id FROM purchases EXCEPT ALL SELECT user_id FROM opens", 1, 49, "EXCEPT ALL", "Write EXCEPT"),
        # Tables and columns
        ("SELECT user_id FROM purchase", 1, 21, "there is no table 'purchase'", "Did you mean 'purchases'?"),
        ("SELECT user_id FROM public.purchases", 1, 21, "plain names", ""),
        ("SELECT user_id FROM (SELECT user_id FROM opens) o", 1, 29, "FROM takes tables only", "user_id IN"),
        ("SELECT user_id FROM generate_series(1, 3)", 1, 21, "FROM takes tables", ""),
        (f"{FROM}curency = 'x'", 1, 37, "no column 'curency'", "Did you mean 'currency'?"),
        (f"{FROM}qqq = 'x'", 1, 37, "no column 'qqq'", "events.yaml"),
        (f"{FROM}o.total > 5", 1, 37, "no table 'o' here", ""),
        (f'{FROM}currency = "GBP"', 1, 48, "in double quotes is a column", "single quotes"),
        ("SELECT user_id FROM profiles WHERE contry = 'GB'", 1, 36, "no attribute 'contry'", "Did you mean 'country'?"),
        ("SELECT user_id FROM events WHERE event = 'product_view'",
         1, 34, "no event 'product_view'", "'product_viewed'"),
        ("SELECT user_id FROM events WHERE category = 'x'", 1, 8, "must say which events", "event ="),
        ("SELECT user_id FROM events WHERE event <> 'page_viewed'", 1, 34, "must say which events", "event ="),
        ("SELECT user_id FROM opens a JOIN clicks b USING (user_id) WHERE campaign = 'x'",
         1, 65, "in several tables", "a.campaign"),
        ("SELECT user_id FROM opens JOIN opens USING (user_id)", 1, 32, "there twice", "AS other"),
        # Joins
        ("SELECT user_id FROM purchases LEFT JOIN opens USING (user_id)",
         1, 41, "LEFT JOIN is not available", "NOT IN"),
        ("SELECT user_id FROM purchases NATURAL JOIN opens", 1, 44, "NATURAL JOIN is not available", ""),
        ("SELECT user_id FROM purchases, opens", 1, 32, "opens is not joined by user_id", "JOIN opens USING"),
        ("SELECT user_id FROM clicks c JOIN opens o ON c.campaign = o.campaign", 1, 35, "joined by user_id", ""),
        ("SELECT user_id FROM clicks c JOIN opens o USING (user_id) WHERE c.clicked_at > o.opened_at",
         1, 65, "two columns", "followed_by"),
        # Subqueries
        (f"{FROM}EXISTS (SELECT 1 FROM opens)", 1, 52, "not tied to the person", "opens.user_id = purchases.user_id"),
        (f"{FROM}total IN (SELECT user_id FROM opens)", 1, 37, "IN (SELECT ...) is for user_id", "IN ('a', 'b')"),
        (f"{FROM}user_id IN (SELECT campaign FROM opens)", 1, 56, "selects user_id alone", ""),
        (f"{FROM}(SELECT COUNT(*) FROM opens) > 3", 1, 45, "subquery", "user_id IN"),
        (f"{FROM}total = ANY (SELECT 3)", 1, 57, "ANY is not available", ""),
        (f"{FROM}EXISTS (SELECT 1 FROM opens o WHERE o.user_id = purchases.user_id AND o.campaign = purchases.coupon)",
         1, 107, "two columns", ""),
        (f"{FROM}{'user_id IN (SELECT user_id FROM opens WHERE ' * 6}campaign = 'x'{')' * 6}",
         1, 276, "deeper than 5", "segment"),
        # Comparisons
        (f"{FROM}total > '5'", 1, 37, "'5' does not compare with a number", "without quotes"),
        (f"{FROM}currency = 5", 1, 37, "5 does not compare with a text", "single quotes"),
        (f"{FROM}currency IN ('a', 5)", 1, 37, "5 does not compare with a text", ""),
        (f"{FROM}products = 'x'", 1, 37, "does not compare with a list", ""),
        (f"{FROM}total LIKE '5%'", 1, 37, "LIKE is for text", ""),
        (f"{FROM}currency LIKE 'G_P'", 1, 51, "_ in LIKE", "'start%'"),
        (f"{FROM}currency LIKE 'G%P'", 1, 51, "middle of LIKE", "'start%'"),
        (f"{FROM}currency NOT LIKE 'G%'", 1, 37, "not LIKE", "user_id NOT IN"),
        (f"{FROM}currency ~ '^G'", 1, 37, "regular expressions", "LIKE"),
        (f"{FROM}currency = NULL", 1, 37, "nothing equals NULL", "IS NULL"),
        (f"{FROM}currency IS TRUE", 1, 37, "IS is for NULL", "= TRUE"),
        (f"{FROM}currency IS DISTINCT FROM 'x'", 1, 37, "IS DISTINCT FROM", "IS NULL"),
        (f"{FROM}user_id = 'ann'", 1, 37, "people are not named", "user_id IN"),
        (f"{FROM}user_id IS NULL", 1, 37, "in every row", "NOT IN"),
        (f"{FROM}total", 1, 37, "total is not true or false", "Compare"),
        (f"{FROM}TRUE", 1, 8, "a condition of a column is needed", ""),
        (f"{FROM}1 = 1", 1, 37, "a comparison needs a column", ""),
        (f"{FROM}total * 2 > 5", 1, 37, "a column stands alone", "other side"),
        (f"{FROM}LOWER(currency) = 'x'", 1, 37, "LOWER is not available", "ILIKE"),
        (f"{FROM}pg_sleep(10) > 1", 1, 37, "the function PG_SLEEP is not available", ""),
        (f"{FROM}CASE WHEN total > 5 THEN TRUE END", 1, 47, "CASE is not available", ""),
        (f"{FROM}total > $1", 1, 46, "no parameters", "value itself"),
        (f"{FROM}total > 1e999", 1, 45, "too large", ""),
        (f"{FROM}currency = 'a' AND currency = 'b'", 1, 56, "no row can pass", "contradiction"),
        (f"{FROM}coupon LIKE 'a%' AND coupon LIKE 'b%'", 1, 58, "one LIKE of each kind", "user_id IN"),
        (f"{FROM}total > 5 AND ROW_NUMBER() OVER () = 1", 1, 51, "window functions", "HAVING"),
        (f"{FROM}total > 5 AND total < 5", 1, 51, "no row can pass", "contradiction"),
        (f"{FROM}coupon LIKE 'a' ESCAPE 'xy'", 1, 37, "one character", ""),
        (f"{FROM}coupon LIKE 'a\\'", 1, 49, "ends where it escapes", ""),
        (f"{FROM}coupon LIKE '%{'x' * 501}%'", 1, 37, "at most 500 characters", ""),
        (f"{FROM}total IN ({', '.join(map(str, range(1_001)))})", 1, 37, "at most 1000 values", "UNION"),
        ("SELECT user_id FROM segments WHERE segment = 'No Name'", 1, 36, "no name of a segment", ""),
        ("SELECT user_id FROM purchases AS p (a, b)", 1, 37, "COLUMNS is not available", ""),
        # Times
        (f"{FROM}purchase_date > NOW() - INTERVAL '7 days ago'", 1, 70, "no interval", "INTERVAL '2 days'"),
        (f"{FROM}purchase_date > NOW() - INTERVAL total", 1, 70, "'total' is no interval", "INTERVAL '2 days'"),
        (f"{FROM}purchase_date > NOW() - INTERVAL ''", 1, 70, "'' is no interval", "INTERVAL '2 days'"),
        (f"{FROM}purchase_date > NOW() - INTERVAL '2 days' '7 days'", 1, 70, "no interval", "INTERVAL '2 days'"),
        (f"{FROM}purchase_date > NOW(total)", 1, 53, "NOW() takes nothing", ""),
        (f"{FROM}purchase_date > NOW() - INTERVAL 'P7D'", 1, 70, "no interval", "INTERVAL '2 days'"),
        (f"{FROM}purchase_date > '2026-01-01'", 1, 53, "compared with NOW()", "INTERVAL '2 days'"),
        (f"{FROM}purchase_date = NOW()", 1, 37, "one very millisecond", "BETWEEN"),
        (f"{FROM}purchase_date > NOW() - INTERVAL '1 month'", 1, 53, "no fixed length", "'30 days'"),
        (f"{FROM}purchase_date > NOW() - INTERVAL '2 years'", 1, 53, "no fixed length", "'730 days'"),
        (f"{FROM}purchase_date > NOW() - INTERVAL '401 days'", 1, 53, "remember 400 days", ""),
        (f"{FROM}purchase_date > NOW() - INTERVAL '7'", 1, 70, "'7' is no interval", "INTERVAL '2 days'"),
        (f"{FROM}purchase_date > NOW() - 7", 1, 61, "takes an interval", "INTERVAL '2 days'"),
        (f"{FROM}purchase_date > CURRENT_DATE", 1, 37, "midnight", "NOW()"),
        (f"{FROM}purchase_date > NOW() + INTERVAL '1 day'", 1, 37, "future", ""),
        (f"{FROM}NOW() - purchase_date < INTERVAL '2 days'", 1, 37, "stands alone", "other side"),
        (f"{FROM}total > NOW()", 1, 45, "no time of an event", ""),
        (f"{FROM}(coupon = 'x' OR total > 3) AND last_purchase < NOW()", 1, 69, "not clear which", "IN in place of OR"),
        (f"{FROM}NOT (coupon = 'x' AND last_purchase < NOW())", 1, 59, "NOT of a last or first", "opposite"),
        # Groups
        (f"{FROM}COUNT(*) > 3", 1, 37, "totals are for HAVING", "GROUP BY"),
        ("SELECT user_id FROM purchases HAVING COUNT(*) > 3", 1, 38, "needs GROUP BY", ""),
        ("SELECT user_id FROM purchases GROUP BY currency", 1, 40, "groups are people", "GROUP BY user_id"),
        (f"{GROUPS}COUNT(*) < 1", 1, 55, "no number of rows", "NOT IN"),
        (f"{GROUPS}COUNT(*) > 5000", 1, 55, "more than 1000", ""),
        (f"{GROUPS}SUM(currency) > 5", 1, 59, "no such total", "numbers"),
        (f"{GROUPS}SUM(total) > AVG(total)", 1, 68, "with a number", ""),
        (f"{GROUPS}SUM(total) / 2 > 5", 1, 55, "stands alone", ""),
        (f"{GROUPS}SUM(DISTINCT total) > 5", 1, 55, "DISTINCT is for COUNT", ""),
        (f"{GROUPS}SUM(total) > 10 AND SUM(total) < 5", 1, 75, "contradicts", ""),
        (f"{GROUPS}SUM(total) > 1e30", 1, 68, "too large", ""),
        (f"{GROUPS}total > 5", 1, 55, "HAVING is of totals", "WHERE"),
        (f"{GROUPS}COUNT(*) > 1 AND COUNT(*) < 2", 1, 72, "contradicts", ""),
        ("SELECT user_id FROM purchases WHERE total > 5 OR coupon = 'x' GROUP BY user_id HAVING COUNT(*) > 1",
         1, 37, "have no alternatives", "IN in place of OR"),
        ("SELECT user_id FROM opens JOIN clicks USING (user_id) GROUP BY user_id HAVING COUNT(*) > 1",
         1, 64, "one table of events", "user_id IN"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_where_it_stands(
    query: str, line: int, column: int, reason: str, hint: str
) -> None:
    # when
    with pytest.raises(sql.SqlError) as caught:
        sql.parse(query)
    # then
    fault = caught.value
    assert reason in fault.reason, fault
    assert hint in fault.hint, fault
    assert (fault.line, fault.column) == (line, column), fault


@pytest.mark.parametrize("interval", ["1" * 10_000, "1 d" + " " * 10_000, "1d " * 3_000, "1," * 5_000])
def test_a_hostile_interval_takes_no_time(interval: str) -> None:
    with pytest.raises(sql.SqlError):
        sql.parse(f"{FROM}purchase_date > NOW() - INTERVAL '{interval}!'")


def test_alternatives_are_bounded() -> None:
    # given
    columns = ("coupon", "currency", "order_id", "cart_id", "affiliation", "reason", "checkout_id")
    where = " AND ".join(f"({one} = 'x' OR total > {number})" for number, one in enumerate(columns))
    # when, then
    with pytest.raises(sql.SqlError, match="more than 64 alternatives"):
        sql.parse(FROM + where)


def test_more_filters_than_a_condition_takes_are_refused() -> None:
    # given
    declared = KNOWN.with_declared(Declared(events={"quiz": {f"p{number}": "number" for number in range(21)}}))
    where = " AND ".join(f"p{number} = 1" for number in range(21))
    # when, then
    with pytest.raises(sql.SqlError, match="at most 20 items"):
        sql.parse(f"SELECT user_id FROM quiz WHERE {where}", declared)
