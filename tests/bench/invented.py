"""Invented segments such as a shop has, in any number; the same number gives the same segments."""

from __future__ import annotations

from random import Random
from typing import Any

from mailtailor.segments.definition import SegmentDefinition
from tests.bench.population import CATEGORIES, PRODUCTS

Rule = dict[str, Any]
UNFILTERED = 0.3
"""Of conditions on what people did, so many ask nothing of its properties; each event of the type concerns them."""


def definitions(number: int, seed: int = 0) -> list[SegmentDefinition]:
    """Return segments of the kinds that shops define."""
    return [SegmentDefinition.model_validate(one) for one in as_written(number, seed)]


def as_written(number: int, seed: int = 0) -> list[Rule]:
    """Return segments as they stand in files."""
    random = Random(f"{number} {seed}")
    kinds = random.choices(
        [_abandoners, _purchasers, _interested, _engaged, _waiting_carts, _returning, _spenders],
        weights=[26, 18, 18, 8, 12, 12, 6],
        k=number,
    )
    return [
        {"name": f"segment_{n}", "description": f"An invented segment, number {n}.", "rule": kind(random)}
        for n, kind in enumerate(kinds)
    ]


def _days(random: Random, *days: int) -> str:
    return f"{random.choice(days)}d"


def _of_products(random: Random, prefix: str = "") -> Rule:
    """Return what to ask of an event about products."""
    if random.random() < UNFILTERED:
        return {}
    if random.random() < 0.55:
        return {"where": {f"{prefix}product_id": f"P{int(PRODUCTS ** random.random()) - 1:03}"}}
    categories = random.sample(CATEGORIES, random.choice([1, 1, 1, 2, 3]))
    where: Rule = {f"{prefix}category": categories[0] if len(categories) == 1 else {"in": categories}}
    if random.random() < 0.15:
        where[f"{prefix}price"] = {"at_least": random.choice([10, 20, 30])}
    return {"where": where}


def _abandoners(random: Random) -> Rule:
    about, window = _of_products(random), _days(random, 1, 2, 3, 7)
    return {
        "all": [
            {"event": "product_viewed", "within": window} | about,
            {"not": {"event": "product_added", "within": window} | about},
        ]
    }


def _purchasers(random: Random) -> Rule:
    return {
        "event": "order_completed",
        "at_least": random.choice([1, 1, 1, 2, 3]),
        "within": _days(random, 7, 30, 90),
    } | _of_products(random, "products.")


def _interested(random: Random) -> Rule:
    about = _of_products(random)
    event = random.choice(["product_viewed", "product_viewed", "product_added", "email_link_clicked"])
    return {"event": event, "at_least": random.choice([1, 2, 3, 5]), "within": _days(random, 2, 7, 14, 30)} | about


def _engaged(random: Random) -> Rule:
    return {
        "all": [
            {"event": "email_link_clicked", "at_least": random.choice([1, 2, 3]), "within": "30d"},
            {"opened_share": random.choice([0.3, 0.5, 0.7]), "within": _days(random, 14, 30)},
        ]
    }


def _waiting_carts(random: Random) -> Rule:
    return {
        "event": "product_added",
        "within": _days(random, 3, 7),
        "not_followed_by": {"event": "order_completed"},
        "older_than": random.choice(["30m", "1h", "1d"]),
    } | _of_products(random)


def _returning(random: Random) -> Rule:
    return {
        "all": [
            {"event": "product_viewed", "older_than": _days(random, 2, 7, 14)} | _of_products(random),
            {"not": {"event": "order_completed", "within": _days(random, 7, 14, 30)}},
        ]
    }


def _spenders(random: Random) -> Rule:
    return {
        "event": "order_completed",
        "sum": "total",
        "at_least": random.choice([50, 100, 200]),
        "within": _days(random, 30, 90),
    }
