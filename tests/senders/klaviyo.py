"""Klaviyo, as it sends."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

SECRET = "the-secret-key-of-the-webhook"


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`."""
    timestamp = str(at // 1_000)
    signature = hmac.new(SECRET.encode(), body + timestamp.encode(), hashlib.sha256).hexdigest()
    signed = {
        "klaviyo-signature": signature,
        "klaviyo-timestamp": timestamp,
        "klaviyo-webhook-id": "01HQ5T0GXWN8Y3G0T1C2B3A4D5",
    }
    return Delivery({**headers, **signed}, body, at, query=query)


EVENTS = Sample(
    "klaviyo_events.json",
    (
        "email_delivered",
        "email_opened",
        "email_opened",
        "email_link_clicked",
        "email_bounced",
        "email_marked_as_spam",
        "unsubscribed",
    ),
)
SENDER = Sender(
    name="klaviyo",
    secrets=(SECRET,),
    sign=sign,
    samples=(EVENTS,),
    personal=("example.com", "flora", "198.51.100.7", "+441632960123"),
    goes_stale=True,
)
