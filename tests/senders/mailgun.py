"""Mailgun, as it sends."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

KEY = "the-webhook-signing-key-of-the-tests"
TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778899"


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`, with the signature put into it."""
    timestamp = str(at // 1_000)
    signature = hmac.new(KEY.encode(), f"{timestamp}{TOKEN}".encode(), hashlib.sha256).hexdigest()
    try:
        payload = json.loads(body)
    except ValueError:
        payload = None
    if isinstance(payload, dict):
        payload["signature"] = {"timestamp": timestamp, "token": TOKEN, "signature": signature}
        body = json.dumps(payload).encode()
    return Delivery(headers, body, at, query=query)


DELIVERED = Sample("mailgun_delivered.json", ("email_delivered",))
OPENED = Sample("mailgun_opened.json", ("email_opened",))
SENDER = Sender(
    name="mailgun",
    secrets=(KEY,),
    sign=sign,
    samples=(
        DELIVERED,
        OPENED,
        Sample("mailgun_clicked.json", ("email_link_clicked",)),
        Sample("mailgun_failed_permanently.json", ("email_bounced",)),
        Sample("mailgun_failed_temporarily.json", ()),
        Sample("mailgun_complained.json", ("email_marked_as_spam",)),
        Sample("mailgun_unsubscribed.json", ("unsubscribed",)),
    ),
    personal=("example.com", "flora", "198.51.100.7"),
)
