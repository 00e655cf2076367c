"""The properties that segments and content rely on, brought to one form.

Source of the names: Segment's e-commerce (v2) and e-mail event specifications. Other properties pass unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mailtailor.events.untrusted import BadField, mapping, number, text

MAX_PRODUCTS: Final = 500
MAX_TEXT: Final = 256

_TEXTS: Final = ("category", "currency", "order_id", "cart_id")
_NUMBERS: Final = ("price", "quantity", "total", "revenue", "value")
_MAIL: Final = {"campaign_id": "campaign", "link_url": "url"}
_MAIL_TEXTS: Final = ("campaign", "instance")


def product(properties: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return `properties` with `product_id` as text (else from `sku`) and prices and quantities as numbers.

    Raises
    ------
    BadField
        If one of them is of a wrong type.
    """
    result = dict(properties)
    product_id = _first(properties, ("product_id", "productId", "sku"), field)
    if product_id is not None:
        result["product_id"] = product_id
    for name in _TEXTS:
        _put(result, name, text(result.get(name), f"{field}.{name}", limit=MAX_TEXT))
    for name in _NUMBERS:
        _put(result, name, number(result.get(name), f"{field}.{name}"))
    return result


def commerce(properties: Mapping[str, Any], field: str = "properties") -> dict[str, Any]:
    """Return `properties` as of `product`, and each entry of `products` too.

    Raises
    ------
    BadField
        If a property of the vocabulary is of a wrong type.
    """
    result = product(properties, field)
    products = result.get("products")
    if products is None:
        return result
    if not isinstance(products, list):
        raise BadField(f"{field}.products", "must be a list")
    if len(products) > MAX_PRODUCTS:
        raise BadField(f"{field}.products", f"has more than {MAX_PRODUCTS} entries")
    places = [(f"{field}.products[{index}]", item) for index, item in enumerate(products)]
    result["products"] = [product(mapping(item, place), place) for place, item in places]
    return result


def mail(properties: Mapping[str, Any], field: str = "properties") -> dict[str, Any]:
    """Return the properties of a mail event with `campaign`, `url` and `instance` as text.

    Raises
    ------
    BadField
        If one is of a wrong type, or the campaign is missing: no such event could count for a message.
    """
    result = dict(properties)
    for theirs, ours in _MAIL.items():
        if theirs in result and ours not in result:
            result[ours] = result.pop(theirs)
    for name in _MAIL_TEXTS:
        _put(result, name, text(result.get(name), f"{field}.{name}", limit=MAX_TEXT))
    if "campaign" not in result:
        raise BadField(f"{field}.campaign", "is missing; campaign_id is accepted too")
    return result


def _first(properties: Mapping[str, Any], names: tuple[str, ...], field: str) -> str | None:
    found = (text(properties.get(name), f"{field}.{name}", limit=MAX_TEXT) for name in names)
    return next((value for value in found if value is not None), None)


def _put(result: dict[str, Any], name: str, value: object) -> None:
    if value is None:
        result.pop(name, None)
    else:
        result[name] = value
