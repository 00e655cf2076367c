"""SendGrid, as it sends."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender


@cache
def private_key() -> ec.EllipticCurvePrivateKey:
    """Return the key that SendGrid keeps."""
    return ec.derive_private_key(0x5EED_0F_7E575, ec.SECP256R1())


def public_key() -> str:
    """Return the verification key as the settings page shows it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(private_key().public_key().public_bytes(serialization.Encoding.DER, form)).decode()


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`."""
    timestamp = str(at // 1_000)
    signature = private_key().sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    signed = {
        "x-twilio-email-event-webhook-timestamp": timestamp,
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
    }
    return Delivery({**headers, **signed}, body, at, query=query)


EVENTS = Sample(
    "sendgrid_events.json",
    (
        "email_delivered",
        "email_opened",
        "email_opened",
        "email_link_clicked",
        "email_bounced",
        "email_marked_as_spam",
        "unsubscribed",
        "unsubscribed",
    ),
)
SENDER = Sender(
    name="sendgrid",
    secrets=(public_key(),),
    sign=sign,
    samples=(EVENTS,),
    personal=("example.com", "flora", "198.51.100.7"),
)
