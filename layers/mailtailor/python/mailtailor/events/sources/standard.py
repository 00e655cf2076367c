"""Any sender of Standard Webhooks, as our events.

The official package signs and verifies; its verifier reads the machine's clock, so what it would have signed is
compared here, and the time is checked against the one given. Entries of the ingest secret are `whsec_...`.

A body is `{"type": "order.completed", "timestamp": "...", "data": {...}}`. The data says who by `user_id` (`userId`),
`email` or `anonymous_id` (`anonymousId`); the rest are the event's properties, those of our vocabulary checked.

Source: https://www.standardwebhooks.com, specification of headers, signature, tolerance and body.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Sequence
from typing import Final

from mailtailor.errors import Unauthorized
from mailtailor.events.event import Event, event_type
from mailtailor.events.sources.mail_events import MAIL_KEY, MAIL_TYPES, mail_event
from mailtailor.events.sources.signatures import check_time, refused, same
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource
from mailtailor.events.untrusted import BadField, mapping, parse, text, time
from mailtailor.instant import SECOND, to_datetime

NAME: Final = "standard"
PERSON: Final = frozenset({"user_id", "userId", "email", "anonymous_id", "anonymousId"})


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    timestamp, webhook_id = delivery.headers.get("webhook-timestamp", ""), delivery.headers.get("webhook-id", "")
    check_time(timestamp, delivery.received_at, unit=SECOND)
    given = delivery.headers.get("webhook-signature", "").split(" ")
    try:
        body = delivery.body.decode()
    except UnicodeDecodeError as error:
        raise refused() from error
    expected = [_signature(secret, webhook_id, int(timestamp), body) for secret in secrets]
    matches = [same(one, other) for one in given for other in expected]
    if not webhook_id or not any(matches):
        raise refused()


def _signature(secret: str, webhook_id: str, seconds: int, body: str) -> str:
    from standardwebhooks import Webhook  # noqa: PLC0415 - only such senders pay for it

    try:
        return Webhook(secret).sign(webhook_id, to_datetime(seconds * SECOND), body)
    except (binascii.Error, RuntimeError) as error:
        raise Unauthorized("An entry of the secret for Standard Webhooks is not whsec_ and base64.") from error


def _items(delivery: Delivery) -> Iterable[Item]:
    return [{"id": delivery.headers.get("webhook-id", ""), "event": parse(delivery.body)}]


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event = mapping(item["event"], "")
    name = text(event.get("type"), "type", limit=256)
    kind = event_type(name or "")
    if not kind[:1].isalpha():
        raise BadField("type", "is missing, or does not begin with a Latin letter")
    data = mapping(event.get("data"), "data")
    event_id, at = text(item["id"], "webhook-id", limit=128) or "", time(event.get("timestamp"), "timestamp")
    person = Person(
        user_id=_text(data, "user_id", "userId"),
        email=_text(data, "email"),
        anonymous_id=_text(data, "anonymous_id", "anonymousId"),
    )
    rest = {key: value for key, value in data.items() if key not in PERSON}
    if kind not in MAIL_TYPES:
        return given.event(kind, event_id=event_id, at=at, person=person, properties=rest)
    return mail_event(
        given,
        kind,
        event_id=event_id,
        at=at,
        person=person,
        campaign=_text(data, "campaign", "campaign_id"),
        instance=_text(data, "instance"),
        message_id=_text(data, "message_id") or event_id,
        properties={key: value for key, value in rest.items() if key not in MAIL_KEY},
    )


def _text(data: Item, *names: str) -> str | None:
    return next((found for name in names if (found := text(data.get(name), f"data.{name}", limit=256))), None)


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
