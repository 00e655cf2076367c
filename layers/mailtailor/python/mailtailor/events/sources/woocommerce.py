"""WooCommerce's webhooks as our events.

An order counts once it is placed: when its status says that the buyer has come through the checkout (`PLACED`), be it
paid or to be paid later. `pending` is an order whose buyer may never come back from the payment page. Both
`order.created` and `order.updated` are read, because most orders are created pending; the event has the order's own id
and time of creation, so it is the same event whichever delivery tells it.

Sources: WooCommerce, `WC_Webhook` (signature, ping, headers, when a webhook is disabled) and `OrderStatus` in its
source; "Orders", "Customers" and "Webhooks" of the REST API v3 (payloads).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from mailtailor.events.event import Event
from mailtailor.events.sources.order_lines import order_lines
from mailtailor.events.sources.signatures import check_hmac
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, Reply, WebhookSource
from mailtailor.events.untrusted import BadField, mapping, number, parse, text, time
from mailtailor.instant import Instant
from mailtailor.profiles.identity import is_email_key

NAME: Final = "woocommerce"
MAX_TEXT: Final = 256
MAX_REFUNDS: Final = 100
PLACED: Final = frozenset({"processing", "on-hold", "completed", "refunded"})
CANCELLED: Final = "cancelled"
REFUNDED: Final = "refunded"

_SIGNATURE: Final = "x-wc-webhook-signature"
_PING: Final = re.compile(rb"webhook_id=[0-9]{1,20}")


def _handshake(delivery: Delivery, _secrets: Sequence[str], _outside: Outside) -> Reply | None:
    # Sent unsigned when a webhook is made active, which fails unless the answer is 200.
    pinged = _SIGNATURE not in delivery.headers and _PING.fullmatch(delivery.body.strip())
    return Reply() if pinged else None


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    check_hmac([delivery.headers.get(_SIGNATURE, "")], delivery.body, secrets)


def _items(delivery: Delivery) -> Iterable[Item]:
    topic = delivery.headers.get("x-wc-webhook-topic", "")
    return [{"topic": topic, "payload": parse(delivery.body)}] if topic in TOPICS else []


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    return TOPICS[item["topic"]](mapping(item["payload"], ""), given)


def _order(order: Mapping[str, Any], given: Normalizing) -> list[Event]:
    order_id = _id(order, "id")
    status = text(order.get("status"), "status", limit=64)
    buyer = _buyer(order)
    events = _refunds(order, order_id, status, buyer, given)
    if status in PLACED:
        events = [*_order_completed(order, order_id, buyer, given), *events]
    if status == CANCELLED:
        events = [*_order_cancelled(order, order_id, buyer, given), *events]
    return events


def _order_completed(order: Mapping[str, Any], order_id: str, buyer: Person, given: Normalizing) -> list[Event]:
    return given.event(
        "order_completed",
        event_id=f"order:{order_id}",
        at=_time(order, "date_created_gmt"),
        person=buyer,
        properties=_sale(order, order_id),
    )


def _order_cancelled(order: Mapping[str, Any], order_id: str, buyer: Person, given: Normalizing) -> list[Event]:
    return given.event(
        "order_cancelled",
        event_id=f"order:{order_id}:cancelled",
        at=_time(order, "date_modified_gmt"),
        person=buyer,
        properties=_sale(order, order_id),
    )


def _refunds(
    order: Mapping[str, Any], order_id: str, status: str | None, buyer: Person, given: Normalizing
) -> list[Event]:
    """Return an event for each of the order's refunds.

    They carry no time: the order was changed when one was made, and of later tellings the earliest time holds.
    """
    refunds = order.get("refunds") or []
    if not isinstance(refunds, list):
        raise BadField("refunds", "must be a list")
    if len(refunds) > MAX_REFUNDS:
        raise BadField("refunds", f"has more than {MAX_REFUNDS} entries")
    places = [(mapping(refund, f"refunds[{index}]"), f"refunds[{index}]") for index, refund in enumerate(refunds)]
    sums = {
        f"order:{order_id}:refund:{_id(refund, f'{field}.id')}": _amount(refund.get("total"), f"{field}.total")
        for refund, field in places
    }
    if status == REFUNDED and not sums:
        sums = {f"order:{order_id}:refunded": number(order.get("total"), "total")}
    events = []
    for event_id, total in sums.items():
        events += given.event(
            "order_refunded",
            event_id=event_id,
            at=_time(order, "date_modified_gmt"),
            person=buyer,
            properties={"order_id": order_id, "total": total, "currency": _currency(order)},
        )
    return events


def _identified(customer: Mapping[str, Any], given: Normalizing) -> list[Event]:
    customer_id = _id(customer, "id")
    changed = time(customer.get("date_modified_gmt"), "date_modified_gmt") or _time(customer, "date_created_gmt")
    billing = mapping(customer.get("billing"), "billing")
    return given.event(
        "identified",
        # The shop's key of a person is for their pseudonym alone.
        event_id=f"customer:{given.derived_id(customer_id, changed)}",
        at=changed,
        person=Person(f"{NAME}:{customer_id}", text(customer.get("email"), "email", limit=MAX_TEXT)),
        attributes={
            "first_name": text(customer.get("first_name"), "first_name", limit=MAX_TEXT),
            "city": text(billing.get("city"), "billing.city", limit=MAX_TEXT),
            "region": text(billing.get("state"), "billing.state", limit=MAX_TEXT),
            "country": text(billing.get("country"), "billing.country", limit=MAX_TEXT),
            "postal_code": text(billing.get("postcode"), "billing.postcode", limit=MAX_TEXT),
        },
    )


def _sale(order: Mapping[str, Any], order_id: str) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "total": number(order.get("total"), "total"),
        "currency": _currency(order),
        "products": order_lines(order.get("line_items"), "line_items", name="name"),
    }


def _id(payload: Mapping[str, Any], field: str) -> str:
    found = text(payload.get("id"), field, limit=64)
    if found is None:
        raise BadField(field, "is missing")
    return found


def _time(payload: Mapping[str, Any], name: str) -> Instant:
    found = time(payload.get(name), name)
    if found is None:
        raise BadField(name, "is missing")
    return found


def _amount(value: object, field: str) -> float | None:
    # The sum of a refund is written below zero.
    found = number(value, field)
    return None if found is None else abs(found)


def _currency(order: Mapping[str, Any]) -> str | None:
    return text(order.get("currency"), "currency", limit=8)


def _buyer(order: Mapping[str, Any]) -> Person:
    customer_id = text(order.get("customer_id"), "customer_id", limit=64)
    email = text(mapping(order.get("billing"), "billing").get("email"), "billing.email", limit=MAX_TEXT)
    return Person(
        # Guests are customer 0.
        user_id=f"{NAME}:{customer_id}" if customer_id not in {None, "0"} else None,
        email=email if email and is_email_key(email) else None,
    )


TOPICS: Final[Mapping[str, Callable[[Mapping[str, Any], Normalizing], list[Event]]]] = MappingProxyType(
    {
        "order.created": _order,
        "order.updated": _order,
        "customer.created": _identified,
        "customer.updated": _identified,
    }
)
WEBHOOK: Final = WebhookSource(
    name=NAME,
    verify=_verify,
    items=_items,
    normalize=_normalize,
    handshake=_handshake,
    # A few failures in a row disable the webhook, and a body that cannot be read would be sent no better.
    unreadable=200,
)
