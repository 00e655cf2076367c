"""Braze's events as ours: Currents' engagement and behaviour events, sent as JSON.

Braze has no signed event callback. Currents writes to storage or to a connector; whatever passes its events on, one
object, an array or `{"events": [...]}`, authenticates with a bearer token that is an entry of the ingest secret.
Braze's connectors send the same events in two forms; this takes the flat one of the event glossary, in which the
event's name is `event_type`, as `users.messages.email.Delivery`, and the one that nests it under `user` and
`properties`.

Sources: Braze, "Message engagement events" and "Customer behavior events" of the Currents event glossary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailtailor.events.event import Event, event_type
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import mail_event
from mailtailor.events.sources.signatures import check_bearer
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource, objects
from mailtailor.events.untrusted import BadField, epoch, mapping, number, parse, text
from mailtailor.instant import SECOND

NAME: Final = "braze"
MAIL: Final[Mapping[str, str]] = {
    "users.messages.email.Delivery": mail_events.DELIVERED,
    "users.messages.email.Open": mail_events.OPENED,
    "users.messages.email.Click": mail_events.CLICKED,
    "users.messages.email.Bounce": mail_events.BOUNCED,
    "users.messages.email.MarkAsSpam": mail_events.SPAM,
    "users.messages.email.Unsubscribe": mail_events.UNSUBSCRIBED,
}
"""`Send`, `SoftBounce`, `Deferral` and other channels' events say nothing that counts."""
PURCHASE: Final = "users.behaviors.Purchase"
CUSTOM: Final = "users.behaviors.CustomEvent"


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    check_bearer(delivery.headers.get("authorization", ""), secrets)


def _items(delivery: Delivery) -> Iterable[Item]:
    body = parse(delivery.body)
    told = body["events"] if isinstance(body, dict) and isinstance(body.get("events"), list) else body
    apart = mail_events.tells_sends_apart(delivery)
    return [{"event": event, "apart": apart} for event in objects(told)]


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event = _flat(mapping(item["event"], ""))
    kind = event.get("event_type")
    if not isinstance(kind, str):
        raise BadField("event_type", "is missing")
    if kind in MAIL:
        return _mail(MAIL[kind], event, given, apart=item.get("apart") is True)
    if kind == PURCHASE:
        return _purchase(event, given)
    return _custom(event, given) if kind == CUSTOM else []


def _flat(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event in the form of the glossary: connectors nest the person and the rest."""
    if not isinstance(event.get("properties"), dict) or "user" not in event:
        return event
    user = mapping(event.get("user"), "user")
    return {**mapping(event["properties"], "properties"), **event, "properties": None, **user}


def _mail(kind: str, event: Mapping[str, Any], given: Normalizing, *, apart: bool) -> list[Event]:
    dispatch = text(event.get("dispatch_id"), "dispatch_id", limit=64)
    bot = event.get("is_suspected_bot_click") in {True, "true"}
    opened = event.get("machine_open") in {True, "true"}
    return mail_event(
        given,
        kind,
        event_id=_id(event),
        at=epoch(event.get("time"), "time", unit=SECOND),
        person=_person(event),
        campaign=_campaign(event),
        instance=dispatch if apart else None,
        message_id=dispatch,
        properties={
            "url": text(event.get("url"), "url", limit=2_048),
            "user_agent": text(event.get("user_agent"), "user_agent", limit=1_024),
            "machine": "braze_machine_open" if opened else "braze_suspected_bot_click" if bot else None,
            "reason": text(event.get("bounce_reason"), "bounce_reason", limit=1_024),
        },
    )


def _purchase(event: Mapping[str, Any], given: Normalizing) -> list[Event]:
    product = {
        "product_id": text(event.get("product_id"), "product_id", limit=256),
        "price": number(event.get("price"), "price"),
        "quantity": 1,
    }
    return given.event(
        "order_completed",
        event_id=_id(event),
        at=epoch(event.get("time"), "time", unit=SECOND),
        person=_person(event),
        properties={
            "total": product["price"],
            "currency": text(event.get("currency"), "currency", limit=8),
            "products": [product],
        },
    )


def _custom(event: Mapping[str, Any], given: Normalizing) -> list[Event]:
    kind = event_type(text(event.get("name"), "name", limit=256) or "")
    if not kind[:1].isalpha():
        raise BadField("name", "must be a name that begins with a Latin letter")
    return given.event(
        kind,
        event_id=_id(event),
        at=epoch(event.get("time"), "time", unit=SECOND),
        person=_person(event),
        properties=mapping(event.get("custom_properties") or event.get("properties"), "properties"),
    )


def _id(event: Mapping[str, Any]) -> str:
    found = text(event.get("id"), "id", limit=128)
    if found is None:
        raise BadField("id", "is missing")
    return found


def _person(event: Mapping[str, Any]) -> Person:
    return Person(
        user_id=text(event.get("external_user_id"), "external_user_id", limit=256),
        email=text(event.get("email_address"), "email_address", limit=256),
    )


def _campaign(event: Mapping[str, Any]) -> str | None:
    names = ("campaign_id", "canvas_step_id", "canvas_id")
    return next((found for name in names if (found := text(event.get(name), name, limit=100))), None)


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
