"""Twilio SendGrid's Event Webhook as our events: what became of mails, an array of events a delivery.

SendGrid signs timestamp and raw body with ECDSA; the entry of the ingest secret is the verification key that its
settings page shows. A retry carries the same signature as the first try, up to a day later, so the timestamp is bound
by that day: doubles change nothing anyway, for `sg_event_id` names the event.

Sources: SendGrid, "Event Webhook Reference" (fields), "Getting Started with the Event Webhook Security Features"
(signature), "Understanding Apple Mail Privacy Protection and Open Events" (`sg_machine_open`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import CAMPAIGN_FIELD, INSTANCE_FIELD, mail_event
from mailtailor.events.sources.signatures import check_ecdsa, check_time
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource, objects
from mailtailor.events.untrusted import epoch, parse, text
from mailtailor.instant import DAY, SECOND

NAME: Final = "sendgrid"
TYPES: Final[Mapping[str, str]] = {
    "delivered": mail_events.DELIVERED,
    "open": mail_events.OPENED,
    "click": mail_events.CLICKED,
    "bounce": mail_events.BOUNCED,
    "spamreport": mail_events.SPAM,
    "unsubscribe": mail_events.UNSUBSCRIBED,
    "group_unsubscribe": mail_events.UNSUBSCRIBED,
}
"""`processed`, `deferred`, `dropped` and `group_resubscribe` say nothing that counts."""
RETRIED: Final = DAY
"""For so long SendGrid tries to deliver an event."""


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    timestamp = delivery.headers.get("x-twilio-email-event-webhook-timestamp", "")
    signature = delivery.headers.get("x-twilio-email-event-webhook-signature", "")
    check_time(timestamp, delivery.received_at, unit=SECOND, tolerance=RETRIED)
    check_ecdsa(signature, timestamp.encode() + delivery.body, secrets)


def _items(delivery: Delivery) -> Iterable[Item]:
    return objects(parse(delivery.body))


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event_type = TYPES.get(item.get("event") or "")
    if event_type is None:
        return []
    message_id = text(item.get("sg_message_id"), "sg_message_id", limit=256)
    at = epoch(item.get("timestamp"), "timestamp", unit=SECOND)
    event_id = text(item.get("sg_event_id"), "sg_event_id", limit=128)
    email = text(item.get("email"), "email", limit=256)
    url = text(item.get("url"), "url", limit=2_048)
    return mail_event(
        given,
        event_type,
        event_id=event_id or given.derived_id(event_type, message_id, email, at, url),
        at=at,
        person=Person(email=email),
        campaign=_campaign(item),
        instance=text(item.get(INSTANCE_FIELD), INSTANCE_FIELD, limit=64),
        message_id=message_id and message_id.partition(".")[0],
        address=text(item.get("ip"), "ip", limit=64),
        properties={
            "url": url if event_type == mail_events.CLICKED else None,
            "user_agent": text(item.get("useragent"), "useragent", limit=1_024),
            "machine": "sg_machine_open" if item.get("sg_machine_open") is True else None,
            "reason": text(item.get("reason"), "reason", limit=1_024),
        },
    )


def _campaign(item: Mapping[str, Any]) -> str | None:
    names = (CAMPAIGN_FIELD, "singlesend_id")
    return next((found for name in names if (found := text(item.get(name), name, limit=100))), None)


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
