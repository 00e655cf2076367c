"""Adobe Experience Platform's XDM ExperienceEvents as our events.

Nothing published signs them, so whoever sends authenticates with a bearer token that is an entry of the ingest secret.
A body is one event, an array, the Edge Network's `{"events": [{"xdm": {...}}]}` or the streaming ingestion's
`{"header": ..., "body": {"xdmEntity": {...}}}`, alone or in `{"messages": [...]}`.

Sources: Adobe, "XDM ExperienceEvent class" (`_id`, `timestamp`, `eventType`, `identityMap`), "Commerce Details" and
"Adobe standard event types", "Edge Network API: interactive data collection", "Streaming Ingestion API".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailtailor.events.event import Event, event_type
from mailtailor.events.sources.mail_events import MAIL_TYPES, mail_event
from mailtailor.events.sources.signatures import check_bearer
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource, objects
from mailtailor.events.untrusted import BadField, mapping, number, parse, text, time
from mailtailor.events.vocabulary import MAX_PRODUCTS

NAME: Final = "adobe"
TYPES: Final[Mapping[str, str]] = {
    "commerce.productViews": "product_viewed",
    "commerce.productListViews": "cart_viewed",
    "commerce.productListAdds": "product_added",
    "commerce.productListRemovals": "product_removed",
    "commerce.checkouts": "checkout_started",
    "commerce.purchases": "order_completed",
    "web.webpagedetails.pageViews": "page_viewed",
    "web.webPageDetails.pageViews": "page_viewed",
    "directMarketing.emailDelivered": "email_delivered",
    "directMarketing.emailOpened": "email_opened",
    "directMarketing.emailClicked": "email_link_clicked",
    "directMarketing.emailBounced": "email_bounced",
    "directMarketing.emailUnsubscribed": "unsubscribed",
}
"""Others keep their name, dots and all as underscores."""
OF_ONE_PRODUCT: Final = frozenset({"product_viewed", "product_added", "product_removed"})
EMAIL: Final = ("Email", "email", "emails")
BROWSER: Final = ("ECID", "ecid", "FPID", "AAID")
"""Namespaces of the identity map that name a browser; `Phone` is left out, any other names a person."""
LEFT: Final = frozenset({*EMAIL, *BROWSER, "Phone", "phone", "IDFA", "GAID", "Google", "PNID"})


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    check_bearer(delivery.headers.get("authorization", ""), secrets)


def _items(delivery: Delivery) -> Iterable[Item]:
    body = parse(delivery.body)
    if isinstance(body, dict):
        wrapped = next((body[name] for name in ("events", "messages") if isinstance(body.get(name), list)), None)
        body = body if wrapped is None else wrapped
    return objects(body)


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    xdm = _xdm(item)
    name, event_id = text(xdm.get("eventType"), "eventType", limit=128), text(xdm.get("_id"), "_id", limit=128)
    if name is None or event_id is None:
        raise BadField("_id" if event_id is None else "eventType", "is missing")
    kind, at = TYPES.get(name) or event_type(name), time(xdm.get("timestamp"), "timestamp")
    if not kind[:1].isalpha():
        raise BadField("eventType", "must begin with a Latin letter")
    person = _person(mapping(xdm.get("identityMap"), "identityMap"))
    if kind in MAIL_TYPES:
        return _mail(kind, event_id, xdm, person, given)
    products, properties = _products(xdm), _properties(xdm)
    if kind in OF_ONE_PRODUCT and products:
        told = [(f"{event_id}:{index}", {**properties, **product}) for index, product in enumerate(products)]
    else:
        told = [(event_id, {**properties, "products": products} if products else properties)]
    return [
        made
        for one_id, one in told
        for made in given.event(kind, event_id=one_id, at=at, person=person, properties=one)
    ]


def _xdm(item: Item) -> Mapping[str, Any]:
    if isinstance(item.get("xdm"), dict):
        return mapping(item["xdm"], "xdm")
    body = item.get("body")
    return mapping(body.get("xdmEntity"), "body.xdmEntity") if isinstance(body, dict) else item


def _mail(kind: str, event_id: str, xdm: Mapping[str, Any], person: Person, given: Normalizing) -> list[Event]:
    marketing = mapping(xdm.get("directMarketing"), "directMarketing")
    link = mapping(marketing.get("links"), "directMarketing.links") if isinstance(marketing.get("links"), dict) else {}
    mailing = text(marketing.get("mailingID") or marketing.get("mailingId"), "directMarketing.mailingID", limit=100)
    return mail_event(
        given,
        kind,
        event_id=event_id,
        at=time(xdm.get("timestamp"), "timestamp"),
        person=person,
        campaign=mailing or text(marketing.get("campaignID"), "directMarketing.campaignID", limit=100),
        message_id=event_id,
        properties={"url": text(link.get("URL"), "directMarketing.links.URL", limit=2_048)},
    )


def _person(identities: Mapping[str, Any]) -> Person:
    others = sorted(name for name in identities if name not in LEFT)
    return Person(
        user_id=_identity(identities, others),
        email=_identity(identities, EMAIL),
        anonymous_id=_identity(identities, BROWSER),
    )


def _identity(identities: Mapping[str, Any], namespaces: Sequence[str]) -> str | None:
    """Return an identity of the first of the namespaces that is there, its primary one if there are several."""
    for namespace in namespaces:
        entries = identities.get(namespace)
        if isinstance(entries, list) and entries:
            known = [mapping(one, f"identityMap.{namespace}") for one in entries]
            chosen = next((one for one in known if one.get("primary") is True), known[0])
            return text(chosen.get("id"), f"identityMap.{namespace}.id", limit=256)
    return None


def _properties(xdm: Mapping[str, Any]) -> dict[str, Any]:
    order = mapping(mapping(xdm.get("commerce"), "commerce").get("order"), "commerce.order")
    page = mapping(mapping(xdm.get("web"), "web").get("webPageDetails"), "web.webPageDetails")
    return {
        "order_id": text(order.get("purchaseID"), "commerce.order.purchaseID", limit=128),
        "total": number(order.get("priceTotal"), "commerce.order.priceTotal"),
        "currency": text(order.get("currencyCode"), "commerce.order.currencyCode", limit=8),
        "url": text(page.get("URL"), "web.webPageDetails.URL", limit=2_048),
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
    }
    return {name: value for name, value in product.items() if value is not None}


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
