"""Klaviyo's system webhooks as our events: what became of mails, up to 1,000 a delivery.

The signature is the HMAC-SHA256 of the raw body followed by the text of `Klaviyo-Timestamp`, in hexadecimal. That
header was seen to be hours off, local time called GMT, so when a delivery was made is read from `meta.timestamp`, which
is signed with the body. Deliveries are repeated for two days, and whether a repeated one gets a new time is not
documented: so it may be that old. What is sent again changes nothing, for `external_id` names the event.

Flow webhooks are another thing: a marketer writes their body, and Klaviyo does not sign them; they can send Standard
Webhooks' or the tracking API's form instead.

The campaign is `$message`, Klaviyo's id of one mail of a campaign or flow.

Sources: Klaviyo, "Working with system webhooks" (headers, structure, signature), "Webhooks API overview" (topics), "Get
Event" (payload), "Understanding bot clicks" (`Bot Click`). The header's fault, and `machine_open`, are as public
clients of Klaviyo's API report them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from mailtailor.errors import BadInput
from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import MAX_URL, is_marked, mail_event
from mailtailor.events.sources.signatures import check_hmac, check_secret, check_time, refused
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource
from mailtailor.events.untrusted import BadField, epoch, mapping, parse, text, time
from mailtailor.instant import DAY, HOUR, SECOND, Instant

NAME: Final = "klaviyo"
TOPICS: Final[Mapping[str | None, str]] = MappingProxyType(
    {
        "event:klaviyo.email_delivered": mail_events.DELIVERED,
        "event:klaviyo.received_email": mail_events.DELIVERED,
        "event:klaviyo.opened_email": mail_events.OPENED,
        "event:klaviyo.clicked_email": mail_events.CLICKED,
        "event:klaviyo.bounced_email": mail_events.BOUNCED,
        "event:klaviyo.marked_email_as_spam": mail_events.SPAM,
        "event:klaviyo.unsubscribed_from_email_marketing": mail_events.UNSUBSCRIBED,
    }
)
"""Topics of other channels, of reviews and of subscribing say nothing that counts. Klaviyo's pages name a delivery in
two ways; who subscribes to both tells of a mail twice, and it is one message."""
OLDEST: Final = 2 * DAY + HOUR
"""Klaviyo switches a webhook off that has failed for two days."""
PASSING: Final = "soft"
"""The type of bounces that say nothing lasting of an address."""
_EVENT: Final = "payload.data"
_DETAILS: Final = f"{_EVENT}.attributes.event_properties"


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    said = delivery.headers.get("klaviyo-timestamp", "").encode("utf-8", "replace")
    check_hmac([delivery.headers.get("klaviyo-signature", "")], delivery.body + said, secrets, written=bytes.hex)
    try:
        meta = mapping(mapping(parse(delivery.body), "").get("meta"), "meta")
        webhook = text(meta.get("klaviyo_webhook_id"), "meta.klaviyo_webhook_id", limit=256)
        made_at = time(meta.get("timestamp"), "meta.timestamp")
    except BadInput as error:
        raise refused() from error
    check_secret(delivery.headers.get("klaviyo-webhook-id", ""), [webhook or ""])
    check_time(str(made_at or 0), delivery.received_at, unit=1, tolerance=OLDEST)


def _items(delivery: Delivery) -> Iterable[Item]:
    told = mapping(parse(delivery.body), "").get("data")
    if not isinstance(told, list):
        raise BadInput("data must be a list.")
    return told


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event_type = TOPICS.get(text(item.get("topic"), "topic", limit=256))
    if event_type is None:
        return []
    payload = mapping(item.get("payload"), "payload")
    event = mapping(payload.get("data"), _EVENT)
    attributes = mapping(event.get("attributes"), f"{_EVENT}.attributes")
    details = mapping(attributes.get("event_properties"), _DETAILS)
    bounce = text(details.get("Bounce Type"), f"{_DETAILS}.Bounce Type", limit=64)
    if event_type == mail_events.BOUNCED and bounce and bounce.lower() == PASSING:
        return []
    message = text(details.get("$message"), f"{_DETAILS}.$message", limit=64)
    return mail_event(
        given,
        event_type,
        event_id=_id(item),
        at=_time(attributes),
        person=_person(payload, event, details),
        campaign=message,
        properties={
            "url": text(details.get("URL"), f"{_DETAILS}.URL", limit=MAX_URL),
            "machine": _machine(details),
            "reason": bounce,
        },
    )


def _machine(details: Mapping[str, Any]) -> str | None:
    if is_marked(details.get("Bot Click")):
        return "klaviyo_bot_click"
    # The interface calls the second what the API calls the first.
    opened = is_marked(details.get("machine_open")) or is_marked(details.get("Apple Privacy Open"))
    return "klaviyo_machine_open" if opened else None


def _id(item: Item) -> str:
    found = text(item.get("external_id"), "external_id", limit=128)
    if found is None:
        raise BadField("external_id", "is missing")
    return found


def _time(attributes: Mapping[str, Any]) -> Instant:
    found = time(attributes.get("datetime"), f"{_EVENT}.attributes.datetime")
    if found is None:
        found = epoch(attributes.get("timestamp"), f"{_EVENT}.attributes.timestamp", unit=SECOND)
    if found is None:
        raise BadField(f"{_EVENT}.attributes.datetime", "is missing")
    return found


def _person(payload: Mapping[str, Any], event: Mapping[str, Any], details: Mapping[str, Any]) -> Person:
    """Return who it is: by Klaviyo's id of the profile, which is in every event, and the keys that are in some."""
    profile = _included(payload)
    relations = mapping(event.get("relationships"), f"{_EVENT}.relationships")
    related = mapping(relations.get("profile"), f"{_EVENT}.relationships.profile")
    reference = mapping(related.get("data"), f"{_EVENT}.relationships.profile.data")
    profile_id = text(reference.get("id"), f"{_EVENT}.relationships.profile.data.id", limit=128)
    email = text(profile.get("email"), "payload.included.attributes.email", limit=256)
    return Person(
        user_id=text(profile.get("external_id"), "payload.included.attributes.external_id", limit=256),
        email=email or text(details.get("email_address"), f"{_DETAILS}.email_address", limit=256),
        anonymous_id=f"{NAME}:{profile_id}" if profile_id else None,
    )


def _included(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    included = payload.get("included")
    for entry in included if isinstance(included, list) else ():
        if isinstance(entry, dict) and entry.get("type") == "profile":
            return mapping(entry.get("attributes"), "payload.included.attributes")
    return {}


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize, unreadable=200)
