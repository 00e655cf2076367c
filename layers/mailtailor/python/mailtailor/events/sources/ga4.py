"""Google Analytics 4's Measurement Protocol as our events: what a server-side collection would send to Google.

`POST /webhooks/ga4?measurement_id=...&api_secret=...` with the protocol's body; the API secret is an entry of the
ingest secret, and need not be Google's. `consent` in the body is about Google's ads and is not ours. Google does not
say what it could not use; we do, with a status that is as good.

The protocol has no event ids. A purchase is named by its transaction; a refund by it and what was refunded; anything
else by who, time, name and parameters, so an event without `timestamp_micros` that is sent again is another one.

Sources: Google, "Measurement Protocol reference" (body, time), "Send Measurement Protocol events to Google Analytics"
(limits), "Recommended events" (names and parameters).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailtailor.errors import BadInput
from mailtailor.events.event import Event
from mailtailor.events.sources.foreign import foreign_type
from mailtailor.events.sources.signatures import check_secret
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource
from mailtailor.events.untrusted import BadField, epoch, mapping, parse, text
from mailtailor.events.vocabulary import MAX_PRODUCTS
from mailtailor.instant import Instant

NAME: Final = "ga4"
TYPES: Final[Mapping[str, str]] = {
    "page_view": "page_viewed",
    "view_item": "product_viewed",
    "view_item_list": "product_list_viewed",
    "select_item": "product_clicked",
    "add_to_cart": "product_added",
    "remove_from_cart": "product_removed",
    "add_to_wishlist": "product_added_to_wishlist",
    "view_cart": "cart_viewed",
    "begin_checkout": "checkout_started",
    "add_payment_info": "payment_info_entered",
    "purchase": "order_completed",
    "refund": "order_refunded",
    "search": "products_searched",
    "login": "signed_in",
    "sign_up": "signed_up",
}
"""Others keep their name."""
OF_ONE_PRODUCT: Final = frozenset(
    {"product_viewed", "product_clicked", "product_added", "product_removed", "product_added_to_wishlist"}
)
"""Each of their items is an event of its own, for segments ask of these what was viewed or added."""
PARAMETERS: Final[Mapping[str, str]] = {
    "transaction_id": "order_id",
    "value": "total",
    "search_term": "query",
    "item_list_id": "list_id",
    "item_list_name": "list",
    "page_location": "url",
    "page_title": "title",
    "page_referrer": "referrer",
}
ITEM: Final[Mapping[str, str]] = {
    "item_id": "product_id",
    "item_name": "name",
    "item_brand": "brand",
    "item_category": "category",
    "item_variant": "variant",
    "item_list_name": "list",
}
LEFT: Final = frozenset({"items", "session_id", "engagement_time_msec", "debug_mode", "ip_override", "user_data"})
MAX_EVENTS: Final = 25


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    check_secret(delivery.query.get("api_secret", ""), secrets)


def _items(delivery: Delivery) -> Iterable[Item]:
    body = mapping(parse(delivery.body), "")
    events = body.get("events")
    if not isinstance(events, list):
        raise BadInput("events must be a list.")
    if len(events) > MAX_EVENTS:
        raise BadInput(f"The request has more than {MAX_EVENTS} events.", "Google's protocol has the same limit.")
    who = {name: body.get(name) for name in ("client_id", "app_instance_id", "user_id", "timestamp_micros")}
    return [{"who": who, "event": event} for event in events]


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    who, event = mapping(item["who"], ""), mapping(item["event"], "events")
    name = text(event.get("name"), "name", limit=64)
    if name is None:
        raise BadField("name", "is missing")
    kind = TYPES.get(name) or foreign_type(name, "name")
    params = mapping(event.get("params"), "params")
    browser = text(who.get("client_id") or who.get("app_instance_id"), "client_id", limit=256)
    person = Person(user_id=text(who.get("user_id"), "user_id", limit=256), anonymous_id=browser)
    at = _time(event.get("timestamp_micros") or who.get("timestamp_micros"))
    event_id = _id(kind, params, given) or given.derived_id(
        browser or person.user_id, given.received_at if at is None else at, name, _content(params)
    )
    return [
        made
        for one_id, told in _told(kind, event_id, params)
        for made in given.event(kind, event_id=one_id, at=at, person=person, properties=told)
    ]


def _time(micros: object) -> Instant | None:
    told = text(micros, "timestamp_micros", limit=20)
    if told is None:
        return None
    if not (told.isascii() and told.isdecimal()):
        raise BadField("timestamp_micros", "must be whole microseconds since 1970")
    return epoch(int(told) // 1_000, "timestamp_micros", unit=1)


def _id(kind: str, params: Mapping[str, Any], given: Normalizing) -> str:
    """Return the id of what has one: a sale counts once, however often it is told."""
    transaction = text(params.get("transaction_id"), "transaction_id", limit=100)
    if transaction and kind == "order_completed":
        return f"{kind}:{transaction}"
    if transaction and kind == "order_refunded":
        return f"{kind}:{transaction}:{given.derived_id(_content(params.get('items')), params.get('value'))}"
    return ""


def _content(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _told(kind: str, event_id: str, params: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return ids and properties of what an event becomes."""
    properties = {PARAMETERS.get(name, name): value for name, value in params.items() if name not in LEFT}
    products = _products(params)
    if kind not in OF_ONE_PRODUCT:
        return [(event_id, {**properties, "products": products} if products else properties)]
    if not products:
        raise BadField("items", "is missing")
    # The value is that of all items.
    properties.pop("total", None)
    return [(f"{event_id}:{index}", {**properties, **product}) for index, product in enumerate(products)]


def _products(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = params.get("items")
    if items is None:
        return []
    if not isinstance(items, list):
        raise BadField("items", "must be a list")
    if len(items) > MAX_PRODUCTS:
        raise BadField("items", f"has more than {MAX_PRODUCTS} entries")
    return [
        {ITEM.get(name, name): value for name, value in mapping(item, f"items[{index}]").items()}
        for index, item in enumerate(items)
    ]


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
