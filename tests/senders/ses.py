"""SES through SNS, as they send."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant, to_iso
from tests.senders import Sample, Sender

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail-events"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
CONFIRM_URL = f"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"


@cache
def private_key() -> rsa.RSAPrivateKey:
    """Return the key that SNS keeps."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@cache
def certificate() -> bytes:
    """Return what SNS publishes."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    since = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key().public_key())
        .serial_number(1)
        .not_valid_before(since)
        .not_valid_after(since + dt.timedelta(days=3_650))
        .sign(private_key(), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def envelope(message: str, at: Instant, **changed: str) -> dict[str, str]:
    """Return a message of SNS, signed by its second version."""
    made = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": message,
        "Timestamp": to_iso(at),
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE_URL,
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        **changed,
    }
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if made["Type"] != "Notification":
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    signed = "".join(f"{name}\n{made[name]}\n" for name in names if name in made)
    digest = hashes.SHA1() if made["SignatureVersion"] == "1" else hashes.SHA256()
    made["Signature"] = base64.b64encode(private_key().sign(signed.encode(), padding.PKCS1v15(), digest)).decode()
    return made


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of what SES told SNS."""
    told: Any = envelope(body.decode("utf-8", "replace"), at)
    sent = {"x-amz-sns-message-type": "Notification", "content-type": "text/plain; charset=UTF-8"}
    return Delivery({**headers, **sent}, json.dumps(told).encode(), at, query=query)


DELIVERED = Sample("ses_delivery.json", ("email_delivered", "email_delivered"))
SENDER = Sender(
    name="ses",
    secrets=(TOPIC,),
    sign=sign,
    samples=(
        DELIVERED,
        Sample("ses_open.json", ("email_opened",)),
        Sample("ses_click.json", ("email_link_clicked",)),
        Sample("ses_bounce.json", ("email_bounced",)),
        Sample("ses_transient_bounce.json", ()),
        Sample("ses_complaint_notification.json", ("email_marked_as_spam",)),
        Sample("ses_subscription.json", ("unsubscribed",)),
        Sample("ses_send.json", ()),
    ),
    personal=("example.com", "flora", "198.51.100.7"),
    servers={CERTIFICATE_URL: certificate(), CONFIRM_URL: b"<ConfirmSubscriptionResponse/>"},
)
