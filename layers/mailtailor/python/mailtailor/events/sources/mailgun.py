"""Mailgun's webhooks as our events: one thing that became of a mail.

The signature is in the body and covers its timestamp and token alone, not what is told: whoever sees one delivery can
send another body with it for as long as the time is accepted. That is as long as Mailgun's own tries go on, no longer,
for it does not say whether a later try is signed anew. Mailgun stops at 406, and tries again at all else but 200.

Sources: Mailgun, "Securing Webhooks" (signature), "Webhooks" (statuses, retries), "Webhook Payloads" (fields) and
"Open and Click Bot Detection".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from mailtailor.errors import BadInput
from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import CAMPAIGN_FIELD, INSTANCE_FIELD, MAX_URL, mail_event
from mailtailor.events.sources.signatures import check_hmac, check_time, refused
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource
from mailtailor.events.untrusted import epoch, mapping, parse, text
from mailtailor.instant import HOUR, SECOND

NAME: Final = "mailgun"
TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "delivered": mail_events.DELIVERED,
        "opened": mail_events.OPENED,
        "clicked": mail_events.CLICKED,
        "failed": mail_events.BOUNCED,
        "complained": mail_events.SPAM,
        "unsubscribed": mail_events.UNSUBSCRIBED,
    }
)
"""`accepted`, `rejected` and `stored` say nothing that counts, nor does a failure that is only temporary."""
OLDEST: Final = 9 * HOUR
"""Tries end after eight hours and some minutes."""
GMAIL: Final = "gmail"
"""A bot that also loads images at the moment in which a person reads: its user agent tells, and our own rules know."""


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    try:
        signature = mapping(mapping(parse(delivery.body), "").get("signature"), "signature")
    except BadInput as error:
        raise refused() from error
    timestamp, token, given = (str(signature.get(name, "")) for name in ("timestamp", "token", "signature"))
    check_hmac([given], f"{timestamp}{token}".encode("utf-8", "replace"), secrets, written=bytes.hex)
    check_time(timestamp, delivery.received_at, unit=SECOND, tolerance=OLDEST)


def _items(delivery: Delivery) -> Iterable[Item]:
    event: Item | None = parse(delivery.body).get("event-data")
    if event is None:
        raise BadInput("The body has no event-data.", "Set up webhooks, not the legacy ones.")
    return [event]


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event_type = TYPES.get(text(item.get("event"), "event", limit=64) or "")
    if event_type is None or (event_type == mail_events.BOUNCED and item.get("severity") != "permanent"):
        return []
    variables = _variables(item)
    client = mapping(item.get("client-info"), "client-info")
    headers = mapping(mapping(item.get("message"), "message").get("headers"), "message.headers")
    message_id = text(headers.get("message-id"), "message.headers.message-id", limit=512)
    email = text(item.get("recipient"), "recipient", limit=256)
    at = epoch(item.get("timestamp"), "timestamp", unit=SECOND)
    event_id = text(item.get("id"), "id", limit=128)
    url = text(item.get("url"), "url", limit=MAX_URL)
    return mail_event(
        given,
        event_type,
        event_id=event_id or given.derived_id(event_type, message_id, email, at, url),
        at=at,
        person=Person(email=email),
        campaign=text(variables.get(CAMPAIGN_FIELD), f"user-variables.{CAMPAIGN_FIELD}", limit=100),
        instance=text(variables.get(INSTANCE_FIELD), f"user-variables.{INSTANCE_FIELD}", limit=64),
        # It has the form of an address, which would be blotted out of every event alike.
        message_id=message_id and given.derived_id(message_id),
        address=text(item.get("ip"), "ip", limit=64),
        properties={
            "url": url,
            "user_agent": text(client.get("user-agent"), "client-info.user-agent", limit=1_024),
            "machine": _machine(client),
            "reason": text(item.get("reason"), "reason", limit=128) if event_type == mail_events.BOUNCED else None,
        },
    )


def _variables(item: Mapping[str, Any]) -> Mapping[str, Any]:
    # A mail without variables has an empty list in their place.
    return mapping(item.get("user-variables") or None, "user-variables")


def _machine(client: Mapping[str, Any]) -> str | None:
    bot = text(client.get("bot"), "client-info.bot", limit=64)
    return None if bot is None or (bot == GMAIL and client.get("user-agent")) else f"mailgun_{bot}"


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize, unreadable=406)
