"""The demonstration's real data."""

from __future__ import annotations

from collections import Counter

import pytest

from infra.local.demo.campaigns import CAMPAIGNS, PRODUCTS
from infra.local.demo.sample import CATEGORIES, DATA, Sample, category, tidy


def test_the_sample_is_large_enough_to_be_worth_a_demonstration(sample: Sample) -> None:
    orders = [order for customer in sample.customers for order in customer.orders]
    assert len(sample.customers) >= 500
    assert sum(len(order.lines) for order in orders) >= 10_000
    assert sum(len(customer.orders) > 1 for customer in sample.customers) >= 300
    assert len({customer.country for customer in sample.customers}) >= 5


def test_the_sample_is_small_enough_to_ship() -> None:
    assert sum(file.stat().st_size for file in DATA.iterdir()) < 1_500_000


def test_every_line_sells_a_named_product_at_a_price(sample: Sample) -> None:
    for customer in sample.customers:
        for order in customer.orders:
            assert order.lines
            for line in order.lines:
                assert line.quantity > 0
                assert line.price > 0
                assert line.product.name
                assert line.product.price > 0


def test_there_is_nothing_in_it_but_goods(sample: Sample) -> None:
    assert not [product.id for product in sample.products.values() if not product.id[:5].isdecimal()]


def test_each_category_has_enough_for_a_letter(sample: Sample) -> None:
    sold = Counter(product.category for product in sample.products.values())
    assert set(sold) == set(CATEGORIES)
    for campaign in CAMPAIGNS:
        assert len(campaign.products(sample)) == PRODUCTS


def test_ranks_are_a_permutation_with_the_most_bought_product_first(sample: Sample) -> None:
    assert sorted(product.rank for product in sample.products.values()) == list(range(1, len(sample.products) + 1))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RED RETROSPOT CHARLOTTE BAG", "Bags"),
        ("VICTORIAN GLASS HANGING T-LIGHT", "Lighting"),
        ("PAPER CHAIN KIT 50'S CHRISTMAS", "Christmas"),
        ("REGENCY CAKESTAND 3 TIER", "Kitchen"),
        ("HEART OF WICKER SMALL", "Home"),
    ],
)
def test_the_category_follows_from_words_of_the_name(name: str, expected: str) -> None:
    assert category(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SET OF 3 REGENCY CAKE TINS", "Set of 3 Regency Cake Tins"),
        ("PAPER CHAIN KIT 50'S CHRISTMAS ", "Paper Chain Kit 50's Christmas"),
        ("15CM CHRISTMAS GLASS BALL 20 LIGHTS", "15cm Christmas Glass Ball 20 Lights"),
        ("KEY FOB , SHED", "Key Fob, Shed"),
        ("RED TOADSTOOL LED NIGHT LIGHT", "Red Toadstool LED Night Light"),
    ],
)
def test_names_are_calmed_down(name: str, expected: str) -> None:
    assert tidy(name) == expected
