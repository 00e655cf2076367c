"""Shopify's webhooks as our events.

An order counts once, when it is placed: `orders/create`. It is named by its own id, not by the delivery's, so a
redelivery or a second subscription changes nothing. `buyer_accepts_marketing` is not consent to personalization.

Sources: Shopify, "Deliver webhooks through HTTPS" (signature) and "Order" of the Admin REST API (payload).
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailtailor.errors import Unauthorized
from mailtailor.events.event import Event, Identity
from mailtailor.events.sources.webhook import Delivery
from mailtailor.events.untrusted import BadField, clean, mapping, number, parse, text, time, without_addresses
from mailtailor.events.vocabulary import MAX_PRODUCTS
from mailtailor.profiles.identity import IdentityKind, Pseudonymizer, is_email_key

SOURCE: Final = "shopify"
MAX_TEXT: Final = 256


def receive(delivery: Delivery, *, secrets: Sequence[str], pseudonymizer: Pseudonymizer) -> list[Event]:
    """Return the events of a delivery: none for a topic that does not count, or an order of nobody we can name.

    Raises
    ------
    Unauthorized
        If the signature is missing or wrong.
    BadInput
        If the signed body cannot be used.
    """
    _verify(delivery, secrets)
    payload = parse(delivery.body)
    if delivery.headers.get("x-shopify-topic") != "orders/create":
        return []
    order = mapping(clean(payload), "")
    identities = tuple(_identities(order, pseudonymizer))
    return [_order(order, identities, delivery)] if identities else []


def _verify(delivery: Delivery, secrets: Sequence[str]) -> None:
    given = delivery.headers.get("x-shopify-hmac-sha256", "").encode("utf-8", "replace")
    expected = [base64.b64encode(hmac.digest(secret.encode(), delivery.body, "sha256")) for secret in secrets]
    if not any(hmac.compare_digest(given, signature) for signature in expected):
        raise Unauthorized("The signature of the webhook is missing or wrong.", "Check the source's client secret.")


def _order(order: Mapping[str, Any], identities: tuple[Identity, ...], delivery: Delivery) -> Event:
    order_id = text(order.get("id"), "id", limit=64)
    if order_id is None:
        raise BadField("id", "is missing")
    occurred_at = time(order.get("created_at"), "created_at")
    if occurred_at is None:
        raise BadField("created_at", "is missing")
    properties = {
        "order_id": order_id,
        "total": number(order.get("total_price"), "total_price"),
        "currency": text(order.get("currency"), "currency", limit=8),
        "products": _products(order),
    }
    return Event(
        id=f"{SOURCE}:order:{order_id}",
        type="order_completed",
        source=SOURCE,
        identities=identities,
        occurred_at=max(0, occurred_at),
        received_at=delivery.received_at,
        properties={name: value for name, value in without_addresses(properties).items() if value is not None},
    )


def _identities(order: Mapping[str, Any], pseudonymizer: Pseudonymizer) -> Iterable[Identity]:
    customer = mapping(order.get("customer"), "customer")
    customer_id = text(customer.get("id"), "customer.id", limit=64)
    if customer_id is not None:
        yield _identity(IdentityKind.USER_ID, f"{SOURCE}:{customer_id}", pseudonymizer)
    addresses = (text(place.get("email"), "email", limit=MAX_TEXT) for place in (order, customer))
    address = next((address for address in addresses if address and is_email_key(address)), None)
    if address is not None:
        yield _identity(IdentityKind.EMAIL, address, pseudonymizer)


def _identity(kind: IdentityKind, key: str, pseudonymizer: Pseudonymizer) -> Identity:
    return Identity(kind=kind, id=pseudonymizer.pseudonym(kind, key))


def _products(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = order.get("line_items")
    if not isinstance(items, list):
        raise BadField("line_items", "must be a list")
    if len(items) > MAX_PRODUCTS:
        raise BadField("line_items", f"has more than {MAX_PRODUCTS} entries")
    return [_product(mapping(item, f"line_items[{index}]"), f"line_items[{index}]") for index, item in enumerate(items)]


def _product(item: Mapping[str, Any], field: str) -> dict[str, Any]:
    keys = (text(item.get(name), f"{field}.{name}", limit=MAX_TEXT) for name in ("sku", "product_id"))
    product = {
        # The sku names the product in every system of the shop; Shopify's own id only in Shopify.
        "product_id": next((key for key in keys if key), None),
        "name": text(item.get("title"), f"{field}.title", limit=1_024),
        "quantity": number(item.get("quantity"), f"{field}.quantity"),
        "price": number(item.get("price"), f"{field}.price"),
    }
    return {name: value for name, value in product.items() if value is not None}
