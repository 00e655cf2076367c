"""Amazon SES through SNS as our events: what became of mails, one message of SNS a delivery.

Every message of SNS is signed with RSA; the certificate comes from SNS's own host. Anybody can make a topic of theirs
send here, signed as well, so only topics whose ARN is an entry of the ingest secret are believed, and confirmed.

Sources: AWS, "Verifying the signatures of Amazon SNS messages", "HTTP/HTTPS notification JSON format" and "Amazon SNS
message delivery retries" (SNS); "Contents of event data" and "Examples of event data that Amazon SES publishes to
Amazon SNS", "Amazon SNS notification contents for Amazon SES" (SES).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from mailtailor.errors import BadInput
from mailtailor.events.event import Event
from mailtailor.events.sources import mail_events
from mailtailor.events.sources.mail_events import CAMPAIGN_FIELD, INSTANCE_FIELD, MAX_URL, mail_event
from mailtailor.events.sources.signatures import TOLERANCE, check_rsa, check_secret, check_time, refused
from mailtailor.events.sources.webhook import Delivery, Item, Normalizing, Outside, Person, Reply, WebhookSource
from mailtailor.events.untrusted import BadField, mapping, parse, text, time
from mailtailor.instant import HOUR

NAME: Final = "ses"
HOST: Final = re.compile(r"sns\.[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}\.amazonaws\.com(?:\.cn)?")
"""Where certificates and confirmations of SNS are. AWS's own verifiers let any word stand for the region, even
`s3-eu-west-1`: whoever owns the bucket `sns` there could sign."""
OLDEST: Final = HOUR + TOLERANCE
"""SNS signs the time of publication, and tries HTTPS endpoints for an hour at the most."""
SUBSCRIBED: Final = "SubscriptionConfirmation"
UNSUBSCRIBED: Final = "UnsubscribeConfirmation"
UNSENT: Final = "OnAccountSuppressionList"
"""What a complaint is about that nobody made: SES did not send the mail, for the address complained of another."""

_CONFIRMATION: Final = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
        SUBSCRIBED: _CONFIRMATION,
        UNSUBSCRIBED: _CONFIRMATION,
    }
)
_DIGESTS: Final[Mapping[str, str]] = MappingProxyType({"1": "sha1", "2": "sha256"})


def _handshake(delivery: Delivery, secrets: Sequence[str], outside: Outside) -> Reply | None:
    # Most deliveries are notifications, and are read again to be verified.
    if b"Confirmation" not in delivery.body:
        return None
    message = _message(delivery)
    kind = str(message.get("Type"))
    if kind not in {SUBSCRIBED, UNSUBSCRIBED}:
        return None
    _check(message, delivery, secrets, outside)
    # Visiting the address of an unsubscription would undo it.
    if kind == SUBSCRIBED:
        outside.get(_of_sns(message.get("SubscribeURL")).geturl())
    return Reply()


def _verify(delivery: Delivery, secrets: Sequence[str], outside: Outside) -> None:
    _check(_message(delivery), delivery, secrets, outside)


def _message(delivery: Delivery) -> Mapping[str, Any]:
    try:
        return mapping(parse(delivery.body), "")
    except BadInput as error:
        raise refused() from error


def _check(message: Mapping[str, Any], delivery: Delivery, secrets: Sequence[str], outside: Outside) -> None:
    fields = _SIGNED.get(str(message.get("Type")))
    digest = _DIGESTS.get(str(message.get("SignatureVersion")))
    if fields is None or digest is None:
        raise refused()
    # First, so that nobody else can make us ask for certificates.
    check_secret(str(message.get("TopicArn")), secrets)
    signed = "".join(f"{name}\n{message[name]}\n" for name in fields if isinstance(message.get(name), str))
    certificate = outside.kept(_certificate(message.get("SigningCertURL")))
    check_rsa(str(message.get("Signature")), signed.encode("utf-8", "replace"), [certificate], digest=digest)
    check_time(_published(message), delivery.received_at, unit=1, tolerance=OLDEST)


def _certificate(url: object) -> str:
    parts = _of_sns(url)
    # With a query the same host answers as SNS's API, with words of whoever made the topic.
    if parts.query or not parts.path.endswith(".pem"):
        raise refused()
    return parts.geturl()


def _of_sns(url: object) -> SplitResult:
    """Return `url` in parts if it is an address of SNS; senders choose it, and we go there."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
    except ValueError as error:
        raise refused() from error
    if parts.scheme != "https" or not HOST.fullmatch(parts.netloc):
        raise refused()
    return parts


def _published(message: Mapping[str, Any]) -> str:
    try:
        return str(time(message.get("Timestamp"), "Timestamp"))
    except BadField as error:
        raise refused() from error


def _items(delivery: Delivery) -> Iterable[Item]:
    told = _message(delivery).get("Message")
    # A sentence, no JSON, says that SES has found the topic.
    if not isinstance(told, str) or not told.lstrip().startswith("{"):
        return []
    return [parse(told.encode("utf-8", "replace"))]


def _kind(record: Mapping[str, Any]) -> str:
    # Records of event publishing name their type in one field, feedback notifications in another.
    return str(record.get("eventType") or record.get("notificationType"))


def _normalize(item: Item, given: Normalizing) -> list[Event]:
    rule = RULES.get(_kind(item))
    if rule is None or not rule.counts(_detail(item)):
        return []
    return [event for one in rule.recipients(item) for event in _event(rule, item, one, given)]


def _detail(record: Mapping[str, Any]) -> Mapping[str, Any]:
    name = _kind(record).lower()
    return mapping(record.get(name), name)


def _event(rule: _Rule, record: Mapping[str, Any], recipient: object, given: Normalizing) -> list[Event]:
    name, detail, mail = _kind(record).lower(), _detail(record), mapping(record.get("mail"), "mail")
    address = recipient.get("emailAddress") if isinstance(recipient, dict) else recipient
    email = text(address, "recipient", limit=320)
    message_id = text(mail.get("messageId"), "mail.messageId", limit=128)
    at = time(detail.get("timestamp"), f"{name}.timestamp")
    url = text(detail.get("link"), "click.link", limit=MAX_URL)
    tags = mapping(mail.get("tags"), "mail.tags")
    return mail_event(
        given,
        rule.event_type,
        event_id=given.derived_id(name, message_id, email, detail.get("timestamp"), url),
        at=at,
        person=Person(email=_bare(email)),
        campaign=_tag(tags, CAMPAIGN_FIELD, limit=100),
        instance=_tag(tags, INSTANCE_FIELD, limit=64),
        message_id=message_id,
        address=text(detail.get("ipAddress"), f"{name}.ipAddress", limit=64),
        properties={
            "url": url,
            # That of a complaint is the program of the provider that reports it.
            "user_agent": text(detail.get("userAgent"), f"{name}.userAgent", limit=1_024) if rule.seen else None,
            "reason": text(detail.get(rule.reason), f"{name}.{rule.reason}", limit=128) if rule.reason else None,
        },
    )


def _bare(address: str | None) -> str | None:
    # A recipient may come with a name: "Ann <ann@example.com>".
    return address[:-1].rpartition("<")[2] if address and address.endswith(">") else address


def _tag(tags: Mapping[str, Any], name: str, *, limit: int) -> str | None:
    values = tags.get(name)
    if values is None:
        return None
    if not isinstance(values, list):
        raise BadField(f"mail.tags.{name}", "must be a list")
    return text(values[0], f"mail.tags.{name}[0]", limit=limit) if values else None


def _listed(part: str, name: str) -> Callable[[Mapping[str, Any]], list[Any]]:
    def recipients(record: Mapping[str, Any]) -> list[Any]:
        found = mapping(record.get(part), part).get(name)
        if not isinstance(found, list):
            raise BadField(f"{part}.{name}", "must be a list")
        return found

    return recipients


_SENT_TO: Final = _listed("mail", "destination")


def _only(record: Mapping[str, Any]) -> list[Any]:
    """Return whom the mail went to, if one person: pixel and links of a mail to several do not tell them apart."""
    found = _SENT_TO(record)
    return found if len(found) == 1 else []


def _always(_detail: Mapping[str, Any]) -> bool:
    return True


def _is_lasting(bounce: Mapping[str, Any]) -> bool:
    return bounce.get("bounceType") == "Permanent"


def _is_complaint(complaint: Mapping[str, Any]) -> bool:
    # Reports that a mail is no spam come in the same form, and so do mails that SES did not send.
    return complaint.get("complaintFeedbackType") != "not-spam" and complaint.get("complaintSubType") != UNSENT


def _leaves_all(subscription: Mapping[str, Any]) -> bool:
    preferences = mapping(subscription.get("newTopicPreferences"), "subscription.newTopicPreferences")
    return preferences.get("unsubscribeAll") is True


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a type of record becomes.

    Attributes
    ----------
    event_type
        In our vocabulary.
    recipients
        Finds whom a record is about.
    counts
        Whether it does, by what it says.
    reason
        The field that says why; empty for none.
    seen
        Whether a recipient's program did it, and says its name.
    """

    event_type: str
    recipients: Callable[[Mapping[str, Any]], list[Any]]
    counts: Callable[[Mapping[str, Any]], bool] = _always
    reason: str = ""
    seen: bool = False


RULES: Final[Mapping[str, _Rule]] = MappingProxyType(
    {
        "Delivery": _Rule(mail_events.DELIVERED, _listed("delivery", "recipients")),
        "Open": _Rule(mail_events.OPENED, _only, seen=True),
        "Click": _Rule(mail_events.CLICKED, _only, seen=True),
        "Bounce": _Rule(mail_events.BOUNCED, _listed("bounce", "bouncedRecipients"), _is_lasting, "bounceSubType"),
        "Complaint": _Rule(
            mail_events.SPAM, _listed("complaint", "complainedRecipients"), _is_complaint, "complaintFeedbackType"
        ),
        "Subscription": _Rule(mail_events.UNSUBSCRIBED, _only, _leaves_all),
    }
)
"""`Send`, `Reject`, `Rendering Failure` and `DeliveryDelay` say nothing that counts."""
WEBHOOK: Final = WebhookSource(name=NAME, verify=_verify, items=_items, normalize=_normalize, handshake=_handshake)
