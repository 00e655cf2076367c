"""Salesforce Marketing Cloud Engagement's Event Notification Service (ENS) as our events, up to 1,000 a delivery.

Entries of the ingest secret: `key=` (a callback's signature key, shown once when it is made; several are good at
once), and `subdomain=`, `client_id=`, `client_secret=` of an installed package that may verify callbacks.

A new callback is verified thus: ENS posts `callbackId` and `verificationKey` to us, unsigned, and we hand them to the
account's own API. So anybody can post such a pair, and nothing happens unless the account itself made it.

ENS tells of no delivery: `EmailSent`, the mail handed to the recipient's provider, stands for it. It is told for
transactional sends only, and so is the campaign, `definitionKey`. An open or click names the send and the subscriber's
number alone: that number, told beside key and address by what was sent, says who it is.

Three failed tries may lose a delivery, so a signed body that cannot be read is answered 200 like one that can.

Sources: Salesforce, "Notification Signing", "Retries and Callback Suspensions", "POST /platform/v1/ens-verify",
"Supported Notification Events" (fields), "Access Token for Server-to-Server Integrations".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from mailtailor.errors import BadInput, Unavailable
from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.entries import named
from mailtailor.events.sources.mail_events import MAX_URL, free_text, mail_event
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
from mailtailor.events.untrusted import BadField, epoch, mapping, parse, text
from mailtailor.instant import Instant

NAME: Final = "sfmc"
BOUNCED: Final = "TransactionalSendEvents.EmailBounced"
TYPES: Final[Mapping[str | None, str]] = MappingProxyType(
    {
        "TransactionalSendEvents.EmailSent": mail_events.DELIVERED,
        BOUNCED: mail_events.BOUNCED,
        "EngagementEvents.EmailOpen": mail_events.OPENED,
        "EngagementEvents.EmailClick": mail_events.CLICKED,
        "EngagementEvents.EmailUnsubscribe": mail_events.UNSUBSCRIBED,
    }
)
"""`EmailNotSent` and the events of SMS, OTT and automations say nothing that counts."""
LASTING: Final = "HARD"
"""The code of bounces that say something of the address."""
NOT_APPLICABLE: Final = "NA"
"""The definition of sends that have none."""
SUBDOMAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
PAIR: Final = frozenset({"callbackId", "verificationKey"})
MAX_PAIR: Final = 4_096
MAIL: Final = ("jobId", "batchId", "listId", "subscriberId")
"""What names one mail to one subscriber."""


def _handshake(delivery: Delivery, secrets: Sequence[str], outside: Outside) -> Reply | None:
    pair = _pair(delivery)
    if pair is None:
        return None
    subdomain, client_id, client_secret = (
        _entry(secrets, name) for name in ("subdomain", "client_id", "client_secret")
    )
    if not (SUBDOMAIN.fullmatch(subdomain) and client_id and client_secret):
        raise Unavailable(
            "A callback of Marketing Cloud asks to be verified, and its account is not known.",
            'Add subdomain=, client_id= and client_secret= to "sfmc" in the ingest secret; then have it sent again.',
        )
    grant = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    token = _token(outside.post(f"https://{subdomain}.auth.marketingcloudapis.com/v2/token", grant))
    outside.post(f"https://{subdomain}.rest.marketingcloudapis.com/platform/v1/ens-verify", pair, bearer=token)
    return Reply()


def _pair(delivery: Delivery) -> Mapping[str, Any] | None:
    if "x-sfmc-ens-signature" in delivery.headers or len(delivery.body) > MAX_PAIR:
        return None
    try:
        pair = parse(delivery.body)
    except BadInput:
        return None
    fits = isinstance(pair, dict) and pair.keys() == PAIR and all(isinstance(one, str) for one in pair.values())
    return pair if fits else None


def _entry(secrets: Sequence[str], name: str) -> str:
    return next(iter(named(secrets, name)), "")


def _token(answer: bytes) -> str:
    try:
        token = text(mapping(parse(answer), "").get("access_token"), "access_token", limit=8_192)
    except BadInput as error:
        raise Unavailable("Marketing Cloud's answer cannot be read.", "Have the callback verified again.") from error
    if token is None:
        raise Unavailable("Marketing Cloud gave no token.", "Check client_id and client_secret.")
    return token


def _verify(delivery: Delivery, secrets: Sequence[str], _outside: Outside) -> None:
    check_hmac([delivery.headers.get("x-sfmc-ens-signature", "")], delivery.body, named(secrets, "key"))


def _items(delivery: Delivery) -> Iterable[Item]:
    apart = mail_events.tells_sends_apart(delivery)
    return [{"event": event, "apart": apart} for event in objects(parse(delivery.body))]


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event = mapping(item["event"], "")
    kind = text(event.get("eventCategoryType"), "eventCategoryType", limit=128)
    event_type = TYPES.get(kind)
    info = mapping(event.get("info"), "info")
    if event_type is None or (kind == BOUNCED and info.get("bounceCode") != LASTING):
        return []
    composite = mapping(event.get("composite"), "composite")
    mail = {name: text(composite.get(name), f"composite.{name}", limit=64) for name in MAIL}
    at, url = _time(event), text(info.get("contentLink"), "info.contentLink", limit=MAX_URL)
    definition = text(event.get("definitionKey"), "definitionKey", limit=100)
    return mail_event(
        given,
        event_type,
        event_id=given.derived_id(kind, event.get("mid"), *mail.values(), at, url),
        at=at,
        person=_person(mail["subscriberId"], info),
        campaign=None if definition == NOT_APPLICABLE else definition,
        instance=mail["jobId"] if item.get("apart") is True else None,
        message_id=mail["jobId"],
        address=text(info.get("ipAddress"), "info.ipAddress", limit=64),
        properties={
            "url": url,
            "user_agent": free_text(info.get("userAgent"), "info.userAgent"),
            "reason": free_text(info.get("smtpReason"), "info.smtpReason"),
        },
    )


def _time(event: Mapping[str, Any]) -> Instant:
    found = epoch(event.get("timestampUTC"), "timestampUTC", unit=1)
    if found is None:
        raise BadField("timestampUTC", "is missing")
    return found


def _person(subscriber: str | None, info: Mapping[str, Any]) -> Person:
    """Return whom the mail went to; a subscriber key is the shop's own id of a person, unless it is an address."""
    key = text(info.get("subscriberKey"), "info.subscriberKey", limit=256)
    address = text(info.get("to"), "info.to", limit=256)
    is_address = key is not None and "@" in key
    return Person(
        user_id=None if is_address else key,
        email=address or (key if is_address else None),
        anonymous_id=f"{NAME}:{subscriber}" if subscriber and subscriber != "0" else None,
    )


WEBHOOK: Final = WebhookSource(
    name=NAME, verify=_verify, items=_items, normalize=_normalize, handshake=_handshake, unreadable=200
)
