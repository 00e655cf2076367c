"""Adobe Commerce and Magento as our events: through Adobe I/O Events, or by Commerce's own webhooks.

I/O Events signs each body with two RSA keys, either of which will do; the public ones are on a host of Adobe's. The
event names the project it was sent for, whose client id must be an entry `client_id=` of the ingest secret, for every
customer of Adobe's gets events signed by the same keys. It asks by a GET whether the address is ours. Commerce's own
webhooks are signed with the shop's key, an entry `key=` (the public key as base64, without its first and last line):
not the body is signed, but its base64. The shop waits for the answer.

An order counts once it is placed: when its state says that the buyer has come through the checkout (`PLACED`). It is
named by the number that the buyer knows, so it is the same order whichever event tells it. A product in a cart counts
if the event says whose cart it is, which Commerce does only if it is told to send that along.

Sources: Adobe, "Introduction to Adobe I/O Events Webhooks" (challenge, signatures, retries); "Webhooks signature
verification" and "Webhook responses and logging" of Adobe Commerce's webhooks; "Events reference", "Context values" and
"Debugging code in App Builder project" of its events (payloads, the delivered form).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from mailtailor.errors import BadInput, NotFound, Unauthorized, Unavailable
from mailtailor.events.event import Event
from mailtailor.events.sources.entries import named
from mailtailor.events.sources.signatures import check_rsa, check_secret, refused
from mailtailor.events.sources.webhook import (
    Delivery,
    Item,
    Normalizing,
    Outside,
    Person,
    Reply,
    WebhookSource,
    objects,
)
from mailtailor.events.untrusted import BadField, mapping, number, parse, text, time
from mailtailor.events.vocabulary import MAX_PRODUCTS
from mailtailor.instant import Instant

NAME: Final = "magento"
KEYS: Final = "https://static.adobeioevents.com"
KEY_PATH: Final = re.compile(r"/[A-Za-z0-9_-]{1,20}/keys/[A-Za-z0-9_-]{1,120}\.pem")
CHALLENGE: Final = re.compile(r"[A-Za-z0-9_.~-]{1,200}")
COMMERCE_SIGNATURE: Final = "x-adobe-commerce-webhook-signature"
SUCCESS: Final = Reply('{"op":"success"}', "application/json")
"""Lets the shop go on with what it was doing; I/O Events reads the status alone."""
PLACED: Final = frozenset({"new", "processing", "complete", "closed", "holded", "payment_review"})
"""Not `pending_payment`, whose buyer may never come back from where they pay."""
CANCELLED: Final = "canceled"
REFUNDED: Final = "closed"
MAX_TEXT: Final = 256

_PREFIX: Final = re.compile(r"(?:com\.adobe\.commerce\.)?(?:[A-Za-z0-9_]+\.)?(?:observer|plugin)\.")


def _handshake(delivery: Delivery, _secrets: Sequence[str], _outside: Outside) -> Reply | None:
    if delivery.method != "GET":
        return None
    challenge = delivery.query.get("challenge", "")
    if not CHALLENGE.fullmatch(challenge):
        raise NotFound("This address takes webhooks.", "Adobe I/O Events asks here with a challenge.")
    return Reply(challenge)


def _verify(delivery: Delivery, secrets: Sequence[str], outside: Outside) -> None:
    if COMMERCE_SIGNATURE in delivery.headers:
        keys = [_pem(key) for key in named(secrets, "key")]
        check_rsa(delivery.headers[COMMERCE_SIGNATURE], base64.b64encode(delivery.body), keys, digest="sha256")
        return
    # First, for it asks no other server: strangers shall not make us fetch what they like from Adobe's.
    clients = named(secrets, "client_id")
    told = _told(delivery)
    for event in told:
        check_secret(_recipient(event), clients)
    if not told:
        raise refused()
    _check_signatures(delivery, outside)


def _check_signatures(delivery: Delivery, outside: Outside) -> None:
    fault: Unauthorized | Unavailable = refused()
    for which in (1, 2):
        path = delivery.headers.get(f"x-adobe-public-key{which}-path", "")
        if not KEY_PATH.fullmatch(path):
            continue
        given = delivery.headers.get(f"x-adobe-digital-signature-{which}", "")
        try:
            check_rsa(given, delivery.body, [outside.kept(KEYS + path)], digest="sha256")
        except Unauthorized:
            continue
        except Unavailable as error:
            fault = error
            continue
        return
    raise fault


def _pem(key: str) -> bytes:
    return f"-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n".encode()


def _told(delivery: Delivery) -> list[Mapping[str, Any]]:
    try:
        return [mapping(event, "") for event in objects(parse(delivery.body))]
    except BadInput as error:
        raise refused() from error


def _recipient(event: Mapping[str, Any]) -> str:
    # Adobe writes it in both ways, in its documents and in one event.
    given = event.get("recipient_client_id", event.get("recipientclientid"))
    return given if isinstance(given, str) else ""


def _items(delivery: Delivery) -> Iterable[Item]:
    if COMMERCE_SIGNATURE not in delivery.headers:
        return [_item(event) for event in _told(delivery)]
    value = mapping(parse(delivery.body), "")
    # Observers name their event, and put what it is about below `data`; plugins do neither, so the address names it.
    data = value.get("data")
    return [
        {
            "type": f"observer.{value['eventName']}" if value.get("eventName") else delivery.query.get("event", ""),
            "value": data if isinstance(data, dict) else value,
        }
    ]


def _item(envelope: Mapping[str, Any]) -> dict[str, Any]:
    inner = envelope.get("event")
    event = inner if isinstance(inner, dict) else envelope
    data = event.get("data")
    return {
        "type": event.get("type"),
        "id": event.get("event_id", envelope.get("event_id")),
        "time": event.get("time"),
        "value": data.get("value", data) if isinstance(data, dict) else None,
    }


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    name = text(item["type"], "type", limit=256) or ""
    read = OBSERVED.get(_PREFIX.sub("", name, count=1))
    return read(item, mapping(item["value"], "value"), given) if read else []


def _placed(item: Item, value: Mapping[str, Any], given: Normalizing) -> list[Event]:
    order = _within(value, "order", "result")
    state = text(order.get("state"), "state", limit=64)
    return _order(item, order, given) if state else _completed(item, order, given)


def _saved(item: Item, value: Mapping[str, Any], given: Normalizing) -> list[Event]:
    order = _within(value, "order")
    # A change by Commerce's API can be told with nothing but the field that was changed.
    return _order(item, order, given) if "increment_id" in order or "state" in order else []


def _order(item: Item, order: Mapping[str, Any], given: Normalizing) -> list[Event]:
    state = text(order.get("state"), "state", limit=64)
    if state is None:
        raise BadField("state", "is missing")
    events = _completed(item, order, given) if state in PLACED else []
    if state == CANCELLED:
        events += _undone("order_cancelled", "cancelled", item, order, given)
    elif state == REFUNDED:
        events += _undone("order_refunded", "refunded", item, order, given)
    return events


def _cancelled(item: Item, value: Mapping[str, Any], given: Normalizing) -> list[Event]:
    return _undone("order_cancelled", "cancelled", item, _within(value, "order"), given)


def _completed(item: Item, order: Mapping[str, Any], given: Normalizing) -> list[Event]:
    order_id = _number(order)
    return given.event(
        "order_completed",
        event_id=f"order:{order_id}",
        at=_time(order, "created_at") or _time(item, "time"),
        person=_buyer(order),
        properties={
            "order_id": order_id,
            "total": number(order.get("grand_total"), "grand_total"),
            "currency": text(order.get("order_currency_code"), "order_currency_code", limit=8),
            "products": _products(order),
        },
    )


def _undone(event_type: str, mark: str, item: Item, order: Mapping[str, Any], given: Normalizing) -> list[Event]:
    order_id = _number(order)
    total = order.get("grand_total") if order.get("total_refunded") is None else order["total_refunded"]
    return given.event(
        event_type,
        event_id=f"order:{order_id}:{mark}",
        at=_time(order, "updated_at") or _time(item, "time"),
        person=_buyer(order),
        properties={
            "order_id": order_id,
            "total": number(total, "total_refunded"),
            "currency": text(order.get("order_currency_code"), "order_currency_code", limit=8),
        },
    )


def _added(item: Item, value: Mapping[str, Any], given: Normalizing) -> list[Event]:
    return _put("product_added", item, value, given)


def _removed(item: Item, value: Mapping[str, Any], given: Normalizing) -> list[Event]:
    return _put("product_removed", item, value, given)


def _put(event_type: str, item: Item, value: Mapping[str, Any], given: Normalizing) -> list[Event]:
    product = _product(_line(value), "value")
    if "product_id" not in product:
        raise BadField("value.sku", "is missing")
    quote, customer = mapping(value.get("quote"), "quote"), mapping(value.get("customer"), "customer")
    return given.event(
        event_type,
        event_id=_id(item) or given.derived_id(event_type, json.dumps(value, sort_keys=True)),
        at=_time(item, "time"),
        person=_person(
            customer.get("id") or quote.get("customer_id") or value.get("customer_id"),
            customer.get("email") or quote.get("customer_email") or value.get("customer_email"),
        ),
        properties=product,
    )


def _line(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the line of the cart; where there is only a product, its own `qty` would be what the shop has of it."""
    product = value.get("product")
    line = _within(value, "quote_item", "quoteItem")
    if line is not value or not isinstance(product, dict):
        return line
    return {**product, "qty": mapping(value.get("info"), "info").get("qty")}


def _identified(item: Item, value: Mapping[str, Any], given: Normalizing) -> list[Event]:
    customer = _within(value, "customer", "customer_data_object")
    key = text(customer.get("id") or customer.get("entity_id"), "id", limit=64)
    changed = _time(customer, "updated_at") or _time(item, "time")
    address = _home(customer)
    region = address.get("region")
    return given.event(
        "identified",
        event_id=f"customer:{given.derived_id(key, changed, customer.get('email'))}",
        at=changed,
        person=_person(key, customer.get("email")),
        attributes={
            "first_name": text(customer.get("firstname"), "firstname", limit=MAX_TEXT),
            "city": text(address.get("city"), "addresses.city", limit=MAX_TEXT),
            "region": text(
                region.get("region_code") if isinstance(region, dict) else region, "addresses.region", limit=MAX_TEXT
            ),
            "country": text(address.get("country_id"), "addresses.country_id", limit=MAX_TEXT),
            "postal_code": text(address.get("postcode"), "addresses.postcode", limit=MAX_TEXT),
        },
    )


def _home(customer: Mapping[str, Any]) -> Mapping[str, Any]:
    told = customer.get("addresses")
    known = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    return next((one for one in known if one.get("default_billing")), known[0] if known else {})


def _within(value: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return what an event is about: below a name that Commerce gave it, or alone."""
    return next((found for name in names if isinstance(found := value.get(name), dict)), value)


def _buyer(order: Mapping[str, Any]) -> Person:
    return _person(order.get("customer_id"), order.get("customer_email"))


def _person(customer: object, email: object) -> Person:
    key = text(customer, "customer_id", limit=64)
    known = key and key != "0"
    return Person(user_id=f"{NAME}:{key}" if known else None, email=text(email, "customer_email", limit=MAX_TEXT))


def _number(order: Mapping[str, Any]) -> str:
    order_id = text(order.get("increment_id"), "increment_id", limit=64)
    if order_id is None:
        raise BadField("increment_id", "is missing")
    return order_id


def _id(item: Item) -> str | None:
    return text(item.get("id"), "event_id", limit=128)


def _time(value: Mapping[str, Any], name: str) -> Instant | None:
    return time(value.get(name) or None, name)


def _products(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    lines = order.get("items")
    if isinstance(lines, dict):
        # A list of PHP's whose keys have gaps.
        lines = list(lines.values())
    if not isinstance(lines, list):
        raise BadField("items", "must be a list")
    if len(lines) > MAX_PRODUCTS:
        raise BadField("items", f"has more than {MAX_PRODUCTS} entries")
    read = [mapping(line, f"items[{index}]") for index, line in enumerate(lines)]
    # What was chosen of a configurable product is a second line, without a price, below the one that has it.
    return [
        _product(line, f"items[{n}]")
        for n, line in enumerate(read)
        if not line.get("parent_item_id") and not line.get("parent_item")
    ]


def _product(line: Mapping[str, Any], field: str) -> dict[str, Any]:
    keys = (text(line.get(name), f"{field}.{name}", limit=MAX_TEXT) for name in ("sku", "product_id", "entity_id"))
    quantity = line.get("qty_ordered", line.get("qty"))
    product = {
        "product_id": next((key for key in keys if key), None),
        "name": text(line.get("name"), f"{field}.name", limit=1_024),
        "quantity": number(quantity, f"{field}.qty"),
        "price": number(line.get("price"), f"{field}.price"),
    }
    return {name: value for name, value in product.items() if value is not None}


OBSERVED: Final[Mapping[str, Callable[[Item, Mapping[str, Any], Normalizing], list[Event]]]] = MappingProxyType(
    {
        "sales_order_place_after": _placed,
        "checkout_submit_all_after": _placed,
        "magento.sales.api.order_management.place": _placed,
        "sales.api.order_management.place": _placed,
        "sales_order_save_after": _saved,
        "sales_order_save_commit_after": _saved,
        "order_cancel_after": _cancelled,
        "checkout_cart_product_add_after": _added,
        "checkout_cart_add_product_complete": _added,
        "sales_quote_add_item": _added,
        "sales_quote_remove_item": _removed,
        "customer_save_after": _identified,
        "customer_save_commit_after": _identified,
        "customer_register_success": _identified,
    }
)
"""What Commerce calls what happened, without `com.adobe.commerce.`, `observer.` and `plugin.`."""
WEBHOOK: Final = WebhookSource(
    name=NAME, verify=_verify, items=_items, normalize=_normalize, handshake=_handshake, reply=SUCCESS
)
