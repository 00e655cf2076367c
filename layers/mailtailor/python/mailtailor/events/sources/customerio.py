"""Customer.io's reporting webhooks as our events: one thing that became of a mail.

The signature is the HMAC-SHA256 of `v0:{timestamp}:{body}`, in hexadecimal. Customer.io waits four seconds, and holds
back all that follows until a delivery is taken, for up to seven days: so a signed body that cannot be read is answered
200 like one that can.

The campaign is `campaign_id`; what else sends mails counts from 1 too and has its kind before the number, as
`newsletter:12`. A campaign may send a person several mails: `delivery_id` tells them apart.

Sources: Customer.io, "Reporting webhooks" (signature, events, fields, retries); the encoding of the signature as in
public verifiers, for that page does not name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import MAX_URL, free_text, mail_event
from mailtailor.events.sources.signatures import check_hmac, check_time
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource, objects
from mailtailor.events.untrusted import BadField, epoch, mapping, parse, text
from mailtailor.instant import SECOND, Instant

NAME: Final = "customerio"
EVENTS: Final[Mapping[tuple[str | None, str | None], str]] = MappingProxyType(
    {
        ("email", "delivered"): mail_events.DELIVERED,
        ("email", "opened"): mail_events.OPENED,
        ("email", "clicked"): mail_events.CLICKED,
        ("email", "bounced"): mail_events.BOUNCED,
        ("email", "spammed"): mail_events.SPAM,
        ("email", "unsubscribed"): mail_events.UNSUBSCRIBED,
        ("customer", "unsubscribed"): mail_events.UNSUBSCRIBED,
    }
)
"""By object type and metric. `drafted`, `attempted`, `sent`, `converted`, `dropped`, `failed`, `undeliverable`, changed
preferences and other channels say nothing that counts."""
CAMPAIGNS: Final = MappingProxyType(
    {
        "campaign_id": "",
        "newsletter_id": "newsletter:",
        "broadcast_id": "broadcast:",
        "transactional_message_id": "transactional:",
    }
)
MACHINES: Final = ("machine", "prefetched")
"""Marks of what no person did. `proxied` hides who did it, and `synthetic` is inferred from a click: both may be a
person's."""


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    timestamp = delivery.headers.get("x-cio-timestamp", "")
    signed = b"v0:" + timestamp.encode("utf-8", "replace") + b":" + delivery.body
    check_hmac([delivery.headers.get("x-cio-signature", "")], signed, secrets, written=bytes.hex)
    check_time(timestamp, delivery.received_at, unit=SECOND)


def _items(delivery: Delivery) -> Iterable[Item]:
    apart = mail_events.tells_sends_apart(delivery)
    return [{"event": event, "apart": apart} for event in objects(parse(delivery.body))]


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event = mapping(item["event"], "")
    object_type = text(event.get("object_type"), "object_type", limit=64)
    event_type = EVENTS.get((object_type, text(event.get("metric"), "metric", limit=64)))
    if event_type is None:
        return []
    data = mapping(event.get("data"), "data")
    delivery_id = text(data.get("delivery_id"), "data.delivery_id", limit=128)
    return mail_event(
        given,
        event_type,
        event_id=_id(event),
        at=_time(event),
        person=_person(data),
        campaign=_campaign(data),
        instance=delivery_id if item.get("apart") is True else None,
        message_id=delivery_id,
        properties={
            "url": text(data.get("href"), "data.href", limit=MAX_URL),
            "machine": next((f"{NAME}_{name}" for name in MACHINES if data.get(name) is True), None),
            "reason": free_text(data.get("failure_message"), "data.failure_message"),
        },
    )


def _id(event: Mapping[str, Any]) -> str:
    found = text(event.get("event_id"), "event_id", limit=128)
    if found is None:
        raise BadField("event_id", "is missing")
    return found


def _time(event: Mapping[str, Any]) -> Instant:
    found = epoch(event.get("timestamp"), "timestamp", unit=SECOND)
    if found is None:
        raise BadField("timestamp", "is missing")
    return found


def _campaign(data: Mapping[str, Any]) -> str | None:
    for name, kind in CAMPAIGNS.items():
        found = text(data.get(name), f"data.{name}", limit=80)
        if found:
            return f"{kind}{found}"
    return None


def _person(data: Mapping[str, Any]) -> Person:
    keys = mapping(data.get("identifiers"), "data.identifiers")
    # The older field holds whichever key a workspace prefers, so it counts only where the newer ones are missing.
    user_id = keys.get("id") if keys else data.get("customer_id")
    addresses = (keys.get("email"), data.get("recipient"), data.get("email_address"))
    return Person(
        user_id=text(user_id, "data.identifiers.id", limit=256),
        email=text(next((one for one in addresses if one), None), "data.identifiers.email", limit=256),
    )


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize, unreadable=200)
