"""Adobe Experience Platform's XDM ExperienceEvents as our events.

Nothing published signs them, so whoever sends authenticates with a bearer token that is an entry of the ingest secret.
A body is one event, an array, the Edge Network's `{"events": [{"xdm": {...}}]}` or `{"event": {"xdm": {...}}}`, or the
streaming ingestion's `{"header": ..., "body": {"xdmEntity": {...}}}`, alone or in `{"messages": [...]}`.

What happened is told by `eventType`, by measures of `commerce` that are above zero, or by both: each is an event. Who
is told by `identityMap`, of which only namespaces that Adobe describes are read, for many of its own name a device. The
CRM's is named by each organization, and the address says how: `?crm=lumaCrmId`.

Sources: Adobe, "XDM ExperienceEvent class" (`_id`, `timestamp`, `eventType`, `identityMap`), "Collect commerce,
product, and order information", "Identity namespace overview", "Collect endpoint" of the Edge Network API, "Stream
time-series data using Streaming Ingestion APIs"; the public XDM schemas "Email Delivered", "Email Clicked", "Email
Bounced", "Direct marketing" and "Product list item".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.foreign import foreign_type
from mailtailor.events.sources.mail_events import MAIL_TYPES, free_text, mail_event
from mailtailor.events.sources.signatures import check_bearer
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource, objects
from mailtailor.events.untrusted import BadField, mapping, number, parse, text, time
from mailtailor.events.vocabulary import MAX_PRODUCTS

NAME: Final = "adobe"
MEASURES: Final[Mapping[str, str]] = {
    "productViews": "product_viewed",
    "productListViews": "cart_viewed",
    "productListAdds": "product_added",
    "productListRemovals": "product_removed",
    "checkouts": "checkout_started",
    "purchases": "order_completed",
}
"""Of `commerce`, in the order in which they would happen; each is an event type of XDM too."""
TYPES: Final[Mapping[str, str]] = {
    **{f"commerce.{measure}": kind for measure, kind in MEASURES.items()},
    "web.webpagedetails.pageViews": "page_viewed",
    "web.webPageDetails.pageViews": "page_viewed",
    "directMarketing.emailDelivered": mail_events.DELIVERED,
    "directMarketing.emailOpened": mail_events.OPENED,
    "directMarketing.emailClicked": mail_events.CLICKED,
    "directMarketing.emailBounced": mail_events.BOUNCED,
    "directMarketing.emailUnsubscribed": mail_events.UNSUBSCRIBED,
}
LEFT: Final = frozenset({"directMarketing.emailSent", "directMarketing.emailBouncedSoft"})
"""What says nothing that counts. Others keep their name, dots as underscores."""
OF_ONE_PRODUCT: Final = frozenset({"product_viewed", "product_added", "product_removed"})
"""Each of their products is an event of its own, for segments ask of these what was viewed or added."""
EMAIL: Final = ("Email", "Email_LC_SHA256")
BROWSER: Final = ("ECID", "FPID")
CRM: Final = "CRMID"


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    check_bearer(delivery.headers.get("authorization", ""), secrets)


def _items(delivery: Delivery) -> Iterable[Item]:
    body = parse(delivery.body)
    if isinstance(body, dict):
        body = next((body[name] for name in ("events", "messages", "event") if name in body), body)
    crm = delivery.query.get("crm", CRM)
    return [{"event": event, "crm": crm} for event in objects(body)]


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    xdm = _xdm(mapping(item["event"], ""))
    kinds = list(_kinds(xdm))
    person = _person(mapping(xdm.get("identityMap"), "identityMap"), str(item["crm"]))
    event_id = text(xdm.get("_id"), "_id", limit=128) or _derived(xdm, given)
    events: list[Event] = []
    for kind in kinds:
        told = f"{event_id}:{kind}" if len(kinds) > 1 else event_id
        events += (_mail if kind in MAIL_TYPES else _behaviour)(kind, told, xdm, person, given)
    return events


def _xdm(item: Mapping[str, Any]) -> Mapping[str, Any]:
    if "xdm" in item:
        return mapping(item["xdm"], "xdm")
    return mapping(mapping(item["body"], "body").get("xdmEntity"), "body.xdmEntity") if "body" in item else item


def _kinds(xdm: Mapping[str, Any]) -> Iterator[str]:
    """Yield what happened; a measure decides over the event type of its name, for that may be told without any."""
    name = text(xdm.get("eventType"), "eventType", limit=128)
    commerce = mapping(xdm.get("commerce"), "commerce")
    measured = {measure: _value(commerce, measure) for measure in MEASURES if commerce.get(measure) is not None}
    yield from (MEASURES[measure] for measure, value in measured.items() if value > 0)
    if name is None:
        if not measured:
            raise BadField("eventType", "is missing, and so are measures of commerce")
    elif name not in LEFT and name.removeprefix("commerce.") not in measured:
        yield TYPES.get(name) or foreign_type(name, "eventType")


def _value(commerce: Mapping[str, Any], measure: str) -> float:
    field = f"commerce.{measure}"
    return number(mapping(commerce[measure], field).get("value"), f"{field}.value") or 0


def _derived(xdm: Mapping[str, Any], given: Normalizing) -> str:
    # Without a time, what is told again is taken for another thing: most things do happen again.
    when = xdm.get("timestamp") or given.received_at
    return given.derived_id(when, json.dumps(xdm, sort_keys=True))


def _behaviour(kind: str, event_id: str, xdm: Mapping[str, Any], person: Person, given: Normalizing) -> list[Event]:
    at, products, properties = time(xdm.get("timestamp"), "timestamp"), _products(xdm), _properties(xdm)
    if kind not in OF_ONE_PRODUCT:
        told = [(event_id, {**properties, "products": products or None})]
    elif products:
        told = [(f"{event_id}:{index}", {**properties, **product}) for index, product in enumerate(products)]
    else:
        raise BadField("productListItems", "is missing")
    return [
        made
        for one_id, one in told
        for made in given.event(kind, event_id=one_id, at=at, person=person, properties=one)
    ]


def _mail(kind: str, event_id: str, xdm: Mapping[str, Any], person: Person, given: Normalizing) -> list[Event]:
    marketing = mapping(xdm.get("directMarketing"), "directMarketing")
    browser = mapping(
        mapping(xdm.get("environment"), "environment").get("browserDetails"), "environment.browserDetails"
    )
    reason = marketing.get("emailBouncedDetails") or marketing.get("emailBouncedCode")
    return mail_event(
        given,
        kind,
        event_id=event_id,
        at=time(xdm.get("timestamp"), "timestamp"),
        person=person,
        campaign=text(marketing.get("mailingID"), "directMarketing.mailingID", limit=100),
        message_id=text(marketing.get("messageID"), "directMarketing.messageID", limit=128) or event_id,
        properties={
            "url": text(marketing.get("linkURL"), "directMarketing.linkURL", limit=mail_events.MAX_URL),
            "user_agent": free_text(browser.get("userAgent"), "environment.browserDetails.userAgent"),
            "reason": free_text(reason, "directMarketing.emailBouncedDetails"),
        },
    )


def _person(identities: Mapping[str, Any], crm: str) -> Person:
    key = _identity(identities, (crm,))
    return Person(
        user_id=f"{NAME}:{key}" if key else None,
        email=_identity(identities, EMAIL),
        anonymous_id=_identity(identities, BROWSER),
    )


def _identity(identities: Mapping[str, Any], namespaces: Sequence[str]) -> str | None:
    """Return an identity of the first of the namespaces that is there, its primary one if there are several."""
    for namespace in namespaces:
        entries = identities.get(namespace)
        if isinstance(entries, list) and entries:
            known = [mapping(one, f"identityMap.{namespace}") for one in entries]
            # Adobe's own examples write `true` in both ways.
            chosen = next((one for one in known if one.get("primary") in (True, "true")), known[0])
            return text(chosen.get("id"), f"identityMap.{namespace}.id", limit=256)
    return None


def _properties(xdm: Mapping[str, Any]) -> dict[str, Any]:
    commerce = mapping(xdm.get("commerce"), "commerce")
    order, cart = mapping(commerce.get("order"), "commerce.order"), mapping(commerce.get("cart"), "commerce.cart")
    page = mapping(mapping(xdm.get("web"), "web").get("webPageDetails"), "web.webPageDetails")
    return {
        "order_id": text(order.get("purchaseID"), "commerce.order.purchaseID", limit=128),
        "total": number(order.get("priceTotal"), "commerce.order.priceTotal"),
        "currency": text(order.get("currencyCode"), "commerce.order.currencyCode", limit=8),
        "cart_id": text(cart.get("cartID"), "commerce.cart.cartID", limit=128),
        "url": text(page.get("URL"), "web.webPageDetails.URL", limit=mail_events.MAX_URL),
        "name": text(page.get("name"), "web.webPageDetails.name", limit=256),
    }


def _products(xdm: Mapping[str, Any]) -> list[dict[str, Any]]:
    items = xdm.get("productListItems")
    if items is None:
        return []
    if not isinstance(items, list):
        raise BadField("productListItems", "must be a list")
    if len(items) > MAX_PRODUCTS:
        raise BadField("productListItems", f"has more than {MAX_PRODUCTS} entries")
    return [_product(mapping(one, f"productListItems[{n}]"), f"productListItems[{n}]") for n, one in enumerate(items)]


def _product(item: Mapping[str, Any], field: str) -> dict[str, Any]:
    quantity = number(item.get("quantity"), f"{field}.quantity")
    total = number(item.get("priceTotal"), f"{field}.priceTotal")
    product = {
        "product_id": text(item.get("SKU"), f"{field}.SKU", limit=256),
        "name": text(item.get("name"), f"{field}.name", limit=1_024),
        "quantity": quantity,
        # XDM tells what the line costs, the vocabulary one of it.
        "price": round(total / quantity, 4) if total is not None and quantity else total,
        "currency": text(item.get("currencyCode"), f"{field}.currencyCode", limit=8),
    }
    return {name: value for name, value in product.items() if value is not None}


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
