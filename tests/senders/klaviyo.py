"""Klaviyo, as it sends."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import formatdate

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

SECRET = "the-secret-key-of-the-webhook"
SAMPLE_TIME = b"2027-01-15T08:00:00.101159+00:00"
WEBHOOK_ID = "01KP0WEBHOOK00000000000001"


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`, which says when it was made; the header does too, five hours off as was seen."""
    body = body.replace(
        SAMPLE_TIME, datetime.fromtimestamp(at / 1_000, UTC).isoformat(timespec="microseconds").encode()
    )
    timestamp = formatdate(at // 1_000 + 5 * 3_600, usegmt=True)
    signature = hmac.new(SECRET.encode(), body + timestamp.encode(), hashlib.sha256).hexdigest()
    signed = {"klaviyo-signature": signature, "klaviyo-timestamp": timestamp, "klaviyo-webhook-id": WEBHOOK_ID}
    return Delivery({**headers, **signed}, body, at, query=query)


EVENTS = Sample(
    "klaviyo_events.json",
    (
        "email_delivered",
        "email_opened",
        "email_opened",
        "email_link_clicked",
        "email_link_clicked",
        "email_bounced",
        "email_marked_as_spam",
        "unsubscribed",
        "email_delivered",
    ),
)
SENDER = Sender(
    name="klaviyo",
    secrets=(SECRET,),
    sign=sign,
    samples=(EVENTS,),
    personal=(
        *("example.com", "flora", "Flora", "Meadows", "Invented Lane", "198.51.100.7", "441632960123", "crm-4711"),
        "01KP0PROFILE00000000000001",
    ),
)
