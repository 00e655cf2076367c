"""Braze's Currents as our events: what became of mails, what people bought and did.

Braze signs nothing. A Custom Currents Export sends up to 100 events as `{"events": [...]}` with a bearer token, which
is an entry of the ingest secret; an empty body only asks whether the token is good. Its events nest the person under
`user` and the rest under `properties`. Taken too: the flat form of files in storage, with the event's type, which
files have in their path, as `event_type`; alone or in an array, from a function that passes files on, or as the body
of a webhook campaign.

The campaign is `campaign_id`, or `canvas_step_id` for a step of a Canvas, which is one mail as well; else `canvas_id`.

Sources: Braze, "Custom Currents Export" (form, token, statuses), "Message engagement events" and "Customer behavior and
user events" of the event glossary (fields), "Partner custom Currents connector" (`custom_properties`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from mailtailor.events.event import Event, event_type
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import MAX_URL, free_text, is_marked, mail_event
from mailtailor.events.sources.signatures import check_bearer
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource, objects
from mailtailor.events.untrusted import BadField, epoch, mapping, number, parse, text
from mailtailor.instant import SECOND, Instant

NAME: Final = "braze"
MAIL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "users.messages.email.Delivery": mail_events.DELIVERED,
        "users.messages.email.Open": mail_events.OPENED,
        "users.messages.email.Click": mail_events.CLICKED,
        "users.messages.email.Bounce": mail_events.BOUNCED,
        "users.messages.email.MarkAsSpam": mail_events.SPAM,
        "users.messages.email.Unsubscribe": mail_events.UNSUBSCRIBED,
    }
)
"""`Send`, `SoftBounce`, `Abort`, `Deferral` and the events of other channels say nothing that counts."""
PURCHASE: Final = "users.behaviors.Purchase"
CUSTOM: Final = "users.behaviors.CustomEvent"
CAMPAIGNS: Final = ("campaign_id", "canvas_step_id", "canvas_id")


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    check_bearer(delivery.headers.get("authorization", ""), secrets)


def _items(delivery: Delivery) -> Iterable[Item]:
    if not delivery.body.strip():
        return []
    body = parse(delivery.body)
    told = body["events"] if isinstance(body, dict) and isinstance(body.get("events"), list) else body
    apart = mail_events.tells_sends_apart(delivery)
    return [{"event": event, "apart": apart} for event in objects(told)]


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event = _flat(mapping(item["event"], ""))
    kind = text(event.get("event_type"), "event_type", limit=256)
    if kind is None:
        raise BadField("event_type", "is missing")
    if kind in MAIL:
        return _mail(MAIL[kind], event, given, apart=item.get("apart") is True)
    if kind == PURCHASE:
        return _purchase(event, given)
    return _custom(event, given) if kind == CUSTOM else []


def _flat(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event in the form of files in storage."""
    if "user" not in event:
        return event
    return {
        **mapping(event.get("properties"), "properties"),
        **mapping(event["user"], "user"),
        **event,
        "properties": None,
    }


def _mail(kind: str, event: Mapping[str, Any], given: Normalizing, *, apart: bool) -> list[Event]:
    dispatch = text(event.get("dispatch_id"), "dispatch_id", limit=64)
    campaigns = (text(event.get(name), name, limit=100) for name in CAMPAIGNS)
    return mail_event(
        given,
        kind,
        event_id=_id(event),
        at=_time(event),
        person=_person(event),
        campaign=next((campaign for campaign in campaigns if campaign), None),
        instance=dispatch if apart else None,
        message_id=dispatch,
        properties={
            "url": text(event.get("url"), "url", limit=MAX_URL),
            "user_agent": free_text(event.get("user_agent"), "user_agent"),
            "machine": _machine(event),
            "reason": free_text(event.get("bounce_reason"), "bounce_reason"),
        },
    )


def _machine(event: Mapping[str, Any]) -> str | None:
    if is_marked(event.get("machine_open")):
        return "braze_machine_open"
    suspected = event.get("is_suspected_bot_click")
    # Reasons come also from workspaces whose bot filter is off; only the verdict does not.
    reasons = event.get("suspected_bot_click_reason") if suspected is None else None
    return "braze_suspected_bot_click" if is_marked(suspected) or (isinstance(reasons, list) and reasons) else None


def _purchase(event: Mapping[str, Any], given: Normalizing) -> list[Event]:
    price = number(event.get("price"), "price")
    return given.event(
        "order_completed",
        event_id=_id(event),
        at=_time(event),
        person=_person(event),
        properties={
            "total": price,
            "currency": text(event.get("currency"), "currency", limit=8),
            "products": [
                {"product_id": text(event.get("product_id"), "product_id", limit=256), "quantity": 1, "price": price}
            ],
        },
    )


def _custom(event: Mapping[str, Any], given: Normalizing) -> list[Event]:
    kind = event_type(text(event.get("name"), "name", limit=256) or "")
    if not kind[:1].isalpha():
        raise BadField("name", "must be a name that begins with a Latin letter")
    return given.event(
        kind, event_id=_id(event), at=_time(event), person=_person(event), properties=_custom_properties(event)
    )


def _custom_properties(event: Mapping[str, Any]) -> Mapping[str, Any]:
    if event.get("custom_properties") is not None:
        return mapping(event["custom_properties"], "custom_properties")
    told = event.get("properties")
    # Files in storage hold them as JSON inside the JSON.
    return mapping(parse(told.encode("utf-8", "replace")) if isinstance(told, str) else told, "properties")


def _id(event: Mapping[str, Any]) -> str:
    found = text(event.get("id"), "id", limit=128)
    if found is None:
        raise BadField("id", "is missing")
    return found


def _time(event: Mapping[str, Any]) -> Instant:
    found = epoch(event.get("time"), "time", unit=SECOND)
    if found is None:
        raise BadField("time", "is missing")
    return found


def _person(event: Mapping[str, Any]) -> Person:
    """Return who it is; Braze's own id joins what has no address to what has one, as in Braze's export to Segment."""
    braze_id = text(event.get("user_id"), "user_id", limit=128)
    return Person(
        user_id=text(event.get("external_user_id"), "external_user_id", limit=256),
        email=text(event.get("email_address"), "email_address", limit=256),
        anonymous_id=f"{NAME}:{braze_id}" if braze_id else None,
    )


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
