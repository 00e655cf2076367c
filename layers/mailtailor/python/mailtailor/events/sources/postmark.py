"""Postmark's webhooks as our events: one thing that became of a mail.

Postmark signs nothing; the address in its settings carries a user name and password (`https://user:password@...`),
which arrive as HTTP Basic. The entry of the ingest secret is `user:password`. Records have no id of their own, so one
is made of what tells them apart.

Sources: Postmark, "Webhooks overview" (authentication, retries) and the pages of each record type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import CAMPAIGN_FIELD, INSTANCE_FIELD, mail_event
from mailtailor.events.sources.signatures import check_basic
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource, objects
from mailtailor.events.untrusted import mapping, parse, text, time
from mailtailor.instant import Instant

NAME: Final = "postmark"
TYPES: Final[Mapping[str, tuple[str, str]]] = {
    "Delivery": (mail_events.DELIVERED, "DeliveredAt"),
    "Open": (mail_events.OPENED, "ReceivedAt"),
    "Click": (mail_events.CLICKED, "ReceivedAt"),
    "Bounce": (mail_events.BOUNCED, "BouncedAt"),
    "SpamComplaint": (mail_events.SPAM, "BouncedAt"),
    "SubscriptionChange": (mail_events.UNSUBSCRIBED, "ChangedAt"),
}
"""What each record becomes, and the field that says when."""
PASSING: Final = frozenset(
    {"Transient", "SoftBounce", "AutoResponder", "DnsError", "Subscribe", "ChallengeVerification"}
)
"""Types of bounces that say nothing of the address."""


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    check_basic(delivery.headers.get("authorization", ""), secrets)


def _items(delivery: Delivery) -> Iterable[Item]:
    return objects(parse(delivery.body))


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    record = item.get("RecordType")
    if not isinstance(record, str) or record not in TYPES or not _counts(record, item):
        return []
    event_type, when = TYPES[record]
    metadata = mapping(item.get("Metadata"), "Metadata")
    message_id = text(item.get("MessageID"), "MessageID", limit=128)
    email = text(item.get("Recipient") or item.get("Email"), "Recipient", limit=256)
    at: Instant | None = time(item.get(when), when)
    url = text(item.get("OriginalLink"), "OriginalLink", limit=2_048)
    return mail_event(
        given,
        event_type,
        event_id=f"{message_id}:{given.derived_id(record, email, at, url)}",
        at=at,
        person=Person(email=email),
        campaign=text(metadata.get(CAMPAIGN_FIELD), f"Metadata.{CAMPAIGN_FIELD}", limit=100)
        or text(item.get("Tag"), "Tag", limit=100),
        instance=text(metadata.get(INSTANCE_FIELD), f"Metadata.{INSTANCE_FIELD}", limit=64),
        message_id=message_id,
        address=_address(item),
        properties={
            "url": url,
            "user_agent": text(item.get("UserAgent"), "UserAgent", limit=1_024),
            "reason": text(item.get("Type") or item.get("SuppressionReason"), "Type", limit=256),
        },
    )


def _counts(record: str, item: Mapping[str, Any]) -> bool:
    if record == "Bounce":
        return item.get("Type") not in PASSING
    # The change back, to being sent mail again, is no event of ours.
    return record != "SubscriptionChange" or item.get("SuppressSending") is True


def _address(item: Mapping[str, Any]) -> str | None:
    return text(mapping(item.get("Geo"), "Geo").get("IP"), "Geo.IP", limit=64)


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
