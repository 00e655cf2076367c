from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from mailtailor.content.catalog import parse
from mailtailor.errors import BadInput

ROW: dict[str, Any] = {"id": "1", "name": "Lantern", "price": 12.5, "currency": "GBP", "url": "https://shop.example/1"}


def document(*rows: Any) -> bytes:
    return json.dumps({"products": rows}).encode()


def test_products_are_found_by_id_category_and_popularity() -> None:
    # given
    rows = [ROW | {"id": str(rank), "rank": rank, "category": "ab"[rank % 2]} for rank in (3, 1, 2)]

    # when
    catalog = parse(document(*rows, ROW | {"id": "unranked"})).catalog

    # then
    assert [product.id for product in catalog.bestsellers] == ["1", "2", "3", "unranked"]
    assert [product.id for product in catalog.by_category("b")] == ["1", "3"]
    assert catalog.by_category("") == ()
    assert catalog.by_id("gone") is None


def test_a_price_is_exact_and_reads_as_people_write_it() -> None:
    catalog = parse(document(ROW | {"price": 1012.1}, ROW | {"id": "2", "price": 3, "currency": "SEK"})).catalog
    lantern, other = catalog.bestsellers

    assert (lantern.price, lantern.price_text) == (Decimal("1012.1"), "£1,012.10")
    assert other.price_text == "3.00 SEK"


@pytest.mark.parametrize(
    "fault",
    [
        {"id": ""},
        {"id": 7},
        {"name": None},
        {"name": "x" * 3_000},
        {"price": "12"},
        {"price": -1},
        {"price": True},
        {"price": 10**12},
        {"url": "javascript:alert(1)"},
        {"url": "https://shop.example/?a=\0"},
        {"url": "/relative"},
        {"url": "https://shop.example/a b"},
        {"url": "https://shop@evil.example/"},
        {"currency": None},
    ],
)
def test_a_product_that_cannot_be_shown_is_left_out_and_counted(fault: dict[str, Any]) -> None:
    # when
    parsed = parse(document(ROW, ROW | {"id": "2"} | fault, "no product"))

    # then
    assert [product.id for product in parsed.catalog.bestsellers] == ["1"]
    assert parsed.refused == 2


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"products": {}}', b'{"items": []}', b"\xff\xfe", b'{"products": ' + b"[" * 100_000]
)
def test_what_is_no_catalog_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput):
        parse(content)


def test_a_price_that_is_no_number_is_no_price() -> None:
    parsed = parse(b'{"products": [{"id": "1", "name": "x", "url": "https://a.example", "price": NaN}]}')

    assert len(parsed.catalog) == 0
