"""Any sender of Standard Webhooks, as our events.

The official package signs and verifies; its verifier reads the machine's clock and fails on what is malformed, so what
it would have signed is compared here, and the time is checked against the one given. It knows no asymmetric
signatures (`v1a`); those are verified by `signatures`. Entries of the ingest secret are `whsec_...` and `whpk_...`.

A body is `{"type": "order.completed", "timestamp": "...", "data": {...}}`, or has the data beside the type. The data
says who by `user_id` (`userId`), `email` or `anonymous_id` (`anonymousId`); the rest are the event's properties, those
of our vocabulary checked, or of `identified` the person's attributes.

Source: https://www.standardwebhooks.com, specification of headers, signatures, tolerance and body.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from mailtailor.errors import Unauthorized
from mailtailor.events.event import Event, event_type
from mailtailor.events.sources.mail_events import MAIL_KEY, MAIL_TYPES, mail_event
from mailtailor.events.sources.records import is_kept
from mailtailor.events.sources.signatures import check_ed25519, check_time, refused, same
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, WebhookSource
from mailtailor.events.untrusted import BadField, mapping, parse, text, time
from mailtailor.instant import SECOND, to_datetime

if TYPE_CHECKING:
    from standardwebhooks import Webhook

NAME: Final = "standard"
PERSON: Final = frozenset({"user_id", "userId", "email", "anonymous_id", "anonymousId"})
ENVELOPE: Final = frozenset({"type", "timestamp"})
PUBLIC: Final = "whpk_"
ASYMMETRIC: Final = "v1a,"
MAX_SIGNATURES: Final = 8
"""More than any rotation needs; each costs the time of a verification."""
MAX_ID: Final = 1_024
MAX_ATTRIBUTES: Final = 50
MAX_ATTRIBUTE: Final = 256


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    timestamp, webhook_id = delivery.headers.get("webhook-timestamp", ""), delivery.headers.get("webhook-id", "")
    check_time(timestamp, delivery.received_at, unit=SECOND)
    signers = [signer for entry in secrets if (signer := _signer(entry))]
    keys = [key for entry in secrets if (key := _key(entry))]
    if not signers and not keys:
        raise Unauthorized("No entry of the secret for Standard Webhooks is whsec_ or whpk_ and base64.")
    given = delivery.headers.get("webhook-signature", "").split(" ")
    if not webhook_id or not (
        _is_signed(given, signers, webhook_id, int(timestamp), delivery.body)
        or _is_signed_publicly(given, keys, f"{webhook_id}.{timestamp}.", delivery.body)
    ):
        raise refused()


def _is_signed(given: Sequence[str], signers: Sequence[Webhook], webhook_id: str, seconds: int, body: bytes) -> bool:
    at = to_datetime(seconds * SECOND)
    try:
        expected = [signer.sign(webhook_id, at, body.decode()) for signer in signers]
    except ValueError:
        # What is no text was not signed.
        return False
    matches = [same(one, other) for one in given for other in expected]
    return any(matches)


def _is_signed_publicly(given: Sequence[str], keys: Sequence[bytes], before: str, body: bytes) -> bool:
    signatures = [one.removeprefix(ASYMMETRIC) for one in given if one.startswith(ASYMMETRIC)] if keys else []
    for signature in signatures[:MAX_SIGNATURES]:
        with suppress(Unauthorized):
            check_ed25519(signature, before.encode("utf-8", "replace") + body, keys)
            return True
    return False


@lru_cache(maxsize=16)
def _signer(entry: str) -> Webhook | None:
    from standardwebhooks import Webhook  # noqa: PLC0415 - only such senders pay for it
    from standardwebhooks.webhooks import EmptyWebhookSecretError  # noqa: PLC0415

    if entry.startswith(PUBLIC):
        return None
    try:
        return Webhook(entry)
    except (ValueError, EmptyWebhookSecretError):
        # One malformed entry must not spoil the others.
        return None


@lru_cache(maxsize=16)
def _key(entry: str) -> bytes | None:
    if not entry.startswith(PUBLIC):
        return None
    try:
        return base64.b64decode(entry.removeprefix(PUBLIC), validate=True)
    except ValueError:
        return None


def _items(delivery: Delivery) -> Iterable[Item]:
    return [{"id": delivery.headers.get("webhook-id", ""), "event": parse(delivery.body)}]


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event = mapping(item["event"], "")
    kind = event_type(text(event.get("type"), "type", limit=256) or "")
    if not kind[:1].isalpha():
        raise BadField("type", "is missing, or does not begin with a Latin letter")
    data = mapping(event["data"], "data") if "data" in event else {k: v for k, v in event.items() if k not in ENVELOPE}
    event_id, at = text(item["id"], "webhook-id", limit=MAX_ID) or "", time(event.get("timestamp"), "timestamp")
    person = Person(
        user_id=_text(data, "user_id", "userId"),
        email=_text(data, "email"),
        anonymous_id=_text(data, "anonymous_id", "anonymousId"),
    )
    rest = {name: value for name, value in data.items() if name not in PERSON}
    if kind == "identified":
        return given.event(kind, event_id=event_id, at=at, person=person, attributes=_attributes(rest))
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
        properties={name: value for name, value in rest.items() if name not in MAIL_KEY},
    )


def _attributes(told: Mapping[str, Any]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, value in told.items():
        attribute = event_type(name)
        if not is_kept(name):
            continue
        if not attribute[:1].isalpha():
            raise BadField(f"data.{name}", "must have a name that begins with a Latin letter")
        if isinstance(value, dict | list):
            raise BadField(f"data.{name}", "must be text, a number, true, false or null")
        if isinstance(value, str) and len(value) > MAX_ATTRIBUTE:
            raise BadField(f"data.{name}", f"is longer than {MAX_ATTRIBUTE} characters")
        # Emptied, for what is left out stays as it was.
        attributes[attribute] = "" if value is None else value
    if len(attributes) > MAX_ATTRIBUTES:
        raise BadField("data", f"has more than {MAX_ATTRIBUTES} attributes")
    return attributes


def _text(data: Item, *names: str) -> str | None:
    return next((found for name in names if (found := text(data.get(name), f"data.{name}", limit=256))), None)


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize)
