"""The lines of a shop's order as products of an event, where shops write them alike."""

from __future__ import annotations

from typing import Any, Final

from mailtailor.events.untrusted import BadField, mapping, number, text
from mailtailor.events.vocabulary import MAX_PRODUCTS

MAX_ID: Final = 256
MAX_NAME: Final = 1_024


def order_lines(lines: object, field: str, *, name: str) -> list[dict[str, Any]]:
    """Return products with `product_id`, `name`, `quantity` and `price`, absent ones left out.

    A product is its `sku`, which names it in every system of the shop, else the shop software's own `product_id`.

    Parameters
    ----------
    lines
        What the order holds.
    field
        Where it stands, for errors.
    name
        The field of a line that holds the product's name.

    Raises
    ------
    BadField
        If it is no list of objects, longer than `MAX_PRODUCTS`, or a field is of a wrong type.
    """
    if not isinstance(lines, list):
        raise BadField(field, "must be a list")
    if len(lines) > MAX_PRODUCTS:
        raise BadField(field, f"has more than {MAX_PRODUCTS} entries")
    return [_product(line, f"{field}[{index}]", name) for index, line in enumerate(lines)]


def _product(line: object, field: str, name: str) -> dict[str, Any]:
    told = mapping(line, field)
    keys = (text(told.get(key), f"{field}.{key}", limit=MAX_ID) for key in ("sku", "product_id"))
    product = {
        "product_id": next((key for key in keys if key), None),
        "name": text(told.get(name), f"{field}.{name}", limit=MAX_NAME),
        "quantity": number(told.get("quantity"), f"{field}.quantity"),
        "price": number(told.get("price"), f"{field}.price"),
    }
    return {key: value for key, value in product.items() if value is not None}
