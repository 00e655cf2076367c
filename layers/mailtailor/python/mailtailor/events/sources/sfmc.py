"""Salesforce Marketing Cloud Engagement's Event Notification Service (ENS) as our events, up to 1,000 a delivery.

Entries of the ingest secret: `key=` (a callback's signature key, shown once when it is made; several are good at
once), and `subdomain=`, `client_id=`, `client_secret=` of an installed package that may verify callbacks.

A new callback is verified thus: ENS posts `callbackId` and `verificationKey` to us, unsigned, and we hand them to the
account's own API. So anybody can post such a pair, and nothing happens unless the account itself made it.

ENS knows no delivery: `EmailSent`, the mail handed to the recipient's provider, stands for it.

Sources: Salesforce, "Notification Signing", "POST /platform/v1/ens-verify", "Transactional Email Events", "Engagement
Email Events" (fields), "Access Token for Server-to-Server Integrations".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mailtailor.errors import BadInput, Unavailable
from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.entries import named
from mailtailor.events.sources.mail_events import mail_event
from mailtailor.events.sources.signatures import check_hmac
from mailtailor.events.sources.webhook import (
    Delivery,
    Item,
    Normalizing,
    Outside,
    Person,
    Reply,
    WebhookSource,
    objects,
)
from mailtailor.events.untrusted import epoch, mapping, parse, text

NAME: Final = "sfmc"
TYPES: Final[Mapping[str, str]] = {
    "TransactionalSendEvents.EmailSent": mail_events.DELIVERED,
    "TransactionalSendEvents.EmailBounced": mail_events.BOUNCED,
    "EngagementEvents.EmailOpen": mail_events.OPENED,
    "EngagementEvents.EmailClick": mail_events.CLICKED,
    "EngagementEvents.EmailUnsubscribe": mail_events.UNSUBSCRIBED,
}
"""`EmailNotSent` and the events of SMS and journeys say nothing that counts."""
SUBDOMAIN: Final = re.compile(r"[a-z0-9-]{1,63}")
PAIR: Final = frozenset({"callbackId", "verificationKey"})


def _handshake(delivery: Delivery, secrets: Sequence[str], outside: Outside) -> Reply | None:
    if "x-sfmc-ens-signature" in delivery.headers or len(delivery.body) > 4_096:
        return None
    try:
        pair = parse(delivery.body)
    except BadInput:
        return None
    if not isinstance(pair, dict) or pair.keys() != PAIR or not all(isinstance(one, str) for one in pair.values()):
        return None
    subdomain, *_ = [one for one in named(secrets, "subdomain") if SUBDOMAIN.fullmatch(one)] or [""]
    identity = [found[0] for name in ("client_id", "client_secret") if (found := named(secrets, name))]
    if not subdomain or len(identity) != 2:
        raise Unavailable(
            "A callback of Marketing Cloud asks to be verified, and its account is not known.",
            'Add subdomain=, client_id= and client_secret= to "sfmc" in the ingest secret; then have it sent again.',
        )
    grant = {"grant_type": "client_credentials", "client_id": identity[0], "client_secret": identity[1]}
    answer = outside.post(f"https://{subdomain}.auth.marketingcloudapis.com/v2/token", grant)
    token = str(json.loads(answer).get("access_token", ""))
    outside.post(f"https://{subdomain}.rest.marketingcloudapis.com/platform/v1/ens-verify", pair, bearer=token)
    return Reply()


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    check_hmac([delivery.headers.get("x-sfmc-ens-signature", "")], delivery.body, named(secrets, "key"))


def _items(delivery: Delivery) -> Iterable[Item]:
    apart = mail_events.tells_sends_apart(delivery)
    return [{"event": event, "apart": apart} for event in objects(parse(delivery.body))]


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event = mapping(item["event"], "")
    kind = event.get("eventCategoryType")
    event_type = TYPES.get(kind if isinstance(kind, str) else "")
    if event_type is None:
        return []
    composite, info = mapping(event.get("composite"), "composite"), mapping(event.get("info"), "info")
    job = text(composite.get("jobId"), "composite.jobId", limit=64)
    mail = tuple(text(composite.get(name), f"composite.{name}", limit=64) for name in _MAIL)
    at = epoch(event.get("timestampUTC"), "timestampUTC", unit=1)
    url = text(info.get("contentLink"), "info.contentLink", limit=2_048)
    return mail_event(
        given,
        event_type,
        event_id=given.derived_id(kind, *mail, at, url),
        at=at,
        person=_person(composite, info),
        campaign=text(event.get("definitionKey"), "definitionKey", limit=100)
        or text(composite.get("emailId"), "composite.emailId", limit=64),
        instance=job if item.get("apart") is True else None,
        message_id=job,
        address=text(info.get("ipAddress"), "info.ipAddress", limit=64),
        properties={
            "url": url,
            "user_agent": text(info.get("userAgent"), "info.userAgent", limit=1_024),
            "reason": text(info.get("bounceCategory") or info.get("reason"), "info.reason", limit=256),
        },
    )


_MAIL: Final = ("jobId", "batchId", "listId", "subscriberId", "emailId")
"""What names one mail to one subscriber."""


def _person(composite: Mapping[str, Any], info: Mapping[str, Any]) -> Person:
    """Return whom the mail went to; a subscriber key is the shop's own id of a person, unless it is an address."""
    key = text(info.get("subscriberKey"), "info.subscriberKey", limit=256)
    address = text(info.get("to"), "info.to", limit=256)
    subscriber = text(composite.get("subscriberId"), "composite.subscriberId", limit=64)
    if key and "@" in key:
        return Person(email=key)
    return Person(user_id=key or (f"{NAME}:{subscriber}" if subscriber and not address else None), email=address)


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize, handshake=_handshake)
