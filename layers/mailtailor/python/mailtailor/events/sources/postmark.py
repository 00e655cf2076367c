"""Postmark's webhooks as our events: one thing that became of a mail.

Postmark signs nothing; the address in its settings holds a user name and a password (`https://user:password@...`),
which arrive as HTTP Basic. An entry of the ingest secret is `user:password`. Most records have no id of their own, so
one is made of what tells them apart. Postmark stops at 403, and tries again at all else but 200.

Sources: Postmark, "Webhooks overview" (authentication), the pages of the record types, its Node library (fields, types
of bounces), "Understanding Inbound Webhook Retries" (403).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import CAMPAIGN_FIELD, INSTANCE_FIELD, MAX_URL, mail_event
from mailtailor.events.sources.signatures import check_basic
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource, objects
from mailtailor.events.untrusted import mapping, parse, text, time

NAME: Final = "postmark"
TYPES: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "Delivery": (mail_events.DELIVERED, "Recipient", "DeliveredAt"),
        "Open": (mail_events.OPENED, "Recipient", "ReceivedAt"),
        "Click": (mail_events.CLICKED, "Recipient", "ReceivedAt"),
        "Bounce": (mail_events.BOUNCED, "Email", "BouncedAt"),
        "SpamComplaint": (mail_events.SPAM, "Email", "BouncedAt"),
        "SubscriptionChange": (mail_events.UNSUBSCRIBED, "Recipient", "ChangedAt"),
    }
)
"""What a record becomes, and its fields that say who and when."""
LASTING: Final = frozenset({"HardBounce", "BadEmailAddress"})
"""Types of bounces that say that no mail reaches the address; the others are about a moment, a mail or a robot."""
UNSUBSCRIBED: Final = "ManualSuppression"
"""Why a person gets no more mail, if nobody's server said so: bounces and complaints have records of their own."""


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    check_basic(delivery.headers.get("authorization", ""), secrets)


def _items(delivery: Delivery) -> Iterable[Item]:
    return objects(parse(delivery.body))


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    record = text(item.get("RecordType"), "RecordType", limit=64) or ""
    if record not in TYPES or not _counts(record, item):
        return []
    event_type, who, when = TYPES[record]
    metadata = mapping(item.get("Metadata"), "Metadata")
    message_id = text(item.get("MessageID"), "MessageID", limit=128)
    email, at = text(item.get(who), who, limit=256), time(item.get(when), when)
    url = text(item.get("OriginalLink"), "OriginalLink", limit=MAX_URL)
    return mail_event(
        given,
        event_type,
        event_id=given.derived_id(record, message_id, email, item.get(when), url),
        at=at,
        person=Person(email=email),
        campaign=text(metadata.get(CAMPAIGN_FIELD), f"Metadata.{CAMPAIGN_FIELD}", limit=100),
        instance=text(metadata.get(INSTANCE_FIELD), f"Metadata.{INSTANCE_FIELD}", limit=64),
        message_id=message_id,
        address=text(mapping(item.get("Geo"), "Geo").get("IP"), "Geo.IP", limit=64),
        properties={
            "url": url,
            "user_agent": text(item.get("UserAgent"), "UserAgent", limit=1_024),
            "reason": text(item.get("Type"), "Type", limit=64) if event_type == mail_events.BOUNCED else None,
        },
    )


def _counts(record: str, item: Mapping[str, Any]) -> bool:
    if record == "Bounce":
        return item.get("Type") in LASTING
    if record == "SubscriptionChange":
        return item.get("SuppressSending") is True and item.get("SuppressionReason") == UNSUBSCRIBED
    return True


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize, unreadable=403)
