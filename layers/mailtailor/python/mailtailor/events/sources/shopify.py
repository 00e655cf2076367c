"""Shopify's webhooks as our events.

An order counts once, when it is placed: `orders/create`. It is named by its own id, not by the delivery's, so a
redelivery or a second subscription changes nothing. `buyer_accepts_marketing` is not consent to personalization.

Sources: Shopify, "Deliver webhooks through HTTPS" (signature), and "Order", "Refund", "Checkout", "Customer" of the
Admin REST API (payloads).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from mailtailor.events.event import Event
from mailtailor.events.sources.order_lines import order_lines
from mailtailor.events.sources.signatures import check_hmac
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource
from mailtailor.events.untrusted import BadField, mapping, number, parse, text, time
from mailtailor.instant import Instant
from mailtailor.profiles.identity import is_email_key

NAME: Final = "shopify"
MAX_TEXT: Final = 256


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    check_hmac([delivery.headers.get("x-shopify-hmac-sha256", "")], delivery.body, secrets)


def _items(delivery: Delivery) -> Iterable[Item]:
    topic = delivery.headers.get("x-shopify-topic", "")
    payload = parse(delivery.body)
    return [{"topic": topic, "payload": payload}] if topic in TOPICS else []


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    return TOPICS[item["topic"]](mapping(item["payload"], ""), given)


def _order_completed(order: Mapping[str, Any], given: Normalizing) -> list[Event]:
    order_id = _id(order)
    return given.event(
        "order_completed",
        event_id=f"order:{order_id}",
        at=_time(order, "created_at"),
        person=_buyer(order),
        properties=_sale(order, order_id),
    )


def _order_cancelled(order: Mapping[str, Any], given: Normalizing) -> list[Event]:
    order_id = _id(order)
    return given.event(
        "order_cancelled",
        event_id=f"order:{order_id}:cancelled",
        at=_time(order, "cancelled_at"),
        person=_buyer(order),
        properties=_sale(order, order_id),
    )


def _checkout_started(checkout: Mapping[str, Any], given: Normalizing) -> list[Event]:
    token = text(checkout.get("token"), "token", limit=64) or _id(checkout)
    return given.event(
        "checkout_started",
        event_id=f"checkout:{token}",
        at=_time(checkout, "created_at"),
        person=_buyer(checkout),
        properties=_sale(checkout, None) | {"checkout_id": token},
    )


def _identified(customer: Mapping[str, Any], given: Normalizing) -> list[Event]:
    customer_id, changed = _id(customer), _time(customer, "updated_at")
    address = mapping(customer.get("default_address"), "default_address")
    return given.event(
        "identified",
        # The shop's key of a person is for their pseudonym alone.
        event_id=f"customer:{given.derived_id(customer_id, changed)}",
        at=changed,
        person=_person(customer_id, text(customer.get("email"), "email", limit=MAX_TEXT)),
        attributes={
            "first_name": text(customer.get("first_name"), "first_name", limit=MAX_TEXT),
            "city": text(address.get("city"), "default_address.city", limit=MAX_TEXT),
            "region": text(address.get("province_code"), "default_address.province_code", limit=MAX_TEXT),
            "country": text(address.get("country_code"), "default_address.country_code", limit=MAX_TEXT),
            "postal_code": text(address.get("zip"), "default_address.zip", limit=MAX_TEXT),
        },
    )


def _sale(order: Mapping[str, Any], order_id: str | None) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "total": number(order.get("total_price"), "total_price"),
        "currency": text(order.get("currency"), "currency", limit=8),
        "products": order_lines(order.get("line_items"), "line_items", name="title"),
    }


def _id(payload: Mapping[str, Any]) -> str:
    found = text(payload.get("id"), "id", limit=64)
    if found is None:
        raise BadField("id", "is missing")
    return found


def _time(payload: Mapping[str, Any], name: str) -> Instant:
    found = time(payload.get(name), name)
    if found is None:
        raise BadField(name, "is missing")
    return found


def _buyer(order: Mapping[str, Any]) -> Person:
    customer = mapping(order.get("customer"), "customer")
    addresses = (text(place.get("email"), "email", limit=MAX_TEXT) for place in (order, customer))
    customer_id = text(customer.get("id"), "customer.id", limit=64)
    return _person(customer_id, next((address for address in addresses if address and is_email_key(address)), None))


def _person(customer_id: str | None, email: str | None) -> Person:
    return Person(user_id=f"{NAME}:{customer_id}" if customer_id else None, email=email)


TOPICS: Final[Mapping[str, Callable[[Mapping[str, Any], Normalizing], list[Event]]]] = MappingProxyType(
    {
        "orders/create": _order_completed,
        "orders/cancelled": _order_cancelled,
        "checkouts/create": _checkout_started,
        "customers/create": _identified,
        "customers/update": _identified,
    }
)
WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
