"""A population that behaves like a shop's: 45 days of mails, visits and purchases, as Parquet.

Everything is made by DuckDB from hashes of names, so the same number of people gives the same events wherever it runs.
A person has about 31 events: 12.4 mails delivered, 4.6 opens, 0.95 clicks, 11.3 product views, 1.36 additions to the
cart and 0.48 purchases. People differ as people do: some open everything and some nothing, a few visit all the time.

What makes it hard is in it on purpose: one in ten people is known from a system that tells time by the half hour,
so that events coincide and lie on the very edges of windows; some events come late, some come twice, some opens are
machines', some belong to mails of whose delivery nothing is known, some mails are delivered twice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb

from mailtailor.instant import DAY, HOUR, MINUTE, SECOND

START: Final = 1_786_000_200_000 // HOUR * HOUR
"""A whole hour, so that the edges of windows of those whose time is told by the half hour can be met."""
DAYS: Final = 45
END: Final = START + DAYS * DAY
CATEGORIES: Final = ("Lighting", "Kitchen", "Home", "Bags", "Garden", "Stationery", "Toys", "Christmas")
PRODUCTS: Final = 496
_CAMPAIGNS: Final = 20

_MACROS: Final = (
    # A number from 0 to 1 that depends on nothing but what it is for.
    """CREATE MACRO chance(what, person, n) AS
        md5_number_lower(concat(what, ' ', person, ' ', n)) / 18446744073709551616.0""",
    "CREATE MACRO span(least, most, share) AS (least + floor((most - least) * share))::BIGINT",
    # Few products are viewed often and most of them seldom.
    f"CREATE MACRO product(share) AS floor(pow({PRODUCTS}, share))::INTEGER - 1",
    f"CREATE MACRO category(product) AS ([{', '.join(map(repr, CATEGORIES))}])[product % {len(CATEGORIES)} + 1]",
    "CREATE MACRO price(product) AS (1.45 + (product * 37 % 97) * 0.5)::DECIMAL(18, 2)",
    "CREATE MACRO code(product) AS 'P' || lpad(product::VARCHAR, 3, '0')",
)

_PEOPLE: Final = """
CREATE TABLE people AS
SELECT
    range::INTEGER AS person,
    -1.0 * ln(1 - chance('activity', range, 0)) AS activity,
    0.25 + 0.75 * chance('mails', range, 0) AS mailed,
    0.87 * pow(chance('opens', range, 0), 2) AS opens,
    floor(chance('category', range, 0) * 8)::INTEGER AS favourite,
    range % 10 = 7 AS by_half_hours,
    (['DE', 'GB', 'FR', 'AT', 'US', 'NL'])[floor(6 * pow(chance('country', range, 0), 2))::INTEGER + 1] AS country,
    (['free', 'plus', 'Premium'])[floor(3 * pow(chance('plan', range, 0), 2))::INTEGER + 1] AS plan,
    strftime(DATE '1950-01-01' + floor(20000 * chance('birthday', range, 0))::INTEGER, '%Y-%m-%d') AS birthday
FROM range({first}, {end})
"""

_MAILS: Final = f"""
CREATE TABLE mails AS
SELECT
    person, n,
    'campaign-' || n AS campaign,
    -- An ESP tells time by the second, and sends within two hours.
    {START} + n::BIGINT * {DAYS * DAY // _CAMPAIGNS} + span(0, 7200, chance('sent', person, n)) * {SECOND}
        AS occurred_at,
    chance('bounced', person, n) < 0.005 AS bounced,
    opens
FROM people, (SELECT range::INTEGER AS n FROM range({_CAMPAIGNS}))
WHERE chance('mail', person, n) < mailed
"""

_OPENS: Final = f"""
CREATE TABLE opens AS
SELECT
    person, n, k, campaign,
    -- Between minutes and days, mostly hours.
    occurred_at + (20 + pow(10, 2.4 + 3.2 * chance('open after', person, n * 10 + k)))::BIGINT * {SECOND}
        AS occurred_at,
    chance('machine', person, n * 10 + k) < 0.08 AS machine
FROM mails, (SELECT range::INTEGER AS k FROM range(3))
WHERE NOT bounced AND chance('open', person, n) < opens AND chance('again', person, n * 10 + k) < pow(0.24, k)
"""

_CLICKS: Final = f"""
CREATE TABLE clicks AS
SELECT
    person, n, k, campaign,
    occurred_at + span(3, 90, chance('click after', person, n * 10 + k)) * {SECOND} AS occurred_at,
    machine AND k = 0 AS machine,
    product(chance('clicked product', person, n * 10 + k)) AS product,
    1 + span(0, 9, chance('position', person, n * 10 + k)) AS position
FROM opens WHERE chance('click', person, n * 10 + k) < 0.208
"""

_VIEWS: Final = f"""
CREATE TABLE views AS
WITH visits AS (
    SELECT
        person, favourite, range AS visit,
        {START} + span(0, {DAYS * DAY}, chance('visit', person, range)) AS begun,
        1 + floor(-2.75 * ln(1 - chance('views', person, range)))::INTEGER AS views
    FROM people, unnest(range(floor(3.44 * activity + chance('visits', person, 0))::BIGINT)) AS _(range)
), viewed AS (
    SELECT
        person, visit * 100 + k AS n, favourite,
        begun + k * 20000 + span(0, 90000, chance('view', person, visit * 100 + k)) AS occurred_at
    FROM visits, unnest(range(views)) AS _(k)
)
SELECT
    person, n, occurred_at,
    CASE
        WHEN chance('favourite', person, n) < 0.6 THEN product(chance('product', person, n)) // 8 * 8 + favourite
        ELSE product(chance('product', person, n))
    END AS product
FROM viewed
"""

_CARTS: Final = f"""
CREATE TABLE carts AS
SELECT
    person, n, product,
    occurred_at + span({5 * SECOND}, {10 * MINUTE}, chance('cart after', person, n)) AS occurred_at,
    1 + span(0, 3, pow(chance('quantity', person, n), 2)) AS quantity
FROM views WHERE chance('cart', person, n) < 0.12
"""

_ORDERS: Final = f"""
CREATE TABLE orders AS
WITH lines AS (
    SELECT
        person, n, occurred_at, product, quantity,
        product(chance('second line', person, n)) AS other,
        chance('lines', person, n) < 0.5 AS two
    FROM carts WHERE chance('order', person, n) < 0.36
)
SELECT
    person, n,
    occurred_at + CASE
        WHEN chance('order soon', person, n) < 0.85 THEN span({MINUTE}, {HOUR}, chance('order after', person, n))
        ELSE span({HOUR}, {3 * DAY}, chance('order after', person, n))
    END AS occurred_at,
    price(product) * quantity + CASE WHEN two THEN price(other) ELSE 0 END AS total,
    [struct_pack(product_id := code(product), category := category(product), price := price(product)::DOUBLE)]
    || CASE
        WHEN two
        THEN [struct_pack(product_id := code(other), category := category(other), price := price(other)::DOUBLE)]
        ELSE []
    END AS products,
    (['EUR', 'EUR', 'EUR', 'GBP', 'USD'])[floor(5 * chance('currency', person, n))::INTEGER + 1] AS currency,
    ([NULL, NULL, NULL, NULL, 'SUMMER10', 'summer-15', 'WELCOME', 'XMAS5'])
        [floor(8 * chance('coupon', person, n))::INTEGER + 1] AS coupon,
    (['card', 'card', 'paypal', 'invoice', 'cash'])[floor(5 * chance('paid', person, n))::INTEGER + 1]
        AS payment_method
FROM lines
"""

_HAPPENED: Final = f"""
CREATE TABLE happened AS
SELECT person, 'mail' AS kind, n, CASE WHEN bounced THEN 'email_bounced' ELSE 'email_delivered' END AS type,
    occurred_at, campaign
FROM mails WHERE chance('lost', person, n) >= 0.01
UNION ALL BY NAME
-- Of some mails a second copy is delivered, hours or days later.
SELECT person, 'copy' AS kind, n, 'email_delivered' AS type,
    occurred_at + span({HOUR}, {6 * DAY}, chance('copied after', person, n)) AS occurred_at, campaign
FROM mails WHERE NOT bounced AND chance('copied', person, n) < 0.02
UNION ALL BY NAME
SELECT person, 'open' AS kind, n * 10 + k AS n, 'email_opened' AS type, occurred_at, campaign, machine FROM opens
UNION ALL BY NAME
SELECT person, 'click' AS kind, n * 10 + k AS n, 'email_link_clicked' AS type, occurred_at, campaign, product,
    position, machine
FROM clicks
UNION ALL BY NAME
SELECT person, 'view' AS kind, n, 'product_viewed' AS type, occurred_at, product FROM views
UNION ALL BY NAME
SELECT person, 'cart' AS kind, n, 'product_added' AS type, occurred_at, product, quantity FROM carts
UNION ALL BY NAME
SELECT person, 'order' AS kind, n, 'order_completed' AS type, occurred_at, total, products, currency, coupon,
    payment_method
FROM orders
UNION ALL BY NAME
SELECT person, 'refund' AS kind, n, 'order_refunded' AS type,
    occurred_at + span({DAY}, {10 * DAY}, chance('refund after', person, n)) AS occurred_at,
    (CASE WHEN chance('part', person, n) < 0.4 THEN total / 2 ELSE total END)::DECIMAL(18, 2) AS total, currency
FROM orders WHERE chance('refund', person, n) < 0.06
"""

_EVENTS: Final = f"""
COPY (
    WITH dated AS (
        SELECT happened.* EXCLUDE (occurred_at, n),
            occurred_at - CASE WHEN by_half_hours THEN occurred_at % {30 * MINUTE} ELSE 0 END AS occurred_at,
            md5(concat(kind, ' ', person, ' ', n))::UUID::VARCHAR AS id,
            chance('late ' || kind, person, n) AS late
        FROM happened JOIN people USING (person)
    ), received AS (
        SELECT *, occurred_at + CASE
            WHEN late < 0.01 THEN span({MINUTE}, {2 * DAY}, late * 100)
            ELSE span(0, {2 * SECOND}, late)
        END AS received_at
        FROM dated WHERE occurred_at < {END}
    )
    SELECT person, id, type, occurred_at, received_at, campaign,
        code(product) AS product_id, category(product) AS category,
        CASE WHEN type = 'product_added' OR type = 'product_viewed' THEN price(product)::DOUBLE END AS price,
        quantity, total::DOUBLE AS total, products, currency, coupon, payment_method, position,
        coalesce(machine, false) AS machine
    FROM (
        FROM received
        UNION ALL
        -- Some come twice.
        SELECT * REPLACE (received_at + {HOUR} AS received_at) FROM received WHERE late > 0.995
    )
    ORDER BY person, received_at, id
) TO '{{path}}' (COMPRESSION zstd)
"""


def write(people: int, folder: Path, *, first: int = 0) -> None:
    """Write `events.parquet`, in order of person and receipt, and `people.parquet` to a folder.

    Of more people than fit into memory, some can be made after the others: those from the number `first` on.
    """
    with duckdb.connect() as connection:
        # A bar of progress would break the lines that others print.
        connection.execute("SET enable_progress_bar = false")
        for macro in _MACROS:
            connection.execute(macro)
        connection.execute(_PEOPLE.format(first=first, end=first + people))
        for table in (_MAILS, _OPENS, _CLICKS, _VIEWS, _CARTS, _ORDERS, _HAPPENED):
            connection.execute(table)
        connection.execute(_EVENTS.format(path=folder / "events.parquet"))
        connection.execute(
            f"COPY (SELECT person, country, plan, birthday FROM people ORDER BY person) TO '{folder}/people.parquet'"
        )


def count(folder: Path) -> int:
    """Return how many events a folder has, those that come twice counted once."""
    with duckdb.connect() as connection:
        ((events,),) = connection.execute(f"SELECT count(DISTINCT id) FROM '{folder}/events.parquet'").fetchall()
    return int(events)
