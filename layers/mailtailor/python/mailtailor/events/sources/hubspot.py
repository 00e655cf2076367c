"""HubSpot's webhooks as our events: changes of contacts, up to a hundred a delivery.

The signature is the third version's: base64 of HMAC-SHA256 over method, address, body and timestamp. HubSpot signs the
address as it knows it, with some characters decoded; we may be called at more than one, so all are tried.

HubSpot's `eventId` is not unique, so an event is named by what it tells: the contact, the change, its time. The older
form of subscriptions (`contact.*`) and the newer one (`object.*`, `0-1` for contacts) tell the same, and give the same
events.

Sources: HubSpot, "Validating requests" (signature, characters to decode), "Webhooks API" and "Create generic webhook
subscriptions" (events, `objectTypeId`, sensitive properties).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailtailor.events.event import Event, event_type
from mailtailor.events.sources.mail_events import UNSUBSCRIBED
from mailtailor.events.sources.records import is_kept
from mailtailor.events.sources.signatures import as_base64, check_time, refused, same
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource, objects
from mailtailor.events.untrusted import BadField, epoch, mapping, parse, text

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
KEPT: Final[Mapping[str, str]] = {"firstname": "first_name", "state": "region", "zip": "postal_code"}
"""Properties of contacts that have another name in our vocabulary."""
OPTED_OUT: Final = "hs_email_optout"
"""The property that says that a contact wants no mail at all."""
HIDDEN: Final = "REDACTED"
"""What HubSpot writes in place of a sensitive property's value."""


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
    match mapping(item, ""):
        case {"subscriptionType": "contact.creation"} | {"subscriptionType": "object.creation", "objectTypeId": "0-1"}:
            return _contact("identified", "creation", item, given)
        case {"subscriptionType": "contact.propertyChange"} | {
            "subscriptionType": "object.propertyChange",
            "objectTypeId": "0-1",
        }:
            return _changed(item, given)
    return []


def _changed(item: Item, given: Normalizing) -> list[Event]:
    name = text(item.get("propertyName"), "propertyName", limit=256)
    if name is None:
        raise BadField("propertyName", "is missing")
    if name == OPTED_OUT:
        # Taken back, it is no consent: that is stated by servers only.
        return _contact(UNSUBSCRIBED, name, item, given) if item.get("propertyValue") == "true" else []
    return _contact("identified", f"change:{name}", item, given, _attribute(name, item))


def _contact(
    kind: str, told: str, item: Item, given: Normalizing, attributes: Mapping[str, Any] | None = None
) -> list[Event]:
    contact = text(item.get("objectId"), "objectId", limit=64)
    if contact is None:
        raise BadField("objectId", "is missing")
    value = item.get("propertyValue")
    at = epoch(item.get("occurredAt"), "occurredAt", unit=1)
    return given.event(
        kind,
        event_id=given.derived_id(contact, told, at),
        at=at,
        person=Person(
            user_id=f"{NAME}:{contact}",
            email=value if item.get("propertyName") == "email" and isinstance(value, str) else None,
        ),
        attributes=attributes,
    )


def _attribute(name: str, item: Item) -> dict[str, Any]:
    if item.get("isSensitive") is True or not is_kept(name):
        return {}
    attribute = KEPT.get(name) or event_type(name)
    if not attribute[:1].isalpha():
        raise BadField("propertyName", "must begin with a Latin letter")
    value = item.get("propertyValue")
    if value is None or value == HIDDEN:
        return {}
    # An emptied property empties the attribute: left out, the old value would stay.
    return {attribute: text(value, "propertyValue", limit=256) or ""}


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
