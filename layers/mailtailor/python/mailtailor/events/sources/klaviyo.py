"""Klaviyo's system webhooks as our events: what became of mails, several a delivery.

The signature is the hexadecimal HMAC-SHA256 of the raw body followed by the timestamp of its header. Flow webhooks are
another thing: a marketer writes their body, and Klaviyo does not sign them; they can send Standard Webhooks' or the
tracking API's form instead.

Sources: Klaviyo, "Working with system webhooks" (headers, structure, signature), "Webhooks API overview" (topics) and
"Get Event" (payload).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailtailor.errors import BadInput
from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import mail_event
from mailtailor.events.sources.signatures import check_hmac, check_time, refused
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource
from mailtailor.events.untrusted import BadField, mapping, parse, text, time
from mailtailor.instant import SECOND, Instant

NAME: Final = "klaviyo"
TOPICS: Final[Mapping[str, str]] = {
    "event:klaviyo.email_delivered": mail_events.DELIVERED,
    "event:klaviyo.received_email": mail_events.DELIVERED,
    "event:klaviyo.opened_email": mail_events.OPENED,
    "event:klaviyo.clicked_email": mail_events.CLICKED,
    "event:klaviyo.bounced_email": mail_events.BOUNCED,
    "event:klaviyo.marked_email_as_spam": mail_events.SPAM,
    "event:klaviyo.unsubscribed_from_email_marketing": mail_events.UNSUBSCRIBED,
}
"""Topics of other channels, of reviews and of subscribing say nothing that counts. `received_email` is Klaviyo's older
name of a delivery: who subscribes to both tells each mail twice, which counts once, for it is one message."""


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    said = delivery.headers.get("klaviyo-timestamp", "")
    signature = delivery.headers.get("klaviyo-signature", "")
    check_hmac([signature], delivery.body + said.encode("utf-8", "replace"), secrets, written=bytes.hex)
    check_time(str(_instant(said) // SECOND), delivery.received_at, unit=SECOND)


def _instant(said: str) -> Instant:
    """Return the instant of a timestamp header: seconds, or the time as text."""
    if said.isascii() and said.isdecimal() and len(said) <= 15:
        return int(said) * SECOND
    try:
        return time(said, "Klaviyo-Timestamp") or 0
    except BadField as error:
        raise refused() from error


def _items(delivery: Delivery) -> Iterable[Item]:
    told = mapping(parse(delivery.body), "").get("data")
    if not isinstance(told, list):
        raise BadInput("data must be a list.")
    return told


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event_type = TOPICS.get(item.get("topic") or "")
    if event_type is None:
        return []
    payload = mapping(item.get("payload"), "payload")
    event = mapping(payload.get("data", payload), "payload.data")
    attributes = mapping(event.get("attributes"), "payload.data.attributes")
    properties = _properties(attributes)
    message_id = text(properties.get("$message"), "$message", limit=64)
    at = time(attributes.get("datetime"), "payload.data.attributes.datetime")
    event_id = text(item.get("external_id") or event.get("id"), "external_id", limit=128)
    bot = properties.get("Bot Click") is True
    apple = properties.get("machine_open") is True or properties.get("Apple Privacy Open") is True
    return mail_event(
        given,
        event_type,
        event_id=event_id or given.derived_id(event_type, at, message_id),
        at=at,
        person=_person(payload, event),
        campaign=message_id,
        message_id=message_id,
        properties={
            "url": text(properties.get("URL"), "URL", limit=2_048),
            "machine": "klaviyo_bot_click" if bot else "klaviyo_machine_open" if apple else None,
            "reason": text(properties.get("Bounce Type"), "Bounce Type", limit=128),
        },
    )


def _properties(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(attributes.get("event_properties"), "payload.data.attributes.event_properties")


def _person(payload: Mapping[str, Any], event: Mapping[str, Any]) -> Person:
    """Return the profile that is included with the event, or the key that the event names."""
    included = payload.get("included")
    for one in included if isinstance(included, list) else ():
        entry = mapping(one, "payload.included")
        if entry.get("type") == "profile":
            profile = mapping(entry.get("attributes"), "payload.included.attributes")
            return Person(
                user_id=text(profile.get("external_id"), "external_id", limit=256),
                email=text(profile.get("email"), "email", limit=256),
            )
    relation = mapping(mapping(event.get("relationships"), "relationships").get("profile"), "relationships.profile")
    profile_id = text(mapping(relation.get("data"), "relationships.profile.data").get("id"), "id", limit=128)
    return Person(user_id=f"{NAME}:{profile_id}" if profile_id else None)


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
