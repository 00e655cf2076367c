"""Braze's events, as a connector passes them on."""

from __future__ import annotations

from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

TOKEN = "the-bearer-token-of-the-tests"


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`."""
    return Delivery({**headers, "authorization": f"Bearer {TOKEN}"}, body, at, query=query)


MAIL = Sample(
    "braze_mail_events.json",
    (
        "email_delivered",
        "email_opened",
        "email_opened",
        "email_link_clicked",
        "email_link_clicked",
        "email_bounced",
        "email_marked_as_spam",
        "unsubscribed",
    ),
)
SENDER = Sender(
    name="braze",
    secrets=(TOKEN,),
    sign=sign,
    samples=(
        MAIL,
        Sample("braze_behaviour_events.json", ("order_completed", "watched_trailer")),
        Sample("braze_connector_events.json", ("email_opened",)),
    ),
    personal=("example.com", "flora", "198.51.100.7"),
)
