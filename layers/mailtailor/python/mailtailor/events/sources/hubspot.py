"""HubSpot's webhooks as our events: changes of contacts, up to a hundred a delivery.

The signature is the third version's: base64 of HMAC-SHA256 over method, address, body and timestamp. HubSpot signs the
address as it knows it, with some characters decoded; we may be called at more than one, so all are tried.

Sources: HubSpot, "Validating requests" (signature, characters to decode), "Webhooks API" (events).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailtailor.events.event import Event, event_type
from mailtailor.events.sources.signatures import as_base64, check_time, refused, same
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource, objects
from mailtailor.events.untrusted import BadField, epoch, is_private, parse, text

NAME: Final = "hubspot"
DECODED: Final[Mapping[str, str]] = {
    "%3A": ":",
    "%2F": "/",
    "%3F": "?",
    "%40": "@",
    "%21": "!",
    "%24": "$",
    "%27": "'",
    "%28": "(",
    "%29": ")",
    "%2A": "*",
    "%2C": ",",
    "%3B": ";",
}
"""What HubSpot decodes of an address before it signs it."""
KEPT: Final[Mapping[str, str]] = {"firstname": "first_name", "city": "city", "state": "region", "country": "country"}
"""Properties of contacts that have another name in our vocabulary."""
LEFT: Final = frozenset({"lastname", "address", "mobilephone", "phone", "fax", "hs_email_domain", "full_name"})
"""Properties that name or reach a person, and are not kept."""


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    timestamp = delivery.headers.get("x-hubspot-request-timestamp", "")
    given = delivery.headers.get("x-hubspot-signature-v3", "")
    signed = [
        f"{delivery.method}{url}".encode("utf-8", "replace") + delivery.body + timestamp.encode("utf-8", "replace")
        for address in delivery.urls
        for url in dict.fromkeys((_decoded(address), address))
    ]
    matches = [
        same(given, as_base64(hmac.digest(secret.encode(), one, "sha256"))) for one in signed for secret in secrets
    ]
    if not any(matches):
        raise refused()
    check_time(timestamp, delivery.received_at, unit=1)


def _decoded(url: str) -> str:
    for encoded, character in DECODED.items():
        url = url.replace(encoded, character).replace(encoded.lower(), character)
    return url


def _items(delivery: Delivery) -> Iterable[Item]:
    return objects(parse(delivery.body))


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    match item.get("subscriptionType"):
        case "contact.creation":
            return _identified(item, given, {})
        case "contact.propertyChange":
            return _identified(item, given, _attribute(item))
        case "object.creation" | "object.propertyChange" if item.get("objectTypeId") == "0-1":
            return _identified(item, given, _attribute(item))
    return []


def _identified(item: Item, given: Normalizing, attributes: Mapping[str, Any]) -> list[Event]:
    contact = text(item.get("objectId"), "objectId", limit=64)
    if contact is None:
        raise BadField("objectId", "is missing")
    value = item.get("propertyValue")
    email = value if item.get("propertyName") == "email" and isinstance(value, str) else None
    at = epoch(item.get("occurredAt"), "occurredAt", unit=1)
    told = (item.get("subscriptionType"), contact, item.get("propertyName"), value, at)
    return given.event(
        "identified",
        event_id=given.derived_id(*told),
        at=at,
        person=Person(user_id=f"{NAME}:{contact}", email=email),
        attributes=attributes,
    )


def _attribute(item: Item) -> dict[str, Any]:
    name = text(item.get("propertyName"), "propertyName", limit=256)
    if not name or name in LEFT or is_private(name):
        return {}
    attribute = KEPT.get(name, event_type(name))
    if not attribute[:1].isalpha():
        raise BadField("propertyName", "must begin with a Latin letter")
    return {attribute: text(item.get("propertyValue"), "propertyValue", limit=256)}


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
