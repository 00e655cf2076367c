"""Braze, as its Custom Currents Export sends."""

from __future__ import annotations

from collections.abc import Mapping

from mailtailor.events.sources.webhook import Delivery
from mailtailor.instant import Instant
from tests.senders import Sample, Sender

TOKEN = "dGhlLXRva2VuLW9mLXRoZS10ZXN0cw=="


def sign(body: bytes, headers: Mapping[str, str], query: Mapping[str, str], at: Instant) -> Delivery:
    """Return the delivery of `body`."""
    signed = {"authorization": f"Bearer {TOKEN}", "braze-currents-version": "1"}
    return Delivery({**headers, **signed}, body, at, query=query)


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
        "email_delivered",
    ),
)
BEHAVIOUR = Sample("braze_behaviour_events.json", ("order_completed", "watched_trailer"))
STORAGE = Sample("braze_storage_events.json", ("email_opened", "watched_trailer"))
SENDER = Sender(
    name="braze",
    secrets=(TOKEN,),
    sign=sign,
    samples=(MAIL, BEHAVIOUR, STORAGE),
    personal=("example.com", "flora", "192.0.2", "5f1e2d3c4b5a69788796a5b4", "crm-4711"),
)
