from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from mailtailor.content.catalog import Catalog, Product
from mailtailor.recommend.recent import Why, recommend


def product(product_id: str, category: str, rank: int) -> Product:
    return Product(product_id, f"Product {product_id}", Decimal(1), "GBP", "https://shop.example/", category, rank)


CATALOG = Catalog(
    [
        product("lamp", "Lighting", 4),
        product("candle", "Lighting", 2),
        product("bag", "Bags", 1),
        product("mug", "Kitchen", 3),
        product("bowl", "Kitchen", 5),
    ]
)


def ids(*, viewed: tuple[str, ...] = (), purchased: tuple[str, ...] = (), n: int = 3) -> list[str]:
    return [found.product.id for found in recommend(CATALOG, viewed=viewed, purchased=purchased, n=n)]


def test_what_was_viewed_comes_first_the_latest_before_the_rest() -> None:
    assert ids(viewed=("bowl", "lamp")) == ["bowl", "lamp", "mug"]


def test_after_the_views_come_their_categories_then_bestsellers() -> None:
    # when
    found = recommend(CATALOG, viewed=("lamp",), purchased=("mug",), n=5)

    # then
    assert [(one.product.id, one.why) for one in found] == [
        ("lamp", Why.VIEWED),
        ("candle", Why.CATEGORY),
        ("bowl", Why.CATEGORY),
        ("bag", Why.BESTSELLER),
    ]


def test_nothing_just_bought_is_recommended_even_if_viewed_since() -> None:
    assert ids(viewed=("lamp",), purchased=("lamp",)) == ["candle", "bag", "mug"]


def test_somebody_unknown_gets_bestsellers_and_none_counts_as_personal() -> None:
    found = recommend(CATALOG, viewed=(), purchased=())

    assert [one.product.id for one in found] == ["bag", "candle", "mug"]
    assert not any(one.why.personal for one in found)


def test_products_that_left_the_catalog_are_passed_over() -> None:
    assert ids(viewed=("gone", "lamp"), purchased=("also gone",)) == ["lamp", "candle", "bag"]


def test_an_empty_catalog_has_nothing_to_recommend() -> None:
    assert recommend(Catalog(), viewed=("lamp",), purchased=()) == ()


PRODUCT_IDS = st.integers(0, 12).map(str)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    rows = draw(st.lists(st.tuples(PRODUCT_IDS, st.sampled_from(["", "a", "b"]), st.integers(1, 5)), max_size=12))
    return Catalog(product(*row) for row in rows)


@given(
    catalogs(), st.lists(PRODUCT_IDS, max_size=6, unique=True), st.lists(PRODUCT_IDS, max_size=6), st.integers(0, 12)
)
def test_recommendations_are_few_different_on_sale_and_not_bought(
    catalog: Catalog, viewed: list[str], purchased: list[str], n: int
) -> None:
    # when
    found = [one.product.id for one in recommend(catalog, viewed=viewed, purchased=purchased, n=n)]

    # then
    on_sale = {one.id for one in catalog.bestsellers} - set(purchased)
    assert len(found) == len(set(found)) == min(n, len(on_sale))
    assert set(found) <= on_sale
    assert found == [one.product.id for one in recommend(catalog, viewed=viewed, purchased=purchased, n=n)]
