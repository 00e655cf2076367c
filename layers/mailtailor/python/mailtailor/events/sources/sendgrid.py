"""Twilio SendGrid's Event Webhook as our events: what became of mails, an array of events a delivery.

SendGrid signs timestamp and raw body with ECDSA; an entry of the ingest secret is the verification key that its
settings show. It tries to deliver an event for a day, and does not say whether a later try is signed anew: so the
signed time may be a day old. What is sent again changes nothing, for `sg_event_id` names the event.

Sources: SendGrid, "Event Webhook Reference" (fields), "Getting Started with the Event Webhook Security Features"
(signature), "Troubleshooting the Event Webhook" (retries, `sg_event_id`); its Python library's verifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import CAMPAIGN_FIELD, INSTANCE_FIELD, MAX_URL, mail_event
from mailtailor.events.sources.signatures import TOLERANCE, check_ecdsa, check_time
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource, objects
from mailtailor.events.untrusted import epoch, parse, text
from mailtailor.instant import DAY, SECOND

NAME: Final = "sendgrid"
TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "delivered": mail_events.DELIVERED,
        "open": mail_events.OPENED,
        "click": mail_events.CLICKED,
        "bounce": mail_events.BOUNCED,
        "spamreport": mail_events.SPAM,
        "unsubscribe": mail_events.UNSUBSCRIBED,
        "group_unsubscribe": mail_events.UNSUBSCRIBED,
    }
)
"""`processed`, `deferred`, `dropped` and `group_resubscribe` say nothing that counts."""
PASSING: Final = "blocked"
"""The type of a bounce that is about this mail and this moment, not about the address."""
OLDEST: Final = DAY + TOLERANCE
"""Tries end a day after the event; a signature is no older than the event."""


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    timestamp = delivery.headers.get("x-twilio-email-event-webhook-timestamp", "")
    signature = delivery.headers.get("x-twilio-email-event-webhook-signature", "")
    check_time(timestamp, delivery.received_at, unit=SECOND, tolerance=OLDEST)
    check_ecdsa(signature, timestamp.encode() + delivery.body, secrets)


def _items(delivery: Delivery) -> Iterable[Item]:
    return objects(parse(delivery.body))


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event_type = TYPES.get(text(item.get("event"), "event", limit=64) or "")
    if event_type is None or (event_type == mail_events.BOUNCED and item.get("type") == PASSING):
        return []
    message_id = text(item.get("sg_message_id"), "sg_message_id", limit=256)
    at = epoch(item.get("timestamp"), "timestamp", unit=SECOND)
    event_id = text(item.get("sg_event_id"), "sg_event_id", limit=128)
    email = text(item.get("email"), "email", limit=256)
    url = text(item.get("url"), "url", limit=MAX_URL)
    return mail_event(
        given,
        event_type,
        event_id=event_id or given.derived_id(event_type, message_id, email, at, url),
        at=at,
        person=Person(email=email),
        campaign=_campaign(item),
        instance=text(item.get(INSTANCE_FIELD), INSTANCE_FIELD, limit=64),
        # What follows the first dot names servers, and may differ between the events of one mail.
        message_id=message_id and message_id.partition(".")[0],
        address=text(item.get("ip"), "ip", limit=64) if event_type in _SEEN else None,
        properties={
            "url": url,
            "user_agent": text(item.get("useragent"), "useragent", limit=1_024),
            "machine": "sg_machine_open" if item.get("sg_machine_open") is True else None,
            "reason": _reason(item) if event_type == mail_events.BOUNCED else None,
        },
    )


_SEEN: Final = frozenset({mail_events.OPENED, mail_events.CLICKED})
"""Whose `ip` is the recipient's; that of a delivery is SendGrid's own."""


def _campaign(item: Mapping[str, Any]) -> str | None:
    named = text(item.get(CAMPAIGN_FIELD), CAMPAIGN_FIELD, limit=100)
    return named or text(item.get("singlesend_id"), "singlesend_id", limit=100)


def _reason(item: Mapping[str, Any]) -> str | None:
    # `reason` is what the other server wrote, which may name people.
    kind = text(item.get("bounce_classification"), "bounce_classification", limit=128)
    return kind or text(item.get("status"), "status", limit=32)


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
