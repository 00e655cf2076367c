"""Mailgun's webhooks as our events: one thing that became of a mail.

The signature is in the body and covers timestamp and token alone, not what is told: whoever sees one delivery could
send another body with it, within the tolerance of its time. So the address must be HTTPS, and doubles of a token are
harmless, since the event's own id names it. Mailgun stops sending at 406, and tries again for eight hours at others.

Sources: Mailgun, "Securing webhooks" (signature), "Webhook payloads" and "Events" (fields), "Webhooks" (406).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailtailor.errors import BadInput
from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import CAMPAIGN_FIELD, INSTANCE_FIELD, mail_event
from mailtailor.events.sources.signatures import check_hmac, check_time, refused
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource
from mailtailor.events.untrusted import epoch, mapping, parse, text
from mailtailor.instant import DAY, SECOND

NAME: Final = "mailgun"
TYPES: Final[Mapping[str, str]] = {
    "delivered": mail_events.DELIVERED,
    "opened": mail_events.OPENED,
    "clicked": mail_events.CLICKED,
    "failed": mail_events.BOUNCED,
    "complained": mail_events.SPAM,
    "unsubscribed": mail_events.UNSUBSCRIBED,
}
"""`accepted`, `rejected` and `stored` say nothing that counts, nor does a failure that is only temporary."""
RETRIED: Final = DAY
"""Tries go on for eight hours; whether each is signed anew is not documented."""


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    try:
        body = parse(delivery.body)
        signature = mapping(mapping(body, "").get("signature"), "signature")
        timestamp, token, given = (str(signature.get(name, "")) for name in ("timestamp", "token", "signature"))
    except BadInput as error:
        raise refused() from error
    check_hmac([given], f"{timestamp}{token}".encode("utf-8", "replace"), secrets, written=bytes.hex)
    check_time(timestamp, delivery.received_at, unit=SECOND, tolerance=RETRIED)


def _items(delivery: Delivery) -> Iterable[Item]:
    event: Item = parse(delivery.body).get("event-data")
    return [event]


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event_type = TYPES.get(item.get("event") or "")
    if event_type is None or (event_type == mail_events.BOUNCED and item.get("severity") != "permanent"):
        return []
    variables = mapping(item.get("user-variables"), "user-variables")
    client = mapping(item.get("client-info"), "client-info")
    headers = mapping(mapping(item.get("message"), "message").get("headers"), "message.headers")
    message_id = text(headers.get("message-id"), "message.headers.message-id", limit=512)
    email = text(item.get("recipient"), "recipient", limit=256)
    at = epoch(item.get("timestamp"), "timestamp", unit=SECOND)
    event_id = text(item.get("id"), "id", limit=128)
    bot = text(client.get("bot"), "client-info.bot", limit=64)
    return mail_event(
        given,
        event_type,
        event_id=event_id or given.derived_id(event_type, message_id, email, at),
        at=at,
        person=Person(email=email),
        campaign=text(variables.get(CAMPAIGN_FIELD), f"user-variables.{CAMPAIGN_FIELD}", limit=100) or _tag(item),
        instance=text(variables.get(INSTANCE_FIELD), f"user-variables.{INSTANCE_FIELD}", limit=64),
        # It may hold an address: left of the @ it tells mails apart as well.
        message_id=message_id and given.derived_id(message_id),
        address=text(item.get("ip"), "ip", limit=64),
        properties={
            "url": text(item.get("url"), "url", limit=2_048),
            "user_agent": text(client.get("user-agent"), "client-info.user-agent", limit=1_024),
            "machine": f"mailgun_{bot}" if bot else None,
            "reason": text(item.get("reason"), "reason", limit=256),
        },
    )


def _tag(item: Mapping[str, Any]) -> str | None:
    tags = item.get("tags")
    return text(tags[0], "tags[0]", limit=128) if isinstance(tags, list) and tags else None


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize, unreadable=406)
