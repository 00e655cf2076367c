"""Adobe Commerce and Magento as our events: through Adobe I/O Events, or by Commerce's own webhooks.

I/O Events signs each body with two RSA keys, either of which will do; the public ones are on a host of Adobe's. The
event names the project it was sent for, whose client id must be an entry `client_id=` of the ingest secret, for every
customer of Adobe's gets events signed by the same keys. It asks by a GET whether the address is ours. Commerce's own
webhooks are signed with the shop's key, an entry `key=` (the public key as base64, without its first and last line);
they name no event, so their address does: `?event=sales_order_place_after`. The shop waits for the answer.

An order counts once, when it is placed; a quote's item, when the message says whose cart it is.

Sources: Adobe, "Adobe I/O Events Webhooks" (challenge, retries), "Signature Verification for Events"; "Webhooks
signature verification" and "Responses" of Adobe Commerce's webhooks; "Events reference" (observer events).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from mailtailor.errors import BadInput, NotFound, Unauthorized
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
        check_rsa(delivery.headers[COMMERCE_SIGNATURE], delivery.body, keys, digest="sha256")
        return
    _check_signatures(delivery, outside)
    for event in _told(delivery):
        check_secret(_recipient(event), named(secrets, "client_id"))


def _check_signatures(delivery: Delivery, outside: Outside) -> None:
    for number_ in (1, 2):
        path = delivery.headers.get(f"x-adobe-public-key{number_}-path", "")
        if not KEY_PATH.fullmatch(path):
            continue
        given = delivery.headers.get(f"x-adobe-digital-signature-{number_}", "")
        try:
            check_rsa(given, delivery.body, [outside.kept(KEYS + path)], digest="sha256")
        except Unauthorized:
            continue
        return
    raise refused()


def _pem(key: str) -> bytes:
    return f"-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n".encode()


def _told(delivery: Delivery) -> list[Mapping[str, Any]]:
    try:
        return [mapping(event, "") for event in objects(parse(delivery.body))]
    except BadInput as error:
        raise refused() from error


def _recipient(event: Mapping[str, Any]) -> str:
    # Adobe's documents write it in both ways.
    given = event.get("recipient_client_id", event.get("recipientclientid"))
    return given if isinstance(given, str) else ""


def _items(delivery: Delivery) -> Iterable[Item]:
    if COMMERCE_SIGNATURE in delivery.headers:
        return [{"type": delivery.query.get("event", ""), "value": parse(delivery.body)}]
    return [_item(event) for event in _told(delivery)]


def _item(envelope: Mapping[str, Any]) -> dict[str, Any]:
    inner = envelope.get("event")
    event = inner if isinstance(inner, dict) else envelope
    data = event.get("data")
    value = data.get("value", data) if isinstance(data, dict) else None
    return {"type": event.get("type", envelope.get("type")), "value": value}


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    name = text(item["type"], "type", limit=256) or ""
    read = OBSERVED.get(_PREFIX.sub("", name, count=1))
    return read(_value(item["value"]), given) if read else []


def _value(value: object) -> Mapping[str, Any]:
    """Return what the event is about: alone, or under the one name that Commerce gave it."""
    told = mapping(value, "value")
    for name in ("order", "customer", "quote_item", "customer_data_object"):
        if isinstance(told.get(name), dict):
            return {**told, **mapping(told[name], name)}
    return told


def _ordered(order: Mapping[str, Any], given: Normalizing) -> list[Event]:
    order_id = text(order.get("increment_id"), "increment_id", limit=64)
    if order_id is None:
        raise BadField("increment_id", "is missing")
    return given.event(
        "order_completed",
        event_id=f"order:{order_id}",
        at=_time(order, "created_at"),
        person=_person(order.get("customer_id"), order.get("customer_email")),
        properties={
            "order_id": order_id,
            "total": number(order.get("grand_total"), "grand_total"),
            "currency": text(order.get("order_currency_code"), "order_currency_code", limit=8),
            "products": _products(order),
        },
    )


def _added(line: Mapping[str, Any], given: Normalizing) -> list[Event]:
    quote = mapping(line.get("quote"), "quote")
    at = _time(line, "updated_at") or _time(line, "created_at")
    product = _product(line, "value")
    return given.event(
        "product_added",
        event_id=given.derived_id("cart", line.get("quote_id"), line.get("item_id"), at, json.dumps(product)),
        at=at,
        person=_person(
            line.get("customer_id") or quote.get("customer_id"),
            line.get("customer_email") or quote.get("customer_email"),
        ),
        properties=product,
    )


def _identified(customer: Mapping[str, Any], given: Normalizing) -> list[Event]:
    key = text(customer.get("entity_id") or customer.get("id"), "entity_id", limit=64)
    changed = _time(customer, "updated_at")
    return given.event(
        "identified",
        event_id=f"customer:{given.derived_id(key, changed, customer.get('email'))}",
        at=changed,
        person=_person(key, customer.get("email")),
        attributes={"first_name": text(customer.get("firstname"), "firstname", limit=MAX_TEXT)},
    )


def _person(customer: object, email: object) -> Person:
    key = text(customer, "customer_id", limit=64)
    known = key and key != "0"
    return Person(user_id=f"{NAME}:{key}" if known else None, email=text(email, "customer_email", limit=MAX_TEXT))


def _time(value: Mapping[str, Any], name: str) -> Instant | None:
    return time(value.get(name) or None, name)


def _products(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    lines = order.get("items")
    if not isinstance(lines, list):
        raise BadField("items", "must be a list")
    if len(lines) > MAX_PRODUCTS:
        raise BadField("items", f"has more than {MAX_PRODUCTS} entries")
    read = [mapping(line, f"items[{index}]") for index, line in enumerate(lines)]
    # What was chosen of a configurable product is a second line, without a price, below the one that has it.
    return [_product(line, f"items[{n}]") for n, line in enumerate(read) if not line.get("parent_item_id")]


def _product(line: Mapping[str, Any], field: str) -> dict[str, Any]:
    keys = (text(line.get(name), f"{field}.{name}", limit=MAX_TEXT) for name in ("sku", "product_id"))
    quantity = line.get("qty_ordered", line.get("qty"))
    product = {
        "product_id": next((key for key in keys if key), None),
        "name": text(line.get("name"), f"{field}.name", limit=1_024),
        "quantity": number(quantity, f"{field}.qty"),
        "price": number(line.get("price"), f"{field}.price"),
    }
    return {name: value for name, value in product.items() if value is not None}


OBSERVED: Final[Mapping[str, Callable[[Mapping[str, Any], Normalizing], list[Event]]]] = MappingProxyType(
    {
        "sales_order_place_after": _ordered,
        "sales_order_save_commit_after": _ordered,
        "checkout_cart_product_add_after": _added,
        "customer_save_after": _identified,
        "customer_save_commit_after": _identified,
        "customer_register_success": _identified,
    }
)
WEBHOOK: Final = WebhookSource(
    name=NAME, verify=_verify, items=_items, normalize=_normalize, handshake=_handshake, reply=SUCCESS
)
