"""Customer.io's reporting webhooks as our events: one thing that became of a mail.

Customer.io waits four seconds and sends nothing else meanwhile, so the answer must be quick; it tries again for seven
days. The signature is the hexadecimal HMAC-SHA256 of `v0:{timestamp}:{body}`.

Sources: Customer.io, "Reporting webhooks" (events, fields, retries) and "Securely verify requests" (signature).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import mail_event
from mailtailor.events.sources.signatures import check_hmac, check_time
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource, objects
from mailtailor.events.untrusted import BadField, epoch, mapping, parse, text
from mailtailor.instant import SECOND

NAME: Final = "customerio"
METRICS: Final[Mapping[str, str]] = {
    "delivered": mail_events.DELIVERED,
    "opened": mail_events.OPENED,
    "clicked": mail_events.CLICKED,
    "bounced": mail_events.BOUNCED,
    "spammed": mail_events.SPAM,
    "unsubscribed": mail_events.UNSUBSCRIBED,
}
"""Of objects of type `email`; `drafted`, `sent`, `converted` and others say nothing that counts."""


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    timestamp = delivery.headers.get("x-cio-timestamp", "")
    signed = b"v0:" + timestamp.encode("utf-8", "replace") + b":" + delivery.body
    check_hmac([delivery.headers.get("x-cio-signature", "")], signed, secrets, written=bytes.hex)
    check_time(timestamp, delivery.received_at, unit=SECOND)


def _items(delivery: Delivery) -> Iterable[Item]:
    return objects(parse(delivery.body))


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event_type = METRICS.get(item.get("metric") or "")
    if event_type is None or item.get("object_type") != "email":
        return []
    event_id = text(item.get("event_id"), "event_id", limit=128)
    if event_id is None:
        raise BadField("event_id", "is missing")
    data = mapping(item.get("data"), "data")
    return mail_event(
        given,
        event_type,
        event_id=event_id,
        at=epoch(item.get("timestamp"), "timestamp", unit=SECOND),
        person=_person(data),
        campaign=_campaign(data),
        message_id=text(data.get("delivery_id"), "data.delivery_id", limit=128),
        properties={
            "url": text(data.get("href"), "data.href", limit=2_048),
            "machine": _machine(data),
            "reason": text(data.get("failure_message"), "data.failure_message", limit=1_024),
        },
    )


def _machine(data: Mapping[str, Any]) -> str | None:
    """Return what Customer.io says of who did it; a proxied open is a person's."""
    names = ("machine", "prefetched", "synthetic")
    return next((f"customerio_{name}" for name in names if data.get(name) is True), None)


def _person(data: Mapping[str, Any]) -> Person:
    keys = mapping(data.get("identifiers"), "data.identifiers")
    return Person(
        user_id=text(keys.get("id") or data.get("customer_id"), "data.identifiers.id", limit=256),
        email=text(keys.get("email") or data.get("email_address"), "data.identifiers.email", limit=256),
    )


def _campaign(data: Mapping[str, Any]) -> str | None:
    names = ("campaign_id", "newsletter_id", "broadcast_id", "transactional_message_id")
    return next((found for name in names if (found := text(data.get(name), f"data.{name}", limit=100))), None)


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
