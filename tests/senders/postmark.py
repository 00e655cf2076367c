"""Postmark, as it sends."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

CREDENTIALS = "postmark:the-password-of-the-tests"


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`, with the credentials of the address."""
    authorization = f"Basic {base64.b64encode(CREDENTIALS.encode()).decode()}"
    return Delivery({**headers, "authorization": authorization}, body, at, query=query)


DELIVERY = Sample("postmark_delivery.json", ("email_delivered",))
SENDER = Sender(
    name="postmark",
    secrets=(CREDENTIALS,),
    sign=sign,
    samples=(
        DELIVERY,
        Sample("postmark_open.json", ("email_opened",)),
        Sample("postmark_click.json", ("email_link_clicked",)),
        Sample("postmark_bounce.json", ("email_bounced",)),
        Sample("postmark_soft_bounce.json", ()),
        Sample("postmark_spam_complaint.json", ("email_marked_as_spam",)),
        Sample("postmark_subscription_change.json", ("unsubscribed",)),
    ),
    personal=("example.com", "flora", "198.51.100.7"),
)
