"""Recommends what fits a recipient's last views and purchases: no model, no training, exact at every fetch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from mailtailor.content.catalog import Catalog, Product


class Why(StrEnum):
    """What a recommendation stems from."""

    VIEWED = "viewed"
    CATEGORY = "category"
    BESTSELLER = "bestseller"

    @property
    def personal(self) -> bool:
        """Whether the recipient's own behaviour led to it."""
        return self is not Why.BESTSELLER


class Recommendation(NamedTuple):
    """A product and why it is recommended."""

    product: Product
    why: Why


def recommend(
    catalog: Catalog, *, viewed: Sequence[str], purchased: Sequence[str], n: int = 3
) -> tuple[Recommendation, ...]:
    """Return at most `n` products, never one that was just purchased, none twice.

    First what was viewed and not bought, the latest first; then what sells best in the categories of the views and
    purchases; then what sells best at all.

    Parameters
    ----------
    catalog
        The products on sale; ids that it lacks are passed over.
    viewed, purchased
        Product ids, the newest first.
    n
        How many.
    """
    taken = set(purchased)
    chosen: list[Recommendation] = []
    for candidate in _candidates(catalog, viewed, purchased):
        if len(chosen) == n:
            break
        if candidate.product.id not in taken:
            taken.add(candidate.product.id)
            chosen.append(candidate)
    return tuple(chosen)


def _candidates(catalog: Catalog, viewed: Sequence[str], purchased: Sequence[str]) -> Iterator[Recommendation]:
    known_views = [product for product_id in viewed if (product := catalog.by_id(product_id))]
    known_purchases = [product for product_id in purchased if (product := catalog.by_id(product_id))]
    for product in known_views:
        yield Recommendation(product, Why.VIEWED)
    for category in dict.fromkeys(product.category for product in (*known_views, *known_purchases)):
        for product in catalog.by_category(category):
            yield Recommendation(product, Why.CATEGORY)
    for product in catalog.bestsellers:
        yield Recommendation(product, Why.BESTSELLER)
