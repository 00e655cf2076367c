"""Amazon SES through SNS as our events: what became of mails, one message of SNS a delivery.

Every message of SNS is signed with RSA; the certificate comes from SNS's own host. Anybody can make a topic of theirs
send here, signed as well, so only topics whose ARN is an entry of the ingest secret are believed, and confirmed.

Sources: AWS, "Verifying the signatures of Amazon SNS messages", "HTTP/HTTPS notification JSON format" (SNS); "Amazon
SES event publishing: event data examples" and "Notification contents" (SES).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from mailtailor.errors import BadInput, Unauthorized
from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import CAMPAIGN_FIELD, INSTANCE_FIELD, mail_event
from mailtailor.events.sources.signatures import check_rsa, check_secret, check_time, refused
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, Reply, WebhookSource
from mailtailor.events.untrusted import BadField, mapping, parse, text, time
from mailtailor.instant import HOUR, Instant

NAME: Final = "ses"
HOST: Final = re.compile(r"sns\.[a-zA-Z0-9-]{3,}\.amazonaws\.com(\.cn)?")
"""Where certificates and confirmations of SNS are; AWS's own verifiers use the same pattern."""
TYPES: Final[Mapping[str, str]] = {
    "Delivery": mail_events.DELIVERED,
    "Open": mail_events.OPENED,
    "Click": mail_events.CLICKED,
    "Bounce": mail_events.BOUNCED,
    "Complaint": mail_events.SPAM,
}
"""`Send`, `Reject`, `Rendering Failure`, `DeliveryDelay` and `Subscription` say nothing that counts."""
STALE: Final = HOUR
"""SNS tries an endpoint for about 23 days by its delivery policy, but signs the time at which it was published; with
the usual policy the tries end within an hour."""

_SIGNED: Final = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_DIGESTS: Final = {"1": "sha1", "2": "sha256"}


def _handshake(delivery: Delivery, secrets: Sequence[str], outside: Outside) -> Reply | None:
    message = _message(delivery)
    if message.get("Type") not in {"SubscriptionConfirmation", "UnsubscribeConfirmation"}:
        return None
    _verify(delivery, secrets, outside)
    # Confirming an unsubscription would undo it.
    if message["Type"] == "SubscriptionConfirmation":
        outside.get(_of_sns(message.get("SubscribeURL")))
    return Reply()


def _verify(delivery: Delivery, secrets: Sequence[str], outside: Outside) -> None:
    message = _message(delivery)
    fields = _SIGNED.get(str(message.get("Type")))
    digest = _DIGESTS.get(str(message.get("SignatureVersion")))
    if fields is None or digest is None:
        raise refused()
    check_secret(str(message.get("TopicArn", "")), secrets)
    signed = "".join(f"{name}\n{message[name]}\n" for name in fields if isinstance(message.get(name), str))
    certificate = outside.kept(_certificate(message.get("SigningCertURL")))
    check_rsa(str(message.get("Signature", "")), signed.encode("utf-8", "replace"), [certificate], digest=digest)
    check_time(str(_published(message)), delivery.received_at, unit=1, tolerance=STALE)


def _message(delivery: Delivery) -> Mapping[str, Any]:
    try:
        return mapping(parse(delivery.body), "")
    except BadInput as error:
        raise refused() from error


def _published(message: Mapping[str, Any]) -> Instant:
    try:
        return time(message.get("Timestamp"), "Timestamp") or 0
    except BadField as error:
        raise refused() from error


def _certificate(url: object) -> str:
    address = _of_sns(url)
    if not urlsplit(address).path.endswith(".pem"):
        raise Unauthorized("The certificate of the message is not SNS's.")
    return address


def _of_sns(url: object) -> str:
    """Return `url` if it is an address of SNS; senders choose it, and we go there."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
    except ValueError as error:
        raise refused() from error
    if parts.scheme != "https" or not HOST.fullmatch(parts.netloc):
        raise Unauthorized("An address in the message is not SNS's.")
    return parts.geturl()


def _items(delivery: Delivery) -> Iterable[Item]:
    told = _message(delivery).get("Message")
    event: Mapping[str, Any] = mapping(parse(told.encode("utf-8", "replace") if isinstance(told, str) else b""), "")
    return [{"event": event, "recipient": one} for one in _recipients(event)]


def _recipients(event: Mapping[str, Any]) -> list[Any]:
    """Return whom an event is about; several recipients of one mail share it."""
    about: Any = None
    match event.get("eventType", event.get("notificationType")):
        case "Delivery":
            about = mapping(event.get("delivery"), "delivery").get("recipients")
        case "Bounce":
            about = mapping(event.get("bounce"), "bounce").get("bouncedRecipients")
        case "Complaint":
            about = mapping(event.get("complaint"), "complaint").get("complainedRecipients")
        case "Open" | "Click":
            about = mapping(event.get("mail"), "mail").get("destination")
    return about if isinstance(about, list) else []


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    event, recipient = mapping(item["event"], "event"), item["recipient"]
    kind = str(event.get("eventType", event.get("notificationType")))
    event_type, detail = TYPES[kind], mapping(event.get(kind.lower()), kind.lower())
    # A mailbox that is full today is no bounce that counts.
    if kind == "Bounce" and detail.get("bounceType") == "Transient":
        return []
    mail = mapping(event.get("mail"), "mail")
    tags = mapping(mail.get("tags"), "mail.tags")
    email = recipient.get("emailAddress") if isinstance(recipient, dict) else recipient
    message_id = text(mail.get("messageId"), "mail.messageId", limit=128)
    at = time(detail.get("timestamp"), f"{kind.lower()}.timestamp")
    url = text(detail.get("link"), "click.link", limit=2_048)
    return mail_event(
        given,
        event_type,
        event_id=f"{message_id}:{given.derived_id(kind, email, at, url)}",
        at=at,
        person=Person(email=text(email, "recipient", limit=256)),
        campaign=_tag(tags, CAMPAIGN_FIELD),
        instance=_tag(tags, INSTANCE_FIELD),
        message_id=message_id,
        address=text(detail.get("ipAddress"), "ipAddress", limit=64),
        properties={
            "url": url,
            "user_agent": text(detail.get("userAgent"), "userAgent", limit=1_024) if event_type in _SEEN else None,
            "reason": text(detail.get("bounceSubType") or detail.get("complaintFeedbackType"), "reason", limit=128),
        },
    )


_SEEN: Final = frozenset({mail_events.OPENED, mail_events.CLICKED})
"""What somebody's program did; the user agent of a complaint is the provider's."""


def _tag(tags: Mapping[str, Any], name: str) -> str | None:
    values = tags.get(name)
    return text(values[0], f"mail.tags.{name}", limit=256) if isinstance(values, list) and values else None


WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize, handshake=_handshake)
