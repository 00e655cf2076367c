"""Customer.io, as it sends."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

KEY = "the-signing-key-of-the-reporting-webhook"


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`."""
    timestamp = str(at // 1_000)
    signature = hmac.new(KEY.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return Delivery({**headers, "x-cio-timestamp": timestamp, "x-cio-signature": signature}, body, at, query=query)


DELIVERED = Sample("customerio_delivered.json", ("email_delivered",))
OPENED = Sample("customerio_opened_by_machine.json", ("email_opened",))
CLICKED = Sample("customerio_clicked.json", ("email_link_clicked",))
BOUNCED = Sample("customerio_bounced.json", ("email_bounced",))
NEWSLETTER = Sample("customerio_newsletter_opened.json", ("email_opened",))
SENDER = Sender(
    name="customerio",
    secrets=(KEY,),
    sign=sign,
    samples=(
        DELIVERED,
        OPENED,
        CLICKED,
        BOUNCED,
        NEWSLETTER,
        Sample("customerio_spammed.json", ("email_marked_as_spam",)),
        Sample("customerio_unsubscribed.json", ("unsubscribed",)),
        Sample("customerio_customer_unsubscribed.json", ("unsubscribed",)),
        Sample("customerio_sent.json", ()),
        Sample("customerio_push_delivered.json", ()),
    ),
    personal=("example.com", "flora", "crm-4711", "d9c106000001"),
    goes_stale=True,
)
