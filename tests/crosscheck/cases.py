"""Segments in our language, and beside each what it means in SQL, written by hand from the language's documentation.

The SQL sees these tables, at one instant (`ago` counts back from it):

- `events`: what is known by then of what people did, each event once; opens and clicks of machines left out;
- `all_events`: with machines';
- `people`: who they are.

Nothing here is shared with the engine but the events, so that a mistake would have to be made twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """A rule as in a file, and a query that returns the people it is true of."""

    rule: dict[str, Any]
    sql: str


ABANDONED = ("Lighting", "Kitchen", "Home", "Bags", "Garden", "Stationery")

CASES: dict[str, Case] = {
    "browse_abandoners": Case(
        {
            "all": [
                {
                    "event": ["product_viewed", "email_link_clicked"],
                    "where": {"category": {"in": list(ABANDONED)}},
                    "within": "48h",
                },
                {"not": {"event": ["product_added", "order_completed"], "within": "48h"}},
            ]
        },
        f"""
        SELECT person FROM events
        WHERE type IN ('product_viewed', 'email_link_clicked') AND category IN {ABANDONED}
            AND occurred_at > ago(hours(48))
        EXCEPT
        SELECT person FROM events
        WHERE type IN ('product_added', 'order_completed') AND occurred_at > ago(hours(48))
        """,
    ),
    "browse_abandoners_sql": Case(
        {
            "all": [
                {
                    "event": ["product_viewed", "email_link_clicked"],
                    "where": {"category": "Lighting"},
                    "older_than": "2d",
                },
                {"not": {"event": "order_completed", "within": "7d"}},
            ]
        },
        """
        SELECT person FROM events
        WHERE type IN ('product_viewed', 'email_link_clicked') AND category = 'Lighting'
        GROUP BY person HAVING max(occurred_at) <= ago(days(2))
        EXCEPT
        SELECT person FROM events WHERE type = 'order_completed' AND occurred_at > ago(days(7))
        """,
    ),
    "recent_purchasers": Case(
        {"event": "order_completed", "within": "7d"},
        "SELECT person FROM events WHERE type = 'order_completed' AND occurred_at > ago(days(7))",
    ),
    "high_engagement": Case(
        {
            "all": [
                {"event": "email_link_clicked", "at_least": 3, "within": "30d"},
                {"opened_share": 0.7, "within": "30d"},
            ]
        },
        """
        SELECT person FROM events WHERE type = 'email_link_clicked' AND occurred_at > ago(days(30))
        GROUP BY person HAVING count(*) >= 3
        INTERSECT
        SELECT person FROM (
            SELECT person, campaign, max(occurred_at) AS delivered FROM events WHERE type = 'email_delivered'
            GROUP BY person, campaign
        ) AS mails
        LEFT JOIN (
            SELECT person, campaign, max(occurred_at) AS opened FROM events WHERE type = 'email_opened'
            GROUP BY person, campaign
        ) AS opens USING (person, campaign)
        WHERE delivered > ago(days(30))
        GROUP BY person HAVING 10 * count(*) FILTER (opened >= delivered - days(1)) >= 7 * count(*)
        """,
    ),
    "opened_by_anything": Case(
        {"opened_share": 0.6, "within": "21d", "include_machine": True},
        """
        SELECT person FROM (
            SELECT person, campaign, max(occurred_at) AS delivered FROM events WHERE type = 'email_delivered'
            GROUP BY person, campaign
        ) AS mails
        LEFT JOIN (
            SELECT person, campaign, max(occurred_at) AS opened FROM all_events WHERE type = 'email_opened'
            GROUP BY person, campaign
        ) AS opens USING (person, campaign)
        WHERE delivered > ago(days(21))
        GROUP BY person HAVING 10 * count(*) FILTER (opened >= delivered - days(1)) >= 6 * count(*)
        """,
    ),
    "clickers": Case(
        {"clicked_share": 0.1, "within": "30d"},
        """
        SELECT person FROM (
            SELECT person, campaign, max(occurred_at) AS delivered FROM events WHERE type = 'email_delivered'
            GROUP BY person, campaign
        ) AS mails
        LEFT JOIN (
            SELECT person, campaign, max(occurred_at) AS clicked FROM events WHERE type = 'email_link_clicked'
            GROUP BY person, campaign
        ) AS clicks USING (person, campaign)
        WHERE delivered > ago(days(30))
        GROUP BY person HAVING 10 * count(*) FILTER (clicked >= delivered - days(1)) >= count(*)
        """,
    ),
    "opens_by_anything": Case(
        {"event": "email_opened", "at_least": 3, "at_most": 5, "within": "20d", "include_machine": True},
        """
        SELECT person FROM all_events WHERE type = 'email_opened' AND occurred_at > ago(days(20))
        GROUP BY person HAVING count(*) BETWEEN 3 AND 5
        """,
    ),
    "net_spenders": Case(
        {"event": "order_completed", "sum": "total", "minus": "order_refunded", "within": "30d", "at_least": 79.9},
        """
        SELECT person FROM events
        WHERE type IN ('order_completed', 'order_refunded') AND occurred_at > ago(days(30))
        GROUP BY person
        HAVING sum(CASE type WHEN 'order_completed' THEN 1 ELSE -1 END * total::DECIMAL(18, 2)) >= 79.9
        """,
    ),
    "small_spenders": Case(
        {"event": "order_completed", "sum": "products.price", "within": "14d", "below": 20},
        """
        SELECT person FROM people
        EXCEPT
        SELECT person FROM (
            SELECT person, unnest(products).price AS price FROM events
            WHERE type = 'order_completed' AND occurred_at > ago(days(14))
        )
        GROUP BY person HAVING sum(price::DECIMAL(18, 2)) >= 20
        """,
    ),
    "average_orders": Case(
        {"event": "order_completed", "average": "total", "between": ["1d", "40d"], "above": 45.5, "at_most": 90},
        """
        SELECT person FROM events
        WHERE type = 'order_completed' AND occurred_at > ago(days(40)) AND occurred_at <= ago(days(1))
        GROUP BY person
        HAVING sum(total::DECIMAL(18, 2)) > 45.5 * count(*) AND sum(total::DECIMAL(18, 2)) <= 90 * count(*)
        """,
    ),
    "curious": Case(
        {"event": "product_viewed", "distinct": "category", "within": "14d", "at_least": 4},
        """
        SELECT person FROM events WHERE type = 'product_viewed' AND occurred_at > ago(days(14))
        GROUP BY person HAVING count(DISTINCT category) >= 4
        """,
    ),
    "single_minded": Case(
        {"event": "product_viewed", "distinct": "category", "between": ["2d", "20d"], "at_most": 1},
        """
        SELECT person FROM people
        EXCEPT
        SELECT person FROM events
        WHERE type = 'product_viewed' AND occurred_at > ago(days(20)) AND occurred_at <= ago(days(2))
        GROUP BY person HAVING count(DISTINCT category) > 1
        """,
    ),
    "viewed_last_week": Case(
        {"event": "product_viewed", "between": ["2d", "9d"], "at_least": 2, "at_most": 6},
        """
        SELECT person FROM events
        WHERE type = 'product_viewed' AND occurred_at <= ago(days(2)) AND occurred_at > ago(days(9))
        GROUP BY person HAVING count(*) BETWEEN 2 AND 6
        """,
    ),
    "new_customers": Case(
        {"event": "order_completed", "first": True, "within": "10d"},
        """
        SELECT person FROM events WHERE type = 'order_completed'
        GROUP BY person HAVING min(occurred_at) > ago(days(10))
        """,
    ),
    "old_viewers": Case(
        {"event": "product_viewed", "where": {"price": {"above": 20}}, "first": True, "older_than": "15d"},
        """
        SELECT person FROM events WHERE type = 'product_viewed' AND price > 20
        GROUP BY person HAVING min(occurred_at) <= ago(days(15))
        """,
    ),
    "last_in_kitchen": Case(
        {"event": "product_viewed", "last": {"category": "Kitchen", "price": {"below": 40}}, "within": "12d"},
        """
        SELECT person FROM events
        JOIN (
            SELECT person, max(occurred_at) AS newest FROM events WHERE type = 'product_viewed' GROUP BY person
        ) AS last USING (person)
        WHERE type = 'product_viewed' AND occurred_at = newest AND newest > ago(days(12))
            AND category = 'Kitchen' AND price < 40
        """,
    ),
    "abandoned_carts": Case(
        {
            "event": "product_added",
            "within": "7d",
            "not_followed_by": {"event": "order_completed", "within": "30m"},
        },
        """
        SELECT person FROM events AS a
        WHERE type = 'product_added' AND occurred_at > ago(days(7)) AND occurred_at <= ago(minutes(30))
            AND NOT EXISTS (
                SELECT 1 FROM events AS b
                WHERE b.person = a.person AND b.type = 'order_completed'
                    AND b.occurred_at >= a.occurred_at AND b.occurred_at < a.occurred_at + minutes(30)
            )
        """,
    ),
    "waiting_carts": Case(
        {
            "event": "product_added",
            "within": "7d",
            "not_followed_by": {"event": "order_completed"},
            "older_than": "1h",
        },
        """
        SELECT person FROM (
            SELECT person,
                max(occurred_at) FILTER (type = 'product_added') AS added,
                max(occurred_at) FILTER (type = 'order_completed') AS bought
            FROM events GROUP BY person
        )
        WHERE added > ago(days(7)) AND added <= ago(hours(1)) AND (bought IS NULL OR bought < added)
        """,
    ),
    "undecided": Case(
        {
            "event": "product_viewed",
            "within": "7d",
            "not_followed_by": {"event": "product_added", "same": "product_id"},
            "older_than": "2d",
        },
        """
        SELECT person FROM (
            SELECT person, product_id,
                max(occurred_at) FILTER (type = 'product_viewed') AS viewed,
                max(occurred_at) FILTER (type = 'product_added') AS added
            FROM events GROUP BY person, product_id
        )
        WHERE viewed > ago(days(7)) AND viewed <= ago(days(2)) AND (added IS NULL OR added < viewed)
        """,
    ),
    "unfinished": Case(
        {
            "event": "product_viewed",
            "where": {"category": {"in": ["Toys", "Christmas"]}},
            "between": ["3d", "12d"],
            "not_followed_by": {"event": "product_added", "same": "product_id", "within": "2h"},
        },
        """
        SELECT person FROM events AS a
        WHERE type = 'product_viewed' AND category IN ('Toys', 'Christmas')
            AND occurred_at > ago(days(12)) AND occurred_at <= ago(days(3))
            AND NOT EXISTS (
                SELECT 1 FROM events AS b
                WHERE b.person = a.person AND b.type = 'product_added' AND b.product_id = a.product_id
                    AND b.occurred_at >= a.occurred_at AND b.occurred_at < a.occurred_at + hours(2)
            )
        """,
    ),
    "single_views": Case(
        {
            "event": "product_viewed",
            "within": "5d",
            "not_followed_by": {"event": "product_viewed", "within": "1d"},
        },
        """
        SELECT person FROM events AS a
        WHERE type = 'product_viewed' AND occurred_at > ago(days(5)) AND occurred_at <= ago(days(1))
            AND NOT EXISTS (
                SELECT 1 FROM events AS b
                WHERE b.person = a.person AND b.type = 'product_viewed'
                    AND b.occurred_at > a.occurred_at AND b.occurred_at < a.occurred_at + days(1)
            )
        """,
    ),
    "won_by_mail": Case(
        {
            "event": "email_link_clicked",
            "within": "21d",
            "followed_by": {"event": "order_completed", "within": "1d"},
        },
        """
        SELECT a.person FROM events AS a JOIN events AS b ON b.person = a.person
        WHERE a.type = 'email_link_clicked' AND a.occurred_at > ago(days(21))
            AND b.type = 'order_completed'
            AND b.occurred_at >= a.occurred_at AND b.occurred_at < a.occurred_at + days(1)
        """,
    ),
    "quick_adders": Case(
        {
            "event": "product_viewed",
            "where": {"price": {"at_least": 10}},
            "within": "3d",
            "followed_by": {"event": "product_added", "same": "product_id", "within": "5m", "where": {"quantity": 1}},
        },
        """
        SELECT a.person FROM events AS a JOIN events AS b ON b.person = a.person AND b.product_id = a.product_id
        WHERE a.type = 'product_viewed' AND a.price >= 10 AND a.occurred_at > ago(days(3))
            AND b.type = 'product_added' AND b.quantity = 1
            AND b.occurred_at >= a.occurred_at AND b.occurred_at < a.occurred_at + minutes(5)
        """,
    ),
    "summer_orders": Case(
        {
            "event": "order_completed",
            "where": {
                "coupon": {"prefix": "summer", "ignore_case": True},
                "payment_method": {"not_in": ["invoice", "cash"]},
                "total": {"at_least": 20, "below": 200},
                "currency": {"in": ["EUR", "GBP"]},
                "products.category": {"in": ["Lighting", "Kitchen", "Bags"]},
            },
            "within": "28d",
        },
        """
        SELECT person FROM events
        WHERE type = 'order_completed' AND occurred_at > ago(days(28))
            AND lower(coupon) LIKE 'summer%' AND payment_method NOT IN ('invoice', 'cash')
            AND total >= 20 AND total < 200 AND currency IN ('EUR', 'GBP')
            AND list_has_any([line.category for line in products], ['Lighting', 'Kitchen', 'Bags'])
        """,
    ),
    "orders_without_coupon": Case(
        {
            "event": "order_completed",
            "where": {"coupon": {"exists": False}, "currency": {"not": "USD"}},
            "within": "21d",
            "at_least": 2,
        },
        """
        SELECT person FROM events
        WHERE type = 'order_completed' AND occurred_at > ago(days(21)) AND coupon IS NULL AND currency <> 'USD'
        GROUP BY person HAVING count(*) >= 2
        """,
    ),
    "not_just_welcomed": Case(
        {
            "event": "order_completed",
            "where": {"coupon": {"not": "WELCOME"}, "currency": {"is": "eur", "ignore_case": True}},
            "within": "21d",
        },
        """
        SELECT person FROM events
        WHERE type = 'order_completed' AND occurred_at > ago(days(21))
            AND (coupon IS NULL OR coupon <> 'WELCOME') AND lower(currency) = 'eur'
        """,
    ),
    "link_readers": Case(
        {
            "event": "email_link_clicked",
            "where": {
                "campaign": {"contains": "-1", "suffix": "2"},
                "position": {"at_most": 3},
                "product_id": {"at_least": "P010", "below": "P300"},
            },
            "within": "40d",
        },
        """
        SELECT person FROM events
        WHERE type = 'email_link_clicked' AND occurred_at > ago(days(40))
            AND campaign LIKE '%-1%' AND campaign LIKE '%2' AND position <= 3
            AND product_id >= 'P010' AND product_id < 'P300'
        """,
    ),
    "silent": Case(
        {"event": ["product_viewed", "product_added", "order_completed"], "exactly": 0, "within": "30d"},
        """
        SELECT person FROM people
        EXCEPT
        SELECT person FROM events
        WHERE type IN ('product_viewed', 'product_added', 'order_completed') AND occurred_at > ago(days(30))
        """,
    ),
    "sleepers": Case(
        {
            "all": [
                {"event": "email_delivered", "at_least": 5, "within": "30d"},
                {"not": {"any": [{"event": "email_opened", "within": "30d"}, {"segment": "recent_purchasers"}]}},
                {
                    "any": [
                        {"attribute": "country", "is": {"in": ["DE", "AT"]}},
                        {"attribute": "plan", "is": {"is": "PREMIUM", "ignore_case": True}},
                    ]
                },
            ]
        },
        """
        SELECT person FROM events WHERE type = 'email_delivered' AND occurred_at > ago(days(30))
        GROUP BY person HAVING count(*) >= 5
        INTERSECT
        SELECT person FROM people WHERE country IN ('DE', 'AT') OR plan = 'Premium'
        EXCEPT
        SELECT person FROM events
        WHERE (type = 'email_opened' AND occurred_at > ago(days(30)))
            OR (type = 'order_completed' AND occurred_at > ago(days(7)))
        """,
    ),
    "bounced": Case(
        {"mail_state": "bounced"},
        """
        SELECT person FROM events GROUP BY person
        HAVING max(occurred_at) FILTER (type = 'email_bounced')
            > coalesce(max(occurred_at) FILTER (type = 'email_delivered'), 0)
        """,
    ),
    "birthdays": Case(
        {"anniversary": "birthday", "in_days": [0, 7], "time_zone": "Europe/London"},
        """
        WITH days AS (
            SELECT timezone('Europe/London', to_timestamp(ago(0) / 1000))::DATE + ahead::INTEGER AS day
            FROM range(8) AS _(ahead)
        )
        SELECT person FROM people JOIN days
            ON month(birthday::DATE) = month(day) AND day(birthday::DATE) = day(day)
        """,
    ),
}
